"""One request with one backend: the upload, the download, and the pump between.

An exchange asks the pool for a connection, sends the request, and relays the answer unless its
head says otherwise (see `web.responsehead`). It ends in exactly one way, and then holds neither
backend nor client:

- the answer was relayed whole;
- it was handed over (file, redirect, error page, 304);
- it failed: an error page before the first byte to the client, an abort after it;
- the client left.

A member of a balancer that goes without a byte of an answer need not be the end, nor need a
connection that had been kept ready and was closed: see `web.repetition`. The request and what of its
body is held then go to the next member, or once more to the same.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.python.failure import Failure
from zope.interface import classImplements

from scgiproxy.errors import BackendError, DurationExceeded, GatewayError, HeadersTooLarge
from scgiproxy.interfaces import ICall, IDeadline, IResponseReceiver
from scgiproxy.rules.facts import IDEMPOTENT
from scgiproxy.rules.settings import Settings
from scgiproxy.scgi.request import FRAMING_SIZE
from scgiproxy.scgi.response import ResponseHead
from scgiproxy.web.repetition import tell_attempts, why_not_repeated
from scgiproxy.web.responsehead import (
    WATCHED,
    act_upon_fields,
    judge_conditions,
    override_error,
)
from scgiproxy.wire.client import ScgiClientProtocol, ScgiRequest
from scgiproxy.wire.replay import repeatable

if TYPE_CHECKING:
    from scgiproxy.web.mount import ProxyPassResource
    from scgiproxy.web.request import GatewayRequest
    from scgiproxy.wire.body import RequestBody


class Upload(Enum):
    """The state of the request's body."""

    NONE = "no body"
    SPOOLING = "spooling"
    READY = "ready"
    SENDING = "sending"


class Download(Enum):
    """The state of the answer."""

    WAITING = "waiting"
    RELAYING = "relaying"
    ENDED = "ended"


# Looking a member up in its class costs more than the comparison.
_NONE: Final = Upload.NONE
_SPOOLING: Final = Upload.SPOOLING
_READY: Final = Upload.READY
_SENDING: Final = Upload.SENDING
_WAITING: Final = Download.WAITING
_RELAYING: Final = Download.RELAYING
_ENDED: Final = Download.ENDED


