"""A connected stream socket: its ends and its options, as Twisted's transports tell them."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any, TypeAlias

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import ILoggingContext, ISystemHandle
from zope.interface import classImplements

SocketAddress: TypeAlias = IPv4Address | IPv6Address | UNIXAddress
"""Where a socket connects to: no names here."""


class StreamSocket:
    """`skt`, whose other end is `peer`. Whoever closes it sets `_fd` to -1."""

    def __init__(self, skt: socket.SocketType, peer: SocketAddress) -> None:
        self.socket = skt
        self._peer = peer
        self._fd = skt.fileno()

    def fileno(self) -> int:
        """The socket's number; -1 once it is closed."""
        return self._fd

    def getHandle(self) -> socket.SocketType:
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


classImplements(StreamSocket, ILoggingContext, ISystemHandle)
