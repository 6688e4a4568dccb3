"""A transport on a stream socket: what Twisted's own does, in one class, which can be compiled.

Each request of a gateway has a connection of its own to the backend, and most of what Twisted's
transports do on it is a walk through four base classes. The rules are theirs (ITCPTransport,
IConsumer, IHalfCloseableDescriptor), but that a write with nothing before it goes to the socket at
once.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from errno import ENOBUFS
from typing import Any, ClassVar, Final

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    IPushProducer,
    IReadWriteDescriptor,
    ITCPTransport,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure
from zope.interface import classImplements

from scgiproxy.log.events import Logger
from scgiproxy.wire.descriptors import CLOSED, Descriptors
from scgiproxy.wire.streamsocket import READ_SIZE, SocketAddress, StreamSocket

MOST_SENT: Final = 1 << 20
"""Bytes given to the socket at a time of those that had to wait."""

MOST_WAITING: Final = 1 << 16
"""Bytes that wait to be sent when a push producer is paused."""

# For SO_LINGER: close() sends a reset.
_RESET = struct.pack("ii", 1, 0)


class StreamConnection(StreamSocket):
    """The transport of `protocol` on a connected, non-blocking socket `skt`, watched by `reactor`
    (see `wire.descriptors.Descriptors`), to which whoever makes it adds it as a reader.

    The attributes without an underscore are those of Twisted's transports. `connectionLost` is told
    to the protocol once.
    """

    _log: ClassVar[Logger] = Logger()

    # On the class only what an ordinary exchange neither reads nor changes: CPython has no fast way
    # to read an instance's attribute from the class, nor to add one later.
    producer: Any = None
    streamingProducer = False
    producerPaused = False
    _half_closing = False
    _half_closed = False
    # What waits: the buffer, from an offset on, and behind it the pieces in `_waiting`.
    _offset = 0

    def __init__(
        self, skt: socket.SocketType, protocol: Any, reactor: Descriptors, peer: SocketAddress
    ) -> None:
        self.reactor = reactor
        self.socket = skt
        self.fileno = skt.fileno
        self.protocol = protocol
        self.connected = True
        self.disconnected = False
        self._peer = peer
        # The next bytes may go to the socket at once: it is open, nothing waits to be sent or to be
        # done behind what was sent, and no pull producer wants to be asked.
        self._clear = True
        self._paused = False
        self._read_size = READ_SIZE
        self._buffer = b""
        self._waiting: list[bytes] = []
        self._waiting_size = 0

    # -- writing -------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send `data`, at once if nothing waits before it. What goes wrong is told later."""
        if self._clear:
            self._send(data)
        else:
            self._wait(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send the pieces as one."""
        self.write(b"".join(iovec))

    def _send(self, data: bytes, flags: int = 0) -> None:
        """Give `data` to the socket; what it does not take waits."""
        try:
            sent = self.socket.send(data, flags)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._send_failed(data)
            return
        if sent < len(data):
            self._wait(data[sent:])

    def _send_failed(self, data: bytes) -> None:
        """Nothing was sent of `data`: the next attempt tells, when whoever writes has returned."""
        self._wait(data)

    def _wait(self, data: bytes) -> None:
        """Send `data` when the socket takes it, behind what waits already."""
        if not self.connected or self._half_closed or self._aborting or not data:
            return
        self._clear = False
        self._waiting.append(data)
        self._waiting_size += len(data)
        if (
            self.streamingProducer
            and self.producer is not None
            and len(self._buffer) + self._waiting_size > MOST_WAITING
        ):
            self.producerPaused = True
            self.producer.pauseProducing()
        self._want_write()

    def _want_write(self) -> None:
        """Ask for `doWrite`."""
        self.reactor.addWriter(self)

    def doWrite(self) -> Any:
        """The socket takes bytes: send what waits."""
        if not self.connected or self._aborting:
            return None
        if self._waiting and len(self._buffer) - self._offset < MOST_SENT:
            if self._offset < len(self._buffer):
                left = memoryview(self._buffer)[self._offset :]
                self._buffer = b"".join((left, *self._waiting))
            else:
                self._buffer = b"".join(self._waiting)
            self._offset = 0
            self._waiting.clear()
            self._waiting_size = 0
        if self._buffer:
            piece = memoryview(self._buffer)[self._offset : self._offset + MOST_SENT]
            try:
                self._offset += self.socket.send(piece)
            except BlockingIOError:
                return None
            except OSError as error:
                return None if error.errno == ENOBUFS else self._write_lost()
            if self._offset < len(self._buffer) or self._waiting:
                return None
            self._buffer = b""
            self._offset = 0
        self.reactor.removeWriter(self)
        return self._all_sent()

    def _write_lost(self) -> Exception | None:
        """What `doWrite` answers when the socket takes nothing any more."""
        return CONNECTION_LOST

    def _all_sent(self) -> Exception | None:
        """Do what was to be done then."""
        producer = self.producer
        if producer is not None and (self.producerPaused or not self.streamingProducer):
            self.producerPaused = False
            self._clear = self._is_clear()
            producer.resumeProducing()
        elif self.disconnecting:
            return CONNECTION_DONE
        elif self._half_closing:
            self._half_closed = True
            self._close_half()
        else:
            self._clear = self._is_clear()
        return None

    def _is_clear(self) -> bool:
        return (
            self.connected
            and not self.disconnecting
            and not self._aborting
            and not self._half_closing
            and not self._half_closed
            and self._nothing_waits()
            and (self.producer is None or self.streamingProducer)
        )

    def _nothing_waits(self) -> bool:
        return not self._waiting and not self._buffer

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See `IConsumer`. Raises RuntimeError if there is one."""
        if self.producer is not None:
            raise RuntimeError(f"cannot register {producer!r}: {self.producer!r} is registered")
        if self.disconnected:
            producer.stopProducing()
            return
        self.producer = producer
        self.streamingProducer = streaming
        if not streaming:
            self._clear = False
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """See `IConsumer`."""
        self.producer = None
        if self.connected and self.disconnecting:
            self._want_write()
        self._clear = self._is_clear()

    # -- closing -------------------------------------------------------------------------------

    def loseConnection(self) -> None:
        """Close behind what waits to be sent."""
        if not self.connected or self.disconnecting or self._aborting:
            return
        if self._half_closed:
            self.connectionLost(CLOSED)
            return
        self.disconnecting = True
        self._clear = False
        self._want_write()

    def stopProducing(self) -> None:
        """The same as `loseConnection`."""
        self.loseConnection()

    def loseWriteConnection(self) -> None:
        """Close our half behind what waits to be sent."""
        if not self._half_closed and self.connected and not self._aborting:
            self._half_closing = True
            self._clear = False
            self._want_write()

    def abortConnection(self) -> None:
        """Close with a reset, whatever waits to be sent; in the next turn of the reactor."""
        if self.disconnected or self._aborting:
            return
        self._aborting = True
        self._clear = False
        self.reactor.removeReader(self)
        self.reactor.removeWriter(self)
        self.reactor.callLater(0, self.connectionLost, Failure(ConnectionAborted()))

    def _close_half(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        protocol = IHalfCloseableProtocol(self.protocol, None)
        if protocol is not None:
            try:
                protocol.writeConnectionLost()
            except BaseException:
                self._fail("{protocol!r} failed when our half of its connection was closed")

    def readConnectionLost(self, reason: Failure) -> None:
        """The peer has closed its half: the end, unless the protocol knows better."""
        protocol = IHalfCloseableProtocol(self.protocol, None)
        if protocol is None:
            self.connectionLost(reason)
            return
        try:
            protocol.readConnectionLost()
        except BaseException:
            self._fail("{protocol!r} failed when the other half of its connection was closed")

    def _fail(self, message: str) -> None:
        failure = Failure()
        self._log.failure(message, failure, protocol=self.protocol)
        self.connectionLost(failure)

    def writeConnectionLost(self, reason: Failure) -> None:
        """See `IHalfCloseableDescriptor`; nobody tells this."""
        self.connectionLost(reason)

    def connectionLost(self, reason: Failure) -> None:
        """The end. A second call may come when a protocol closes and then raises."""
        if not self.connected or (self._paused and self._is_early(reason)):
            return
        self.connected = False
        self.disconnected = True
        self._clear = False
        producer = self.producer
        if producer is not None:
            self.producer = None
            producer.stopProducing()
        self.reactor.forget(self)
        if self._aborting:
            with suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # Without shutdown(): sockets are closed on exec, so nobody else has this one.
        self.socket.close()
        protocol = self.protocol
        # Without a cycle no garbage collector is needed to free the two.
        self.protocol = None
        protocol.connectionLost(reason)

    def _is_early(self, reason: Failure) -> bool:  # noqa: ARG002  of a kind
        """Whether this end, noticed while reading paused, is to be found again behind what is left."""
        return False


classImplements(
    StreamConnection,
    IConsumer,
    IHalfCloseableDescriptor,
    IPushProducer,
    IReadWriteDescriptor,
    ITCPTransport,
)
