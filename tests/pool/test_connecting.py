"""One connection, along the addresses of a backend."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol

from scgiproxy.errors import ConnectFailed
from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.connecting import Connecting
from scgiproxy.pool.resolve import Addresses
from scgiproxy.pool.route import Route
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.wire.streamsocket import SocketAddress
from tests.pool.fakes import FakeDialer

FIRST, SECOND = (IPv4Address("TCP", f"192.0.2.{number}", 4000) for number in (1, 2))


class Scene:
    """One attempt over a `FakeDialer`; `told` has what it said."""

    def __init__(self) -> None:
        self.dialer = FakeDialer()
        self.addresses = Addresses((FIRST, SECOND))
        backend = Backend(
            "scgi://app:4000",
            TcpAddress("app", 4000),
            b"/",
            BackendSettings(keepalive=True),
            clock=self.dialer.reactor,
        )
        self.told: list[object] = []
        self.connecting = Connecting(
            Route(backend, self.addresses, 60.0, balancer=None, dialer=self.dialer),
            self.addresses.current(),
            timeout=7.0,
            connected=self.connected,
            failed=self.failed,
        )
        self.connecting.start()

    def connected(self, connecting: Connecting, address: SocketAddress) -> IProtocol:
        assert connecting is self.connecting
        self.told.append(address)
        return Protocol()

    def failed(self, connecting: Connecting, error: BaseException | None) -> None:
        assert connecting is self.connecting
        self.told.append(error)


def test_the_address_that_works_is_preferred() -> None:
    scene = Scene()
    (first,) = scene.dialer.open()
    assert (first.address, first.timeout) == (FIRST, 7.0)
    assert first.options == {"keepalive": True, "wait_for_backlog": False}
    first.fail()
    (second,) = scene.dialer.open()
    assert isinstance(second.succeed(), Protocol)
    assert scene.told == [SECOND]
    assert scene.addresses.current() == (SECOND, FIRST)


def test_the_reason_of_the_last_address_is_told() -> None:
    scene = Scene()
    last = ConnectFailed("nobody there")
    scene.dialer.open()[0].fail()
    scene.dialer.open()[0].fail(last)
    assert scene.told == [last]
    assert scene.addresses.current() == (FIRST, SECOND)


def test_stopped_it_says_nothing() -> None:
    scene = Scene()
    (dial,) = scene.dialer.open()
    scene.connecting.stop()
    scene.connecting.stop()
    assert dial.stopped
    # A dialer may be past the point where it can be stopped.
    assert scene.connecting.buildProtocol(FIRST) is None
    assert scene.told == []


def test_stopping_one_that_is_connected_stops_nothing() -> None:
    scene = Scene()
    (dial,) = scene.dialer.open()
    dial.succeed()
    scene.connecting.stop()
    assert not dial.stopped
