"""Every error of the package, in one tree.

::

    ScgiProxyError
     +-- ClientError             what a client sent, or did not send
     |    +-- BadRequest         400  malformed; nothing of it reaches a backend
     |    +-- Unauthorized       401  `challenge` is its WWW-Authenticate
     |    +-- NotFound           404
     |    +-- Forbidden          403
     |    +-- RequestTimeout     408
     |    +-- BodyTooLarge       413
     |    +-- TargetTooLong      414
     |    +-- ExpectationFailed  417
     |    +-- HeadersTooLarge    431
     |    +-- NotImplementedHere 501
     |    +-- ClientGone         499  never sent: there is nobody to send it to
     +-- BackendError            what a backend did, or did not do
     |    +-- Unavailable        503  no backend could be used: `reasons` says why, one by one
     |    +-- ConnectFailed      503
     |    |    +-- BackendBusy   503  its queue of connections is full
     |    |    +-- OutOfSockets  503  the gateway has no descriptor or port left
     |    |    +-- NameNotFound  503  its host name has no address
     |    |    +-- TlsFailed     503  no TLS with it, or not with who it should be
     |    +-- QueueTimeout       503  no free slot in time (`max`, `acquire`)
     |    +-- SendFailed         502  the backend stopped reading before it answered
     |    +-- HeadTimeout        504  no complete response head in time
     |    +-- BodyTimeout        504  too long between two pieces of the body
     |    +-- BadResponse        502  bytes that are no CGI response
     |    +-- TruncatedResponse  502  closed before the end
     |    +-- FailedStatus       -    answered with a status that counts as a failure
     +-- GatewayError            500  what the gateway itself could not do (redirect loop, lost file)
     |    +-- SpoolError         503  a body could not be kept: its folder is gone, or not writable
     |         +-- SpoolFull     503  other bodies have all that SpoolMaxTotal allows
     |         +-- DiskFull      507
     |    +-- OutOfDescriptors   503  no more files can be opened now
     |    +-- DurationExceeded   504  the exchange was not over within ProxyMaxDuration
     +-- ConfigError             a configuration file: `problems` holds every one

Each class has a status hint, for who must answer, and a log key, for who greps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


def escaped(data: bytes, most: int = 80) -> str:
    """Bytes of a peer as they stand in a message: printable ASCII, with escapes as in ``\\x00``.

    At most `most` of them; ``...`` says that there were more.
    """
    return repr(data[:most])[2:-1] + ("..." if len(data) > most else "")


def quoted(data: bytes, most: int = 80) -> str:
    """As `escaped`, in quotes."""
    return repr(data[:most])[1:] + ("..." if len(data) > most else "")


class ScgiProxyError(Exception):
    """The root of the tree. `status` is the HTTP status to answer with; `log_key` is stable."""

    status: ClassVar[int] = 500
    log_key: ClassVar[str] = "gateway.error"


class ClientError(ScgiProxyError):
    """The client's fault. No backend is counted as failed for one of these."""

    status = 400
    log_key = "client.error"


class BadRequest(ClientError):
    """A malformed request (RFC 9112 section 3)."""

    log_key = "client.bad_request"


class Unauthorized(ClientError):
    """No credentials, or wrong ones (RFC 9110 section 15.5.2)."""

    status = 401
    log_key = "client.unauthorized"

    def __init__(self, message: str, challenge: bytes) -> None:
        super().__init__(message)
        self.challenge = challenge


class NotFound(ClientError):
    status = 404
    log_key = "client.not_found"


class Forbidden(ClientError):
    status = 403
    log_key = "client.forbidden"


class RequestTimeout(ClientError):
    """The client did not send its request in time (RFC 9110 section 15.5.9)."""

    status = 408
    log_key = "client.timeout"


class BodyTooLarge(ClientError):
    """The body is over ``LimitRequestBody`` bytes."""

    status = 413
    log_key = "client.body_too_large"


class TargetTooLong(ClientError):
    """The request line is over ``LimitRequestLine`` bytes."""

    status = 414
    log_key = "client.target_too_long"


class ExpectationFailed(ClientError):
    """An ``Expect`` other than ``100-continue`` (RFC 9110 section 10.1.1)."""

    status = 417
    log_key = "client.expectation_failed"


class HeadersTooLarge(ClientError):
    """Over ``LimitRequestFields`` fields, or one over ``LimitRequestFieldSize`` bytes."""

    status = 431
    log_key = "client.headers_too_large"


