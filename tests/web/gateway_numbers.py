"""Numbers of a gateway that there is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import Metric

from scgiproxy.pool.statistics import BackendStatistics, PoolStatistics
from scgiproxy.web.gatewaynumbers import (
    BackendNumbers,
    GatewayNumbers,
    PoolNumbers,
    ProcessorTime,
    WorkerNumbers,
)
from scgiproxy.web.statistics import ConnectionPhase, MountStatistics

NOW = 1_000_000_000.0
STARTED = NOW - 93_784
"""A day, two hours, three minutes and four seconds before."""

HOSTILE = "\"'><script>alert(1)</script>&amp;\n# HELP \\ \u202e\x1b\udcff"
"""Text that ends whatever it is put into, if it can."""


@dataclass
class Backend:
    label: str = "scgi://127.0.0.1:4000"
    state_name: str = "up"
    status_words: str = "Init Ok "
    limit: int | None = None
    in_flight: int = 0
    elected: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    statistics: BackendStatistics = field(default_factory=BackendStatistics)


@dataclass
class Pool:
    name: str = "balancer://app"
    backends: Sequence[Backend] = ()
    balanced: bool = True
    queued: int = 0
    statistics: PoolStatistics = field(default_factory=PoolStatistics)


def mount(
    server: str = "example.com", path: str = "/app/", requests: int = 0, status: int = 200
) -> MountStatistics:
    """A mount that has answered so many requests of 0.1 seconds a moment ago."""
    made = MountStatistics(server, path)
    for _ in range(requests):
        made.record(NOW - 5, 0.1, b"GET", status, 10, 1000)
    return made


def numbers(**fields: Any) -> GatewayNumbers:
    values = {"now": NOW, "started": STARTED, "software": "scgiproxy/1.2.3"}
    return GatewayNumbers(**{**values, **fields})


def everything(text: str = "app") -> GatewayNumbers:
    """Something of everything; `text` wherever a configuration has a say."""
    first = Backend(f"scgi://{text}:4000", elected=12, in_flight=2, limit=8, bytes_sent=4096)
    first.statistics.record(NOW - 5, NOW - 8, NOW - 7, NOW - 6.75)
    second = Backend(f"scgi://{text}:4001", "down", "Init Err ", bytes_received=5000)
    second.statistics.record_error(NOW - 5, "backend.connect")
    pool = Pool(f"balancer://{text}", [first, second], queued=3)
    pool.statistics.queue.record(0.25)
    pool.statistics.retries = 4
    served = mount(text, f"/{text}/", 20)
    served.in_flight = 2
    served.record(NOW - 5, 2.5, b"BREW", 503, 0, 0, aborted=True)
    return numbers(
        mounts=[MountStatistics(text), served],
        pools=[Pool("scgi://[::1]:4000", [Backend("scgi://[::1]:4000")], balanced=False), pool],
        connections={
            ConnectionPhase.READING: 1,
            ConnectionPhase.WAITING: 2,
            ConnectionPhase.SENDING: 3,
            ConnectionPhase.IDLE: 4,
            ConnectionPhase.CLOSING: 5,
        },
        room=20,
        accepting=False,
        pauses=3,
        refused=4,
        spooled_bodies=2,
        spooled_bytes=3_000_000,
    )


_backend: BackendNumbers = Backend()
_pool: PoolNumbers = Pool()


def several(**fields: Any) -> GatewayNumbers:
    """Of two processes, the second of which took the place of one that ended, and is silent."""
    workers = (
        WorkerNumbers(
            number=1,
            pid=4711,
            started=STARTED,
            requests=1200,
            connections=7,
            busy=3,
            processor=ProcessorTime(1.5, 0.75),
        ),
        WorkerNumbers(number=2, pid=4712, started=NOW - 61, restarts=3, requests=5, silent=True),
    )
    registries = [Metric("coffee_cups", "Cups of coffee.", "counter")]
    registries[0].add_sample("coffee_cups_total", {"worker": "1"}, 3.0)
    registries[0].add_sample("coffee_cups_total", {"worker": "2"}, 4.0)
    return numbers(**{"workers": workers, "restarts": 3, "registries": registries, **fields})
