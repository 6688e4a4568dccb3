"""The HTTP/1 channel of one client connection.

Requests start at the end of their head and are answered in order (see `web.pipeline`). What cannot
be parsed (see `web.reader`) is answered in its turn, and ends the connection (see `web.lingering`).
Here is also what follows from deadlines and backpressure (see `web.flow`), and 100 Continue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IProtocol
from twisted.python.failure import Failure
from zope.interface import classImplements

from scgiproxy.errors import ClientError, RequestTimeout
from scgiproxy.message.framing import BodyKind, RequestFraming
from scgiproxy.web.address import ConnectionEnd, peer_has_left
from scgiproxy.web.flow import LOOK_EVERY, Pause
from scgiproxy.web.malformed import tell_of_tls
from scgiproxy.web.pipeline import MOST_WAITING, Pipeline
from scgiproxy.web.reader import RequestReader
from scgiproxy.web.statistics import ConnectionPhase

if TYPE_CHECKING:
    from scgiproxy.web.hosts import Host
    from scgiproxy.web.limits import ConnectionLimits, HostTerms
    from scgiproxy.web.request import GatewayRequest

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

GRACE = 0.25
"""Seconds that a client is given to see from an answer that its connection ends."""

MOST_SPARE: Final = 64
"""Readers that a site keeps for the next requests."""

_NO_BODY: Final = RequestFraming(BodyKind.NONE, 0, False, False)


class HttpChannel(Pipeline):
    """One client connection. `factory` (the site) makes the requests and serves them.

    `requests` counts them. Between two it holds nothing of either: most connections are there.
    `local` and `remote` are its ends; the remote one is known from the first request on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0
        self._reader: RequestReader | None = None
        self._accepting = True
        self._client_sending = False

    # -- the connection ------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        """See `IProtocol`; its base class in Twisted would keep this one from being compiled."""
        self.transport = transport
        self.connectionMade()

    def connectionMade(self) -> None:
        site = self.factory
        self.local = site.local_end(self.transport.getHost())
        self.set_limits(site.limits_for(self.local))
        self.transport.registerProducer(self, True)
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
        self._begin_stage(self.limits.handshake if self.local.secure else self.limits.header)
        site.channels.add(self)

    def handshakeCompleted(self) -> None:
        """See `IHandshakeListener`: TLS is agreed upon, and the first request is waited for."""
        self._begin_stage(self.limits.header)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.factory.wheel.forget(self)
        self.factory.channels.discard(self)
        if self.local.secure and not self.requests:
            tell_of_tls(self.log, ConnectionEnd(self.transport.getPeer()), reason.value)
        self._accept_no_more()
        self.stopProducing()
        self._lingering_until = 0.0
        self._receiving = None
        waiting, self._active = self._active, None
        self._queue = None
        if waiting is not None:
            waiting.connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        if not self._accepting:
            self._client_sending = True
            self._discard()
            return
        reader = self._reader
        receiving = self._receiving
        if receiving is not None:
            self._came(len(data))
        elif self._queue:
            self._read_ahead(len(data))
        elif reader is not None:
            self._came(len(data))
        if reader is None:
            spare = self.factory.spare_readers
            reader = self._reader = spare.pop() if spare else RequestReader()
            reader.begin(self.limits, self)
        try:
            reader.feed(data)
        except ClientError as error:
            self._refuse(error)
        except Exception:
            self.log.failure("while reading a request")
            self.abort()
        else:
            if reader.between_requests:
                # The connection whose request comes next gets it.
                self._reader = None
                spare = self.factory.spare_readers
                if len(spare) < MOST_SPARE:
                    reader.end()
                    spare.append(reader)
                    return
        if receiving is None and self._receiving is not None:
            self._came(self._receiving.body_read)
        self._keep(reader)

    def _keep(self, reader: RequestReader) -> None:
        """Unless nothing is fed to it any more."""
        if self._reader is None or not self._accepting:
            self._reader = None
            reader.discard()

    # -- what the reader tells -----------------------------------------------------------------

    def head_begun(self, size: int) -> None:
        if self._active is None:
            if self.requests or self._stage is not self.limits.header:
                self._begin_stage(self.limits.header)
            self._came(size)

    def head_read(self, protocol: bytes, framing: RequestFraming) -> None:
        self.requests += 1
        request = self._make_request(protocol, framing)
        has_body = framing.kind is not BodyKind.NONE
        if has_body:
            self._receiving = request
            self._begin_stage(self._terms.body)
        if self._queue and len(self._queue) >= MOST_WAITING:
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
        assert reader is not None
        if self.requests < 2:
            # Not before: who it is may be the first that is said (the PROXY protocol).
            self.remote = ConnectionEnd(self.transport.getPeer())
        keep_alive = framing.keep_alive and limits.keep_alive
        if keep_alive and 0 < limits.max_requests <= self.requests:
            keep_alive = False
            # Its client does not know that it is the last, and may send more.
            self._client_sending = True
        return self.factory.make_request(
            self, reader.method, reader.target, protocol, framing, reader.headers, keep_alive
        )

    def _refuse(self, error: ClientError) -> None:
        """Answer what cannot be served, in its turn, and close."""
        if not self._accepting and self._receiving is None:
            # In the body of a request that has been answered: there is no second answer to it.
            return
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
        if self._reader is not None:
            # Behind the last request there are more: their client does not know that it is.
            self._client_sending = self._client_sending or self._reader.has_more
            self._reader.stop()

    # -- answers -------------------------------------------------------------------------------

    def request_done(self, request: GatewayRequest) -> None:
        """`request` has been answered in full."""
        if request is not self._active:
            return
        self._active = None
        self.producer = None
        if not request.keep_alive or request is self._receiving:
            self._close()
            return
        self._await_client(self._in_head)
        if self._queue:
            self._advance()

    @property
    def _in_head(self) -> bool:
        """A head has begun and is not complete."""
        return self._reader is not None and self._reader.in_head

    def set_limits(self, limits: ConnectionLimits) -> None:
        """These are in force from the next request on."""
        self.limits, self._terms = limits, limits.terms

    def set_terms(self, request: GatewayRequest, terms: HostTerms) -> None:
        """The host that answers `request` is known, and the connection's life is its affair."""
        self._terms = terms
        if not terms.keep_alive or 0 < terms.max_requests <= self.requests:
            if request.keep_alive and terms.keep_alive:
                self._client_sending = True
            request.keep_alive = False
        if request is self._receiving and self._stage is not terms.body:
            self._begin_stage(terms.body)

    def send_continue(self, request: GatewayRequest) -> None:
        """The upload is wanted: say so, and wait for it from now on."""
        if request is self._active:
            self._begin_stage(self._terms.body)
            self.transport.write(CONTINUE)

    # -- closing -------------------------------------------------------------------------------

    def _close(self) -> None:
        """Close behind what was written. If the client is still sending, let it read first."""
        self._accept_no_more()
        self._queue = None
        unread = self._receiving is not None or self._client_sending or bool(self._pauses)
        self._receiving = None
        self._end_connection(unread)

    def abort(self) -> None:
        """Close at once, so that the client sees that the answer is not whole."""
        self._accept_no_more()
        self.stopProducing()
        self.transport.unregisterProducer()
        self.transport.abortConnection()

    def shut_down(self) -> None:
        """Have the next answer be the last one, and say so (RFC 9112 section 9.6).

        A client that believes in the connection may have sent a request that has not been read yet:
        it is lost if the connection is closed at once. So this closes nothing: `close_idle` does, a
        `GRACE` later. Behind an answer whose head said nothing, a `GRACE` is waited, too.
        """
        self.limits = self.limits.without_keep_alive()
        self._terms = self._terms.with_keep_alive_timeout(GRACE)
        last = self._queue[-1] if self._queue else self._active
        if last is not None and not last.head_sent:
            last.keep_alive = False
            if self._receiving is None:
                self._accept_no_more()

    def close_idle(self) -> None:
        """Close, unless an answer is under way."""
        if self._active is None:
            self._close()

    # -- backpressure --------------------------------------------------------------------------

    def pause_upload(self) -> None:
        if self._accepting or self._receiving is not None:
            self.pause(Pause.UPLOAD)

    def resume_upload(self) -> None:
        self.resume(Pause.UPLOAD)

    def has_sent(self) -> None:
        if self._lingering_until:
            self._linger()
        elif self._active is None and self._queue:
            self._advance()
        elif self._active is None and self._accepting:
            self._await_client(self._in_head)

    @property
    def host(self) -> Host | None:
        """That of the request that is being answered."""
        return None if self._active is None else self._active.host_resource

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
        if self._in_head or not self.requests:
            return ConnectionPhase.READING
        return ConnectionPhase.IDLE

    # -- deadlines -----------------------------------------------------------------------------

    def deadline_passed(self) -> None:
        if self._send_blocked or self.transport.disconnecting:
            if not self._reads_on():
                self.abort()
        elif self._lingering_until:
            self._lose_connection()
        elif self._receiving is not None and not self._pauses and self._receiving.body_due:
            self._refuse_if_late("body")
        elif self._active is not None and self._pauses:
            if peer_has_left(self.transport):
                self.abort()
            else:
                self._wait(LOOK_EVERY)
        elif self._active is not None:
            # Waiting is the exchange's affair: it has deadlines of its own.
            self._wait(self.limits.timeout)
        elif self._in_head:
            self._refuse_if_late("header")
        elif self.requests or not self._has_come():
            self._close()

    def _refuse_if_late(self, stage: str) -> None:
        if self._is_late():
            self._wait(self.limits.timeout)
            self._refuse(RequestTimeout(self._lateness(stage)))


classImplements(HttpChannel, IHandshakeListener, IProtocol)
