"""What the agent answers with: a response whose body comes when somebody reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface import implementer

from scgiproxy.errors import BackendError
from scgiproxy.interfaces import IResponseReceiver
from scgiproxy.scgi.response import ResponseHead
from scgiproxy.wire.client import ScgiClientProtocol


@implementer(IClientRequest)
@dataclass(frozen=True)
class AgentRequest:
    """What was asked: IClientRequest."""

    method: bytes
    absoluteURI: bytes
    headers: Headers


@implementer(IResponse)
class AgentResponse:
    """The answer of an application. `length` is 0 if there is no body to read (HEAD, 204, 304)."""

    version = (b"HTTP", 1, 1)

    def __init__(
        self, head: ResponseHead, request: AgentRequest, receiver: ResponseReceiver
    ) -> None:
        self.request = request
        self.code = head.status
        self.phrase = head.reason or RESPONSES.get(head.status, b"")
        self.headers = Headers()
        for name, value in head.headers:
            self.headers.addRawHeader(name, value)
        if head.content_length is not None:
            self.headers.setRawHeaders(b"Content-Length", [b"%d" % head.content_length])
        bodiless = request.method == b"HEAD" or head.status in (204, 304)
        unknown = UNKNOWN_LENGTH if head.content_length is None else head.content_length
        self.length: Any = 0 if bodiless else unknown
        self.previousResponse: IResponse | None = None
        self._receiver = receiver

    def __repr__(self) -> str:
        return f"<AgentResponse {self.code} {self.request.absoluteURI!r}>"

    def deliverBody(self, protocol: IProtocol) -> None:
        """Give the body to `protocol`, now and as it arrives; its transport is an IPushProducer.

        Its ``connectionLost`` gets ResponseDone at the end, or ResponseFailed, whose `reasons` say
        why. Until this is called nothing more than the first piece is read. Raises RuntimeError the
        second time.
        """
        self._receiver.deliver(protocol)

    def setPreviousResponse(self, response: IResponse) -> None:
        """Remember what redirected here."""
        self.previousResponse = response


@implementer(IResponseReceiver, IPushProducer)
class ResponseReceiver:
    """Takes the answer from the connection; the transport of the protocol that reads the body."""

    disconnecting = False  # LineReceiver asks

    def __init__(self, request: AgentRequest) -> None:
        self.response: Deferred[IResponse] = Deferred(self._cancel)
        """Fires with the head."""
        self.protocol: ScgiClientProtocol | None = None
        """The connection, once it is up."""
        self.stop_connecting: Callable[[], object] = lambda: None
        """Gives up a connection that is not up yet."""
        self._request = request
        self._reader: IProtocol | None = None
        self._held: list[bytes] = []
        self._end: Failure | None = None
        self._read = False
        self._paused = False
        self._cancelled = False

    # -- from the connection -------------------------------------------------------------------

    def head_received(self, head: ResponseHead) -> None:
        self.pauseProducing()
        self.response.callback(AgentResponse(head, self._request, self))

    def body_received(self, data: bytes) -> None:
        # What comes while paused was read in one piece with what came before.
        if self._reader is None or self._paused:
            self._held.append(data)
        else:
            self._reader.dataReceived(data)

    def pieces_received(self) -> None:
        """Nothing is held back that a flush would send."""

    def response_complete(self) -> None:
        self._ended(Failure(ResponseDone()))

    def response_failed(self, error: BackendError) -> None:
        if self.response.called:
            self._ended(Failure(ResponseFailed([Failure(error)])))
        elif not self._cancelled:
            self.response.errback(error)

    def upload_failed(self, failure: Failure) -> None:
        if self.response.called:
            self._ended(Failure(ResponseFailed([failure])))
        else:
            self.response.errback(failure)

    # -- to the reader of the body -------------------------------------------------------------

    def deliver(self, reader: IProtocol) -> None:
        """See `AgentResponse.deliverBody`."""
        if self._read:
            raise RuntimeError("the body has been delivered already")
        self._read = True
        self._reader = reader
        transport: Any = self
        reader.makeConnection(transport)
        self.resumeProducing()

    def _ended(self, reason: Failure) -> None:
        self._end = reason
        self._hand_over()

    def _hand_over(self) -> None:
        """What is held, as far as it is wanted; then the end, if it has come."""
        while self._held and self._reader is not None and not self._paused:
            self._reader.dataReceived(self._held.pop(0))
        if self._end is not None and not self._held and self._reader is not None:
            reader, self._reader = self._reader, None
            reader.connectionLost(self._end)

    def pauseProducing(self) -> None:
        self._paused = True
        if self.protocol is not None:
            self.protocol.pause_response()

    def resumeProducing(self) -> None:
        self._paused = False
        self._hand_over()
        if not self._paused and self.protocol is not None:
            self.protocol.resume_response()

    def stopProducing(self) -> None:
        """The body is not wanted any more: close the connection."""
        if self._end is None:
            self._abort()
            self._held.clear()
            self._ended(Failure(ResponseFailed([Failure(ConnectionAborted())])))

    loseConnection = abortConnection = stopProducing

    def _cancel(self, _: Deferred[IResponse]) -> None:
        self._cancelled = True
        self._abort()

    def _abort(self) -> None:
        if self.protocol is not None:
            self.protocol.cancel()
        else:
            self.stop_connecting()
