"""A client's connection: a `StreamConnection` whose writes follow each other at the end of a turn.

Most answers fit into the socket's buffer, so they are sent here and now, or, when several
connections are being served, together at the end of the turn (`wire.descriptors`). What does not fit
waits until the socket takes more.

A file goes from the page cache to the socket by sendfile(2), without a copy (`send_from`).
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from twisted.python.failure import Failure

from scgiproxy.wire.descriptors import CLOSED
from scgiproxy.wire.stream import StreamConnection

if TYPE_CHECKING:
    from scgiproxy.web.accepting import Admission

MOST_HELD: Final = 16384
"""Bytes that are put off to the end of a turn; more of them go at once."""

MOST_JOINED: Final = 1 << 16
"""Bytes of several pieces that are copied together, which is cheaper than to send them apart."""

PIECE_OF_A_FILE = 1 << 20
"""Bytes that are sent of a file in one call, which takes 0.2 ms. What is not in the page cache is read
from the disk meanwhile, and everybody waits, as in nginx."""

TURN_OF_A_FILE = 0.0005
"""Seconds after which a connection that takes more and more of a file lets others have their turn."""

_TCP_INFO: Final[int] = getattr(socket, "TCP_INFO", 0) if sys.platform == "linux" else 0
_BYTES_ACKED: Final = 120
_BYTES_RECEIVED: Final = 128
_MORE: Final[int] = getattr(socket, "MSG_MORE", 0)

Sendfile = Callable[[int, int, int, int], int]
"""``os.sendfile``: to a socket, from a file, from an offset, so many bytes."""


def no_sendfile(_to: int, _fd: int, _start: int, _count: int) -> int:
    """Stands for it on a system that has none."""
    raise OSError(errno.ENOSYS, "there is no sendfile(2)")


sendfile: Sendfile = getattr(os, "sendfile", no_sendfile)
"""How bytes get from a file to a socket."""


class ClientConnection(StreamConnection):
    """The transport of a client that came by TCP or by a UNIX socket."""

    # All that waits is held for the end of the turn.
    _holding = False
    _room_wanted = False
    _admission: Admission | None = None
    _admission_key = 0

    def admitted(self, admission: Admission, key: int) -> None:
        """Tell `admission` of the connection's end, with `key`."""
        self._admission = admission
        self._admission_key = key

    def loseConnection(self) -> None:
        """See `StreamConnection`. Never before it returns: TLS is not made for that."""
        if self._half_closed and self.connected and not (self.disconnecting or self._aborting):
            self.disconnecting = True
            self.reactor.removeReader(self)
            self.reactor.callLater(0, self.connectionLost, CLOSED)
        else:
            super().loseConnection()

    def connectionLost(self, reason: Failure) -> None:
        """See `StreamConnection`. Who waits for the descriptor has it then."""
        try:
            super().connectionLost(reason)
        finally:
            admission = self._admission
            if admission is not None and not self.connected:
                self._admission = None
                admission.end(self._admission_key)

    def bytes_taken(self) -> int | None:
        """How many bytes the client has acknowledged so far; None if the system cannot tell."""
        return self._total(_BYTES_ACKED)

    def bytes_come(self) -> int | None:
        """How many bytes have come from the client so far; None if the system cannot tell."""
        return self._total(_BYTES_RECEIVED)

    def _total(self, offset: int) -> int | None:
        """One of the 64-bit numbers of Linux' ``struct tcp_info``."""
        if not _TCP_INFO:
            return None
        try:
            told = self.socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, offset + 8)
        except OSError:  # a UNIX socket
            return None
        return int.from_bytes(told[offset:], sys.byteorder) if len(told) == offset + 8 else None

    def logPrefix(self) -> str:
        """The word for the log."""
        return "client"

    def write(self, data: bytes) -> None:
        """Send `data` soon, if nothing waits before it that the socket did not take.

        What goes wrong is told later, by ``connectionLost``.
        """
        if not self._clear:
            self._wait(data)
        elif self.reactor.in_turn and self._waiting_size + len(data) <= MOST_HELD:
            self._waiting.append(data)
            self._waiting_size += len(data)
            if not self._holding:
                self._holding = True
                self.reactor.put_off(self._send_held)
        else:
            if self._waiting:
                data = self._with_held(data)
            self._send(data)

    def _with_held(self, data: bytes) -> bytes:
        """All that is held, and `data`; the caller sends it."""
        self._waiting.append(data)
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_size = 0
        self._holding = False
        return data

    def _nothing_waits(self) -> bool:
        return not self._buffer and (self._holding or not self._waiting)

    def _want_write(self) -> None:
        """Ask for `doWrite`, unless what is held is about to be sent."""
        if not self._holding:
            self.reactor.addWriter(self)

    def _send_held(self) -> None:
        if not self._holding:
            return
        self._holding = False
        if not self.connected or self._aborting:
            return
        if not self._clear or self.producerPaused:
            # Something is to be done when they are sent: that is `doWrite`.
            self.reactor.addWriter(self)
        elif self._waiting:
            held = self._waiting
            data = held[0] if len(held) == 1 else b"".join(held)
            held.clear()
            self._waiting_size = 0
            self._send(data)

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
        if before or self._waiting or self._buffer:
            self._send_before(before)
            if self._waiting or self._buffer:
                self._wait_for_room()
                return 0
        sent = self._send_pieces(fd, start, count)
        if sent is not None and sent < count:
            self._wait_for_room()
        return sent

    def _send_pieces(self, fd: int, start: int, count: int) -> int | None:
        send, to, sent, until = sendfile, self.socket.fileno(), 0, 0.0
        while sent < count:
            piece = min(count - sent, PIECE_OF_A_FILE)
            try:
                done = send(to, fd, start + sent, piece)
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
        if self._nothing_waits():
            self._send(self._with_held(data), _MORE)
        else:
            self._wait(data)

    def _wait_for_room(self) -> None:
        """Have the producer resumed when all is out, and the socket takes more."""
        self._room_wanted = True
        self.producerPaused = True
        self.producer.pauseProducing()
        self.reactor.addWriter(self)

    def doWrite(self) -> Any:
        """The socket takes more: of a file, or of what waits."""
        if not self._room_wanted or self._waiting or self._buffer or self._aborting:
            return super().doWrite()
        # Otherwise there would be something new to watch for with each piece of a file.
        self._room_wanted = False
        self.producerPaused = False
        if self.producer is not None:
            self.producer.resumeProducing()
        if not self._room_wanted and self._is_clear():
            self.reactor.removeWriter(self)
        return None

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send the pieces as one; large ones are not copied for that."""
        pieces = list(iovec)
        size = sum(map(len, pieces))
        if size <= MOST_JOINED or not self._clear or self._waiting:
            self.write(b"".join(pieces))
            return
        try:
            sent = self.socket.sendmsg(pieces)
        except OSError:
            sent = 0
        if sent < size:
            self._wait(b"".join(pieces)[sent:])