class NotImplementedHere(ClientError):
    """A method, a transfer coding or an HTTP version this server does not know."""

    status = 501
    log_key = "client.not_implemented"


class ClientGone(ClientError):
    """The client left before its answer was complete. 499 is for the log only."""

    status = 499
    log_key = "client.gone"


class BackendError(ScgiProxyError):
    """The backend's fault.

    - `counts`: whether a balancer member is put in error for it; being busy is no fault.
    - `too_slow`: it counts only with ``failontimeout``.
    - `unreachable`: there was no connection at all.
    """

    counts: ClassVar[bool] = True
    too_slow: ClassVar[bool] = False
    unreachable: ClassVar[bool] = False
    status = 502
    log_key = "backend.error"


class ConnectFailed(BackendError):
    """No connection to the backend: refused, missing socket, no permission, too slow."""

    unreachable = True
    status = 503
    log_key = "backend.connect"


class BackendBusy(ConnectFailed):
    """The backend's listen queue is full (EAGAIN on a UNIX socket). It works, and slowly."""

    counts = False
    log_key = "backend.busy"


class OutOfSockets(ConnectFailed):
    """The gateway has no file descriptor or local port left for one more connection."""

    counts = False
    log_key = "gateway.sockets"


class NameNotFound(ConnectFailed):
    """The backend's host name could not be resolved; which says nothing about the backend."""

    counts = False
    log_key = "backend.name"


class TlsFailed(ConnectFailed):
    """The TLS handshake with the backend failed, or its certificate is not to be trusted."""

    log_key = "backend.tls"


class QueueTimeout(BackendError):
    """No free slot within ``acquire``. The backend is busy, not faulty."""

    counts = False
    status = 503
    log_key = "backend.queue"


class Unavailable(BackendError):
    """No backend could be used; `reasons` has one error for each that was tried."""

    counts = False
    status = 503
    log_key = "backend.unavailable"

    def __init__(self, message: str, reasons: Sequence[Exception] = ()) -> None:
        super().__init__(message)
        self.reasons = tuple(reasons)


class SendFailed(BackendError):
    """The backend closed while the request was still being sent, and had not answered."""

    log_key = "backend.send"


class HeadTimeout(BackendError):
    too_slow = True
    status = 504
    log_key = "backend.head_timeout"


class BodyTimeout(BackendError):
    too_slow = True
    status = 504
    log_key = "backend.body_timeout"


class BadResponse(BackendError):
    """The backend's bytes are no CGI response (RFC 3875 section 6)."""

    log_key = "backend.bad_response"


class TruncatedResponse(BackendError):
    """The backend closed before the end of its head, or short of its Content-Length."""

    log_key = "backend.truncated"


class FailedStatus(BackendError):
    """An answer whose status the balancer's ``failonstatus`` names; the client gets it all the
    same."""

    log_key = "backend.status"


class GatewayError(ScgiProxyError):
    """The gateway could not do its own part."""


class SpoolError(GatewayError):
    """A body could not be kept until it is sent, nor the file for it be made."""

    status = 503
    log_key = "gateway.spool"


class SpoolFull(SpoolError):
    """Other bodies have all the room that there is (``SpoolMaxTotal``): it passes, so 503 tells the
    client when to come again (RFC 9110 section 10.2.3)."""

    retry_after: ClassVar[int] = 10
    """Seconds."""
    log_key = "gateway.spool_full"


class DiskFull(SpoolError):
    """The disk, or what of it this user or one file may have, is full (RFC 4918 section 11.5)."""

    status = 507
    log_key = "gateway.disk_full"


class DurationExceeded(GatewayError):
    """The whole exchange took longer than ``ProxyMaxDuration``, whoever is to blame for that."""

    status = 504
    log_key = "gateway.max_duration"


class OutOfDescriptors(GatewayError):
    """No more files can be opened, or there is no memory for that; it passes."""

    status = 503
    log_key = "gateway.sockets"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to tell the author of a configuration file.

    `file` and `line` (1-based, the last physical line of a continued directive) say where; line 0
    is the file as a whole, such as one that cannot be read. `is_error` is False for a warning or a note.
    """

    file: str
    line: int
    message: str
    is_error: bool = True

    @property
    def where(self) -> str:
        """``FILE:LINE``, or the file alone."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class ConfigError(ScgiProxyError):
    """A configuration that cannot be used. `problems` has every problem, in file order."""

    log_key = "config.error"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
