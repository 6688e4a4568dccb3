"""What the tests of connections share: a client that notes everything, and plain listeners."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure


class Client(Protocol):
    """Notes what it is told, in order; sends `request` when connected."""

    def __init__(self, request: bytes = b"") -> None:
        self.request = request
        self.events: list[str] = []
        self.data = b""
        self.up: Deferred[Client] = Deferred()
        self.lost: Deferred[Any] = Deferred()

    def connectionMade(self) -> None:
        self.events.append("made")
        self.up.callback(self)
        if self.request:
            self.transport.write(self.request)

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def write_failed(self) -> None:
        self.events.append("write failed")

    def connectionLost(self, reason: Any = None) -> None:
        self.events.append("lost")
        self.lost.callback(reason.value)


class Caller:
    """A factory for one `Client`; `failed` fires with the error, `up` with the client."""

    def __init__(self, request: bytes = b"") -> None:
        self.client = Client(request)
        self.addresses: list[Any] = []
        self.up = self.client.up
        self.failed: Deferred[Exception] = Deferred()

    def buildProtocol(self, addr: Any) -> Client:
        self.addresses.append(addr)
        return self.client

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        assert isinstance(reason.value, Exception)
        self.failed.callback(reason.value)


@contextmanager
def tcp_listener(backlog: int = 5) -> Iterator[tuple[socket.socket, IPv4Address]]:
    """A listening socket on loopback that nobody accepts from but the test."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        listener.setblocking(False)
        yield listener, IPv4Address("TCP", *listener.getsockname())


@contextmanager
def unix_listener(path: Path, backlog: int = 5) -> Iterator[tuple[socket.socket, UNIXAddress]]:
    """The same on a UNIX socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(backlog)
        listener.setblocking(False)
        yield listener, UNIXAddress(str(path))


async def accept(reactor: Any, listener: socket.socket) -> socket.socket:
    """The next connection, non-blocking; waits up to five seconds."""
    for _ in range(500):
        try:
            accepted = listener.accept()[0]
        except BlockingIOError:
            await deferLater(reactor, 0.01)
        else:
            accepted.setblocking(False)
            return accepted
    raise AssertionError("nobody connected")


async def read_until(reactor: Any, skt: socket.socket, size: int | None) -> bytes:
    """`size` bytes from a non-blocking socket, or all until the end; waits up to five seconds."""
    data = b""
    for _ in range(5000):
        try:
            piece = skt.recv(1 << 20)
        except BlockingIOError:
            await deferLater(reactor, 0.001)
            continue
        data += piece
        if not piece or (size is not None and len(data) >= size):
            return data
    raise AssertionError(f"only {len(data)} bytes came")
