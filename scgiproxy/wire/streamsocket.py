"""A connected stream socket: its ends, its options, and what is read from it.

Large bodies go in large pieces. Each read and each send costs the kernel a walk through its TCP,
with what it has to tell the other end, and us a walk through the gateway. With reads of 64 KiB, as
Twisted does them, 10 MB that pass through cost twice as much CPU time as with 256 KiB. Half as much
again is to be had with 1 MiB, but what is read has to be held while the receiver does not take it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from socket import SocketType
from typing import Any, Final, TypeAlias

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import ILoggingContext, ISystemHandle
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from zope.interface import classImplements

from scgiproxy.wire.descriptors import Descriptors

SocketAddress: TypeAlias = IPv4Address | IPv6Address | UNIXAddress
"""Where a socket connects to: no names here."""


READ_SIZE: Final = 1 << 16
"""Bytes read at a time, at first."""

MOST_READ: Final = 1 << 18
"""Bytes read at a time once there are always more."""


class StreamSocket:
    """The half of a transport that is about its `socket`, whose other end is `_peer`.

    - `fileno`: the method of the socket, which answers -1 once it is closed.
    """

    reactor: Descriptors
    socket: SocketType
    fileno: Callable[[], int]
    protocol: Any
    connected: bool
    disconnecting = False
    _aborting = False
    _peer: SocketAddress
    _paused: bool
    _read_size: int

    def getHandle(self) -> SocketType:
        """The socket."""
        return self.socket

    def logPrefix(self) -> str:
        """The word for the log."""
        return "connection"

    # Twisted's interface knows no transport of both kinds of addresses.
    def getPeer(self) -> Any:
        """The other end of the connection, an IPv4Address, IPv6Address or UNIXAddress."""
        return self._peer

    def getHost(self) -> Any:
        """Our end of the connection; likewise."""
        name = self.socket.getsockname()
        if isinstance(self._peer, IPv4Address):
            return IPv4Address("TCP", name[0], name[1])
        if isinstance(self._peer, IPv6Address):
            return IPv6Address("TCP", *name)
        return UNIXAddress(name or None)

    def getTcpNoDelay(self) -> bool:
        """Whether small pieces are sent without waiting; on a UNIX socket they always are."""
        if isinstance(self._peer, UNIXAddress):
            return True
        return bool(self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Let no small piece wait until the one before it is acknowledged (Nagle's algorithm)."""
        if not isinstance(self._peer, UNIXAddress):
            # It may have been reset; that is told when it is read.
            with suppress(OSError):
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)

    def getTcpKeepAlive(self) -> bool:
        """Whether the kernel asks a silent peer whether it is still there."""
        return bool(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See `getTcpKeepAlive`."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)

    # -- reading -------------------------------------------------------------------------------

    def doRead(self) -> Any:
        """There is something to read: tell the protocol.

        Reads grow as long as they are filled, and begin anew with one that brings little, or after
        a pause: who takes less than it was given is given less the next time.
        """
        size = self._read_size
        try:
            data = self.socket.recv(size)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        got = len(data)
        if got == 0:
            return CONNECTION_DONE
        if got == size:
            self._read_size = min(size * 2, MOST_READ)
        elif size > READ_SIZE > got:
            self._read_size = READ_SIZE
        self.protocol.dataReceived(data)
        return None

    def pauseProducing(self) -> None:
        """Stop reading."""
        self._paused = True
        self._read_size = READ_SIZE
        self.reactor.removeReader(self)

    def resumeProducing(self) -> None:
        """Read again."""
        self._paused = False
        if self.connected and not self.disconnecting and not self._aborting:
            self.reactor.addReader(self)


classImplements(StreamSocket, ILoggingContext, ISystemHandle)
