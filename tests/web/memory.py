"""Transports without a socket, that close and block as TCP does."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

LOCAL = IPv4Address("TCP", "127.0.0.1", 8080)
REMOTE = IPv4Address("TCP", "192.0.2.7", 50000)


class MemoryTransport(StringTransport):
    """Records; pauses its producer on request; closes as a TCP connection does.

    The protocol hears of the end in a later turn of `clock`, never from inside a call. `closed`
    says how it came: "closed", "aborted" or "left" (by the peer). While `blocked`, the peer does
    not read: what is written waits, and so does an orderly end.
    """

    def __init__(self, protocol: Any, clock: Clock, host: Any = LOCAL, peer: Any = REMOTE) -> None:
        super().__init__(hostAddress=host, peerAddress=peer)
        self.protocol = protocol
        self.clock = clock
        self.closed: str | None = None
        self.blocked = False
        self.disconnecting = False
        self.write_closing = False
        self.write_closed = False
        self.incoming: list[bytes] = []

    # What the peer does.

    def deliver(self, data: bytes) -> None:
        """The peer has sent `data`; the protocol gets it unless it does not read just now."""
        self.incoming.append(data)
        self._pump()

    def _pump(self) -> None:
        while self.incoming and self.producerState == "producing" and self.reading:
            self.protocol.dataReceived(self.incoming.pop(0))

    def block(self) -> None:
        """The peer reads no more, and the buffer is full."""
        self.blocked = True
        if self.producer is not None:
            self.producer.pauseProducing()

    def unblock(self) -> None:
        """The peer has read everything."""
        self.blocked = False
        if self.producer is not None:
            self.producer.resumeProducing()
        self._flushed()

    def peer_closes(self, reason: Exception) -> None:
        if self.closed is None:
            self.closed = "left"
            self._lost(reason)

    # What the protocol does.

    @property
    def reading(self) -> bool:
        return self.closed is None and not self.disconnecting

    def resumeProducing(self) -> None:
        if self.reading:
            super().resumeProducing()
            self.clock.callLater(0, self._pump)

    def write(self, data: bytes) -> None:
        assert self.producerState != "stopped"
        if self.closed is None and not self.write_closed:
            super().write(data)

    def loseConnection(self) -> None:
        self.disconnecting = True
        self._flushed()

    def unregisterProducer(self) -> None:
        self.producer = None
        self._flushed()

    def _flushed(self) -> None:
        if self.blocked or self.producer is not None or self.closed is not None:
            return
        if self.write_closing:
            self.write_closed = True
        if self.disconnecting:
            self.closed = "closed"
            self.clock.callLater(0, self._lost, ConnectionDone())

    def abortConnection(self) -> None:
        if self.closed is None:
            self.closed = "aborted"
            self.disconnecting = True
            self.clock.callLater(0, self._lost, ConnectionLost())

    def _lost(self, reason: Exception) -> None:
        if self.producer is not None:
            self.producer.stopProducing()
            self.producer = None
        self.protocol.connectionLost(Failure(reason))

    def loseWriteConnection(self) -> None:
        self.write_closing = True
        self._flushed()

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass


@implementer(IHalfCloseableDescriptor)
class TcpTransport(MemoryTransport):
    """One whose sending direction can be closed alone, as with TCP and UNIX sockets."""
