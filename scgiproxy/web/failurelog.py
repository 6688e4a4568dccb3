"""The log lines of requests that failed: one for each, but no flood of them."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from zope.interface import implementer

from scgiproxy.errors import ClientError, ClientGone, ScgiProxyError, escaped
from scgiproxy.interfaces import IDeadline
from scgiproxy.wire.deadline import DeadlineWheel

if TYPE_CHECKING:
    from scgiproxy.web.request import GatewayRequest

MOST = 10
"""Lines of one kind within `SPAN`."""

SPAN = 1.0
"""Seconds."""

# What clients get every day, and nobody wants to read; with a backend in it, it is news.
_EVERYDAY = frozenset((401, 403, 404, 405, 408, 412, 416))


class FailureLog:
    """Logs each request that failed in one line.

    Backends that are down, a disk that is full, or clients that mean it can make thousands of them a
    second. Of failures with the same key on the same mount `MOST` are told within `SPAN`; the others
    at the level debug, and at its end how many they were. What no error of the gateway's says is told
    each time.

    - `wheel`: has the ends of the spans, while there is something to tell then.
    """

    def __init__(self, log: Logger, wheel: DeadlineWheel) -> None:
        self._log = log
        self._wheel = wheel
        # As many as there are mounts and keys, at most.
        self._kinds: dict[tuple[int, str], _Kind] = {}

    def tell(self, request: GatewayRequest, error: BaseException, detail: str = "") -> None:
        """`request` has failed with `error`; `detail` is how far it had come."""
        log = self._log
        now = request.site.seconds()
        if isinstance(error, ClientGone):
            level: Any = log.debug
        elif isinstance(error, ClientError) and error.status in _EVERYDAY and not detail:
            level = log.info
        elif isinstance(error, ScgiProxyError) and self._is_one_too_many(request, error, now):
            level = log.debug
        else:
            level = log.warn
        level(
            "{log_key}: {error} ({client} {method} {uri} elapsed={elapsed:.3f} s{detail})",
            log_key=getattr(error, "log_key", "gateway.error"),
            error=str(error),
            client=request.channel.remote,
            method=escaped(request.method),
            uri=escaped(request.uri, 200),
            elapsed=now - request.started,
            detail=" " + detail if detail else "",
            request=request,
        )

    def _is_one_too_many(
        self,
        request: GatewayRequest,
        error: ScgiProxyError,
        now: float,
    ) -> bool:
        mapped = request.mapped
        # Mounts live as long as the site serves them, as their virtual hosts do.
        place = id(request.host_resource if mapped is None else mapped.mount)
        kind = self._kinds.get((place, error.log_key))
        if kind is None:
            kind = self._kinds[place, error.log_key] = _Kind(self._log, error.log_key)
        return kind.add(request, now, self._wheel)


@implementer(IDeadline)
class _Kind:
    """The failures of one kind."""

    __slots__ = ("_count", "_example", "_log", "_log_key", "_since", "deadline")

    def __init__(self, log: Logger, log_key: str) -> None:
        self.deadline = inf
        self._log = log
        self._log_key = log_key
        self._since = -inf
        self._count = 0
        self._example: GatewayRequest | None = None

    def add(self, request: GatewayRequest, now: float, wheel: DeadlineWheel) -> bool:
        """Count one; True if it is beyond `MOST`."""
        if self._example is None and now >= self._since + SPAN:
            self._since = now
            self._count = 0
        self._count += 1
        if self._count <= MOST:
            return False
        if self._example is None:
            self._example = request
            self.deadline = self._since + SPAN
            wheel.watch(self)
        return True

    def deadline_passed(self) -> None:
        """Tell how many were left out."""
        request, self._example = self._example, None
        count, self._count = self._count - MOST, 0
        self._since = -inf
        self._log.warn(
            "{log_key}: {count} more requests failed with this key within {seconds:g} s"
            " (LogLevel debug tells each)",
            log_key=self._log_key,
            count=count,
            seconds=SPAN,
            request=request,
        )
