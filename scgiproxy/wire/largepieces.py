"""Large bodies in large pieces.

Each read and each send costs the kernel a walk through its TCP, with what it has to tell the other
end, and us a walk through the gateway. With reads of 64 KiB, as Twisted does them, 10 MB that pass
through cost twice as much CPU time as with 256 KiB. Half as much again is to be had with 1 MiB, but
what is read has to be held while the receiver does not take it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

READ_SIZE = 1 << 16
"""Bytes read at a time, at first."""

MOST_READ = 1 << 18
"""Bytes read at a time once there are always more."""


class LargePieces:
    """Mixed into a connection of Twisted's, before its class.

    Reads grow as long as they are filled, and begin anew with one that brings little. A pause is to
    set `_read_size` back as well: who takes less than it was given is given less the next time.
    """

    SEND_LIMIT = 1 << 20
    """Bytes given to the socket at a time of those that had to wait."""

    socket: Any
    protocol: Any
    _read_size = READ_SIZE

    def doRead(self) -> ConnectionDone | ConnectionLost | None:
        """There is something to read: tell the protocol."""
        size = self._read_size
        try:
            data = self.socket.recv(size)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        got = len(data)
        if got == size:
            self._read_size = min(size * 2, MOST_READ)
        elif size > READ_SIZE > got:
            self._read_size = READ_SIZE
        self.protocol.dataReceived(data)
        return None
