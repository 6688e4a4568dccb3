"""All numbers of several processes, from the parent to the worker that shows them.

A page is told what it shows, and no more: of many mounts and members each kind of number takes its
milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY
from prometheus_client.core import Metric

from scgiproxy.pool.backend import Backend
from scgiproxy.pool.statistics import PoolStatistics
from scgiproxy.pool.toldstatistics import (
    ToldBackendStatistics,
    ToldTimeline,
    tell_backend,
    tell_timeline,
)
from scgiproxy.rules.health import ProbeResult
from scgiproxy.service.workers.counts import Sums, WorkerState
from scgiproxy.web.gatewaynumbers import (
    GatewayNumbers,
    MemberNumbers,
    ProcessorTime,
    WorkerNumbers,
)
from scgiproxy.web.modstatus import BUSY
from scgiproxy.web.statistics import ConnectionPhase, MountStatistics, named_answers

if TYPE_CHECKING:
    from scgiproxy.service.build import GatewayParts


@dataclass(frozen=True)
class Content:
    """What a page shows of mounts and backends: which of them, all that there was since the start,
    and the last two minutes."""

    mounts: bool = True
    single: bool = True
    """Backends that stand alone, and no members."""
    overall: bool = False
    lately: bool = False


PAGES = {
    "metrics": Content(overall=True),
    "server-status": Content(lately=True),
    "balancer-manager": Content(mounts=False, single=False, lately=True),
}
"""By the name of SetHandler."""


def tell_numbers(
    page: str,
    numbers: GatewayNumbers,
    parts: GatewayParts,
    mounts: Sequence[MountStatistics],
    workers: Sequence[WorkerState],
) -> dict[str, Any]:
    """What `page` is to show, as JSON. `parts`, whose `numbers` and `mounts` these are, has counted
    for all `workers`."""
    content = PAGES[page]
    sums = Sums.of(workers)
    return {
        "now": numbers.now,
        "started": numbers.started,
        "configured": numbers.configured,
        "is_current": numbers.is_current,
        "software": numbers.software,
        "connections": {phase.value: count for phase, count in sums.connections.items()},
        "room": sums.room,
        "accepting": sums.accepting,
        "pauses": numbers.pauses,
        "refused": numbers.refused,
        "spooled": [sums.spooled_bodies, sums.spooled_bytes, sums.spooled_disk],
        "processor": _added([numbers.processor, *(worker.processor for worker in workers)]),
        "workers": [asdict(_worker(worker)) for worker in workers if worker.state],
        "mounts": [
            _mount(mount, sums.mounts[place], numbers.now, content)
            for place, mount in enumerate(mounts)
            if content.mounts
        ],
        "pools": [
            {
                "place": place,
                "name": pool.name,
                "balanced": pool.balanced,
                "queued": sums.queued[place],
                "queue": pool.statistics.queue.as_list(),
                "retries": pool.statistics.retries,
                "members": [
                    _member(
                        member,
                        sums.members[place, member.label],
                        sums.loads[place, member.label],
                        numbers.now,
                        content,
                    )
                    for member in pool.backends
                ],
            }
            for place, pool in enumerate(parts.pools)
            if content.single or pool.balanced
        ],
    }


def _added(times: Iterable[ProcessorTime]) -> list[float]:
    return [sum(each) for each in zip(*map(astuple, times), strict=True)]


def _worker(worker: WorkerState) -> WorkerNumbers:
    state = worker.state
    connections = {ConnectionPhase(name): n for name, n in state["connections"].items()}
    return WorkerNumbers(
        number=worker.number,
        pid=state["pid"],
        started=state["started"],
        restarts=worker.restarts,
        requests=worker.requests,
        connections=sum(connections.values()),
        busy=sum(connections.get(phase, 0) for phase in BUSY),
        processor=worker.processor,
        silent=worker.silent,
    )


def _mount(mount: MountStatistics, in_flight: int, now: float, content: Content) -> dict[str, Any]:
    told = tell_timeline(mount, now, overall=content.overall, lately=content.lately)
    return {
        "server": mount.server,
        "path": mount.path,
        "in_flight": in_flight,
        "aborted": mount.aborted,
        "bytes_received": mount.bytes_received,
        "bytes_sent": mount.bytes_sent,
        "answers": mount.answers_as_list(),
        **told,
    }


def _member(
    member: Backend, in_flight: int, load: float, now: float, content: Content
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "label": member.label,
        "state_name": member.state_name,
        "status_words": member.status_words,
        "limit": member.limit,
        "in_flight": in_flight,
        "elected": member.elected,
        "bytes_sent": member.bytes_sent,
        "bytes_received": member.bytes_received,
        "errors": member.errors,
        "load": load,
        "factor": member.factor,
        "down_until": member.down_until,
        "times": tell_backend(
            member.statistics, now, overall=content.overall, lately=content.lately
        ),
    }
    fault, probe = member.last_fault, member.last_probe
    if fault is not None:
        told["fault"] = [fault.log_key, str(fault), member.last_fault_at]
    if probe is not None:
        told["probe"] = [probe.at, probe.passed, probe.told, probe.seconds]
    return told


# -- in the worker -----------------------------------------------------------------------------


def told_numbers(told: Any, parts: GatewayParts) -> GatewayNumbers:
    """What `tell_numbers` has told; `parts` are those of this worker."""
    pools = [(parts.pools[pool["place"]], _ToldPool(pool)) for pool in told["pools"]]
    bodies, size, disk = told["spooled"]
    return GatewayNumbers(
        now=told["now"],
        started=told["started"],
        configured=told["configured"],
        is_current=told["is_current"],
        software=told["software"],
        mounts=[_ToldMount(mount) for mount in told["mounts"]],
        pools=[pool for _, pool in pools],
        connections={ConnectionPhase(name): n for name, n in told["connections"].items()},
        room=told["room"],
        accepting=told["accepting"],
        pauses=told["pauses"],
        refused=told["refused"],
        spooled_bodies=bodies,
        spooled_bytes=size,
        spooled_disk=disk,
        processor=ProcessorTime(*told["processor"]),
        workers=[
            WorkerNumbers(**{**worker, "processor": ProcessorTime(**worker["processor"])})
            for worker in told["workers"]
        ],
        restarts=told["restarts"],
        of_all=dict(pools),
        registries=_metrics(told["registries"]),
    )


class _ToldMount(ToldTimeline):
    """A `web.gatewaynumbers.MountNumbers`."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        super().__init__(told)
        self.server: str = told["server"]
        self.path: str = told["path"]
        self.in_flight: int = told["in_flight"]
        self.aborted: int = told["aborted"]
        self.bytes_received: int = told["bytes_received"]
        self.bytes_sent: int = told["bytes_sent"]
        self._answers: list[list[int]] = told["answers"]

    @property
    def requests(self) -> int:
        return sum(count for _, count in self._answers)

    def answers(self) -> Mapping[tuple[str, str], int]:
        return named_answers(self._answers)


