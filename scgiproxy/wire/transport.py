"""A connection to a backend.

- Each request has one of its own. A write with nothing before it goes to the socket at once: one
  exchange is then one send, with no turn of the reactor in between and no change of what the
  reactor watches.
- A backend that answers and closes before it has read the request has still answered. So a failed
  send stops the sending only; see `IWriteFailed`.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionLost
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure

from scgiproxy.wire.descriptors import CLOSED, Descriptors
from scgiproxy.wire.stream import StreamConnection
from scgiproxy.wire.streamsocket import SocketAddress


class BackendConnection(StreamConnection):
    """A `StreamConnection` to a backend.

    On TCP a second write sets TCP_NODELAY; a single one waits for nothing anyway. `unread` says that
    the peer has certainly read nothing, since the first write has failed.
    """

    def __init__(
        self, skt: socket.SocketType, protocol: Any, reactor: Descriptors, peer: SocketAddress
    ) -> None:
        super().__init__(skt, protocol, reactor, peer)
        self.unread = False
        self._written = False
        self._undelayed = False
        self._paused = False
        self._write_broken = False

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

    # -- reading and closing -------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Stop reading."""
        self._paused = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """Read again."""
        self._paused = False
        super().resumeProducing()

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
            and self._nothing_waits()
        ):
            self.connectionLost(CLOSED)
        else:
            super().loseConnection()

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
        else:
            super().connectionLost(reason)
