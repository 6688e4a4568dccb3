"""An answer that may have to wait for what it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from scgiproxy.errors import escaped
from scgiproxy.log.events import Logger
from scgiproxy.web.errorpage import error_page

T = TypeVar("T")
Answer = Callable[[T], "bytes | int"]
"""Like a Resource's `render`, with what was waited for."""

_log = Logger()


def answer_when_there(request: Request, value: T | Deferred[T], answer: Answer[T]) -> bytes | int:
    """Answer with `value`: at once if it is there, which costs nothing, or else when it is.

    If it fails, that is logged, and the answer is 503. When the client leaves it is cancelled.
    What this returns is for `render`.
    """
    if not isinstance(value, Deferred):
        return answer(value)
    left: list[Failure] = []

    def leave(reason: Failure) -> None:
        left.append(reason)
        value.cancel()

    def fail(failure: Failure) -> None:
        if left and failure.check(CancelledError):
            return
        _log.warn(
            "{uri} cannot be answered now: {error}",
            uri=escaped(request.uri),
            error=str(failure.value) or type(failure.value).__name__,
            request=request,
        )
        request.setResponseCode(503)
        headers, body = error_page(503, "The numbers cannot be had now. Please try again later.")
        for name, told in headers:
            request.responseHeaders.setRawHeaders(name, [told])
        _send(request, body)

    def broken(failure: Failure) -> None:
        request.processingFailed(failure)

    request.notifyFinish().addErrback(leave)
    shown = value.addCallbacks(lambda there: _send(request, answer(there)), fail)
    shown.addErrback(broken)
    return NOT_DONE_YET


def _send(request: Request, body: bytes | int) -> None:
    """As `Request.render` does it with what a Resource has returned."""
    if isinstance(body, int):
        return
    request.setHeader(b"Content-Length", b"%d" % len(body))
    request.write(b"" if request.method == b"HEAD" else body)
    request.finish()
