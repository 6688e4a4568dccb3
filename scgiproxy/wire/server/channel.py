"""One connection from a gateway: one request read, one answer written, and closed."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import IO, TYPE_CHECKING, Any

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IPullProducer,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from zope.interface import implementer

from scgiproxy.errors import BadRequest, ClientError, ScgiProxyError
from scgiproxy.message.headers import HOP_BY_HOP
from scgiproxy.wire.server.reader import RequestReader

if TYPE_CHECKING:
    from scgiproxy.wire.server.factory import ScgiServerFactory
    from scgiproxy.wire.server.request import ScgiServerRequest

PIECE = 1 << 16
"""Bytes handed to the transport at a time, so that progress can be told from none."""

LINGER = 5.0
"""Seconds for a gateway to take a refusal while it is still sending."""

# How the gateway talks to its client is not the application's affair (RFC 3875 section 6.3.4), and
# a header of the name Status would be taken for the status.
GATEWAY_HEADERS = HOP_BY_HOP | {b"status"}
REASON_PHRASE = re.compile(rb"[\t\x20-\x7e\x80-\xff]+")
CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]+")


class ChannelPhase(Enum):
    """How far a connection has come."""

    REQUEST = "request"
    ANSWER = "answer"
    """The resource has the request."""
    FLUSH = "flush"
    """The resource is done, but the gateway has not taken everything."""
    CLOSING = "closing"


@implementer(IPushProducer)
class ScgiChannel(Protocol, TimeoutMixin):
    """What an `ScgiServerRequest` is read from and written to.

    The transport sees it as its producer, so that the answer goes out as fast as the gateway reads.
    The idle timeout runs while it waits for the gateway, in either direction, and stands still
    while the resource works. A gateway that closes its side has gone: half-closing is not for SCGI.
    """

    transport: Any
    site: ScgiServerFactory
    requestFactory: type[ScgiServerRequest]
    _log = Logger()

    def __init__(self) -> None:
        self.phase = ChannelPhase.REQUEST
        self._reader: RequestReader | None = None
        self._request: ScgiServerRequest | None = None
        self._output: deque[bytes | memoryview] = deque()
        self._paused = False
        self._push_producer: IPushProducer | None = None
        self._producer_paused = False
        self._pull_producer: IPullProducer | None = None
        self._pull_call: IDelayedCall | None = None

    def __repr__(self) -> str:
        return f"<ScgiChannel {self.phase.value} {self._request or self._reader}>"

    # -- the request ---------------------------------------------------------------------------

    def connectionMade(self) -> None:
        self.site.channels.add(self)
        self._reader = RequestReader(self.site.max_header, self.site.max_body)
        self.setTimeout(self.site.timeOut)  # type: ignore[no-untyped-call]

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the gateway. What follows the request is dropped."""
        reader = self._reader
        if reader is None:
            return
        self.resetTimeout()  # type: ignore[no-untyped-call]
        try:
            received = reader.feed(data)
        except ScgiProxyError as error:
            self._refuse(error.status, error)
            return
        if received is not None:
            self._reader = None
            self._answer(*received)

    def _answer(self, variables: Mapping[bytes, bytes], content: IO[bytes]) -> None:
        """The request is complete: render it."""
        self.setTimeout(None)  # type: ignore[no-untyped-call]
        self.phase = ChannelPhase.ANSWER
        self.transport.registerProducer(self, True)
        request = self._request = self.requestFactory(self)
        try:
            request.variables_received(variables, content, self.site.mount)
        except ClientError as error:
            self._refuse(error.status, error)
        except Exception as error:
            if request.site is not None:
                raise
            # Not a resource, since none was looked for: the standard library's parser of forms.
            self._refuse(400, BadRequest(f"the form could not be read: {error!r}"))

    def _respondToBadRequestAndDisconnect(self) -> None:
        """`http.Request` calls this for a form that is not multipart although it says so."""
        self._refuse(400, BadRequest("the body is no multipart/form-data"))

    def _refuse(self, status: int, reason: Exception) -> None:
        """Answer without a resource, log it, and close once the gateway has read the answer."""
        level = self._log.error if status >= 500 else self._log.warn
        level("request refused with {status}: {reason}", status=status, reason=reason)
        self._free_request()
        if self.phase is ChannelPhase.ANSWER:
            self.transport.unregisterProducer()
        self.phase = ChannelPhase.CLOSING
        # What went wrong here is for the log alone: it names folders.
        told = f"\n{reason}" if status < 500 else ""
        text = f"{status} {RESPONSES[status].decode()}{told}\n".encode(errors="replace")
        self.transport.write(
            b"Status: %d %b\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"X-Content-Type-Options: nosniff\r\nContent-Length: %d\r\n\r\n%b"
            % (status, RESPONSES[status], len(text), text)
        )
        if ITCPTransport.providedBy(self.transport):
            # To close now, with bytes unread, would reset the connection and take the answer along.
            self.transport.loseWriteConnection()
            self.setTimeout(LINGER)  # type: ignore[no-untyped-call]
        else:
            self.transport.loseConnection()

    def _free_request(self) -> None:
        """Close what holds the body of a request that no resource has."""
        reader, self._reader = self._reader, None
        request, self._request = self._request, None
        if reader is not None:
            reader.close()
        if request is not None and request.content is not None:
            request.content.close()

    def timeoutConnection(self) -> None:
        """The gateway has neither sent nor read anything for too long."""
        if self._reader is not None:
            self._refuse(408, BadRequest(f"no byte of the request in {self.site.timeOut:g} s"))
        else:
            self._log.info("{channel} timed out", channel=self)
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The gateway has closed. A resource that is not done learns it by `notifyFinish`."""
        self.site.channels.discard(self)
        self.setTimeout(None)  # type: ignore[no-untyped-call]
        if self._reader is not None:
            if self._reader.started:  # a mere connection may be somebody's health check
                self._log.info("the gateway left within its request: {reader}", reader=self._reader)
            self._reader.close()
        self._reader = None
        self.phase = ChannelPhase.CLOSING
        self._output.clear()
        self.stopProducing()
        request, self._request = self._request, None
        if request is not None:
            request.connectionLost(reason)  # type: ignore[no-untyped-call]

    # -- the answer, for http.Request ----------------------------------------------------------

    def writeHeaders(
        self,
        version: bytes,  # noqa: ARG002
        code: bytes,
        reason: bytes | None,
        headers: Headers,
    ) -> None:
        """Begin the answer, in CGI's form (RFC 3875 section 6.2)."""
        if not reason or not REASON_PHRASE.fullmatch(reason):
            reason = RESPONSES.get(int(code), b"")
        lines = [b"Status: %b %b" % (code, reason) if reason else b"Status: " + code]
        for name, values in headers.getAllRawHeaders():
            if name.lower() not in GATEWAY_HEADERS:
                lines += [b"%b: %b" % (name, CONTROLS.sub(b" ", value)) for value in values]
        lines += (b"", b"")
        self.write(b"\r\n".join(lines))

    def write(self, data: bytes) -> None:
        """Send `data` when the gateway is ready for it."""
        if self.phase is ChannelPhase.ANSWER:
            self._output.append(data)
            self._flush()

    def writeSequence(self, data: list[bytes]) -> None:
        self.write(b"".join(data))

    def requestDone(self, request: ScgiServerRequest) -> None:  # noqa: ARG002
        """The resource has finished its answer."""
        self._request = None
        self.phase = ChannelPhase.FLUSH
        self._close_if_flushed()

    def loseConnection(self) -> None:
        """Break off. Nothing but a reset can tell an answer without a length from a whole one."""
        if self.phase is not ChannelPhase.CLOSING:
            self.phase = ChannelPhase.CLOSING
            self.transport.abortConnection()

    def isSecure(self) -> bool:
        """Of the gateway's connection; `ScgiServerRequest` knows of the client's."""
        return False

    def getPeer(self) -> IAddress:
        return self.transport.getPeer()  # type: ignore[no-any-return]

    def getHost(self) -> IAddress:
        return self.transport.getHost()  # type: ignore[no-any-return]

    # -- pace: the resource's producer above, the transport below -------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if streaming:
            self._push_producer = producer
            self._producer_paused = self._paused
            if self._paused:
                producer.pauseProducing()
        else:
            self._pull_producer = producer
            self._schedule_pull()

    def unregisterProducer(self) -> None:
        self._push_producer = self._pull_producer = None
        if self._pull_call is not None:
            self._pull_call.cancel()
            self._pull_call = None

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._paused = True
        self.setTimeout(self.site.timeOut)  # type: ignore[no-untyped-call]
        if self._push_producer is not None and not self._producer_paused:
            self._producer_paused = True
            self._push_producer.pauseProducing()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._paused = False
        self.setTimeout(None)  # type: ignore[no-untyped-call]
        self._flush()
        if self._paused:
            return
        if self.phase is ChannelPhase.FLUSH:
            self._close_if_flushed()
        elif self._push_producer is not None and self._producer_paused:
            self._producer_paused = False
            self._push_producer.resumeProducing()
        elif self._pull_producer is not None:
            self._schedule_pull()

    def stopProducing(self) -> None:
        """The transport has gone."""
        producer = self._push_producer or self._pull_producer
        self.unregisterProducer()
        if producer is not None:
            producer.stopProducing()

    def _flush(self) -> None:
        output = self._output
        while output and not self._paused:
            piece = output.popleft()
            if len(piece) > PIECE:
                view = memoryview(piece)
                output.appendleft(view[PIECE:])
                piece = view[:PIECE]
            self.transport.write(bytes(piece))

    def _close_if_flushed(self) -> None:
        if not self._output and not self._paused:
            self.phase = ChannelPhase.CLOSING
            self.setTimeout(self.site.timeOut)  # type: ignore[no-untyped-call]
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def _schedule_pull(self) -> None:
        if self._pull_call is None and not self._paused:
            self._pull_call = self.site.reactor.callLater(0, self._pull)

    def _pull(self) -> None:
        self._pull_call = None
        producer = self._pull_producer
        if producer is None or self._paused:
            return
        try:
            producer.resumeProducing()
        except Exception:
            self._log.failure("{producer!r} failed", producer=producer)
            self.unregisterProducer()
            self.loseConnection()
        else:
            if self._pull_producer is not None:
                self._schedule_pull()
