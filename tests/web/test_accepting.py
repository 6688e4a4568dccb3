"""Accepting clients: the limits, the listen queue, and what happens without descriptors."""

from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import tcp, unix
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from scgiproxy.rules.networks import parse_networks
from scgiproxy.web.accepting import (
    OWN_DESCRIPTORS,
    TELL_EVERY,
    TRY_AGAIN,
    Acceptor,
    Admission,
    accept_clients,
    descriptor_room,
)
from scgiproxy.web.connection import ClientConnection
from scgiproxy.wire.descriptors import ReactorDescriptors
from tests.conftest import LoggedErrors

V4 = ("192.0.2.1", 4000)
V6 = ("2001:db8::1", 4000, 0, 0)


class Reactor(Clock):
    """Watches nothing; the test itself reads."""

    def addReader(self, reader: Any) -> None:
        pass

    removeReader = addWriter = removeWriter = addReader


class Client(Protocol):
    """The gateway's side of a connection."""

    lost = False

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class Listening:
    """A listening socket: who waits in its queue is in `waiting`, or an error to raise."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []
        self.ends: list[socket.socket] = []

    def accept(self) -> tuple[socket.socket, Any]:
        if not self.waiting:
            raise BlockingIOError
        first = self.waiting.pop(0)
        if isinstance(first, int):
            raise OSError(first, "")
        ours, theirs = socket.socketpair()
        self.ends.append(theirs)
        return ours, first


class Port:
    """What an Acceptor asks of a port of Twisted's; each `turn` of the reactor reads it if it is to
    be read."""

    def __init__(self, reactor: Reactor, admission: Admission, at_once: int = 64) -> None:
        self.socket = Listening()
        self.factory = self
        self.clients: list[Client] = []
        self.reading = self.connected = True
        self.disconnecting = self.wants_none = False
        self.acceptor = Acceptor(self, ReactorDescriptors(reactor), admission, at_once)  # type: ignore[arg-type]
        admission.add_port(self)

    def buildProtocol(self, peer: Any) -> Client | None:
        if self.wants_none:
            return None
        self.clients.append(Client())
        return self.clients[-1]

    def startReading(self) -> None:
        assert self.connected
        self.reading = True

    def stopReading(self) -> None:
        self.reading = False

    def arrive(self, *peers: Any) -> None:
        self.socket.waiting += peers
        self.turn()

    def turn(self) -> None:
        if self.reading:
            self.acceptor.accept()

    def leave(self, place: int = 0) -> None:
        transport: Any = self.clients.pop(place).transport
        transport.connectionLost(None)

    def close(self) -> None:
        for theirs in self.socket.ends:
            theirs.close()
        while self.clients:
            self.leave()


class Stage:
    def __init__(self) -> None:
        self.reactor = Reactor()
        self.admission = Admission(self.reactor)
        self.ports: list[Port] = []
        self.events: list[LogEvent] = []

    def port(self, **more: Any) -> Port:
        self.ports.append(Port(self.reactor, self.admission, **more))
        return self.ports[-1]

    def told(self) -> list[str]:
        """The log keys of what was logged since the last time."""
        keys = [event["log_key"] for event in self.events if "log_key" in event]
        self.events.clear()
        return keys


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    globalLogPublisher.addObserver(made.events.append)
    yield made
    globalLogPublisher.removeObserver(made.events.append)
    made.admission.stop()
    for port in made.ports:
        port.close()
    assert made.admission.open == 0
    assert not made.reactor.getDelayedCalls()


def test_clients_are_accepted(stage: Stage) -> None:
    """As many as wait, on a port of any family, with their address."""
    port = stage.port()
    port.arrive(V4, V6, ("fe80::1", 4000, 0, 1))
    assert len(port.clients) == 3
    peers = [client.transport.getPeer() for client in port.clients[:2]]  # type: ignore[union-attr]
    assert peers == [IPv4Address("TCP", *V4), IPv6Address("TCP", *V6)]
    assert isinstance(port.clients[0].transport, ClientConnection)
    assert stage.admission.open == 3
    port.leave()
    assert stage.admission.open == 2


def test_some_at_a_time(stage: Stage) -> None:
    """Others have their turn as well."""
    port = stage.port(at_once=2)
    port.arrive(V4, V4, V4)
    assert len(port.clients) == 2
    port.turn()
    assert len(port.clients) == 3


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPERM])
def test_who_has_left_meanwhile(stage: Stage, number: int) -> None:
    port = stage.port()
    port.arrive(number, V4)
    assert len(port.clients) == 1
    assert not stage.admission.paused


def test_a_factory_that_wants_nobody(stage: Stage) -> None:
    """Such as a policy around the site."""
    port = stage.port()
    port.wants_none = True
    port.arrive(V4)
    assert stage.admission.open == 0
    assert port.socket.ends[0].recv(1) == b""


def test_a_factory_that_fails(stage: Stage, logged_errors: LoggedErrors) -> None:
    """It is logged, the client closed, and the next one is served."""
    port = stage.port()
    works = port.buildProtocol

    def fails(peer: Any) -> Client | None:
        port.buildProtocol = works  # type: ignore[method-assign]
        raise ZeroDivisionError

    port.buildProtocol = fails  # type: ignore[method-assign]
    port.arrive(V4, V4)
    assert len(port.clients) == 1
    assert stage.admission.open == 1
    assert port.socket.ends[0].recv(1) == b""
    (event,) = logged_errors.flush()
    assert event["log_failure"].check(ZeroDivisionError)


@pytest.mark.parametrize("what", ["addReader", "makeConnection"])
def test_a_client_that_cannot_be_served(
    stage: Stage, logged_errors: LoggedErrors, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """No room in the epoll, or its protocol fails: it is closed, and counts no more."""

    def fails(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    stage.admission.limit(1, 1)
    port = stage.port()
    with monkeypatch.context() as patched:
        watching = port.acceptor._descriptors
        patched.setattr(watching if what == "addReader" else Client, what, fails)
        port.arrive(V4)
        stage.reactor.advance(0)
    port.clients.clear()
    assert stage.admission.open == 0
    assert port.socket.ends[0].recv(1) == b""
    port.arrive(V4)
    assert len(port.clients) == 1
    assert len(logged_errors.flush()) == 1


def test_a_client_whose_end_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts no more, either."""
    stage.admission.limit(1, 1)
    port = stage.port()
    port.arrive(V4)

    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(Client, "connectionLost", fails)
        with pytest.raises(ZeroDivisionError):
            port.leave()
    assert stage.admission.open == 0
    port.arrive(V4)
    assert len(port.clients) == 1


