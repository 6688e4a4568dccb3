"""The HTTP/1 channel of one client connection, on llhttp.

llhttp is strict about the grammar; what it leaves to others (Host, sizes, trailers, pipelining,
deadlines, 100 Continue) is done here. Requests start at the end of their head and are answered in
order. What cannot be parsed is answered in its turn as well, and closes the connection, reading on
for a while so that the client gets to see the answer (lingering close).
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableDescriptor, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from scgiproxy.errors import (
    BadRequest,
    ClientError,
    HeadersTooLarge,
    NotImplementedHere,
    RequestTimeout,
    TargetTooLong,
)
from scgiproxy.interfaces import IDeadline
from scgiproxy.log.events import Logger
from scgiproxy.message.framing import BodyKind, RequestFraming, check_request_head
from scgiproxy.message.headers import HeaderList, is_token
from scgiproxy.web.address import ConnectionEnd

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

_PROTOCOLS = {"1.1": b"HTTP/1.1", "1.0": b"HTTP/1.0", "2.0": b"HTTP/2.0", "0.9": b"HTTP/0.9"}
_NO_FRAMING = RequestFraming(BodyKind.NONE, 0, False, False)


class _LastRequest(Exception):
    """Stops llhttp behind the last request that is served on a connection."""


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
        self._parser = HttpRequestParser(self)
        self._priming = False
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_head = False
        self._head_size = 0
        self._line_size = 0
        self._line_ended = False
        self._unheard = 0
        self._trailers = 0
        self._ahead = 0
        self._receiving: GatewayRequest | None = None
        self._upgrade_body = False
        self._active: GatewayRequest | None = None
        self._queue: deque[GatewayRequest] = deque()
        self._advancing = False
        self._accepting = True
        self._client_sending = False
        self._lingering_until = 0.0
        self._pauses: set[Pause] = set()
        self._send_blocked = False
        self.requests = 0
        self.producer: Any = None

    # -- the connection ------------------------------------------------------------------------

    def connectionMade(self) -> None:
        site = self.factory
        self.local = site.local_end(self.transport.getHost())
        self.remote = ConnectionEnd(self.transport.getPeer())
        self.limits = site.limits_for(self.local)
        self._keep_alive_timeout = self.limits.keep_alive_timeout
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
        self._accepting = False
        self.producer = None
        self._receiving = None
        waiting, self._active = self._active, None
        self._queue.clear()
        if waiting is not None:
            waiting.connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        if not self._accepting:
            self._discard()
            return
        receiving = self._receiving
        if receiving is not None:
            self.deadline = self.factory.seconds() + self.limits.timeout
            self._unheard += len(data)
        elif self._queue:
            self._ahead += len(data)
            if self._ahead > MOST_AHEAD:
                self.pause(Pause.PIPELINE)
        requests = self.requests
        rest = data
        while rest:
            try:
                self._parser.feed_data(rest)
            except HttpParserUpgrade as upgrade:
                # `Upgrade: h2c` and the like are ignored; llhttp takes them for a tunnel.
                rest = rest[upgrade.args[0] :]
                self._resume_after_upgrade()
                continue
            except HttpParserError as error:
                self._parser_failed(error, data)
                return
            break
        if self._in_head:
            # What else is in the same piece belongs to earlier requests.
            alone = receiving is None and requests == self.requests
            self._check_head_growth(data if alone else b"")
        elif self._unheard > self.limits.field_size + MOST_AHEAD:
            self._refuse(BadRequest("a chunk's extension or a trailer field has no end"))

    # -- llhttp's callbacks --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._priming:
            return
        if not self._accepting:
            raise _LastRequest
        self._target = b""
        self._headers = []
        self._in_head = True
        self._head_size = 0
        self._line_ended = False
        self._trailers = 0

    def on_url(self, part: bytes) -> None:
        if self._priming:
            return
        self._target = self._target + part if self._target else part
        if len(self._target) > self.limits.line:
            raise self._line_too_long()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._priming:
            return
        limits = self.limits
        value = value.rstrip(b" \t")
        if len(name) + len(value) + 2 > limits.field_size:
            raise HeadersTooLarge(f"a header field is over {limits.field_size} bytes")
        if not self._in_head:
            # Trailers are dropped, but counted: they must not run on for ever.
            self._trailers += 1
            self._unheard = 0
            if limits.fields and self._trailers > limits.fields:
                raise HeadersTooLarge(f"over {limits.fields} trailer fields")
            return
        headers = self._headers
        headers.append((name.lower(), value))
        if limits.fields and len(headers) > limits.fields:
            raise HeadersTooLarge(f"over {limits.fields} header fields")

    def on_headers_complete(self) -> None:
        if self._priming:
            self._priming = False
            return
        self._in_head = False
        self.requests += 1
        parser = self._parser
        method = parser.get_method()
        headers = self._headers
        protocol = _PROTOCOLS.get(parser.get_http_version()) or b"HTTP/other"
        try:
            if len(method) + len(self._target) + len(protocol) + 2 > self.limits.line:
                raise self._line_too_long()
            if len({name for name, _ in headers}) < len(headers):
                self._check_repeated(headers)
            framing = check_request_head(method, protocol, headers)
        except ClientError as error:
            self._refuse(error, method)
            raise
        request = self._make_request(method, protocol, framing)
        has_body = framing.kind is not BodyKind.NONE
        if has_body:
            self._receiving = request
            self._unheard = 0
            self._upgrade_body = parser.should_upgrade()
            self._extend(self.limits.timeout)
        if len(self._queue) >= MOST_WAITING:
            request.keep_alive = False
        if not request.keep_alive and not has_body:
            self._accepting = False
        self._enqueue(request)

    def _check_repeated(self, headers: HeaderList) -> None:
        """Repeated fields become one: it is bounded as if it had come as one."""
        sizes: dict[bytes, int] = {}
        for name, value in headers:
            sizes[name] = sizes.get(name, len(name)) + len(value) + 2
        if max(sizes.values()) > self.limits.field_size:
            raise HeadersTooLarge(
                f"a repeated header field is over {self.limits.field_size} bytes in all"
            )

    def _make_request(
        self, method: bytes, protocol: bytes, framing: RequestFraming
    ) -> GatewayRequest:
        limits = self.limits
        keep_alive = (
            framing.keep_alive
            and limits.keep_alive
            and not 0 < limits.max_requests <= self.requests
        )
        return self.factory.make_request(
            self, method, self._target, protocol, framing, self._headers, keep_alive
        )

    def on_body(self, data: bytes) -> None:
        if self._receiving is not None:
            self._unheard = 0
            self._receiving.body_received(data)

    def on_message_complete(self) -> None:
        if self._upgrade_body:
            return
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            if not receiving.keep_alive:
                self._accepting = False
            receiving.body_ended()

    # -- what llhttp does not do ---------------------------------------------------------------

    def _resume_after_upgrade(self) -> None:
        """Take llhttp out of its tunnel; if a body was declared, put it in front of that body."""
        if not self._upgrade_body:
            return
        self._upgrade_body = False
        self._parser = HttpRequestParser(self)
        receiving = self._receiving
        if receiving is None:
            return
        self._priming = True
        framing = receiving.framing
        declared = (
            b"transfer-encoding: chunked"
            if framing.length is None
            else b"content-length: %d" % framing.length
        )
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + declared + b"\r\n\r\n")

    def _check_head_growth(self, data: bytes) -> None:
        """Bound a head that is not complete: the line that has not ended, and the whole.

        `data` is what is known to belong to it of what has just come.
        """
        limits = self.limits
        if not self._head_size:
            self._extend(limits.timeout)
            self._line_size = 0
            data = data.lstrip(b"\r\n")
        # At least one, so that the deadline is not set anew.
        self._head_size += len(data) or 1
        end = data.rfind(b"\n")
        if end >= 0:
            self._line_ended = True
            self._line_size = len(data) - end - 1
        else:
            self._line_size += len(data)
        if not self._line_ended:
            if self._line_size > limits.line + 1:
                self._refuse(self._line_too_long())
        elif self._line_size > limits.field_size + 1:
            self._refuse(HeadersTooLarge(f"a header field is over {limits.field_size} bytes"))
        elif self._head_size > limits.line + (limits.fields or 1000) * limits.field_size:
            self._refuse(HeadersTooLarge("the header fields are too large together"))

    def _line_too_long(self) -> TargetTooLong:
        return TargetTooLong(f"the request line is over {self.limits.line} bytes")

    def _parser_failed(self, error: HttpParserError, data: bytes) -> None:
        if not self._accepting and self._receiving is None:
            # Bytes after `Connection: close`: there is nothing to answer.
            return
        cause = error.__context__
        if isinstance(error, HttpParserCallbackError):
            if isinstance(cause, ClientError):
                self._refuse(cause)
            else:
                self.log.failure("while parsing a request", Failure(cause or error))
                self.abort()
        elif isinstance(error, HttpParserInvalidMethodError):
            method = data[:80].lstrip(b"\r\n").split(b" ", 1)[0]
            if is_token(method):
                self._refuse(NotImplementedHere("the method is not one of HTTP's"))
            else:
                self._refuse(BadRequest(f"expected a method, got {method!r}"))
        else:
            self._refuse(BadRequest(f"malformed request: {error}"))

    def _refuse(self, error: ClientError, method: bytes = b"-") -> None:
        """Answer what cannot be served, in its turn, and close."""
        self._accepting = False
        self._client_sending = True
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            # The head was fine and is being served; it is the body that is not.
            receiving.body_failed(Failure(error))
            return
        self._in_head = False
        request = self._make_request(method, b"HTTP/1.1", _NO_FRAMING)
        request.refusal = error
        self._enqueue(request)

    # -- requests in order ---------------------------------------------------------------------

    def _enqueue(self, request: GatewayRequest) -> None:
        if self._active is None and not self._queue and not self._advancing:
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
        if self._in_head or self._receiving is not None or self._send_blocked:
            return self.limits.timeout
        return self._keep_alive_timeout

    def _advance(self) -> None:
        """Serve what waits, one after the other, without recursion."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._active is None and self._queue:
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
        if not keep_alive.enabled or 0 < keep_alive.max_requests <= self.requests:
            request.keep_alive = False

    def send_continue(self, request: GatewayRequest) -> None:
        """The upload is wanted: say so, and wait for it from now on."""
        if request is self._active:
            self._extend(self.limits.timeout)
            self.transport.write(CONTINUE)

    # -- closing -------------------------------------------------------------------------------

    def _close(self) -> None:
        """Close behind what was written. If the client is still sending, let it read first."""
        self._accepting = False
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
        self._accepting = False
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
        elif self._active is None and self._accepting:
            self._extend(self._patience())

    def stopProducing(self) -> None:
        if self.producer is not None:
            self.producer.stopProducing()

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
        elif self._active is not None:
            # Waiting is the exchange's affair: it has deadlines of its own.
            self._wait(timeout)
        elif self._in_head:
            self._wait(timeout)
            self._refuse(RequestTimeout(f"no complete head within {timeout:g} s"))
        else:
            self._close()
