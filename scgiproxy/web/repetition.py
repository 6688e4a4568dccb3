"""Which requests are sent once more, when a backend has gone with them: to another member of their
balancer, or, if that was on a connection that had been kept ready, to the same backend.

That is for the sender to know: a backend that closes without a word may have done what it was told
(RFC 9110 section 9.2.2). Only what does no harm when it is done twice goes out again, and only
whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scgiproxy.errors import BackendError, SendFailed, TruncatedResponse, escaped
from scgiproxy.log.events import Logger
from scgiproxy.rules.facts import IDEMPOTENT

if TYPE_CHECKING:
    from scgiproxy.web.request import GatewayRequest
    from scgiproxy.wire.body import RequestBody
    from scgiproxy.wire.client import ScgiClientProtocol

_log = Logger()


def why_not_repeated(
    method: bytes, client: ScgiClientProtocol, error: BackendError, body: RequestBody | None
) -> str:
    """Why the request that `client` has failed with may not be sent again; empty if it may be, and
    then `body` is at its beginning.

    The backend must have closed before any byte of an answer; one that is only slow may still be
    at it. And the method must be one of `IDEMPOTENT`, or nothing have been sent yet.
    """
    if client.received:
        return "an answer had begun"
    if not isinstance(error, SendFailed | TruncatedResponse):
        return "it may still be at work on it"
    if client.sent and method not in IDEMPOTENT:
        return f"{escaped(method)} may have been carried out"
    if body is not None and not body.rewind():
        return "its body is not held any more"
    return ""


def tell_attempts(
    request: GatewayRequest, label: str, reasons: Sequence[Exception], repeated: bool
) -> None:
    """Log that the backend `label` answers a request that others did not take, or have failed with
    (`repeated`)."""
    _log.info(
        "{log_key}: {label} answers after {reasons} ({client} {method} {uri}"
        " elapsed={elapsed:.3f} s)",
        log_key="backend.repeated" if repeated else "backend.failover",
        label=label,
        reasons="; ".join(map(str, reasons)),
        client=request.channel.remote,
        method=escaped(request.method),
        uri=escaped(request.uri, 200),
        elapsed=request.site.seconds() - request.started,
        request=request,
    )
