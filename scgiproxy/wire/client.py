"""One exchange with an SCGI backend, on any transport.

`ScgiClientProtocol` sends one request and reads one answer, both at the same time, and closes.
`wire.clientfactory` makes one for ``reactor.connectTCP`` and endpoints.

Deadlines: `timeout` seconds for each wait on the backend to take more of the request, for its whole
response head, and for each further piece of the body. Waiting for somebody
else (a slow upload, a client that does not read) does not count against the backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import classImplements

from scgiproxy.errors import (
    BackendError,
    BodyTimeout,
    HeadTimeout,
    SendFailed,
    TruncatedResponse,
)
from scgiproxy.interfaces import IDeadline, IResponseReceiver, IWriteFailed
from scgiproxy.scgi.request import frame
from scgiproxy.scgi.response import End, ResponseHead, ResponseParser
from scgiproxy.wire.body import RequestBody
from scgiproxy.wire.deadline import DeadlineWheel

FIRST_BYTES: Final = 80
"""How much of an answer is kept for the log."""

CLOSE_GRACE: Final = 5.0
"""Seconds for the last bytes to leave after a complete answer."""


class Phase(Enum):
    """How far an exchange has come; the word for the log."""

    CONNECT = "connect"
    SEND = "send"
    HEAD = "head"
    BODY = "body"
    DONE = "done"


# Looking a member up in its class costs more than the comparison.
_CONNECT: Final = Phase.CONNECT
_SEND: Final = Phase.SEND
_HEAD: Final = Phase.HEAD
_BODY: Final = Phase.BODY
_DONE: Final = Phase.DONE


# Not frozen: that makes setting a field cost three times as much.
@dataclass(slots=True)
class ScgiRequest:
    """What to send: the header block without its first two variables, and the body.

    `head_only` says that the answer will have no body (HEAD). `half_close` shuts the sending
    direction after the body, for backends that read past CONTENT_LENGTH.
    """

    block: bytes
    body: IBodyProducer | None
    head_only: bool
    half_close: bool

    # Written out: compiled, it is much quicker than what a dataclass makes.
    def __init__(
        self,
        block: bytes,
        body: IBodyProducer | None = None,
        head_only: bool = False,
        half_close: bool = False,
    ) -> None:
        self.block = block
        self.body = body
        self.head_only = head_only
        self.half_close = half_close


class ScgiClientProtocol:
    """Sends `request` when connected, and tells `receiver` of the answer.

    `sent` and `received` count bytes; `first_bytes` has the beginning of the answer; `last_phase`
    is the phase it ended in.
    """

    transport: Any
    factory: Any
    _receiver: Any
    # On the class only what an ordinary exchange neither reads nor changes.
    _send_blocked = False
    _send_failed = False

    def __init__(
        self,
        request: ScgiRequest,
        receiver: IResponseReceiver,
        wheel: DeadlineWheel,
        clock: IReactorTime,
        timeout: float,
    ) -> None:
        self._request = request
        self._receiver = receiver
        self._wheel = wheel
        self._seconds = clock.seconds
        self._timeout = timeout
        # Keywords for a constructor cost as much as it does itself, and few requests are HEAD.
        self._parser = (
            ResponseParser(body_expected=False) if request.head_only else ResponseParser()
        )
        self._uploading = False
        self._receive_paused = False
        self._lost = False
        self.deadline = inf
        self.phase = _CONNECT
        self.last_phase = _CONNECT
        self.sent = 0
        self.received = 0
        self.first_bytes = b""

    def makeConnection(self, transport: Any) -> None:
        """See `IProtocol`; its base class in Twisted would keep this one from being compiled."""
        self.transport = transport
        self.connectionMade()

    # -- sending -------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        request = self._request
        body = request.body
        if body is None:
            data = frame(0, request.block)
            self.phase = _HEAD
            self.sent = len(data)
            self.deadline = self._seconds() + self._timeout
            self._wheel.watch(self)
            self.transport.write(data)
            if request.half_close:
                self.transport.loseWriteConnection()
            return
        data = frame(body.length, request.block)
        if isinstance(body, RequestBody):
            data += body.first_bytes()
        self.phase = _SEND
        self._uploading = True
        self.transport.registerProducer(self, True)
        self.write(data)
        if self._uploading:
            body.startProducing(self).addCallbacks(self._upload_done, self._upload_broke)

    def write(self, data: bytes) -> None:
        """Body bytes, from the body source."""
        if self._uploading:
            self.sent += len(data)
            self.transport.write(data)

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """The body source is told of pauses already: it was given to the constructor."""

    def unregisterProducer(self) -> None:
        """See `registerProducer`."""

    def _upload_done(self, _: None) -> None:
        if not self._uploading:
            return
        self._uploading = False
        self.transport.unregisterProducer()
        if self.phase is _SEND:
            self.phase = _HEAD
        self._wait()
        if self._request.half_close:
            self.transport.loseWriteConnection()

    def _upload_broke(self, failure: Failure) -> None:
        if self.phase is not _DONE:
            receiver = self._receiver
            self.cancel()
            receiver.upload_failed(failure)

    def _stop_upload(self) -> None:
        if self._uploading:
            self._uploading = False
            self.transport.unregisterProducer()
            if self._request.body is not None:
                self._request.body.stopProducing()

    def write_failed(self) -> None:
        """The transport cannot send any more, but may still read: an answer may be waiting."""
        self._send_failed = True
        self._stop_upload()
        self._wait()

    # The transport pauses the upload through these.

    def pauseProducing(self) -> None:
        self._send_blocked = True
        self._wait()
        if self._uploading and self._request.body is not None:
            self._request.body.pauseProducing()

    def resumeProducing(self) -> None:
        self._send_blocked = False
        self._wait()
        if self._uploading and self._request.body is not None:
            self._request.body.resumeProducing()

    def stopProducing(self) -> None:
        # Called before connectionLost, which has to know.
        self._send_failed = True
        self._stop_upload()

    # -- receiving -----------------------------------------------------------------------------

    def pause_response(self) -> None:
        """Stop reading the answer; the backend's deadline stops as well."""
        if self.phase is not _DONE and not self._receive_paused:
            self._receive_paused = True
            self._wait()
            self.transport.pauseProducing()

    def resume_response(self) -> None:
        """Go on reading."""
        if self.phase is not _DONE and self._receive_paused:
            self._receive_paused = False
            self._wait()
            self.transport.resumeProducing()

    def _wait(self) -> None:
        """Give the backend its time from now on, if it is the backend that is waited for."""
        if self.phase is _DONE:
            return
        waiting = self._send_blocked if self._uploading else not self._receive_paused
        self.deadline = self._seconds() + self._timeout if waiting else inf
        if waiting:
            self._wheel.watch(self)

    def dataReceived(self, data: bytes) -> None:
        if self.phase is _DONE:
            return
        if not self.received:
            self.first_bytes = data[:FIRST_BYTES]
        self.received += len(data)
        try:
            events = self._parser.feed(data)
        except BackendError as error:
            self._fail(error)
            return
        if self._tell(events):
            # A head must be whole in time: its bytes one by one do not count as progress.
            if self.phase is _BODY and self.deadline != inf:
                self.deadline = self._seconds() + self._timeout
            self._receiver.pieces_received()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self._lost = True
        self._wheel.forget(self)
        if self.phase is _DONE:
            return
        had_body = self._request.body is not None
        try:
            if self.phase is not _BODY and (self._send_failed or self._uploading):
                raise SendFailed("the backend closed while the request was being sent")
            # A backend that closes with request bytes unread resets the connection, whole answer
            # or not; without a body to leave unread, a reset means that it broke.
            if not reason.check(ConnectionDone):
                # Of TLS, whose end nobody else can make.
                explain = getattr(self.transport, "explain_end", None)
                if explain is not None:
                    raise TruncatedResponse(explain(reason))
                if not (had_body and self.phase is _BODY):
                    raise TruncatedResponse("the backend reset the connection")
            events = self._parser.eof()
        except BackendError as error:
            if self._send_failed and getattr(self.transport, "unread", False):
                self.sent = 0
            self._fail(error)
            return
        self._tell(events)

    def _tell(self, events: list[Any]) -> bool:
        """Tell the receiver; False if the exchange has ended with that."""
        receiver = self._receiver
        for event in events:
            kind = type(event)
            if kind is bytes:
                receiver.body_received(event)
            elif kind is ResponseHead:
                self.phase = _BODY
                receiver.head_received(event)
            elif kind is End:
                self._close()
                receiver.response_complete()
                return False
            if self.phase is _DONE:
                return False
        return True

    def deadline_passed(self) -> None:
        if self.phase is _DONE:
            self.transport.abortConnection()
            return
        seconds = f"{self._timeout:g} s"
        if self.phase is _BODY:
            self._fail(BodyTimeout(f"no further body bytes within {seconds}"))
        elif self.phase is _SEND:
            self._fail(HeadTimeout(f"the backend did not read the request for {seconds}"))
        else:
            self._fail(HeadTimeout(f"no complete response head within {seconds}"))

    # -- the end -------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Close at once and tell nobody: the answer is not wanted any more."""
        if self.phase is not _DONE:
            self._close(abort=True)

    def _fail(self, error: BackendError) -> None:
        receiver = self._receiver
        self._close(abort=True)
        receiver.response_failed(error)

    def _close(self, abort: bool = False) -> None:
        if self._uploading:
            abort = True
            self._stop_upload()
        self.last_phase = self.phase
        self.phase = _DONE
        # It is told nothing more, and keeps us: without a cycle no garbage collector is needed.
        self._receiver = None
        if abort:
            self.transport.abortConnection()
            return
        self.transport.loseConnection()
        if not self._lost:
            # A backend that has answered may never read what is still to be flushed to it.
            self.deadline = self._seconds() + CLOSE_GRACE
            self._wheel.watch(self)


classImplements(ScgiClientProtocol, IProtocol, IPushProducer, IDeadline, IWriteFailed)
