"""One HTTP request and its answer.

`GatewayRequest` is what a mount, a file or an error page answers (`interfaces.IGatewayRequest`),
and what the rules ask (`rules.facts.Facts`). A Resource of twisted.web gets a
`web.resourcerequest.ResourceRequest` in its place. Its answer is guarded: nothing is sent twice,
nothing after the client has gone, and an answer that is short of its length is never made to look
whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, cast

from twisted.internet.interfaces import IProducer, IPullProducer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import classImplements

from scgiproxy.errors import (
    ClientError,
    ClientGone,
    GatewayError,
    ScgiProxyError,
    TruncatedResponse,
    escaped,
)
from scgiproxy.interfaces import IGatewayRequest
from scgiproxy.log.events import Logger
from scgiproxy.message.framing import (
    LAST_CHUNK,
    ResponseFraming,
    chunk,
    response_framing,
)
from scgiproxy.message.headers import HeaderList
from scgiproxy.rules.headers import FRAMING_FIELDS, apply_edits
from scgiproxy.web.connection import ClientConnection
from scgiproxy.web.errorpage import REASONS
from scgiproxy.web.pull import PullToPush
from scgiproxy.web.received import ReceivedRequest
from scgiproxy.web.statistics import MountStatistics

if TYPE_CHECKING:
    from scgiproxy.rules.mapping import Mapped
    from scgiproxy.web.resourcerequest import ResourceRequest

_NO_BODY: Final = ResponseFraming.NO_BODY
_CHUNKED: Final = ResponseFraming.CHUNKED
_NOTHING: Final[HeaderList] = []

_STATUS_LINES: Final = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, phrase) for status, phrase in REASONS.items()
}


class GatewayRequest(ReceivedRequest):
    """See the module.

    - `mapped`: the mount that serves it, and what that makes of the path.
    - `redirects`: how many internal redirects led here; `carried`: response headers they keep.
    - `default_type`: the Content-Type of the answer that redirected here, for a file whose extension
      says none; None if there was none.
    - `error_status`: the status to keep when this pass makes the body of an error answer;
      `status_is_said`: unless its backend has said one, as in Apache.
    - `rendered`: what Resources have got in its place; more than one if the first has failed.
    """

    log: ClassVar[Logger] = Logger()
    refusal: ClientError | None = None
    mapped: Mapped | None = None
    redirects = 0
    carried: HeaderList = _NOTHING
    default_type: bytes | None = None
    error_status = 0
    status_is_said = False
    is_error_page = False
    status_sent = 0
    body_sent = 0
    statistics: MountStatistics | None = None
    rendered: tuple[ResourceRequest, ...] = ()
    _framing: ResponseFraming = _NO_BODY
    _length: int | None = None
    _held_head: bytes = b""

    def start_again(self, environment: dict[bytes, bytes]) -> None:
        """Forget what the pass so far has found out: an internal redirect follows."""
        self.environment = environment
        if self.statistics is not None:
            self.statistics.in_flight -= 1
            self.statistics = None
        self.mapped = None
        self.settings = None
        self.user = None
        self.is_error_page = self.status_is_said = False
        self._conditional = None
        for rendered in self.rendered:
            rendered.let_go()
        self._gone_callbacks.clear()
        if self.upload is not None:
            # What of the body has not come is not wanted any more; the connection ends after it.
            self.upload.stopProducing()
            if not self.upload.complete:
                self.keep_alive = False
            self.upload = None

    # -- the answer ----------------------------------------------------------------------------

    def send_head(
        self, status: int, reason: bytes | None, headers: HeaderList, length: int | None
    ) -> None:
        if self.head_sent or self.gone:
            return
        self.head_sent = True
        if self.error_status and not self.status_is_said:
            status, reason = self.error_status, None
        if self.carried:
            headers = self.carried + headers
        if status in (204, 304):
            # It describes a body, and there is none.
            headers = [item for item in headers if item[0].lower() != b"content-type"]
        # What is refused before any section is looked at has those of the host.
        settings = self.settings or self.host_resource.base_settings
        if settings.response_headers:
            edits = settings.response_headers
            if self.is_error_page:
                edits = tuple(edit for edit in edits if edit.always)
            headers = list(headers)
            apply_edits(edits, headers, self, times=self._times)
            # The framing is not the operator's to set.
            headers = [item for item in headers if item[0].lower() not in FRAMING_FIELDS]
        if not self.body_complete:
            self.keep_alive = False
        framing = response_framing(self.method, status, length, self.is_http11)
        if framing is ResponseFraming.CLOSE:
            self.keep_alive = False
        self._framing = framing
        self._length = length
        self.status_sent = status
        self._held_head = self._encode_head(status, reason, headers, length)

    def _encode_head(
        self, status: int, reason: bytes | None, headers: HeaderList, length: int | None
    ) -> bytes:
        line = _STATUS_LINES.get(status) if reason is None else None
        if line is None:
            line = b"HTTP/1.1 %d %b\r\n" % (status, reason or b"")
        pieces = [line]
        has_date = has_server = False
        for name, value in headers:
            pieces += (name, b": ", value, b"\r\n")
            # Few names have to be made lower-case to be compared.
            size = len(name)
            if size == 4:
                has_date = has_date or name.lower() == b"date"
            elif size == 6:
                has_server = has_server or name.lower() == b"server"
        site = self.site
        if not has_date:
            pieces.append(site.date_line())
        if not has_server:
            pieces.append(site.server_line)
        if self._framing is _CHUNKED:
            pieces.append(b"Transfer-Encoding: chunked\r\n")
        elif length is not None and status >= 200 and status not in (204, 304):
            pieces.append(b"Content-Length: %d\r\n" % length)
        if not self.keep_alive:
            pieces.append(b"Connection: close\r\n")
        elif not self.is_http11:
            pieces.append(b"Connection: keep-alive\r\n")
        pieces.append(b"\r\n")
        return b"".join(pieces)

    def write(self, data: bytes) -> None:
        if self.gone or self.finished:
            return
        if not data:
            return
        framing = self._framing
        if framing is _NO_BODY:
            return
        if framing is ResponseFraming.LENGTH:
            left = (self._length or 0) - self.body_sent
            if len(data) > left:
                data = data[:left]
        self.body_sent += len(data)
        head, self._held_head = self._held_head, b""
        transport = self.channel.transport
        if framing is ResponseFraming.CHUNKED:
            transport.writeSequence((head, *chunk(data)))
        elif head:
            transport.write(head + data if len(data) < 65536 else head)
            if len(data) >= 65536:
                transport.write(data)
        else:
            transport.write(data)

    @property
    def takes_files(self) -> bool:
        # By its class: what wraps a connection, as TLS does, provides its interfaces and has its
        # attributes, and would let the bytes pass by.
        return self._framing is ResponseFraming.LENGTH and isinstance(
            self.channel.transport, ClientConnection
        )

    def send_from(self, fd: int, start: int, count: int) -> int | None:
        if self.gone or self.finished:
            return None
        head, self._held_head = self._held_head, b""
        connection: ClientConnection = self.channel.transport
        left = (self._length or 0) - self.body_sent
        sent = connection.send_from(fd, start, min(count, left), head)
        if sent is not None:
            self.body_sent += sent
        return sent

    def flush(self) -> None:
        if self._held_head and not self.gone:
            head, self._held_head = self._held_head, b""
            self.channel.transport.write(head)

    def finish(self) -> None:
        if self.gone or self.finished:
            return
        framing = self._framing
        if framing is ResponseFraming.LENGTH and self.body_sent < (self._length or 0):
            self.abort(TruncatedResponse(f"{self.body_sent} of {self._length} bytes sent"))
            return
        if framing is ResponseFraming.CHUNKED:
            self.channel.transport.write(self._held_head + LAST_CHUNK)
            self._held_head = b""
        else:
            self.flush()
        self.unregisterProducer()
        self._end()
        self.channel.request_done(self)
        for rendered in self.rendered:
            rendered.notify(None)

    def abort(self, reason: Exception) -> None:
        if self.gone or self.finished:
            return
        self._leave(Failure(reason))
        self.channel.abort()

    def failed(self, failure: Failure) -> None:
        """Something of ours broke: an error page if there is still time, else an abort."""
        error = failure.value or GatewayError("it failed without a reason")
        if not isinstance(error, ScgiProxyError):
            self.log.failure("while serving {uri}", failure, uri=escaped(self.uri), request=self)
        self.site.answer_error(self, error)

    def _end(self) -> None:
        """The answer is over, well or not: free what the request holds."""
        self.finished = True
        self._gone_callbacks.clear()
        if self.upload is not None:
            self.upload.stopProducing()
        for rendered in self.rendered:
            rendered.let_go()
        self.site.answered(self)

    def _leave(self, failure: Failure) -> None:
        self.gone = True
        callbacks = list(self._gone_callbacks)
        self._end()
        for callback in callbacks:
            try:
                callback()
            except Exception:
                self.log.failure("while giving up {uri}", uri=escaped(self.uri), request=self)
        for rendered in self.rendered:
            rendered.notify(failure)

    # -- the client leaves ---------------------------------------------------------------------

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002  it says no more
        """The channel's connection is gone before the answer was complete."""
        if self.gone or self.finished:
            return
        if self.upload is not None and not self.upload.complete:
            self.upload.stopProducing()
        self._leave(Failure(ClientGone("the client left before its answer was complete")))

    # -- producers -----------------------------------------------------------------------------

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        if self.gone or self.finished:
            producer.stopProducing()
            return
        channel = self.channel
        if streaming:
            channel.producer = producer
            if channel.send_blocked:
                cast("IPushProducer", producer).pauseProducing()
        else:
            pull = PullToPush(cast("IPullProducer", producer), self.site.clock)
            channel.producer = pull
            pull.start(channel.send_blocked)

    def unregisterProducer(self) -> None:
        if self.gone or self.finished:
            # The connection's producer may be the next request's by now.
            return
        channel = self.channel
        if isinstance(channel.producer, PullToPush):
            channel.producer.end()
        channel.producer = None


classImplements(GatewayRequest, IGatewayRequest)
