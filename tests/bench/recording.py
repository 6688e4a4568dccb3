"""What it costs to record one request: ``python -m tests.bench.recording``.

Microseconds of CPU time for one request of one backend: in the statistics of its mount and in those of its
backend, the sorting into buckets included, at several rates of requests a second.
"""

from __future__ import annotations

import random
import timeit
from time import process_time

from scgiproxy.pool.statistics import BackendStatistics
from scgiproxy.web.statistics import MountStatistics

_REQUESTS = 100_000
_REPEATS = 5


def cost(rate: int) -> float:
    """Seconds for one request, the best of several runs; what the loop itself takes is left out."""
    source = random.Random(1)
    moments = [1e9 + number / rate for number in range(_REQUESTS)]
    durations = [source.lognormvariate(-5, 1) for _ in moments]

    def record() -> None:
        mount, backend = MountStatistics(), BackendStatistics()
        for now, seconds in zip(moments, durations, strict=True):
            mount.record(now, seconds, b"GET", 200, 0, 1024)
            backend.record(now, seconds, seconds, seconds)

    def nothing() -> None:
        for _now, _seconds in zip(moments, durations, strict=True):
            pass

    spent, idle = (
        min(timeit.repeat(function, number=1, repeat=_REPEATS, timer=process_time))
        for function in (record, nothing)
    )
    return (spent - idle) / _REQUESTS


if __name__ == "__main__":
    for rate in (50, 500, 5000):
        print(f"{rate:5} requests a second: {cost(rate) * 1e6:.2f} µs")
