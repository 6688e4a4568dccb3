"""A client connection's flow: what holds it up, either way, and for how long it is waited for."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final

from twisted.internet.interfaces import IPushProducer
from zope.interface import classImplements

from scgiproxy.interfaces import IDeadline
from scgiproxy.log.events import Logger

if TYPE_CHECKING:
    from scgiproxy.web.request import GatewayRequest
    from scgiproxy.web.site import ConnectionLimits, GatewaySite

LOOK_EVERY = 1.0
"""Seconds between two looks whether a client has left whose connection is not being read."""


class Pause(Enum):
    """Why the connection is not read. It is read again when no reason is left."""

    UPLOAD = 1
    PIPELINE = 2


_NO_PAUSE: Final[frozenset[Pause]] = frozenset()


class FlowControl:
    """The backpressure of both directions of one connection, and its deadline.

    Subclasses say what follows (`has_sent`, `deadline_passed`).
    """

    factory: GatewaySite
    transport: Any
    limits: ConnectionLimits
    deadline = math.inf
    log: ClassVar[Logger] = Logger()

    def __init__(self) -> None:
        self._receiving: GatewayRequest | None = None
        # A constant while there is none: thousands of connections have none.
        self._pauses = _NO_PAUSE
        self._send_blocked = False
        self.producer: Any = None

    def has_sent(self) -> None:
        """The client reads again, and no answer's producer waited for that."""
        raise NotImplementedError

    def deadline_passed(self) -> None:
        raise NotImplementedError

    # -- from the client -----------------------------------------------------------------------

    def pause(self, reason: Pause) -> None:
        """Stop reading from the client until every reason is resumed."""
        if not self._pauses:
            self.transport.pauseProducing()
            if not self._send_blocked:
                self._extend(LOOK_EVERY)
        self._pauses |= {reason}

    def resume(self, reason: Pause) -> None:
        if reason in self._pauses:
            self._pauses -= {reason}
            if not self._pauses:
                if self._receiving is not None:
                    self._extend(self.limits.timeout)
                self.transport.resumeProducing()

    def _resume_reading(self) -> None:
        if self._pauses:
            self._pauses = _NO_PAUSE
            self.transport.resumeProducing()

    # -- to the client -------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The client does not read: the answer's producer waits, but not for ever."""
        self._send_blocked = True
        self._extend(self.limits.timeout)
        if self.producer is not None:
            self.producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._send_blocked = False
        if self.producer is not None:
            self.producer.resumeProducing()
        else:
            self.has_sent()

    def stopProducing(self) -> None:
        """The client gets no more: the answer's producer is told so, once."""
        producer, self.producer = self.producer, None
        if producer is not None:
            try:
                producer.stopProducing()
            except Exception:
                self.log.failure("while stopping an answer")

    @property
    def send_blocked(self) -> bool:
        """True while the transport holds more than it wants to."""
        return self._send_blocked

    # -- deadlines -----------------------------------------------------------------------------

    def _extend(self, seconds: float) -> None:
        """Wait `seconds` from now for the client."""
        before = self.deadline
        self.deadline = self.factory.seconds() + seconds
        if self.deadline < before:
            self.factory.wheel.watch(self)

    def _wait(self, seconds: float) -> None:
        """The same, also when the wheel has let go of this connection."""
        self.deadline = self.factory.seconds() + seconds
        self.factory.wheel.watch(self)


classImplements(FlowControl, IPushProducer, IDeadline)
