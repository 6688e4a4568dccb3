"""A connection to a backend.

- Each request has one of its own. A write with nothing before it goes to the socket at once: one
  exchange is then one send, with no turn of the reactor in between and no change of what the
  reactor watches.
- A backend that answers and closes before it has read the request has still answered. So a failed
  send stops the sending only; see `IWriteFailed`.
"""

from __future__ import annotations

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionLost
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure

from scgiproxy.wire.descriptors import CLOSED
from scgiproxy.wire.stream import StreamConnection


class BackendConnection(StreamConnection):
    """A `StreamConnection` to a backend.

    On TCP a second write sets TCP_NODELAY; a single one waits for nothing anyway. `unread` says that
    the peer has certainly read nothing, since the first write has failed.
    """

    unread = False
    _written = False
    _undelayed = False
    _write_broken = False

    def logPrefix(self) -> str:
        """The word for the log."""
        return "backend"

    # -- writing -------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send `data`, at once if nothing waits before it.

        Whatever goes wrong is told later, by `IWriteFailed.write_failed` and `connectionLost`.
        """
        if not self._clear:
            self._written = True
            self._wait(data)
            return
        if not self._written:
            self._written = True
        elif not self._undelayed:
            self._undelayed = True
            if not isinstance(self._peer, UNIXAddress):
                self.setTcpNoDelay(True)
        self._send(data)

    def _send_failed(self, data: bytes) -> None:  # noqa: ARG002  nobody reads it any more
        # Any write but the first one undelays it.
        self.unread = not self._undelayed
        self._break_write()

    def _write_lost(self) -> Exception | None:
        if self.disconnecting:
            return CONNECTION_LOST
        self._break_write()
        return None

    def _break_write(self) -> None:
        if self._write_broken:
            return
        self._write_broken = True
        # For whoever writes, or closes, it is as if our half had been closed.
        self._half_closed = True
        self._clear = False
        self._buffer = b""
        self._offset = 0
        self._waiting.clear()
        self._waiting_size = 0
        self.reactor.removeWriter(self)
        self.reactor.callLater(0, self._tell_write_failed)

    def _tell_write_failed(self) -> None:
        if self.connected and not self.disconnecting and not self._aborting:
            tell = getattr(self.protocol, "write_failed", None)
            if tell is not None:
                tell()

    # -- closing -------------------------------------------------------------------------------

    def loseConnection(self) -> None:
        """Close behind what waits to be sent; with nothing waiting, at once.

        ``connectionLost`` may then come before this returns. A turn of the reactor and three
        changes of what it watches are not spent on each exchange.
        """
        if self._clear and self.producer is None:
            self.connectionLost(CLOSED)
        else:
            super().loseConnection()

    def _is_early(self, reason: Failure) -> bool:
        if self.disconnecting or self._aborting or not isinstance(reason.value, ConnectionLost):
            return False
        self._break_write()
        return True
