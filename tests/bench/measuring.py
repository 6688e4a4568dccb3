"""What is measured of a running server: figures by name, of one load or of several together.

- ``rate``: requests a second; ``p50``, ``p99``: milliseconds.
- ``cpu``: microseconds of CPU time of the whole process tree, for one request, or for 10 MB of
  answers where those are what counts (`per_bytes`). ``user``: how much of it was not the kernel's.
- ``memory``: MiB of the whole process tree (Pss) while the connections of the load are open.
- ``each``: KiB of that for each idle connection.
- ``others``: percent of the machine's CPU time that went to programs which have no part in this.
- ``alone``: milliseconds, the p99 of the same client without anyone beside it; ``beside``: how
  many times that it is with others.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.bench.loads import Load, RunningLoad
from tests.bench.processes import cpu_seconds, machine_seconds, proportional_kib

Figures = dict[str, float]
TEN_MB = 10_000_000


class RefusedError(Exception):
    """The server does not do what is asked at all."""


@dataclass
class Target:
    """A server that runs. `beside` are the processes that have a part in what is measured and do not
    count; `errors` are those of all loads so far, by their kind."""

    generator: Path
    pid: int
    port: int
    file: str
    beside: tuple[int, ...] = ()
    errors: Counter[str] = field(default_factory=Counter)

    def running(self, load: Load, seconds: float) -> RunningLoad:
        return RunningLoad(self.generator, load, self.port, self.file, seconds)

    def check(self, load: Load) -> None:
        """One request, before anything is measured; raises `RefusedError` if it has no good answer."""
        once = Load(load.path, load.bytes, 1, load.headers, load.upload, load.chunked, once=True)
        with self.running(once, 1) as one:
            one.wait_until_warm()
            outcome = one.outcome()
        if outcome.open != 1:
            said = ", ".join({*outcome.statuses, *outcome.errors} - {"200", "status"})
            raise RefusedError(f"refused ({said or 'no answer'})")


Measure = Callable[[Target, float], Figures]


def steady(load: Load, per_bytes: int | None = None) -> Measure:
    """The load for so many seconds."""

    def measure(target: Target, seconds: float) -> Figures:
        target.check(load)
        return _figures(target, load, seconds, per_bytes)

    return measure


def idle(before: Load, connections: int) -> Measure:
    """Connections that had one answer each and stay open; `before` has everything at work once."""

    def measure(target: Target, seconds: float) -> Figures:
        target.check(before)
        with target.running(before, min(seconds, 1)) as warm:
            warm.wait_until_warm()
            warm.outcome()
        empty = proportional_kib(target.pid)
        once = Load(before.path, before.bytes, connections, once=True)
        with target.running(once, seconds) as opened:
            opened.wait_until_warm()
            outcome = opened.outcome()
            full = proportional_kib(target.pid)
        target.errors.update(outcome.errors)
        missing = connections - outcome.open
        if missing:
            target.errors["not open"] += missing
        if not outcome.open:
            raise RefusedError("refused (no connection stayed open)")
        return {"each": (full - empty) / outcome.open, "memory": full / 1024}

    return measure


def beside(load: Load, others: Load) -> Measure:
    """The load alone, and then while `others` go on."""

    def measure(target: Target, seconds: float) -> Figures:
        target.check(load)
        alone = _figures(target, load, seconds)
        with target.running(others, seconds) as slow:
            slow.wait_until_warm()
            both = replace(target, beside=(*target.beside, slow.pid))
            figures = _figures(both, load, seconds)
        return {"alone": alone["p99"], "beside": figures["p99"] / alone["p99"]} | figures

    return measure


def _figures(target: Target, load: Load, seconds: float, per_bytes: int | None = None) -> Figures:
    with target.running(load, seconds) as running:
        running.wait_until_warm()
        parts = (*target.beside, running.pid)
        before, begun = cpu_seconds(target.pid), _others(target, parts)
        outcome = running.outcome()
        after, ended = cpu_seconds(target.pid), _others(target, parts)
        memory = proportional_kib(target.pid)
    target.errors.update(outcome.errors)
    user, kernel = (now - then for now, then in zip(after, before, strict=True))
    done = outcome.bytes / per_bytes if per_bytes else outcome.requests
    if not done:
        raise RefusedError("refused (no answer in time)")
    return {
        "rate": outcome.requests / outcome.seconds,
        "cpu": (user + kernel) / done * 1e6,
        "user": user / done * 1e6,
        "p50": outcome.p50 / 1000,
        "p99": outcome.p99 / 1000,
        "memory": memory / 1024,
        "others": max(0.0, ended - begun) / outcome.seconds / (os.cpu_count() or 1) * 100,
    }


def _others(target: Target, parts: Iterable[int]) -> float:
    """Seconds of CPU time so far that are neither the server's nor theirs."""
    ours = (seconds for pid in (target.pid, *parts) for seconds in cpu_seconds(pid))
    return machine_seconds() - sum(ours)
