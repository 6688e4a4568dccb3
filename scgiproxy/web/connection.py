"""A client's connection: Twisted's own, with writes that go to the socket at once.

What a stock transport writes waits for the reactor's next turn, and costs two changes of what the
reactor watches. Most answers fit into the socket's buffer, so they are sent here and now; what does
not fit waits in the ordinary way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.abstract import FileDescriptor


class _ImmediateWrite(FileDescriptor):
    """The change, for TCP and UNIX connections alike."""

    socket: Any

    def write(self, data: bytes) -> None:
        """Send `data`, at once if nothing waits before it.

        Whatever goes wrong is left to the ordinary way, which tells it by ``connectionLost``.
        """
        if (
            not self.connected
            or self._tempDataLen
            or self.dataBuffer
            or self._writeDisconnected
            or (self.producer is not None and not self.streamingProducer)
        ):
            FileDescriptor.write(self, data)
            return
        try:
            sent = self.socket.send(data)
        except OSError:
            sent = 0
        if sent < len(data):
            FileDescriptor.write(self, data[sent:])

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send the pieces as one."""
        self.write(b"".join(iovec))


class TcpClientConnection(_ImmediateWrite, tcp.Server):
    """The transport of a client that came by TCP."""


class UnixClientConnection(_ImmediateWrite, unix.Server):
    """The transport of a client that came by a UNIX socket."""


def use_immediate_writes(port: Any) -> None:
    """Let a listening port make its connections of these classes, where they fit."""
    if isinstance(port, unix.Port):
        port.transport = UnixClientConnection
    elif isinstance(port, tcp.Port):
        port.transport = TcpClientConnection
