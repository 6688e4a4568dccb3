"""A client's connection: Twisted's own, with writes that go to the socket without a turn in between.

What a stock transport writes waits for the reactor's next turn, and costs two changes of what the
reactor watches. Most answers fit into the socket's buffer, so they are sent here and now, or, when
several connections are being served, together at the end of the turn (`wire.descriptors`). What
does not fit waits in the ordinary way.

A file goes from the page cache to the socket by sendfile(2), without a copy (`send_from`).
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.abstract import FileDescriptor

from scgiproxy.wire.descriptors import Descriptors
from scgiproxy.wire.largepieces import READ_SIZE, LargePieces

MOST_HELD = 16384
"""Bytes that are put off to the end of a turn; more of them go at once."""

MOST_JOINED = 1 << 16
"""Bytes of several pieces that are copied together, which is cheaper than to send them apart."""

PIECE_OF_A_FILE = 1 << 20
"""Bytes that are sent of a file in one call, which takes 0.2 ms. What is not in the page cache is read
from the disk meanwhile, and everybody waits, as in nginx."""

TURN_OF_A_FILE = 0.0005
"""Seconds after which a connection that takes more and more of a file lets others have their turn."""

_MORE: int = getattr(socket, "MSG_MORE", 0)

Sendfile = Callable[[int, int, int, int], int]
"""``os.sendfile``: to a socket, from a file, from an offset, so many bytes."""


def _no_sendfile(_to: int, _fd: int, _start: int, _count: int) -> int:
    raise OSError(errno.ENOSYS, "there is no sendfile(2)")


class PromptConnection(LargePieces, FileDescriptor):
    """The change, for TCP and UNIX connections alike. Held bytes are in Twisted's own buffer.

    - `sendfile`: how bytes get from a file to the socket: ``os.sendfile``.
    """

    socket: Any
    reactor: Any
    producer: Any
    sendfile: Sendfile = staticmethod(getattr(os, "sendfile", _no_sendfile))
    _holding = False
    _room_wanted = False

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

    def _send(self, data: bytes, flags: int = 0) -> None:
        """Send `data`, which includes all that was held."""
        if self._tempDataLen:
            self._tempDataBuffer.clear()
            self._tempDataLen = 0
            self._holding = False
        try:
            sent = self.socket.send(data, flags)
        except OSError:
            sent = 0
        if sent < len(data):
            FileDescriptor.write(self, data[sent:])

    def send_from(self, fd: int, start: int, count: int, before: bytes = b"") -> int | None:
        """Send of `count` bytes of the file `fd`, from `start` on, what the socket takes; how many.

        They go behind all that was written, and behind `before`. If it is not all of them, the
        producer is paused, and resumed when there is room for more and others have had their turn:
        that is when to ask again, without `before`. None, and nothing of the file was sent, where
        this way does not lead on: the file ends there, cannot be read or not be sent like this, or
        the client has left. Reading the file and writing, in the ordinary way, tells which.
        """
        self._room_wanted = False
        if not self.connected:
            return None
        if before or self._tempDataLen or self.dataBuffer:
            self._send_before(before)
            if self._tempDataLen or self.dataBuffer:
                self._wait_for_room()
                return 0
        sent = self._send_pieces(fd, start, count)
        if sent is not None and sent < count:
            self._wait_for_room()
        return sent

    def _send_pieces(self, fd: int, start: int, count: int) -> int | None:
        sendfile, to, sent, until = self.sendfile, self.socket.fileno(), 0, 0.0
        while sent < count:
            piece = min(count - sent, PIECE_OF_A_FILE)
            try:
                done = sendfile(to, fd, start + sent, piece)
            except BlockingIOError:
                return sent
            except OSError:
                return sent or None
            if not done:
                return sent or None
            sent += done
            if done < piece or self.reactor.in_turn:
                return sent
            now = monotonic()
            if not until:
                until = now + TURN_OF_A_FILE
            elif now > until:
                return sent
        return sent

    def _send_before(self, data: bytes) -> None:
        """Send `data` behind what was held, so that it leaves together with what follows."""
        if self.dataBuffer or (self._tempDataLen and not self._holding):
            FileDescriptor.write(self, data)
        else:
            self._send(b"".join((*self._tempDataBuffer, data)), _MORE)

    def _wait_for_room(self) -> None:
        """Have the producer resumed when all is out, and the socket takes more."""
        self._room_wanted = True
        self.producerPaused = True
        self.producer.pauseProducing()
        FileDescriptor.startWriting(self)

    def doWrite(self) -> Any:
        """The socket takes more: of a file, or of what waits in the ordinary way."""
        if not self._room_wanted or self._tempDataLen or self.dataBuffer:
            return FileDescriptor.doWrite(self)
        # The ordinary way would send nothing, and watch for room anew with each piece of a file.
        self._room_wanted = False
        self.producerPaused = False
        if self.producer is not None:
            self.producer.resumeProducing()
        if not (
            self._room_wanted
            or self.dataBuffer
            or (self._tempDataLen and not self._holding)
            or self.disconnecting
            or self._writeDisconnecting
        ):
            self.stopWriting()  # type: ignore[no-untyped-call]
        return None

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


class TcpClientConnection(PromptConnection, tcp.Server):  # type: ignore[misc]
    """The transport of a client that came by TCP."""


class UnixClientConnection(PromptConnection, unix.Server):  # type: ignore[misc]
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
