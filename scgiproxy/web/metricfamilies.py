"""The metric families of a gateway: what each number is called, and how it is labelled.

Names keep to Prometheus's rules: base units, ``_total`` for what only grows. Labels come from the
configuration, or from short lists that are known beforehand: nothing that a client sends makes a
new series. What has the same labels is added up: a mount of several virtual hosts that have no
name, or two mounts of one backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Generic, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

from scgiproxy.pool.condition import BACKEND_STATES, USED_STATES
from scgiproxy.pool.histogram import BUCKETS, Histogram
from scgiproxy.web.gatewaynumbers import BackendNumbers, GatewayNumbers, MountNumbers, PoolNumbers
from scgiproxy.web.statistics import ConnectionPhase

T = TypeVar("T")
Labels = tuple[str, ...]
Values = Mapping[Labels, float]
"""Numbers by the values of further labels; those of ``()`` if there are none."""

PREFIX = "scgiproxy_"

_AT_A_TIME = 16
_BOUNDS = tuple(floatToGoString(bound) for bound in BUCKETS)  # type: ignore[no-untyped-call]


def families(numbers: GatewayNumbers) -> Iterator[Metric]:
    """All families, a few series at a time: what follows under the same name goes on with it."""
    yield from _of_gateway(numbers)
    yield from _of_workers(numbers)
    yield from _of_mounts(
        _Family(
            ("server", "mount"), (((mount.server, mount.path), mount) for mount in numbers.mounts)
        )
    )
    yield from _of_pools(_Family(("pool",), (((pool.name,), pool) for pool in numbers.pools)))
    yield from _of_backends(
        _Family(
            ("pool", "backend"),
            (((pool.name, backend.label), backend) for pool, backend in numbers.backends()),
        )
    )


def _of_gateway(numbers: GatewayNumbers) -> Iterator[Metric]:
    name, _, version = numbers.software.partition("/")
    yield InfoMetricFamily(
        PREFIX + "build", "The gateway's version.", {"software": name, "version": version}
    )
    connections = GaugeMetricFamily(
        PREFIX + "connections", "Client connections, by what they are at.", labels=("phase",)
    )
    for phase in ConnectionPhase:
        connections.add_metric((phase.value,), numbers.connections_in(phase))
    yield connections
    configured = numbers.started if numbers.configured is None else numbers.configured
    for metric, documentation, value, unit in (
        ("start_time", "When the gateway started, since the epoch.", numbers.started, "seconds"),
        (
            "config_last_reload_successful",
            "Whether the configuration was in order when it was read last.",
            int(numbers.is_current),
            "",
        ),
        (
            "config_last_reload_success_timestamp",
            "When that was read which is in force, since the epoch.",
            configured,
            "seconds",
        ),
        ("connections_room", "More connections that are accepted.", numbers.room, ""),
        ("accepting", "Whether clients are accepted.", int(numbers.accepting), ""),
        ("spooled_bodies", "Request bodies kept until sent.", numbers.spooled_bodies, ""),
        ("spooled", "Bytes of them, in memory or on disk.", numbers.spooled_bytes, "bytes"),
        ("spooled_disk", "Bytes of them on disk.", numbers.spooled_disk, "bytes"),
    ):
        yield GaugeMetricFamily(PREFIX + metric, documentation, value, unit=unit)
    for metric, documentation, value in (
        ("accepting_pauses", "How often no more clients were accepted.", numbers.pauses),
        ("connections_refused", "Connections over MaxConnectionsPerIP.", numbers.refused),
    ):
        yield CounterMetricFamily(PREFIX + metric, documentation, value)


def _of_workers(numbers: GatewayNumbers) -> Iterator[Metric]:
    """Nothing if there is but one process."""
    if not numbers.workers:
        return
    yield GaugeMetricFamily(
        PREFIX + "workers", "Processes that serve requests.", len(numbers.workers)
    )
    yield CounterMetricFamily(
        PREFIX + "worker_restarts",
        "How often one was started in the place of one that had ended.",
        numbers.restarts,
    )
    family = _Family(("worker",), (((str(worker.number),), worker) for worker in numbers.workers))
    yield from family.counter(
        "worker_requests",
        "Requests that the process has answered.",
        lambda worker: {(): worker.requests},
    )
    yield from family.gauge(
        "worker_connections",
        "Client connections of the process.",
        lambda worker: {(): worker.connections},
    )


def _of_mounts(family: _Family[MountNumbers]) -> Iterator[Metric]:
    yield from family.counter(
        "requests",
        "Requests, by the mount that answered, method and class of the status.",
        lambda mount: {(method, status): n for (method, status), n in mount.answers().items()},
        labels=("method", "status"),
    )
    yield from family.histogram(
        "request_duration",
        "From the end of the request's head to the end of the answer.",
        lambda mount: mount.overall(),
    )
    yield from family.gauge(
        "requests_in_flight",
        "Requests that the mount is answering.",
        lambda mount: {(): mount.in_flight},
    )
    yield from family.counter(
        "responses_aborted",
        "Answers broken off: the client left, or the rest could not be had.",
        lambda mount: {(): mount.aborted},
    )
    yield from family.counter(
        "request_body",
        "Bytes of request bodies, from clients.",
        lambda mount: {(): mount.bytes_received},
        unit="bytes",
    )
    yield from family.counter(
        "response_body",
        "Bytes of answers, to clients, without their heads.",
        lambda mount: {(): mount.bytes_sent},
        unit="bytes",
    )


def _of_pools(family: _Family[PoolNumbers]) -> Iterator[Metric]:
    yield from family.gauge(
        "queued_requests",
        "Requests that wait for a free backend.",
        lambda pool: {(): pool.queued},
    )
    yield from family.histogram(
        "queue_duration",
        "How long those waited that had to.",
        lambda pool: pool.statistics.queue,
    )
    yield from family.counter(
        "retries",
        "Attempts after the first one of a request.",
        lambda pool: {(): pool.statistics.retries},
    )


def _of_backends(family: _Family[BackendNumbers]) -> Iterator[Metric]:
    yield from family.gauge(
        "backend_up",
        "Whether any request may go to the backend.",
        lambda backend: {(): backend.state_name in USED_STATES},
        combine=min,
    )
    yield from family.gauge(
        "backend_state",
        "1 for the state that the backend is in, 0 for the others.",
        lambda backend: {(state,): state == backend.state_name for state in BACKEND_STATES},
        labels=("state",),
        combine=max,
    )
    yield from family.gauge(
        "backend_requests_in_flight",
        "Requests that are at the backend.",
        lambda backend: {(): backend.in_flight},
    )
    yield from family.counter(
        "backend_requests",
        "How often the backend was chosen.",
        lambda backend: {(): backend.elected},
    )
    yield from family.counter(
        "backend_errors",
        "What the backend did wrong, by the word that is in the error log.",
        lambda backend: {(error,): n for error, n in backend.statistics.errors.items()},
        labels=("error",),
    )
    yield from family.counter(
        "backend_sent",
        "Bytes sent to the backend.",
        lambda backend: {(): backend.bytes_sent},
        unit="bytes",
    )
    yield from family.counter(
        "backend_received",
        "Bytes received from the backend.",
        lambda backend: {(): backend.bytes_received},
        unit="bytes",
    )
    yield from family.histogram(
        "backend_connect_duration",
        "Until the connection to the backend was made.",
        lambda backend: backend.statistics.connect,
    )
    yield from family.histogram(
        "backend_first_byte_duration",
        "From the connection to the head of the answer, the upload included.",
        lambda backend: backend.statistics.first_byte,
    )
    yield from family.histogram(
        "backend_response_duration",
        "From the connection to the end of the answer.",
        lambda backend: backend.statistics.overall(),
    )


class _Family(Generic[T]):
    """Makes the families that tell something of the same objects, by the same labels."""

    def __init__(self, labels: Labels, objects: Iterable[tuple[Labels, T]]) -> None:
        self._labels = labels
        groups: dict[Labels, list[T]] = {}
        for values, each in objects:
            groups.setdefault(tuple(map(_encodable, values)), []).append(each)
        self._groups = list(groups.items())

    def gauge(
        self,
        name: str,
        documentation: str,
        tell: Callable[[T], Values],
        *,
        labels: Labels = (),
        combine: Callable[[Iterable[float]], float] = sum,
    ) -> Iterator[Metric]:
        """What `tell` says of each object; `combine` makes one value for those of equal labels."""
        for some in _batched(self._told(tell)):
            gauge = GaugeMetricFamily(PREFIX + name, documentation, labels=self._labels + labels)
            for values, told in some:
                gauge.add_metric(values, combine(told))
            yield gauge

    def counter(
        self,
        name: str,
        documentation: str,
        tell: Callable[[T], Values],
        *,
        labels: Labels = (),
        unit: str = "",
    ) -> Iterator[Metric]:
        """The same for what only grows."""
        for some in _batched(self._told(tell)):
            counter = CounterMetricFamily(
                PREFIX + name, documentation, labels=self._labels + labels, unit=unit
            )
            for values, told in some:
                counter.add_metric(values, sum(told))
            yield counter

    def histogram(
        self, name: str, documentation: str, tell: Callable[[T], Histogram]
    ) -> Iterator[Metric]:
        """The durations that `tell` gives, in seconds."""
        for values, group in self._groups:
            total = Histogram()
            for each in group:
                total.add(tell(each))
            histogram = HistogramMetricFamily(
                PREFIX + name, documentation, labels=self._labels, unit="seconds"
            )
            counts = zip(_BOUNDS, map(float, total.cumulative()), strict=True)
            histogram.add_metric(values, list(counts), total.sum)
            yield histogram

    def _told(self, tell: Callable[[T], Values]) -> Iterator[tuple[Labels, list[float]]]:
        for values, group in self._groups:
            found: dict[Labels, list[float]] = {}
            for each in group:
                for further, number in tell(each).items():
                    found.setdefault(further, []).append(number)
            for further, numbers in found.items():
                yield values + further, numbers


def _batched(items: Iterator[T]) -> Iterator[list[T]]:
    while some := list(islice(items, _AT_A_TIME)):
        yield some


def _encodable(text: str) -> str:
    """Bytes of the configuration that are no UTF-8 are shown as such."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
