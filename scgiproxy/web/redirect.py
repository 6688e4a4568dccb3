"""Internal redirects: a request goes through the site again, at another target.

For a backend's local redirect (ProxySCGIInternalRedirect) and for an ErrorDocument that is a path
of ours. The client sees one answer; the second pass sees ``REDIRECT_*`` variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scgiproxy.errors import BadResponse, GatewayError, quoted
from scgiproxy.message.environ import block_variables, redirect_variables
from scgiproxy.message.headers import HeaderList
from scgiproxy.message.target import parse_local_reference

if TYPE_CHECKING:
    from scgiproxy.web.request import GatewayRequest

# Of the first answer, these belong to its body; all others go into the final answer.
_TRANSIENT = frozenset(
    (b"content-type", b"location", b"etag", b"content-range", b"last-modified", b"date", b"server")
)
_BODY_FIELDS = frozenset((b"content-length", b"transfer-encoding", b"expect"))


def redirect_internally(
    request: GatewayRequest, target: bytes, headers: HeaderList, block: bytes
) -> None:
    """Serve `target` (it begins with a slash) in place of a backend's answer.

    `headers` are of that answer, `block` its request's variables. Its Content-Type is that of a
    file whose extension says none, as in Apache. The method becomes GET (HEAD stays), the body is
    over. Raises GatewayError over LimitInternalRecursion, BadResponse for a
    target that is none.
    """
    request.redirects += 1
    limit = request.host_resource.server.limit_internal_recursion
    if request.redirects > limit:
        raise GatewayError(f"over {limit} internal redirects (LimitInternalRecursion)")
    request.carried = request.carried + [
        item for item in headers if item[0].lower() not in _TRANSIENT
    ]
    types = [value for name, value in headers if name.lower() == b"content-type"]
    if types:
        request.default_type = types[-1]
    _pass_on(request, target, block_variables(block), 200)


def show_error_document(
    request: GatewayRequest, status: int, target: bytes, headers: HeaderList
) -> None:
    """Serve `target`, a path of ours, as the page of an error answer that keeps `status`."""
    request.carried = request.carried + headers
    request.error_status = status
    request.default_type = None
    # The page is about the error: no condition and no range is about the page.
    request.raw_headers = [
        item for item in request.raw_headers if not item[0].startswith((b"if-", b"range"))
    ]
    previous = {**request.environment, b"REQUEST_METHOD": request.method}
    _pass_on(request, target, previous, status)


def _pass_on(
    request: GatewayRequest, value: bytes, previous: dict[bytes, bytes], status: int
) -> None:
    try:
        raw = parse_local_reference(value)
    except ValueError as error:
        raise BadResponse(f"the backend redirects to {quoted(value)}: {error}") from error
    target = getattr(request, "target", None)
    environment = redirect_variables(
        previous,
        status=status,
        url=target.path if target is not None else b"",
        query=target.query if target is not None else b"",
    )
    if request.method != b"HEAD":
        request.method = b"GET"
    request.raw_headers = [item for item in request.raw_headers if item[0] not in _BODY_FIELDS]
    request.start_again(environment)
    request.site.reroute(request, raw)