# -- MaxConnections ----------------------------------------------------------------------------


def test_over_the_limit_they_wait(stage: Stage) -> None:
    """On all ports, until one of those that are there ends; and it is told, once."""
    stage.admission.limit(2)
    one, other = stage.port(), stage.port()
    one.arrive(V4)
    other.arrive(V4, V4)
    assert (len(one.clients), len(other.clients)) == (1, 1)
    assert (one.reading, other.reading, stage.admission.paused) == (False, False, True)
    assert stage.admission.room == 0
    one.leave()
    assert (one.reading, other.reading, stage.admission.paused) == (True, True, False)
    other.turn()
    assert len(other.clients) == 2
    assert stage.told() == ["client.max_connections"]
    other.leave()
    other.arrive(V4, V4)
    assert stage.told() == []
    other.leave()
    stage.reactor.advance(TELL_EVERY)
    other.turn()
    other.turn()
    assert stage.told() == ["client.max_connections"]
    assert stage.admission.pauses == 4


def test_another_limit(stage: Stage) -> None:
    """A lower one ends nobody; a higher one has them accepted again."""
    port = stage.port()
    port.arrive(V4, V4, V4)
    stage.admission.limit(1)
    port.arrive(V4)
    assert (len(port.clients), port.reading) == (3, False)
    port.leave()
    port.leave()
    assert not port.reading
    stage.admission.limit(5)
    port.turn()
    assert len(port.clients) == 2
    stage.told()


def test_ports_that_come_and_go(stage: Stage) -> None:
    """A new one waits with the others; one that is being closed, or is, is not read again."""
    stage.admission.limit(1)
    one, closing, closed = stage.port(), stage.port(), stage.port()
    one.arrive(V4, V4)
    late = stage.port()
    assert not late.reading
    closing.disconnecting = True
    closed.connected = False
    one.leave()
    assert [port.reading for port in (one, closing, closed, late)] == [True, False, False, True]
    closed.connected = True
    stage.told()


def test_what_the_descriptors_allow(stage: Stage) -> None:
    """Half of them: each client may need another one for a backend."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    stage.admission.limit(None)
    assert stage.admission.room == (most - OWN_DESCRIPTORS) // 2
    assert descriptor_room(1000) == (most - OWN_DESCRIPTORS - 1000) // 2
    assert descriptor_room(1 << 40) == 0


def test_any_number_of_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda which: infinite)
    assert descriptor_room(0) > 100_000


# -- without descriptors -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_no_descriptor_is_left(stage: Stage, number: int) -> None:
    """They wait until a connection ends. The reactor is not woken meanwhile."""
    port = stage.port()
    port.arrive(V4, number, V4)
    assert (len(port.clients), port.reading) == (1, False)
    assert stage.told() == ["gateway.sockets"]
    port.leave()
    port.turn()
    assert len(port.clients) == 1
    assert stage.told() == []


def test_a_descriptor_that_somebody_else_gives_back(stage: Stage) -> None:
    """A backend's connection, or a file: it is tried again after a while."""
    port = stage.port()
    port.arrive(errno.EMFILE, errno.EMFILE, V4)
    stage.reactor.advance(TRY_AGAIN / 2)
    assert not port.reading
    stage.reactor.advance(TRY_AGAIN / 2)
    port.turn()
    assert not port.reading
    stage.reactor.advance(TRY_AGAIN)
    port.turn()
    assert len(port.clients) == 1
    assert stage.admission.pauses == 2
    assert stage.told() == ["gateway.sockets"]


