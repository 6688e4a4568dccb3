"""Answers that are not a resource's: error pages, and ErrorDocument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scgiproxy.errors import ClientError, ScgiProxyError, SpoolFull, Unauthorized
from scgiproxy.message.headers import HeaderList
from scgiproxy.rules.settings import ErrorDocument, ErrorDocumentKind
from scgiproxy.web.errorpage import error_page
from scgiproxy.web.redirect import show_error_document

if TYPE_CHECKING:
    from scgiproxy.web.request import GatewayRequest

# After these the connection's state is not to be trusted, or the client is to be got rid of.
_CLOSING = frozenset((400, 408, 411, 413, 414, 417, 431, 501))


def answer_error(request: GatewayRequest, error: BaseException) -> None:
    """The answer for `error`, by its status; 500 for what is not one of ours.

    What a client did wrong is told on the page; what a backend did is for the log only.
    """
    status = error.status if isinstance(error, ScgiProxyError) else 500
    message = str(error) if isinstance(error, ClientError) and status in _CLOSING else ""
    headers: HeaderList = []
    if isinstance(error, Unauthorized):
        headers.append((b"WWW-Authenticate", error.challenge))
    elif isinstance(error, SpoolFull):
        headers.append((b"Retry-After", b"%d" % error.retry_after))
    answer_status(request, status, headers, message)


def answer_status(
    request: GatewayRequest, status: int, headers: HeaderList, message: str = ""
) -> None:
    """An answer of our own with that status: the ErrorDocument, or our page."""
    if request.gone or request.finished:
        return
    if status in _CLOSING:
        request.keep_alive = False
    request.is_error_page = True
    if request.error_status:
        # An error document failed. It is still the first error that is told.
        status, headers, message = request.error_status, [], ""
    document = _document(request, status)
    if document is not None and document.kind is ErrorDocumentKind.LOCAL:
        show_error_document(request, status, document.value, headers)
        return
    if document is not None and document.kind is ErrorDocumentKind.REDIRECT:
        status, message = 302, ""
        headers = [*headers, (b"Location", document.value)]
    if document is not None and document.kind is ErrorDocumentKind.TEXT:
        described: HeaderList = [(b"Content-Type", b"text/html; charset=utf-8")]
        body = document.value
    else:
        described, body = error_page(status, message)
    request.send_head(status, None, [*headers, *described], len(body))
    request.write(body)
    request.finish()


def _document(request: GatewayRequest, status: int) -> ErrorDocument | None:
    if request.error_status:
        return None
    # Nothing of a malformed request goes any further, to an error document neither.
    sound = request.refusal is None and (status != 400 or hasattr(request, "target"))
    settings = request.settings or request.host_resource.base_settings
    document = settings.error_documents.get(status)
    if document is None or document.kind is ErrorDocumentKind.DEFAULT:
        return None
    if document.kind is ErrorDocumentKind.LOCAL and not sound:
        return None
    return document
