"""What is counted of requests, and all the numbers of a gateway at one moment.

`GatewayNumbers` is what `web.metrics` and `web.serverstatus` show; the service makes one whenever
somebody asks. What is counted stays in the objects that count it: nothing is kept twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from scgiproxy.pool.statistics import BackendStatistics, PoolStatistics, Timeline

if TYPE_CHECKING:
    from scgiproxy.web.request import GatewayRequest

NO_MOUNT = "none"
"""In place of a mount's path: files, plugins, and requests that were refused before any mount."""

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "other")
_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx", *("other",) * 4)
_WIDTH = len(_CLASSES)
_ROWS = {name.encode(): row * _WIDTH for row, name in enumerate(_METHODS[:-1])}
_OTHER_ROW = len(_ROWS) * _WIDTH


class MountStatistics(Timeline):
    """Of the requests that one mount has answered.

    The timeline's durations are from the end of the request's head to the end of the answer; its
    errors are answers with a status from 500 on.

    - `server`: the name of the virtual host, empty if it has none; `path`: of the mount.
    - `in_flight`: requests at this moment. Whoever gives a request to the mount counts it up, and
      down when it has been answered or goes elsewhere.
    - `aborted`: answers that were broken off, by the client or because they could not be whole.
    - `bytes_received`, `bytes_sent`: of bodies.
    """

    __slots__ = (
        "_answers",
        "aborted",
        "bytes_received",
        "bytes_sent",
        "in_flight",
        "path",
        "server",
    )

    def __init__(self, server: str = "", path: str = NO_MOUNT) -> None:
        super().__init__()
        self.server = server
        self.path = path
        self.in_flight = 0
        self.aborted = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self._answers = [0] * (len(_METHODS) * _WIDTH)

    def __repr__(self) -> str:
        return (
            f"<MountStatistics {self.server}{self.path} {self.requests} requests,"
            f" {self.in_flight} in flight>"
        )

    def record(
        self,
        now: float,
        seconds: float,
        method: bytes,
        status: int,
        received: int,
        sent: int,
        aborted: bool = False,
    ) -> None:
        """A request has been answered, or given up: then `status` may be 0.

        It took `seconds`; `received` and `sent` are the bytes of the bodies.
        """
        if not self._begins <= now < self._ends:
            self._turn(now)
        self._durations.append(seconds)
        if status >= 500:
            self._errors += 1
            status = min(status, 999)
        self._answers[_ROWS.get(method, _OTHER_ROW) + status // 100] += 1
        self.bytes_received += received
        self.bytes_sent += sent
        if aborted:
            self.aborted += 1

    @property
    def requests(self) -> int:
        """All that have been answered."""
        return sum(self._answers)

    def answers(self) -> dict[tuple[str, str], int]:
        """How many requests there were, by method (``other`` for what RFC 9110 does not know) and
        status class (``2xx``; ``none`` if the client left before there was a status).

        Methods that have not been seen are left out. Those that have, have the classes from 2xx to
        5xx even where that is 0.
        """
        found: dict[tuple[str, str], int] = {}
        for row, method in enumerate(_METHODS):
            counts = self._answers[row * _WIDTH : (row + 1) * _WIDTH]
            if not any(counts):
                continue
            found |= {(method, name): 0 for name in _CLASSES[2:6]}
            for name, count in zip(_CLASSES, counts, strict=True):
                if count:
                    found[method, name] = found.get((method, name), 0) + count
        return found

    def by_class(self) -> dict[str, int]:
        """The same without the methods."""
        found: dict[str, int] = {}
        for (_, name), count in self.answers().items():
            found[name] = found.get(name, 0) + count
        return found


def count_answer(request: GatewayRequest, now: float) -> None:
    """The answer to `request` has ended, well or not: record it where it was answered."""
    statistics = request.statistics
    if statistics is None:
        statistics = request.host_resource.statistics
    else:
        statistics.in_flight -= 1
    statistics.record(
        now,
        now - request.started,
        request.original_method,
        request.status_sent,
        request.body_read,
        request.body_sent,
        request.gone,
    )


class ConnectionPhase(Enum):
    """What a client's connection is at."""

    READING = "reading"
    """The head or the body of a request; the first request of a new connection included."""
    WAITING = "waiting"
    """For a backend: its connection, or its response head."""
    SENDING = "sending"
    """An answer."""
    IDLE = "idle"
    """Kept alive for another request."""
    CLOSING = "closing"
    """Answered for the last time, and being closed."""


BACKEND_STATES = (
    "up",
    "recovering",
    "probation",
    "down",
    "unhealthy",
    "draining",
    "disabled",
    "stopped",
)
"""The words for `BackendNumbers.state_name`. The first four are those of `pool.backend.Condition`;
unhealthy is what health checks say, the rest is what somebody has set."""

USED_STATES = frozenset(("up", "recovering"))
"""The states in which any request may go there."""


class BackendNumbers(Protocol):
    """What is shown of a backend; `pool.backend.Backend` is one."""

    @property
    def label(self) -> str: ...

    @property
    def state_name(self) -> str:
        """One of `BACKEND_STATES`."""

    @property
    def status_words(self) -> str:
        """The status as Apache's balancer-manager shows it: ``Init Ok ``."""

    @property
    def limit(self) -> int | None:
        """Most requests at a time."""

    @property
    def in_flight(self) -> int: ...

    @property
    def elected(self) -> int:
        """How often it was chosen."""

    @property
    def bytes_sent(self) -> int:
        """To the backend."""

    @property
    def bytes_received(self) -> int: ...

    @property
    def statistics(self) -> BackendStatistics: ...


class PoolNumbers(Protocol):
    """What is shown of a pool; `pool.dispatch.Pool` is one."""

    @property
    def name(self) -> str:
        """Of a balancer with ``balancer://``; else the backend's label."""

    @property
    def balanced(self) -> bool:
        """Whether it is a balancer, and not a backend that stands alone."""

    @property
    def backends(self) -> Sequence[BackendNumbers]: ...

    @property
    def queued(self) -> int:
        """Requests in its queue."""

    @property
    def statistics(self) -> PoolStatistics: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayNumbers:
    """All there is to tell of a gateway, at the time `now`.

    - `software`: name and version; `started`, `now`: seconds since the epoch.
    - `mounts`: what was counted of requests. Each request is in one of them, so there is one
      without a path for each virtual host.
    - `pools`: backends that stand alone and balancers, in the order of the configuration.
    - `connections`: how many there are in each phase; `room`: for how many more the limit of open
      files leaves room.
    - `spooled_bodies`, `spooled_bytes`: request bodies that are kept in memory or on disk.
    """

    now: float
    started: float
    software: str = "scgiproxy"
    mounts: Sequence[MountStatistics] = ()
    pools: Sequence[PoolNumbers] = ()
    connections: Mapping[ConnectionPhase, int] = field(default_factory=dict)
    room: int = 0
    spooled_bodies: int = 0
    spooled_bytes: int = 0

    @property
    def uptime(self) -> int:
        """Whole seconds since the start."""
        return max(int(self.now - self.started), 0)

    def connections_in(self, *phases: ConnectionPhase) -> int:
        """How many connections are in one of `phases`."""
        return sum(self.connections.get(phase, 0) for phase in phases)

    def backends(self) -> Iterator[tuple[PoolNumbers, BackendNumbers]]:
        """Every backend with its pool."""
        for pool in self.pools:
            for backend in pool.backends:
                yield pool, backend


NumbersSource = Callable[[], GatewayNumbers]
"""Where a page gets its numbers, each time it is shown."""
