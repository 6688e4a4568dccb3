"""All the numbers of a gateway at one moment, of one process or of several.

`GatewayNumbers` is what the gateway's own pages show; the service makes one whenever somebody asks.
What is counted stays in the objects that count it: nothing is kept twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred

from scgiproxy.pool.histogram import Histogram
from scgiproxy.pool.statistics import PoolStatistics
from scgiproxy.pool.timeline import Chart
from scgiproxy.rules.health import ProbeResult
from scgiproxy.web.statistics import ConnectionPhase

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class TimelineNumbers(Protocol):
    """What is shown of durations; `pool.statistics.Timeline` is one."""

    @property
    def spent(self) -> float: ...

    def overall(self) -> Histogram: ...

    def recent(self, now: float) -> Histogram: ...

    def chart(self, now: float) -> Chart: ...


class MountNumbers(TimelineNumbers, Protocol):
    """What is shown of a mount; `MountStatistics` is one."""

    @property
    def server(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def in_flight(self) -> int: ...

    @property
    def aborted(self) -> int: ...

    @property
    def bytes_received(self) -> int: ...

    @property
    def bytes_sent(self) -> int: ...

    @property
    def requests(self) -> int: ...

    def answers(self) -> Mapping[tuple[str, str], int]: ...


class BackendTimes(TimelineNumbers, Protocol):
    """What is shown of a backend's exchanges; `pool.statistics.BackendStatistics` is one."""

    @property
    def connect(self) -> Histogram: ...

    @property
    def first_byte(self) -> Histogram: ...

    @property
    def errors(self) -> Mapping[str, int]: ...


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
    def statistics(self) -> BackendTimes: ...


class Fault(Protocol):
    """What went wrong; `str` says it in words. `errors.BackendError` is one."""

    @property
    def log_key(self) -> str: ...


class MemberNumbers(BackendNumbers, Protocol):
    """What is shown besides of a member of a balancer."""

    @property
    def errors(self) -> int:
        """Faults that count against it."""

    @property
    def load(self) -> float:
        """What the balancing method keeps."""

    @property
    def factor(self) -> int:
        """The load factor of this moment, in hundredths."""

    @property
    def down_until(self) -> float:
        """When it is tried again, if it is in error."""

    @property
    def last_fault(self) -> Fault | None: ...

    @property
    def last_fault_at(self) -> float: ...

    @property
    def last_probe(self) -> ProbeResult | None: ...


class PoolNumbers(Protocol):
    """What is shown of a pool; `pool.dispatch.Pool` is one."""

    @property
    def name(self) -> str:
        """Of a balancer with ``balancer://``; else the backend's label."""

    @property
    def balanced(self) -> bool:
        """Whether it is a balancer, and not a backend that stands alone."""

    @property
    def backends(self) -> Sequence[MemberNumbers]: ...

    @property
    def queued(self) -> int:
        """Requests in its queue."""

    @property
    def statistics(self) -> PoolStatistics: ...


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """Seconds of processor time: of the process, or of all processes that still run, and of those
    that these had started and that have ended."""

    user: float = 0.0
    system: float = 0.0
    children_user: float = 0.0
    children_system: float = 0.0

    @property
    def spent(self) -> float:
        """All of it."""
        return self.user + self.system + self.children_user + self.children_system


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerNumbers:
    """One worker process.

    - `number`: from 1; one that takes the place of another has its number.
    - `started`: seconds since the epoch; `restarts`: how often another one has taken its place.
    - `requests`: those it has answered; `connections`: with clients; `busy`: those with a request.
    - `silent`: it does not answer, and what is told of it is from before.
    """

    number: int
    pid: int
    started: float
    restarts: int = 0
    requests: int = 0
    connections: int = 0
    busy: int = 0
    processor: ProcessorTime = ProcessorTime()
    silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayNumbers:
    """All there is to tell of a gateway, at the time `now`.

    - `software`: name and version; `started`, `now`: seconds since the epoch.
    - `configured`: when the configuration that is in force was read, in the same seconds (None: at the
      start); `is_current`: it was not read in vain since, for an error in it.
    - `mounts`: what was counted of requests. Each request is in one of them, so there is one
      without a path for each virtual host.
    - `pools`: backends that stand alone and balancers, in the order of the configuration.
    - `connections`: how many there are in each phase; `room`: for how many more the limit of open
      files, and MaxConnections, leave room.
    - `accepting`: False while others have to wait for that (of several processes, in all of them);
      `pauses`: how often that began. `refused`: connections over MaxConnectionsPerIP.
    - `spooled_bodies`, `spooled_bytes`: request bodies that are kept in memory or on disk;
      `spooled_disk`: what of it is on disk.
    - `processor`: what all processes have used.
    - `workers`: the processes that serve requests, if there are several; `restarts`: how often one
      was started in the place of one that had ended.
    - `of_all`: what to show in place of a pool of this process, if there are several: what was
      counted for it in all of them.
    - `registries`: the metrics of prometheus-client's own registry, of all workers; None if this
      process is the only one.
    """

    now: float
    started: float
    software: str = "scgiproxy"
    configured: float | None = None
    is_current: bool = True
    mounts: Sequence[MountNumbers] = ()
    pools: Sequence[PoolNumbers] = ()
    connections: Mapping[ConnectionPhase, int] = field(default_factory=dict)
    room: int = 0
    accepting: bool = True
    pauses: int = 0
    refused: int = 0
    spooled_bodies: int = 0
    spooled_bytes: int = 0
    spooled_disk: int = 0
    processor: ProcessorTime = ProcessorTime()
    workers: Sequence[WorkerNumbers] = ()
    restarts: int = 0
    of_all: Mapping[PoolNumbers, PoolNumbers] = field(default_factory=dict)
    registries: Sequence[Metric] | None = None

    @property
    def uptime(self) -> int:
        """Whole seconds since the start."""
        return max(int(self.now - self.started), 0)

    def covered(self, seconds: int) -> float:
        """How long the gateway has been there in the last `seconds` whole ones; at least 1."""
        return min(max(self.now // 1 - self.started, 1.0), seconds)

    def connections_in(self, *phases: ConnectionPhase) -> int:
        """How many connections are in one of `phases`."""
        return sum(self.connections.get(phase, 0) for phase in phases)

    def backends(self) -> Iterator[tuple[PoolNumbers, BackendNumbers]]:
        """Every backend with its pool."""
        for pool in self.pools:
            for backend in pool.backends:
                yield pool, backend


NumbersSource = Callable[[], "GatewayNumbers | Deferred[GatewayNumbers]"]
"""Where a page gets its numbers, each time it is shown. With several processes they have to be
asked for, and may be cancelled meanwhile; one process has them at once."""
