"""The HTTP/1 channel of one client connection.

Requests start at the end of their head and are answered in order. What cannot be parsed (see
`web.reader`) is answered in its turn as well, and closes the connection, reading on for a while so
that the client gets to see the answer (lingering close). Here are also the deadlines, the
backpressure of both directions, and 100 Continue.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableDescriptor, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from scgiproxy.errors import ClientError, RequestTimeout
from scgiproxy.interfaces import IDeadline
from scgiproxy.log.events import Logger
from scgiproxy.message.framing import BodyKind, RequestFraming
from scgiproxy.web.address import ConnectionEnd, peer_has_left
from scgiproxy.web.reader import RequestReader
from scgiproxy.web.statistics import ConnectionPhase

if TYPE_CHECKING:
    from scgiproxy.web.request import GatewayRequest
    from scgiproxy.web.site import GatewaySite, KeepAlive

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LINGER_IDLE = 2.0
LINGER_MOST = 30.0

MOST_WAITING = 256
"""Requests of one connection that wait for their turn; the last of them ends the connection."""

MOST_AHEAD = 1 << 16
"""Bytes that are read while requests wait. It is read that far so that a client is seen leaving."""

LOOK_EVERY = 1.0
"""Seconds between two looks whether a client has left whose connection is not being read."""

_NO_BODY = RequestFraming(BodyKind.NONE, 0, False, False)


class Pause(Enum):
    """Why the connection is not read. It is read again when no reason is left."""

    UPLOAD = 1
    PIPELINE = 2


@implementer(IPushProducer, IDeadline)
class HttpChannel(Protocol):
    """One client connection. `factory` (the site) makes the requests and serves them."""

    factory: GatewaySite
    transport: Any
    deadline = math.inf
    log = Logger()

    def __init__(self) -> None:
        self._head_waited_for = -1
        self._ahead = 0
        self._receiving: GatewayRequest | None = None
        self._active: GatewayRequest | None = None
        self._queue: deque[GatewayRequest] = deque()
        self._advancing = False
        self._accepting = True
        self._client_sending = False
        self._lingering_until = 0.0
        self._pauses: set[Pause] = set()
        self._send_blocked = False
        self.producer: Any = None

    # -- the connection ------------------------------------------------------------------------

    def connectionMade(self) -> None:
        site = self.factory
        self.local = site.local_end(self.transport.getHost())
        self.remote = ConnectionEnd(self.transport.getPeer())
        self.limits = site.limits_for(self.local)
        self._keep_alive_timeout = self.limits.keep_alive_timeout
        self._reader = RequestReader(self.limits, self)
        self.transport.registerProducer(self, True)
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        self.deadline = site.seconds() + self.limits.timeout
        site.wheel.watch(self)
        site.channels.add(self)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.factory.wheel.forget(self)
        self.factory.channels.discard(self)
        self._accept_no_more()
        self.stopProducing()
        self._lingering_until = 0.0
        self._receiving = None
        waiting, self._active = self._active, None
        self._queue.clear()
        if waiting is not None:
            waiting.connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        if not self._accepting:
            self._discard()
            return
        if self._receiving is not None:
            self.deadline = self.factory.seconds() + self.limits.timeout
        elif self._queue:
            self._ahead += len(data)
            if self._ahead > MOST_AHEAD:
                self.pause(Pause.PIPELINE)
        reader = self._reader
        try:
            reader.feed(data)
        except ClientError as error:
            self._refuse(error)
        except Exception:
            self.log.failure("while reading a request")
            self.abort()
        else:
            if reader.in_head and self._head_waited_for != reader.heads:
                self._head_waited_for = reader.heads
                self._extend(self.limits.timeout)

    # -- what the reader tells -----------------------------------------------------------------

    def head_read(self, protocol: bytes, framing: RequestFraming) -> None:
        request = self._make_request(protocol, framing)
        has_body = framing.kind is not BodyKind.NONE
        if has_body:
            self._receiving = request
            self._extend(self.limits.timeout)
        if len(self._queue) >= MOST_WAITING:
            request.keep_alive = False
        if not request.keep_alive and not has_body:
            self._accept_no_more()
        self._enqueue(request)

    def body_read(self, data: bytes) -> None:
        if self._receiving is not None:
            self._receiving.body_received(data)

    def body_ended(self) -> None:
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            if not receiving.keep_alive:
                self._accept_no_more()
            receiving.body_ended()

    def _make_request(self, protocol: bytes, framing: RequestFraming) -> GatewayRequest:
        limits = self.limits
        reader = self._reader
        keep_alive = (
            framing.keep_alive and limits.keep_alive and not 0 < limits.max_requests <= reader.heads
        )
        return self.factory.make_request(
            self, reader.method, reader.target, protocol, framing, reader.headers, keep_alive
        )

    def _refuse(self, error: ClientError) -> None:
        """Answer what cannot be served, in its turn, and close."""
        self._accept_no_more()
        self._client_sending = True
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            # The head was fine and is being served; it is the body that is not.
            receiving.body_failed(Failure(error))
            return
        request = self._make_request(b"HTTP/1.1", _NO_BODY)
        request.refusal = error
        self._enqueue(request)

    def _accept_no_more(self) -> None:
        self._accepting = False
        self._reader.stop()

    # -- requests in order ---------------------------------------------------------------------

    def _enqueue(self, request: GatewayRequest) -> None:
        if (
            self._active is None
            and not self._queue
            and not self._advancing
            and not self._send_blocked
        ):
            self._active = request
            self._serve(request)
            self._advance()
        else:
            self._queue.append(request)

    def _serve(self, request: GatewayRequest) -> None:
        try:
            self.factory.serve(request)
        except Exception:
            request.failed(Failure())

    def request_done(self, request: GatewayRequest) -> None:
        """`request` has been answered in full."""
        if request is not self._active:
            return
        self._active = None
        self.producer = None
        if not request.keep_alive or request is self._receiving:
            self._close()
            return
        self._extend(self._patience())
        if self._queue:
            self._advance()

    def _patience(self) -> float:
        """Seconds to wait for the client, now that nothing is being answered."""
        if self._reader.in_head or self._receiving is not None or self._send_blocked:
            return self.limits.timeout
        return self._keep_alive_timeout

    def _advance(self) -> None:
        """Serve what waits, one after the other, without recursion."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._active is None and self._queue and not self._send_blocked:
                self._active = request = self._queue.popleft()
                self._serve(request)
        finally:
            self._advancing = False
        if not self._queue:
            self._ahead = 0
            self.resume(Pause.PIPELINE)

    def set_keep_alive(self, request: GatewayRequest, keep_alive: KeepAlive) -> None:
        """The host that answers `request` is known, and the connection's life is its affair."""
        self._keep_alive_timeout = keep_alive.timeout
        if not keep_alive.enabled or 0 < keep_alive.max_requests <= self._reader.heads:
            request.keep_alive = False

    def send_continue(self, request: GatewayRequest) -> None:
        """The upload is wanted: say so, and wait for it from now on."""
        if request is self._active:
            self._extend(self.limits.timeout)
            self.transport.write(CONTINUE)

    # -- closing -------------------------------------------------------------------------------

    def _close(self) -> None:
        """Close behind what was written. If the client is still sending, let it read first."""
        self._accept_no_more()
        self._queue.clear()
        unread = self._receiving is not None or self._client_sending
        self._receiving = None
        if unread and IHalfCloseableDescriptor.providedBy(self.transport):
            self._lingering_until = self.factory.seconds() + LINGER_MOST
            self._resume_reading()
            self._linger()
        else:
            self._lose_connection()

    def _linger(self) -> None:
        """Half-close once everything is out; then wait for the client to have read it."""
        if self._send_blocked:
            self._wait(self.limits.timeout)
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
        self._wait(self.limits.timeout)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _discard(self) -> None:
        """Bytes behind the last request: read and dropped while the client may still read."""
        if self._lingering_until and not self._send_blocked:
            now = self.factory.seconds()
            self.deadline = min(now + LINGER_IDLE, self._lingering_until)

    def abort(self) -> None:
        """Close at once, so that the client sees that the answer is not whole."""
        self._accept_no_more()
        self.stopProducing()
        self.transport.unregisterProducer()
        self.transport.abortConnection()

    def shut_down(self) -> None:
        """Take no further request; close now if idle, else behind the running answer."""
        if self._active is None:
            self._close()
        else:
            self._active.keep_alive = False

    # -- backpressure --------------------------------------------------------------------------

    def pause(self, reason: Pause) -> None:
        """Stop reading from the client until every reason is resumed."""
        if not self._accepting and self._receiving is None:
            return
        if not self._pauses:
            self.transport.pauseProducing()
            if not self._send_blocked:
                self._extend(LOOK_EVERY)
        self._pauses.add(reason)

    def resume(self, reason: Pause) -> None:
        if reason in self._pauses:
            self._pauses.discard(reason)
            if not self._pauses:
                if self._receiving is not None:
                    self._extend(self.limits.timeout)
                self.transport.resumeProducing()

    def pause_upload(self) -> None:
        self.pause(Pause.UPLOAD)

    def resume_upload(self) -> None:
        self.resume(Pause.UPLOAD)

    def _resume_reading(self) -> None:
        if self._pauses:
            self._pauses.clear()
            self.transport.resumeProducing()

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
        elif self._lingering_until:
            self._linger()
        elif self._active is None and self._queue:
            self._advance()
        elif self._active is None and self._accepting:
            self._extend(self._patience())

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

    @property
    def phase(self) -> ConnectionPhase:
        """What the connection is at, for who counts them."""
        active = self._active
        if self._lingering_until or (active is None and self.transport.disconnecting):
            return ConnectionPhase.CLOSING
        if active is not None:
            if active.head_sent:
                return ConnectionPhase.SENDING
            uploading = active is self._receiving and active.body_due
            return ConnectionPhase.READING if uploading else ConnectionPhase.WAITING
        if self._reader.in_head or not self._reader.heads:
            return ConnectionPhase.READING
        return ConnectionPhase.IDLE

    # -- deadlines -----------------------------------------------------------------------------

    def _extend(self, seconds: float) -> None:
        """Wait `seconds` from now for the client."""
        before = self.deadline
        self.deadline = self.factory.seconds() + seconds
        if self.deadline < before:
            self.factory.wheel.watch(self)

    def _wait(self, seconds: float) -> None:
        """The same, also when the wheel has let go of this channel."""
        self.deadline = self.factory.seconds() + seconds
        self.factory.wheel.watch(self)

    def deadline_passed(self) -> None:
        timeout = self.limits.timeout
        if self._send_blocked or self.transport.disconnecting:
            self.abort()
        elif self._lingering_until:
            self._lose_connection()
        elif self._receiving is not None and not self._pauses and self._receiving.body_due:
            self._wait(timeout)
            self._refuse(RequestTimeout(f"no body bytes for {timeout:g} s"))
        elif self._active is not None and self._pauses:
            if peer_has_left(self.transport):
                self.abort()
            else:
                self._wait(LOOK_EVERY)
        elif self._active is not None:
            # Waiting is the exchange's affair: it has deadlines of its own.
            self._wait(timeout)
        elif self._reader.in_head:
            self._wait(timeout)
            self._refuse(RequestTimeout(f"no complete head within {timeout:g} s"))
        else:
            self._close()