def test_stopping_while_it_waits(stage: Stage) -> None:
    """Nothing is left in the reactor, which is what the fixture looks for."""
    port = stage.port()
    port.arrive(errno.EMFILE)
    stage.admission.stop()
    assert not port.reading
    stage.told()


# -- MaxConnectionsPerIP -----------------------------------------------------------------------


def test_too_many_of_one_address(stage: Stage) -> None:
    """More are closed at once; others are served, and the address again when it has fewer."""
    stage.admission.limit(100, 2)
    port = stage.port()
    port.arrive(V4, V4, V4, ("192.0.2.2", 1))
    assert [end.recv(1) == b"" for end in port.socket.ends[2:3]] == [True]
    assert (len(port.clients), stage.admission.open, stage.admission.refused) == (3, 3, 1)
    port.arrive(V4)
    assert stage.admission.refused == 2
    port.leave()
    port.arrive(V4)
    assert (len(port.clients), stage.admission.refused) == (3, 2)
    assert stage.told() == ["client.too_many"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (V4, ("::ffff:192.0.2.1", 1, 0, 0), True),
        (V6, ("2001:db8::ffff:2", 1, 0, 0), True),
        (V6, ("2001:db8:0:1::1", 1, 0, 0), False),
        (("fe80::1", 1, 0, 1), ("fe80::2", 1, 0, 0), True),
    ],
)
def test_what_is_one_address(stage: Stage, one: Any, other: Any, same: bool) -> None:
    """A subnet of IPv6; IPv4 in whatever form."""
    stage.admission.limit(100, 1)
    port = stage.port()
    port.arrive(one, other)
    assert len(port.clients) == (1 if same else 2)
    stage.told()


def test_addresses_that_are_let_in(stage: Stage) -> None:
    """Such as a proxy's, that all clients come from."""
    stage.admission.limit(100, 1, parse_networks(["192.0.2.0/24"]))
    port = stage.port()
    port.arrive(V4, V4, V4)
    assert len(port.clients) == 3


def test_a_limit_that_comes_later(stage: Stage) -> None:
    """It counts those that come from then on; one that goes is forgotten as it was counted."""
    port = stage.port()
    port.arrive(V4)
    stage.admission.limit(100, 1)
    port.arrive(V4, V4)
    assert len(port.clients) == 2
    port.leave()
    port.arrive(V4)
    assert len(port.clients) == 1
    stage.admission.limit(100)
    port.leave()
    stage.admission.limit(100, 1)
    port.arrive(V4)
    assert len(port.clients) == 1
    stage.told()


def test_what_is_told_to_another_process(stage: Stage) -> None:
    stage.admission.limit(100, 1)
    stage.port().arrive(V4, V4, errno.EMFILE)
    other = Admission(stage.reactor)
    other.add(stage.admission.drain())
    other.add(stage.admission.drain())
    assert (other.refused, other.pauses) == (1, 1)
    stage.told()


# -- Twisted's ports ---------------------------------------------------------------------------


def test_ports_of_twisted(stage: Stage) -> None:
    """They are read in its place; others, such as one of a plugin, are left as they are."""
    from twisted.internet import reactor

    admission = stage.admission
    for port in (tcp.Port(0, None), unix.Port("x", None, reactor=reactor)):  # type: ignore[arg-type,no-untyped-call]
        own = port.doRead
        accept_clients(port, ReactorDescriptors(stage.reactor), admission)
        assert port.doRead != own
    other = Protocol()
    accept_clients(other, ReactorDescriptors(stage.reactor), admission)
    assert not hasattr(other, "doRead")


def test_addresses_of_unix_sockets(stage: Stage) -> None:
    from twisted.internet import reactor

    port: Any = unix.Port("x", None, reactor=reactor)  # type: ignore[arg-type,no-untyped-call]
    acceptor = Acceptor(port, ReactorDescriptors(stage.reactor), stage.admission, 1)
    stage.admission.limit(100, 1)
    for name in ("", b"\0name"):
        peer = acceptor._address(name)
        assert peer == UNIXAddress(name or None)
        for _ in range(2):
            stage.admission.end(stage.admission.begin(peer) or 0)
            assert stage.admission.refused == 0
