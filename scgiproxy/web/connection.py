"""A client's connection: Twisted's own, with writes that go to the socket without a turn in between.

What a stock transport writes waits for the reactor's next turn, and costs two changes of what the
reactor watches. Most answers fit into the socket's buffer, so they are sent here and now, or, when
several connections are being served, together at the end of the turn (`wire.descriptors`). What
does not fit waits in the ordinary way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.abstract import FileDescriptor

from scgiproxy.wire.descriptors import Descriptors
from scgiproxy.wire.largepieces import READ_SIZE, LargePieces

MOST_HELD = 16384
"""Bytes that are put off to the end of a turn; more of them go at once."""

MOST_JOINED = 1 << 16
"""Bytes of several pieces that are copied together, which is cheaper than to send them apart."""


class _PromptWrite(LargePieces, FileDescriptor):
    """The change, for TCP and UNIX connections alike. Held bytes are in Twisted's own buffer."""

    socket: Any
    reactor: Any
    _holding = False

    def write(self, data: bytes) -> None:
        """Send `data` soon, if nothing waits before it that the socket did not take.

        Whatever goes wrong is left to the ordinary way, which tells it by ``connectionLost``.
        """
        if not self._free:
            FileDescriptor.write(self, data)
        elif self.reactor.in_turn and self._tempDataLen + len(data) <= MOST_HELD:
            self._tempDataBuffer.append(data)
            self._tempDataLen += len(data)
            if not self._holding:
                self._holding = True
                self.reactor.put_off(self._send_held)
        else:
            if self._tempDataLen:
                data = b"".join((*self._tempDataBuffer, data))
            self._send(data)

    @property
    def _free(self) -> bool:
        """Nothing is before the next bytes but what is held."""
        return (
            bool(self.connected)
            and not self.dataBuffer
            and not (self._tempDataLen and not self._holding)
            and not self.disconnecting
            and not self._writeDisconnecting
            and (self.producer is None or self.streamingProducer)
        )

    def _send_held(self) -> None:
        if not self._holding:
            return
        self._holding = False
        if not self.connected:
            return
        if (
            self.disconnecting
            or self._writeDisconnecting
            or self.dataBuffer
            or (self.producer is not None and (self.producerPaused or not self.streamingProducer))
        ):
            # Something is to be done when they are sent: that is `doWrite`.
            self.startWriting()
            return
        if not self._tempDataLen:
            return
        held = self._tempDataBuffer
        self._send(held[0] if len(held) == 1 else b"".join(held))

    def _send(self, data: bytes) -> None:
        """Send `data`, which includes all that was held."""
        if self._tempDataLen:
            self._tempDataBuffer.clear()
            self._tempDataLen = 0
            self._holding = False
        try:
            sent = self.socket.send(data)
        except OSError:
            sent = 0
        if sent < len(data):
            FileDescriptor.write(self, data[sent:])

    def startWriting(self) -> None:
        """Ask for `doWrite`, unless what is held is about to be sent."""
        if not self._holding:
            FileDescriptor.startWriting(self)

    def pauseProducing(self) -> None:
        """Stop reading."""
        self._read_size = READ_SIZE
        FileDescriptor.pauseProducing(self)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send the pieces as one; large ones are not copied for that."""
        pieces = list(iovec)
        size = sum(map(len, pieces))
        if size <= MOST_JOINED or not self._free or self._tempDataLen:
            self.write(b"".join(pieces))
            return
        try:
            sent = self.socket.sendmsg(pieces)
        except OSError:
            sent = 0
        if sent < size:
            FileDescriptor.write(self, b"".join(pieces)[sent:])


class TcpClientConnection(_PromptWrite, tcp.Server):  # type: ignore[misc]
    """The transport of a client that came by TCP."""


class UnixClientConnection(_PromptWrite, unix.Server):  # type: ignore[misc]
    """The transport of a client that came by a UNIX socket."""


def serve_promptly(port: Any, descriptors: Descriptors) -> None:
    """Let a listening port make its connections of these classes, on `descriptors`, where they fit."""
    if isinstance(port, unix.Port):
        made: Any = UnixClientConnection
    elif isinstance(port, tcp.Port):
        made = TcpClientConnection
    else:
        return

    def make(skt: Any, protocol: Any, peer: Any, server: Any, session: int, _: Any) -> Any:
        return made(skt, protocol, peer, server, session, descriptors)

    port.transport = make
