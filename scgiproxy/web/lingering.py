"""The end of a client connection that is still sending: lingering close (RFC 9112 section 9.6)."""

from __future__ import annotations

from twisted.internet.interfaces import IHalfCloseableDescriptor

from scgiproxy.web.address import ConnectionEnd
from scgiproxy.web.flow import FlowControl

LINGER_IDLE = 2.0
LINGER_MOST = 30.0


class LingeringClose(FlowControl):
    """Closes behind what was written, in a way that the client gets to read it.

    To close while the client sends would reset the connection, and the answer might be lost. So it
    is half-closed, and read on for a while.
    """

    local: ConnectionEnd

    def __init__(self) -> None:
        super().__init__()
        self._lingering_until = 0.0

    def _end_connection(self, unread: bool) -> None:
        """Close; `unread` says that the client is still sending."""
        if unread and IHalfCloseableDescriptor.providedBy(self.transport):
            self._lingering_until = self.factory.seconds() + LINGER_MOST
            self._resume_reading()
            self._linger()
        else:
            self._lose_connection()

    def _linger(self) -> None:
        """Half-close once everything is out; then wait for the client to have read it."""
        if self._send_blocked:
            self._await_reader()
            return
        self._wait(LINGER_IDLE)
        self.transport.unregisterProducer()
        if self.local.secure:
            # Twisted's TLS holds small writes until the next turn, and passes a half-close by them.
            self.factory.clock.callLater(0, self._half_close)
        else:
            self._half_close()

    def _half_close(self) -> None:
        if self._lingering_until:
            self.transport.loseWriteConnection()

    def _lose_connection(self) -> None:
        self._lingering_until = 0.0
        self._await_reader()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _discard(self) -> None:
        """Bytes behind the last request: read and dropped while the client may still read."""
        if self._lingering_until and not self._send_blocked:
            now = self.factory.seconds()
            self.deadline = min(now + LINGER_IDLE, self._lingering_until)
