"""A connection to a backend: Twisted's own, with what a gateway needs of it changed.

- A write with nothing before it goes to the socket at once. One exchange is then one send, with
  no turn of the reactor in between and no change of what the reactor watches.
- A backend that answers and closes before it has read the request has still answered. So a
  failed send stops the sending only; see `IWriteFailed`.
"""

from __future__ import annotations

import socket
from typing import Any, TypeAlias

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionLost
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

SocketAddress: TypeAlias = IPv4Address | IPv6Address | UNIXAddress
"""Where a socket connects to: no names here."""

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
class BackendConnection(Connection):
    """The transport on a connected, non-blocking socket `skt`."""

    reactor: Any
    logstr = "backend"
    # Sockets are closed on exec, so close() alone ends the connection.
    _shouldShutdown = False
    _paused = False
    _write_broken = False

    def __init__(
        self, skt: socket.socket, protocol: IProtocol, reactor: Any, peer: SocketAddress
    ) -> None:
        FileDescriptor.__init__(self, reactor)
        # Connection.__init__ would make the socket non-blocking a second time.
        self.socket = skt
        self.fileno = skt.fileno
        self.protocol = protocol
        self._peer = peer
        self.connected = 1

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

    def stopConnecting(self) -> None:
        """Does nothing: it is connected. (A dial that succeeded at once returns its transport.)"""

    def disconnect(self) -> None:
        """`loseConnection`, as a connector calls it."""
        self.loseConnection()

    # -- writing -------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send `data`, at once if nothing waits before it.

        Whatever goes wrong is told later, by `IWriteFailed.write_failed` and `connectionLost`.
        """
        if not self.connected or self._write_broken or self._writeDisconnected or not data:
            return
        if (
            self._tempDataLen
            or self.dataBuffer
            # A pull producer is asked for more when the buffer runs empty, so it needs the buffer.
            or (self.producer is not None and not self.streamingProducer)
        ):
            FileDescriptor.write(self, data)
            return
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._break_write()
            return
        if sent < len(data):
            FileDescriptor.write(self, data[sent:])

    def writeSequence(self, iovec: Any) -> None:
        """Send the pieces as one."""
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """Close behind what waits to be sent; with nothing waiting, at once.

        ``connectionLost`` may then come before this returns. A turn of the reactor and three
        changes of what it watches are not spent on each exchange.
        """
        if (
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
        self._paused = True
        self.reactor.removeReader(self)

    def resumeProducing(self) -> None:
        """Read again."""
        self._paused = False
        if self.connected and not self.disconnecting:
            self.reactor.addReader(self)

    def connectionLost(self, reason: Failure) -> None:
        """The end, unless it was noticed while reading paused: then what is left comes first."""
        if (
            self._paused
            and self.connected
            and not self.disconnecting
            and not self._aborting
            and isinstance(reason.value, ConnectionLost)
        ):
            self._break_write()
            return
        Connection.connectionLost(self, reason)
