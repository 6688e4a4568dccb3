"""A connection to a backend: Twisted's own, with what a gateway needs of it changed.

- A write with nothing before it goes to the socket at once. One exchange is then one send, with
  no turn of the reactor in between and no change of what the reactor watches.
- A backend that answers and closes before it has read the request has still answered. So a
  failed send stops the sending only; see `IWriteFailed`.
- Each request has a connection of its own. While nothing but plain writes and reads happens on
  it (`_usual`), making it, using it and closing it takes a handful of calls, instead of a walk
  through four base classes.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Any, TypeAlias

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableDescriptor,
    ILoggingContext,
    IProtocol,
    IPushProducer,
    IReadWriteDescriptor,
    ISystemHandle,
    ITCPTransport,
)
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer_only

from scgiproxy.wire.largepieces import READ_SIZE, LargePieces

SocketAddress: TypeAlias = IPv4Address | IPv6Address | UNIXAddress
"""Where a socket connects to: no names here."""

# For SO_LINGER: close() sends a reset.
_RESET = struct.pack("ii", 1, 0)
_CLOSED = Failure(CONNECTION_DONE)


# Connection offers TLS as well, which needs private parts of Twisted on the client's side.
@implementer_only(
    IConsumer,
    IHalfCloseableDescriptor,
    ILoggingContext,
    IPushProducer,
    IReadWriteDescriptor,
    ISystemHandle,
    ITCPTransport,
)
class BackendConnection(LargePieces, Connection):  # type: ignore[misc]
    """The transport on a connected, non-blocking socket `skt`, watched by `reactor` (see
    `wire.descriptors.Descriptors`).

    On TCP a second write sets TCP_NODELAY; a single one waits for nothing anyway. `unread` says that
    the peer has certainly read nothing, since the first write has failed.
    """

    reactor: Any
    socket: Any
    protocol: Any
    _tempDataLen = 0
    _paused = False
    _undelayed = False
    _write_broken = False
    unread = False

    def __init__(
        self, skt: socket.SocketType, protocol: IProtocol, reactor: Any, peer: SocketAddress
    ) -> None:
        # The constructors of the base classes would do much of this twice. What an ordinary
        # connection reads or changes is set here, not on the class: CPython has no fast way to
        # read an instance's attribute from the class, nor to add one later.
        self.reactor = reactor
        self.socket = skt
        self.fileno = skt.fileno
        self.protocol = protocol
        self._peer = peer
        self._tempDataBuffer = []
        self.connected = 1
        self.disconnected = 0
        self._written = False
        self._read_size = READ_SIZE
        # It is open, all that was written has been sent, it is being read, and has no producer.
        # Once False, it stays so.
        self._usual = True

    def logPrefix(self) -> str:
        """The word for the log."""
        return "backend"

    def getPeer(self) -> SocketAddress:
        """The address that was dialled."""
        return self._peer

    def getHost(self) -> SocketAddress:
        """Our end of the connection."""
        name = self.socket.getsockname()
        if isinstance(self._peer, IPv4Address):
            return IPv4Address("TCP", name[0], name[1])
        if isinstance(self._peer, IPv6Address):
            return IPv6Address("TCP", *name)
        return UNIXAddress(name or None)

    # -- writing -------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send `data`, at once if nothing waits before it.

        Whatever goes wrong is told later, by `IWriteFailed.write_failed` and `connectionLost`.
        """
        if not self._usual:
            if not self.connected or self._write_broken or self._writeDisconnected or not data:
                return
            # A pull producer is asked for more when the buffer runs empty, so it needs the buffer.
            pulled = self.producer is not None and not self.streamingProducer
            if pulled or self._tempDataLen or self.dataBuffer:
                self._written = True
                FileDescriptor.write(self, data)
                return
        if not self._written:
            self._written = True
        elif not self._undelayed:
            self._undelay()
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            # Any write but the first one undelays it.
            self.unread = not self._undelayed
            self._break_write()
            return
        if sent < len(data):
            FileDescriptor.write(self, data[sent:])

    def writeSequence(self, iovec: Any) -> None:
        """Send the pieces as one."""
        self.write(b"".join(iovec))

    def _undelay(self) -> None:
        """Let no small piece wait until the one before it is acknowledged (Nagle's algorithm)."""
        self._undelayed = True
        if not isinstance(self._peer, UNIXAddress):
            self.setTcpNoDelay(True)

    def startWriting(self) -> None:
        """Ask the reactor to call `doWrite`."""
        self._usual = False
        self.reactor.addWriter(self)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See `IConsumer`."""
        self._usual = False
        Connection.registerProducer(self, producer, streaming)

    def loseConnection(self) -> None:
        """Close behind what waits to be sent; with nothing waiting, at once.

        ``connectionLost`` may then come before this returns. A turn of the reactor and three
        changes of what it watches are not spent on each exchange.
        """
        if self._usual or (
            self.connected
            and not self.disconnecting
            and not self._aborting
            and self.producer is None
            and not self._tempDataLen
            and not self.dataBuffer
        ):
            self.connectionLost(_CLOSED)
        else:
            Connection.loseConnection(self)

    def abortConnection(self) -> None:
        """Close with a reset, whatever waits to be sent."""
        self._usual = False
        Connection.abortConnection(self)

    def doWrite(self) -> Any:
        """The socket takes bytes: send what waits."""
        if not self.connected:
            return None
        if self._write_broken:
            self.reactor.removeWriter(self)
            return CONNECTION_DONE if self.disconnecting else None
        result = FileDescriptor.doWrite(self)
        if isinstance(result, ConnectionLost) and not self.disconnecting:
            self._break_write()
            return None
        return result

    def _break_write(self) -> None:
        if self._write_broken:
            return
        self._write_broken = True
        self._usual = False
        self.dataBuffer = b""
        self.offset = 0
        self._tempDataBuffer.clear()
        self._tempDataLen = 0
        self.reactor.removeWriter(self)
        self.reactor.callLater(0, self._tell_write_failed)

    def _tell_write_failed(self) -> None:
        if self.connected and not self.disconnecting and not self._aborting:
            tell = getattr(self.protocol, "write_failed", None)
            if tell is not None:
                tell()

    # -- reading -------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Stop reading."""
        self._read_size = READ_SIZE
        self._paused = True
        self._usual = False
        self.reactor.removeReader(self)

    def resumeProducing(self) -> None:
        """Read again."""
        self._paused = False
        if self.connected and not self.disconnecting:
            self.reactor.addReader(self)

    def connectionLost(self, reason: Failure) -> None:
        """The end, unless it was noticed while reading paused: then what is left comes first."""
        if not self._usual and not self._end(reason):
            return
        self._usual = False
        self.connected = 0
        self.disconnected = 1
        self.reactor.removeReader(self)
        # Without shutdown(): sockets are closed on exec, so nobody else has this one.
        self.socket.close()
        protocol = self.protocol
        # Without a cycle no garbage collector is needed to free the two.
        self.protocol = None
        protocol.connectionLost(reason)

    def _end(self, reason: Failure) -> bool:
        """Undo what was unusual; False if this is not the end, or has been already."""
        # A second call may come when a protocol closes and then raises.
        if not self.connected:
            return False
        if (
            self._paused
            and not self.disconnecting
            and not self._aborting
            and isinstance(reason.value, ConnectionLost)
        ):
            self._break_write()
            return False
        self.connected = 0
        self.disconnected = 1
        if self.producer is not None:
            self.producer.stopProducing()
            self.producer = None
        self.reactor.removeWriter(self)
        if reason.check(ConnectionAborted):
            with suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        return True
