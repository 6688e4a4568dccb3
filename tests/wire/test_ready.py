"""A connection that is there before its request, on real sockets."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater

from scgiproxy.wire.descriptors import ReactorDescriptors
from scgiproxy.wire.dial import Dialer
from scgiproxy.wire.ready import ReadyConnection
from tests.conftest import LoggedErrors
from tests.web.memory import TcpTransport
from tests.wire.dialling import Caller, Client, accept, read_until, tcp_listener, unix_listener


def own_epoll() -> Dialer:
    return Dialer(reactor)


def in_the_reactor() -> Dialer:
    return Dialer(reactor, descriptors=ReactorDescriptors(reactor))


def by_the_reactor() -> Dialer:
    """As on a reactor that watches no descriptors."""
    dialer = Dialer(reactor)
    dialer.descriptors = None
    return dialer


@pytest.fixture(params=[own_epoll, in_the_reactor, by_the_reactor])
def dialer(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.fixture(params=["tcp", "unix"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A listening socket, and its address."""
    with tcp_listener() if request.param == "tcp" else unix_listener(tmp_path / "s") as both:
        yield both


class Keeper:
    """Notes what it is told, and is the factory too."""

    def __init__(self, address: Any) -> None:
        self.events: list[str] = []
        self.connection = ReadyConnection(self, address)

    def made(self, connection: ReadyConnection) -> None:
        assert connection is self.connection
        self.events.append("made")

    def lost(self, connection: ReadyConnection) -> None:
        assert connection is self.connection
        self.events.append("lost")

    def buildProtocol(self, addr: Any) -> ReadyConnection:
        return self.connection

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        raise reason.value


async def until(condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError("it did not happen")


async def ready(dialer: Dialer, listener: Any) -> tuple[Keeper, socket.socket]:
    """One that is up, and the backend's end of it."""
    keeper = Keeper(listener[1])
    dialer.dial(listener[1], keeper, 5.0)
    theirs = await accept(reactor, listener[0])
    await until(lambda: keeper.events)
    return keeper, theirs


@pytest_twisted.ensureDeferred
async def test_it_is_used_like_a_new_one(dialer: Dialer, listener: Any) -> None:
    keeper, theirs = await ready(dialer, listener)
    with theirs:
        assert keeper.connection.is_alive()
        caller = Caller(b"request")
        keeper.connection.hand_over(caller)
        assert caller.addresses == [listener[1]]
        assert caller.client.events == ["made"]
        assert await read_until(reactor, theirs, 7) == b"request"
        theirs.sendall(b"answer")
    await caller.client.lost
    assert caller.client.data == b"answer"
    assert keeper.events == ["made"]


@pytest_twisted.ensureDeferred
async def test_closing(dialer: Dialer, listener: Any) -> None:
    keeper, theirs = await ready(dialer, listener)
    with theirs:
        keeper.connection.close()
        assert await read_until(reactor, theirs, None) == b""
    assert keeper.events == ["made"]


@pytest.mark.parametrize("how", ["close", "reset", "bytes"])
@pytest_twisted.ensureDeferred
async def test_what_the_backend_does_ends_it(dialer: Dialer, listener: Any, how: str) -> None:
    """The socket knows before the reactor does; then the keeper is told."""
    keeper, theirs = await ready(dialer, listener)
    if how == "bytes":
        theirs.sendall(b"x")
    elif how == "reset":
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how != "bytes":
        theirs.close()
    assert not keeper.connection.is_alive()
    await until(lambda: keeper.events == ["made", "lost"])
    if how == "bytes":
        # A UNIX socket tells so that something was not read.
        with suppress(ConnectionResetError):
            assert await read_until(reactor, theirs, None) == b""
        theirs.close()


@pytest_twisted.ensureDeferred
async def test_a_factory_may_decline(dialer: Dialer, listener: Any) -> None:
    keeper, theirs = await ready(dialer, listener)
    with theirs:
        caller = Caller()
        caller.buildProtocol = lambda addr: None  # type: ignore[assignment,method-assign,return-value]
        keeper.connection.hand_over(caller)
        assert await read_until(reactor, theirs, None) == b""


@pytest_twisted.ensureDeferred
async def test_a_protocol_that_raises_loses_its_connection(
    dialer: Dialer, listener: Any, logged_errors: LoggedErrors
) -> None:
    keeper, theirs = await ready(dialer, listener)

    class Broken(Client):
        def connectionMade(self) -> None:
            raise RuntimeError("broken")

    caller = Caller()
    caller.client = Broken()
    with theirs:
        keeper.connection.hand_over(caller)
        await caller.client.lost
    (event,) = logged_errors.flush()
    assert "cannot take its connection" in str(event["log_format"])


def test_one_that_is_not_wanted_when_it_comes_up() -> None:
    keeper = Keeper(None)
    keeper.connection.close()
    transport = TcpTransport(keeper.connection, Clock())
    keeper.connection.makeConnection(transport)
    assert transport.closed == "closed"
    assert keeper.events == []


def test_a_transport_without_a_socket_says_all_by_itself() -> None:
    keeper = Keeper(None)
    transport = TcpTransport(keeper.connection, Clock())
    keeper.connection.makeConnection(transport)
    assert keeper.connection.is_alive()
    transport.deliver(b"x")
    assert keeper.events == ["made", "lost"]
