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
    from scgiproxy.rules.connections import ReadTimeout
    from scgiproxy.web.limits import ConnectionLimits, HostTerms
    from scgiproxy.web.request import GatewayRequest
    from scgiproxy.web.site import GatewaySite

LOOK_EVERY = 1.0
"""Seconds between two looks whether a client has left whose connection is not being read, and after
which it is seen how much one has read."""


class Pause(Enum):
    """Why the connection is not read. It is read again when no reason is left."""

    UPLOAD = 1
    PIPELINE = 2


_NO_PAUSE: Final[frozenset[Pause]] = frozenset()


class FlowControl:
    """The backpressure of both directions of one connection, and its deadline.

    A client that sends has `Timeout` for each piece, and RequestReadTimeout for each stage: what
    comes prolongs it, up to a limit. One that is to read has ResponseSendTimeout.

    Subclasses say what follows (`has_sent`, `deadline_passed`).
    """

    factory: GatewaySite
    transport: Any
    limits: ConnectionLimits
    _terms: HostTerms
    deadline = math.inf
    # The stage of a request: when it is over, and when at the latest.
    _stage: ReadTimeout | None = None
    _read_by = math.inf
    _read_until = math.inf
    # When the next bytes of it are too late.
    _bytes_by = math.inf
    _paused_at = 0.0
    # Bytes of the handshake that have been counted.
    _handshake = 0
    # What the client had acknowledged, and when; by when it is to have taken more.
    _taken = -1
    _taken_at = 0.0
    _send_by = 0.0
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
            self._paused_at = self.factory.seconds()
            if not self._send_blocked:
                self._extend(LOOK_EVERY)
        self._pauses |= {reason}

    def resume(self, reason: Pause) -> None:
        if reason in self._pauses:
            self._pauses -= {reason}
            if not self._pauses:
                if self._receiving is not None:
                    # What was not read could not come in time.
                    pause = self.factory.seconds() - self._paused_at
                    self._read_by += pause
                    self._read_until += pause
                    self._await_bytes()
                self.transport.resumeProducing()

    def _resume_reading(self) -> None:
        if self._pauses:
            self._pauses = _NO_PAUSE
            self.transport.resumeProducing()

    # -- to the client -------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The client does not read: the answer's producer waits, but not for ever."""
        self._send_blocked = True
        self._await_reader()
        if self.producer is not None:
            self.producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._send_blocked = False
        if self._receiving is not None:
            self._look_at(self._bytes_by)
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

    # -- a client that sends -------------------------------------------------------------------

    def _begin_stage(self, stage: ReadTimeout) -> None:
        """Give the client the time of `stage`, from now on."""
        now = self.factory.seconds()
        self._stage = stage
        self._read_by = now + stage.initial if stage.initial else math.inf
        self._read_until = now + stage.most if stage.most else math.inf
        self._await_bytes()

    def _await_bytes(self) -> None:
        """Wait for the next bytes of the stage."""
        self._bytes_by = min(self.factory.seconds() + self.limits.timeout, self._read_by)
        if not self._send_blocked:
            self._look_at(self._bytes_by)

    def _came(self, size: int) -> None:
        """So many bytes of the stage have come."""
        stage = self._stage
        if stage is not None:
            self._read_by = min(self._read_by + size * stage.seconds_a_byte, self._read_until)
        self._await_bytes()

    def _is_late(self) -> bool:
        """Whether bytes of the stage should have come; if not, they are waited for."""
        left = self._bytes_by - self.factory.seconds()
        if left > 0:
            self._wait(left)
        return left <= 0

    def _has_come(self) -> bool:
        """Whether so much of a handshake has come that the next of it is waited for. One without a
        limit of its own has no more than Timeout: its pieces are not seen here."""
        if self._stage is not self.limits.handshake or not self._stage.initial:
            return False
        bytes_come = getattr(self.transport, "bytes_come", None)
        come: int | None = None if bytes_come is None else bytes_come()
        if not come:
            return False
        begun, self._handshake = self._handshake, come
        self._came(come - begun)
        return not self._is_late()

    def _lateness(self, what: str) -> str:
        """Why a client that sends is waited for no longer."""
        if self._bytes_by < self._read_by:
            return f"no more of the {what} within {self.limits.timeout:g} s"
        return f"the {what} came too slowly (RequestReadTimeout {what}={self._stage})"

    # -- a client that reads -------------------------------------------------------------------

    def _await_reader(self) -> None:
        """Wait for the client to take what was sent; see `_reads_on`."""
        seconds = self._terms.send
        self._send_by = self.factory.seconds() + seconds
        self._taken = -1
        self._wait(min(LOOK_EVERY, seconds / 2))

    def _reads_on(self) -> bool:
        """Whether it is waited for, and has taken enough since it was looked at last.

        The first look only sees where it is: nearly all have read everything before.
        """
        now = self.factory.seconds()
        bytes_taken = getattr(self.transport, "bytes_taken", None)
        taken: int | None = None if bytes_taken is None else bytes_taken()
        if now < self._send_by:
            if self._taken < 0:
                self._taken = taken or 0
                self._taken_at = now
        else:
            enough = max(self._terms.send_rate * (now - self._taken_at), 1.0)
            if taken is None or taken - self._taken < enough:
                return False
            self._taken = taken
            self._taken_at = now
            self._send_by = now + self._terms.send
        self._wait(self._send_by - now)
        return True

    # -- deadlines -----------------------------------------------------------------------------

    def _await_client(self, in_head: bool) -> None:
        """Wait, now that nothing is being answered; `in_head`: the next head has begun."""
        if self._send_blocked:
            self._await_reader()
        elif in_head:
            self._begin_stage(self.limits.header)
        elif self._receiving is not None:
            self._await_bytes()
        else:
            self._extend(self._terms.keep_alive_timeout)

    def _extend(self, seconds: float) -> None:
        """Wait `seconds` from now for the client."""
        self._look_at(self.factory.seconds() + seconds)

    def _look_at(self, deadline: float) -> None:
        """Have `deadline_passed` called at that time."""
        before = self.deadline
        self.deadline = deadline
        if deadline < before:
            self.factory.wheel.watch(self)

    def _wait(self, seconds: float) -> None:
        """The same, also when the wheel has let go of this connection."""
        self.deadline = self.factory.seconds() + seconds
        self.factory.wheel.watch(self)


classImplements(FlowControl, IPushProducer, IDeadline)
