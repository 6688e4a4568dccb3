"""``lbmethod=leasttime`` beside ``byrequests``, where one of three members is slow::

    python -m tests.bench.leasttime [--rounds 3] [--seconds 5] [--connections 16] [--slow 300]

Two members answer in 5 ms, the third one in 300 ms. Each connection of the load stays open, and has
its next request once it has the answer to the last one. The gateway is started anew for each
measurement, and its first second counts for nothing. Prints requests a second and percentiles of
the time that a request takes (of all of them, as they were), the medians of all rounds, and the
ratio of the 99th percentiles.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.delays import BODY
from tests.bench.options import count, duration
from tests.bench.programs import free_port, gateway, running
from tests.bench.stopping import ended
from tests.e2e.load import Load

METHODS = ("byrequests", "leasttime")
QUICK = 5
CONFIGURATION = """
Listen 127.0.0.1:{port}
KeepAlive On
MaxKeepAliveRequests 0
ProxyPass / balancer://app/ lbmethod={method}
<Proxy balancer://app>
{members}
</Proxy>
"""


@dataclass(frozen=True)
class Measured:
    """Requests a second, and two percentiles in milliseconds."""

    rate: float
    median: float
    p99: float

    def __str__(self) -> str:
        return f"{self.rate:8.0f} requests/s   p50 {self.median:7.2f} ms   p99 {self.p99:7.2f} ms"


def load(port: int, seconds: float, connections: int) -> Measured:
    """What requests took, in so many seconds; every answer must be a good one."""
    begun = time.monotonic()
    with Load(port, connections, BODY.__eq__) as running_load:
        time.sleep(seconds)
        report = running_load.stop()
    passed = time.monotonic() - begun
    if report.failures or report.cut_off:
        raise SystemExit(f"{report.cut_off} cut off, {dict(report.failures)}")
    percentiles = statistics.quantiles(report.seconds, n=100)
    return Measured(report.answered / passed, percentiles[49] * 1000, percentiles[98] * 1000)


def measure(
    folder: Path, method: str, members: Sequence[int], seconds: float, connections: int
) -> Measured:
    port = free_port()
    config = folder / f"{method}.conf"
    lines = "\n".join(f"BalancerMember scgi://127.0.0.1:{member}" for member in members)
    config.write_text(CONFIGURATION.format(port=port, method=method, members=lines))
    with running(gateway(config), port):
        load(port, 1, connections)
        return load(port, seconds, connections)


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=count, default=3)
    options.add_argument("--seconds", type=duration, default=5)
    options.add_argument("--connections", type=count, default=16)
    options.add_argument(
        "--slow", type=duration, default=300, help="milliseconds of the slow member"
    )
    chosen = options.parse_args()
    members = [free_port() for _ in range(3)]
    delays = (QUICK, QUICK, chosen.slow)
    words = [f"{port}:{delay}" for port, delay in zip(members, delays, strict=True)]
    seen: dict[str, list[Measured]] = {method: [] for method in METHODS}
    with (
        tempfile.TemporaryDirectory() as folder,
        running([sys.executable, "-m", "tests.bench.delays", *words], members[-1]),
    ):
        for _ in range(chosen.rounds):
            for method in METHODS:
                measured = measure(
                    Path(folder), method, members, chosen.seconds, chosen.connections
                )
                seen[method].append(measured)
                print(f"{method:10} {measured}", flush=True)
    medians = {
        method: Measured(
            *(
                statistics.median(getattr(each, name) for each in rounds)
                for name in ("rate", "median", "p99")
            )
        )
        for method, rounds in seen.items()
    }
    for method, measured in medians.items():
        print(f"median of {method:10} {measured}")
    ratio = medians["byrequests"].p99 / medians["leasttime"].p99
    print(f"p99 of byrequests : p99 of leasttime = {ratio:.1f}")
    return 0


if __name__ == "__main__":
    ended("tests.bench.leasttime", main)
