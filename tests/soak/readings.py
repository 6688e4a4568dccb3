"""What a gateway holds, read from /proc and from its own metrics, and whether that grows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

from tests.bench.processes import tree

LEAST = 6
"""Readings of the second half, without which nothing is said of memory."""

MOST_GROWTH = 0.02
"""Of the memory: what it may grow in the second half, by the trend of its readings."""

MOST_KIB = 1024
"""So many KiB are no growth either: the allocator gives back in pieces of this size."""

MOST_DESCRIPTORS = 2
"""A connection that is kept ready may be on its way."""

AT_REST = (
    "requests_in_flight",
    "queued_requests",
    "backend_requests_in_flight",
    "spooled_bodies",
    "spooled_bytes",
)
"""Numbers that are 0 when nobody asks for anything; that of the connection that asks excepted."""


@dataclass(frozen=True)
class Reading:
    """Of all processes of the gateway together."""

    seconds: float
    resident: int
    """KiB"""
    descriptors: int
    threads: int


def read(pid: int, seconds: float) -> Reading:
    """What the process and all that it has started hold."""
    resident = threads = descriptors = 0
    for each in tree(pid):
        proc = Path(f"/proc/{each}")
        status = (proc / "status").read_text()
        resident += int(re.findall(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[0])
        threads += int(re.findall(r"^Threads:\s+(\d+)", status, re.MULTILINE)[0])
        descriptors += sum(1 for _ in (proc / "fd").iterdir())
    return Reading(seconds, resident, descriptors, threads)


def busy(metrics: str) -> list[str]:
    """The lines of a page of metrics that are not as they are at rest."""
    found = re.findall(r"^scgiproxy_(\w+?)(\{[^\n]*\})? (\S+)$", metrics, re.MULTILINE)
    missing = set(AT_REST) - {name for name, _, _ in found}
    if missing:
        raise ValueError(f"no {', '.join(sorted(missing))} among the metrics")
    return [
        f"{name}{labels} {value}"
        for name, labels, value in found
        if name in AT_REST and float(value) and not _is_asking(name, labels)
    ]


def _is_asking(name: str, labels: str) -> bool:
    """It may be counted itself: it goes to no backend."""
    return name == "requests_in_flight" and 'path="none"' in labels


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The trend by Theil and Sen: the median of all slopes, which a few outliers do not move."""
    return median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2))


@dataclass(frozen=True)
class Trend:
    """What the second half of `readings`, all of them at rest, has grown by."""

    readings: Sequence[Reading]

    @property
    def half(self) -> Sequence[Reading]:
        return self.readings[len(self.readings) // 2 :]

    @property
    def growth(self) -> float | None:
        """KiB of memory; None if there are too few readings."""
        half = self.half
        if len(half) < LEAST:
            return None
        span = half[-1].seconds - half[0].seconds
        return slope([(each.seconds, float(each.resident)) for each in half]) * span

    @property
    def allowed(self) -> float:
        """KiB."""
        return max(MOST_KIB, MOST_GROWTH * median(each.resident for each in self.half))

    def wrong(self) -> list[str]:
        """What is not flat."""
        found = []
        half = self.half
        growth = self.growth
        if growth is not None and growth > self.allowed:
            found.append(f"memory grew by {growth:.0f} KiB, and {self.allowed:.0f} are allowed")
        for name in ("descriptors", "threads"):
            counts = [getattr(each, name) for each in half]
            more = counts[-1] - min(counts)
            if more > (MOST_DESCRIPTORS if name == "descriptors" else 0):
                found.append(f"{name} grew by {more}: {counts}")
        return found
