"""What a worker has counted since it told last, and what it is at: made there, added in the parent.

Both have the same `Config`, so mounts and pools go by their place; members go by their labels,
since there may be others by now. A message is as long as there was traffic, however much there is
to count.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from scgiproxy.pool.backend import Backend
from scgiproxy.service.numbers import processor_time, take_numbers
from scgiproxy.web.gatewaynumbers import ProcessorTime
from scgiproxy.web.statistics import ConnectionPhase, MountStatistics

if TYPE_CHECKING:
    from scgiproxy.service.build import GatewayParts

_COUNTERS = ("elected", "bytes_sent", "bytes_received", "errors")


class Counts:
    """What the process of `parts` counts, for another one.

    What was counted before this is made counts for nothing: it is what the other one has told.
    """

    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts
        self._mounts = list(parts.mount_statistics())
        self._told = {member: _counters(member) for _, member in self._members()}
        self._last_state: dict[str, Any] = {}

    def take(self) -> dict[str, Any]:
        """All that is new, for `WorkerState.take`; it is told once. Has ``news``: whether there is
        anything but the time that has passed."""
        mounts = {
            str(place): drained
            for place, statistics in enumerate(self._mounts)
            if (drained := statistics.drain())
        }
        pools = {
            str(place): drained
            for place, pool in enumerate(self._parts.pools)
            if (drained := pool.statistics.drain())
        }
        members = []
        known, self._told = self._told, {}
        for place, member in self._members():
            before, now = known.get(member, _NOTHING), _counters(member)
            self._told[member] = now
            drained = member.statistics.drain()
            if drained or now != before:
                grown = [new - old for new, old in zip(now, before, strict=True)]
                members.append([place, member.label, grown, drained])
        clients = self._parts.admission.drain()
        state = self._state()
        changed, self._last_state = state != self._last_state, state
        return {
            "counted": {
                "mounts": mounts,
                "pools": pools,
                "members": members,
                "clients": clients,
            },
            "state": state,
            "processor": astuple(processor_time()),
            "news": changed or bool(mounts or pools or members or any(clients)),
        }

    def _state(self) -> dict[str, Any]:
        numbers = take_numbers(self._parts)
        return {
            "pid": os.getpid(),
            "started": numbers.started,
            "connections": {phase.value: n for phase, n in numbers.connections.items() if n},
            "room": numbers.room,
            "accepting": numbers.accepting,
            "spooled": [numbers.spooled_bodies, numbers.spooled_bytes, numbers.spooled_disk],
            "mounts": [
                [place, statistics.in_flight]
                for place, statistics in enumerate(self._mounts)
                if statistics.in_flight
            ],
            "queued": [
                [place, pool.queued] for place, pool in enumerate(self._parts.pools) if pool.queued
            ],
            "members": [
                [place, member.label, member.in_flight, member.load]
                for place, member in self._members()
                if member.in_flight or member.load
            ],
        }

    def _members(self) -> Iterator[tuple[int, Backend]]:
        for place, pool in enumerate(self._parts.pools):
            for member in pool.backends:
                yield place, member


@dataclass
class WorkerState:
    """What the parent knows of a worker."""

    number: int
    requests: int = 0
    restarts: int = 0
    silent: bool = False
    told_at: float = 0.0
    state: Mapping[str, Any] = field(default_factory=dict)
    processor: ProcessorTime = field(default_factory=ProcessorTime)

    def take(self, told: Mapping[str, Any], now: float) -> None:
        """Keep what the worker is at."""
        self.state = told["state"]
        self.processor = ProcessorTime(*told["processor"])
        self.told_at = now


def add_counts(
    parts: GatewayParts, mounts: Sequence[MountStatistics], counted: Mapping[str, Any], now: float
) -> int:
    """Count in `parts`, which has `mounts`, what was counted elsewhere. Returns how many requests
    that were. What was a member, and is not any more, counts for nothing."""
    requests = 0
    parts.admission.add(counted["clients"])
    for place, drained in counted["mounts"].items():
        mounts[int(place)].add(drained, now)
        requests += sum(count for _, count in drained[1])
    for place, drained in counted["pools"].items():
        parts.pools[int(place)].statistics.add(drained)
    known: dict[int, dict[str, Backend]] = {}
    for place, label, grown, drained in counted["members"]:
        of_pool = known.get(place)
        if of_pool is None:
            of_pool = known[place] = {one.label: one for one in parts.pools[place].backends}
        member = of_pool.get(label)
        if member is not None:
            for name, more in zip(_COUNTERS, grown, strict=True):
                setattr(member, name, getattr(member, name) + more)
            member.statistics.add(drained, now)
    return requests


@dataclass
class Sums:
    """What all workers together are at."""

    connections: Counter[ConnectionPhase] = field(default_factory=Counter)
    room: int = 0
    accepting: bool = False
    spooled_bodies: int = 0
    spooled_bytes: int = 0
    spooled_disk: int = 0
    mounts: Counter[int] = field(default_factory=Counter)
    queued: Counter[int] = field(default_factory=Counter)
    members: Counter[tuple[int, str]] = field(default_factory=Counter)
    loads: Counter[tuple[int, str]] = field(default_factory=Counter)

    @classmethod
    def of(cls, workers: Iterable[WorkerState]) -> Sums:
        """Of those that have told anything yet."""
        made = cls()
        for worker in workers:
            state = worker.state
            if not state:
                continue
            for phase, number in state["connections"].items():
                made.connections[ConnectionPhase(phase)] += number
            made.room += state["room"]
            made.accepting |= state["accepting"]
            bodies, size, disk = state["spooled"]
            made.spooled_bodies += bodies
            made.spooled_bytes += size
            made.spooled_disk += disk
            for place, number in state["mounts"]:
                made.mounts[place] += number
            for place, number in state["queued"]:
                made.queued[place] += number
            for place, label, number, load in state["members"]:
                made.members[place, label] += number
                made.loads[place, label] += load
        return made


def _counters(member: Backend) -> tuple[int, ...]:
    return tuple(getattr(member, name) for name in _COUNTERS)


_NOTHING = (0,) * len(_COUNTERS)