class _ToldFault:
    def __init__(self, log_key: str, text: str) -> None:
        self.log_key = log_key
        self._text = text

    def __str__(self) -> str:
        return self._text


class _ToldMember:
    """A `web.gatewaynumbers.MemberNumbers`."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.label: str = told["label"]
        self.state_name: str = told["state_name"]
        self.status_words: str = told["status_words"]
        self.limit: int | None = told["limit"]
        self.in_flight: int = told["in_flight"]
        self.elected: int = told["elected"]
        self.bytes_sent: int = told["bytes_sent"]
        self.bytes_received: int = told["bytes_received"]
        self.errors: int = told["errors"]
        self.load: float = told["load"]
        self.factor: int = told["factor"]
        self.down_until: float = told["down_until"]
        self.last_fault: _ToldFault | None = None
        self.last_fault_at = 0.0
        if "fault" in told:
            log_key, text, self.last_fault_at = told["fault"]
            self.last_fault = _ToldFault(log_key, text)
        self.last_probe = ProbeResult(*told["probe"]) if "probe" in told else None
        self.statistics = ToldBackendStatistics(told["times"])


class _ToldPool:
    """A `web.gatewaynumbers.PoolNumbers`."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.name: str = told["name"]
        self.balanced: bool = told["balanced"]
        self.queued: int = told["queued"]
        self.statistics = PoolStatistics()
        self.statistics.add([told["queue"], told["retries"]])
        self.backends: Sequence[MemberNumbers] = [_ToldMember(one) for one in told["members"]]


# -- prometheus-client's own registry ----------------------------------------------------------


def tell_registry() -> list[Any]:
    """What is in that of this process."""
    return [
        [
            *(family.name, family.documentation, family.type, family.unit),
            [[sample.name, sample.labels, sample.value] for sample in family.samples],
        ]
        for family in REGISTRY.collect()
    ]


def _metrics(registries: Sequence[Sequence[Any]]) -> list[Metric]:
    """What is in those of all workers, with the label `worker`."""
    found: dict[str, Metric] = {}
    for number, families in registries:
        for name, documentation, kind, unit, samples in families:
            family = found.get(name)
            if family is None:
                family = found[name] = Metric(name, documentation, kind, unit)
            for sample, labels, value in samples:
                family.add_sample(sample, {"worker": str(number), **labels}, value)
    return list(found.values())