class Exchange:
    """See the module. `start` once; everything else is called by pool, client and request."""

    deadline = inf  # of ProxyMaxDuration

    def __init__(self, request: GatewayRequest, resource: ProxyPassResource) -> None:
        self.request = request
        self._resource = resource
        self.settings: Settings = request.settings or resource.default_settings
        self.dispatch: Any = None
        self._client: ScgiClientProtocol | None = None
        self._body: RequestBody | None = None
        self.block = b""
        self._backend = resource.pool.name
        self._not_repeated = ""
        self.upload = _NONE
        self.download = _WAITING

    def __repr__(self) -> str:
        return (
            f"<Exchange {self.request.method!r} {self.request.uri!r}"
            f" upload={self.upload.value} download={self.download.value}>"
        )

    # -- to the backend ------------------------------------------------------------------------

    def start(self) -> None:
        """Ask for a backend; first collect an upload whose length is not known.

        Raises HeadersTooLarge if the header block is over what the backend takes, and BadRequest
        if a value cannot be sent. Nothing has been started then.
        """
        request = self.request
        self.block = self._resource.block(request)
        self._check_size(request.framing.length)
        request.on_gone(self._client_gone)
        if self.settings.proxy_max_duration:
            self.deadline = request.started + self.settings.proxy_max_duration
            self._resource.wheel.watch(self)
        upload = request.upload
        if upload is None:
            self._find_backend()
        elif request.framing.length is None:
            self.upload = _SPOOLING
            collected = request.spool(self.settings.limit_request_body)
            collected.addCallbacks(self._spooled, self._not_spooled)
        else:
            self.upload = _READY
            self._body = upload
            self._find_backend()

    def _check_size(self, content_length: int | None) -> None:
        limit = self._resource.max_header
        # A body that is still to be spooled has a length of ten digits at the most.
        digits = 10 if content_length is None else len(str(content_length))
        size = len(self.block) + FRAMING_SIZE + digits
        if size > limit:
            raise HeadersTooLarge(
                f"the request's header block is {size} bytes;"
                f" {self._resource.pool.name} takes {limit} (maxheader)"
            )

    def _spooled(self, body: RequestBody) -> None:
        if self.download is _ENDED:
            body.stopProducing()
            return
        self._body = body
        self.upload = _READY
        self._find_backend()

    def _not_spooled(self, failure: Failure) -> None:
        if self.download is not _ENDED:
            self.upload_failed(failure)

    def _find_backend(self) -> None:
        self._resource.pool.dispatch(self)

    def connected(self, backend: Any, address: IAddress) -> ScgiClientProtocol | None:  # noqa: ARG002
        resource = self._resource
        request, block, body = self.request, self.block, self._body
        self._backend = backend.label
        if body is not None:
            self.upload = _SENDING
            kept = self.dispatch.kept
            if kept or backend.member:
                body = self._body = repeatable(body, kept or request.method in IDEMPOTENT)
        if backend.member:
            # For the backend, and for Header and RequestHeader.
            request.environment.update(self.dispatch.environment())
            block = self.block = resource.block(request, backend.path)
            try:
                self._check_size(0 if body is None else body.length)
            except HeadersTooLarge as error:
                self._give_up(error)
                return None
        self._client = ScgiClientProtocol(
            # By position: on CPython 3.11 keywords cost more than the rest of the call.
            ScgiRequest(block, body, request.method == b"HEAD", backend.settings.half_close),
            self,
            resource.wheel,
            resource.clock,
            backend.settings.timeout or resource.timeout,
        )
        return self._client

    def dispatch_failed(self, error: BackendError) -> None:
        self.dispatch = None
        if self.download is not _ENDED:
            self._fail(error)

    # -- from the backend ----------------------------------------------------------------------

    def head_received(self, head: ResponseHead) -> None:
        dispatch = self.dispatch
        dispatch.answered(head.status)
        if self._body is not None:
            self._body.settle()
        if dispatch.reasons:
            tell_attempts(self.request, self._backend, dispatch.reasons, dispatch.repeats > 0)
        names = head.names
        settings = self.settings
        headers = head.headers
        self.request.status_is_said = head.explicit_status
        if not (names.isdisjoint(WATCHED) and names.isdisjoint(settings.watched)):
            left = act_upon_fields(self, head)
            if left is None:
                return
            headers = left
        if head.status in settings.error_override:
            override_error(self, head.status, headers)
            return
        if not head.explicit_status and head.status == 200 and judge_conditions(self, headers):
            return
        self.download = _RELAYING
        request = self.request
        request.send_head(head.status, head.reason, headers, head.content_length)
        request.registerProducer(self, True)

    def body_received(self, data: bytes) -> None:
        self.request.write(data)

    def pieces_received(self) -> None:
        if self.download is _RELAYING:
            self.request.flush()

    def response_complete(self) -> None:
        self.download = _ENDED
        self._release(None)
        self.request.unregisterProducer()
        self.request.finish()

    def response_failed(self, error: BackendError) -> None:
        if not self._repeat(error):
            self._fail(error)

    def _repeat(self, error: BackendError) -> bool:
        """Whether the request goes to another member, which may be there already."""
        client, dispatch, request = self._client, self.dispatch, self.request
        assert client is not None  # it has said so
        variables = dispatch.environment()
        told = why_not_repeated(request.method, client, error, self._body)
        if told:
            # Of a backend that stands alone nobody expects it.
            self._not_repeated = told if variables or dispatch.kept else ""
            return False
        for name in variables:
            request.environment.pop(name, None)
        backend, self._backend = self._backend, self._resource.pool.name
        self._client = None
        phase = client.last_phase.value
        if dispatch.retry(error, phase=phase, sent=client.sent, received=client.received):
            return True
        self._client, self._backend = client, backend
        self._not_repeated = dispatch.not_repeated
        request.environment.update(variables)
        return False

    def upload_failed(self, failure: Failure) -> None:
        self._fail(failure.value or GatewayError("the upload failed without a reason"))

    def _give_up(self, error: HeadersTooLarge) -> None:
        """The connection is of no use, though its backend has done nothing wrong."""
        self._cancel_dispatch()
        self._fail(error)

    # -- the end -------------------------------------------------------------------------------

    def deadline_passed(self) -> None:
        """ProxyMaxDuration is over, whoever is waited for."""
        if self._client is not None:
            self._client.cancel()
        else:
            self._cancel_dispatch()
        self._fail(DurationExceeded("it was not over within ProxyMaxDuration"))

    def _cancel_dispatch(self) -> None:
        dispatch, self.dispatch = self.dispatch, None
        if dispatch is not None:
            dispatch.cancel()

    def _fail(self, error: BaseException) -> None:
        """An error page while that is possible, an abort when it is not."""
        request = self.request
        self.download = _ENDED
        description = self.description()
        self._release(error if isinstance(error, BackendError) else None)
        self._free_body()
        request.unregisterProducer()
        request.site.answer_error(request, error, description)

    def hand_over(self) -> None:
        """The answer comes from elsewhere: the backend has done its part. See `web.responsehead`."""
        self.download = _ENDED
        if self._client is not None:
            self._client.cancel()
        self._release(None)
        self._free_body()

    def _client_gone(self) -> None:
        if self.download is _ENDED:
            return
        self.download = _ENDED
        if self._client is not None:
            self._client.cancel()
        self._cancel_dispatch()
        if self.deadline != inf:
            self._resource.wheel.forget(self)
        self._free_body()

    def _release(self, fault: BackendError | None) -> None:
        if self.deadline != inf:
            self._resource.wheel.forget(self)
        client = self._client
        dispatch, self.dispatch = self.dispatch, None
        if dispatch is not None and client is not None:
            dispatch.release(fault, sent=client.sent, received=client.received)

    def _free_body(self) -> None:
        if self._body is not None:
            self._body.settle()
            self._body.stopProducing()
        self.request.stop_spooling()

    # -- the client's pace ---------------------------------------------------------------------

    def pauseProducing(self) -> None:
        if self._client is not None:
            self._client.pause_response()

    def resumeProducing(self) -> None:
        if self._client is not None:
            self._client.resume_response()

    def stopProducing(self) -> None:
        """The client has gone; `on_gone` says so too."""

    def description(self) -> str:
        """For the log: where the exchange stood, with whom, and what had gone each way; and why
        with nobody else."""
        client, dispatch = self._client, self.dispatch
        if client is None:
            phase = "spool" if self.upload is _SPOOLING else "connect"
            return f"phase={phase} backend={self._backend}"
        told = (
            f"phase={client.last_phase.value} backend={self._backend}"
            f" sent={client.sent} received={client.received} first={client.first_bytes!r}"
        )
        if dispatch is not None and dispatch.reasons:
            told += f" before={'; '.join(map(str, dispatch.reasons))!r}"
        if self._not_repeated and not client.received:
            told += f" not repeated: {self._not_repeated}"
        return told


classImplements(Exchange, ICall, IDeadline, IResponseReceiver, IPushProducer)
