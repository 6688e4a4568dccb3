"""A client's connection on real sockets, with turns that the test begins and ends."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from scgiproxy.web.accepting import Admission, accept_clients
from scgiproxy.wire.descriptors import EpollDescriptors


@implementer(IHalfCloseableProtocol)
class Server(Protocol):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()
        self.events: list[str] = []

    def readConnectionLost(self) -> None:
        self.events.append("read lost")

    def writeConnectionLost(self) -> None:
        self.events.append("write lost")

    def connectionLost(self, reason: Failure | None = None) -> None:  # type: ignore[override]
        self.lost.callback(None)

    def pauseProducing(self) -> None:
        self.events.append("pause")

    def resumeProducing(self) -> None:
        self.events.append("resume")

    def stopProducing(self) -> None:
        self.events.append("stop")


class Served:
    """A `Server` behind a port, and the client's socket."""

    def __init__(self, listen: Callable[[Factory], Any], client: socket.socket) -> None:
        self.turn = EpollDescriptors(reactor)
        self.server = Server()
        factory = Factory.forProtocol(lambda: self.server)  # type: ignore[arg-type]
        self.port = listen(factory)
        self.admission = Admission(reactor)
        accept_clients(self.port, self.turn, self.admission)
        host = self.port.getHost()
        client.connect(getattr(host, "name", None) or (host.host, host.port))
        client.setblocking(False)
        self.client = client
        self.port.doRead()
        self.transport: Any = self.server.transport

    def received(self) -> bytes:
        """What the client can read now."""
        try:
            return self.client.recv(1 << 20)
        except BlockingIOError:
            return b""


@contextmanager
def serving(family: str, folder: Path) -> Iterator[Served]:
    """One `Served`, by "tcp" or by "unix" in `folder`; at the end its connection is, too."""
    listening: Any = reactor
    if family == "tcp":
        made = Served(
            lambda factory: listening.listenTCP(0, factory, interface="127.0.0.1"),
            socket.socket(),
        )
    else:
        path = str(folder / "socket")
        made = Served(
            lambda factory: listening.listenUNIX(path, factory), socket.socket(socket.AF_UNIX)
        )
    yield made
    made.client.close()
    made.port.stopListening()
    if not made.server.lost.called:
        made.transport.abortConnection()
    pytest_twisted.blockon(deferLater(reactor, 0.01))
    assert made.server.lost.called
