"""``SetHandler server-status``: what the gateway is doing, to look at; ``?auto`` is for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import TypeVar

from twisted.web.server import Request
from twisted.web.template import Flattenable, Tag, tags

from scgiproxy.pool.condition import USED_STATES
from scgiproxy.pool.histogram import Histogram
from scgiproxy.pool.timeline import CHART, Chart
from scgiproxy.web.amounts import count, duration, rate, size
from scgiproxy.web.gatewaynumbers import (
    BackendNumbers,
    GatewayNumbers,
    MountNumbers,
    NumbersSource,
    PoolNumbers,
    TimelineNumbers,
    WorkerNumbers,
)
from scgiproxy.web.later import answer_when_there
from scgiproxy.web.modstatus import BUSY, in_words, machine_readable, moment
from scgiproxy.web.page import OwnPage, chart, facts, page, query_of, set_headers, shown, table
from scgiproxy.web.statistics import NO_MOUNT, ConnectionPhase, by_class

T = TypeVar("T")

MOST_ROWS = 100
"""Rows of a table: those of the busiest. `web.metrics` has all of them."""

_MINUTE = 60
_LONGEST_REFRESH = 3600

_PHASES = {
    ConnectionPhase.READING: "reading a request",
    ConnectionPhase.WAITING: "waiting for a backend",
    ConnectionPhase.SENDING: "sending an answer",
    ConnectionPhase.IDLE: "idle, kept alive",
    ConnectionPhase.CLOSING: "closing",
}


class ServerStatusResource(OwnPage):
    """Answers with a page, or with mod_status's text for ``?auto``.

    ``?refresh=SECONDS`` lets the browser ask again; without a number, each second.
    """

    def __init__(self, numbers: NumbersSource) -> None:
        super().__init__()
        self._numbers = numbers

    def render_GET(self, request: Request) -> bytes | int:
        return answer_when_there(request, self._numbers(), partial(self._answer, request))

    @staticmethod
    def _answer(request: Request, numbers: GatewayNumbers) -> bytes:
        name = request.getRequestHostname().decode("utf-8", "backslashreplace")
        query = query_of(request)
        if "refresh" in query:
            seconds = str(_refresh(query["refresh"]))
            request.responseHeaders.setRawHeaders("Refresh", [seconds])
        if "auto" in query:
            set_headers(request, "text/plain; charset=utf-8")
            return machine_readable(numbers, name).encode("utf-8", "backslashreplace")
        return page(request, f"Status of {shown(name)}", *_content(numbers))


def _refresh(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        return 1
    return min(max(int(value), 1), _LONGEST_REFRESH)


def _content(numbers: GatewayNumbers) -> Iterator[Flattenable]:
    now = numbers.now
    charts = [mount.chart(now) for mount in numbers.mounts]
    whole = Chart(
        [sum(second) for second in zip(*(each.requests for each in charts), strict=True)],
        [sum(second) for second in zip(*(each.errors for each in charts), strict=True)],
        (),
    )
    recent = Histogram()
    for mount in numbers.mounts:
        recent.add(mount.recent(now))
    yield facts(_summary(numbers, whole, recent))
    yield tags.h2("Requests a second, in the last two minutes")
    yield tags.div(_chart(whole), class_="panel wide")
    yield tags.h2("Connections")
    yield facts(
        [
            *((_PHASES[phase], count(numbers.connections_in(phase))) for phase in ConnectionPhase),
            ("room for more", count(numbers.room) if numbers.accepting else _errors(numbers.room)),
            ("accepting has paused", count(numbers.pauses)),
            ("refused by address", count(numbers.refused)),
        ]
    )
    if numbers.workers:
        yield tags.h2("Workers")
        yield table(
            (
                *("Worker", "Process", "Uptime", "Requests", "Connections", "In progress"),
                *("Processor time", "Restarts"),
            ),
            (_worker_row(worker, now) for worker in numbers.workers),
        )
    covered = numbers.covered(_MINUTE)
    mounts, left_out = _busiest(numbers.mounts, attrgetter("requests"))
    yield tags.h2("Mounts")
    yield table(
        (
            *("Mount", "Server", "Requests", "2xx", "3xx", "4xx", "5xx", "Aborted", "In flight"),
            *("A second", "p50", "p90", "p99", "Received", "Sent", "Two minutes"),
        ),
        (_mount_row(mount, now, covered) for mount in mounts),
    )
    yield _left_out(left_out)
    backends, left_out = _busiest(list(numbers.backends()), lambda each: each[1].elected)
    if backends:
        yield tags.h2("Backends")
        yield table(
            (
                *("Backend", "Balancer", "State", "In flight", "Chosen", "Errors"),
                *("p50", "p90", "p99", "Received", "Sent", "Two minutes"),
            ),
            (_backend_row(pool, backend, now) for pool, backend in backends),
        )
        yield _left_out(left_out)
    yield tags.p(
        "Rates and percentiles are of the last minute, or since the start if that is shorter; a percentile is wrong by 9 % at most. "
        "Backends are timed from their connection to the end of the answer. Programs read ",
        tags.code("?auto"),
        "; ",
        tags.code("?refresh=5"),
        " shows the page anew every five seconds.",
    )


def _configuration(numbers: GatewayNumbers) -> str:
    read = "of the start" if numbers.configured is None else f"of {moment(numbers.configured)}"
    if numbers.is_current:
        return read
    return f"{read}; its file has errors since then, which are in the error log"


def _summary(
    numbers: GatewayNumbers, whole: Chart, recent: Histogram
) -> Iterator[tuple[str, Flattenable]]:
    yield "Software", shown(numbers.software)
    yield "Started", moment(numbers.started)
    if numbers.configured is not None or not numbers.is_current:
        yield "Configuration", _configuration(numbers)
    yield "Uptime", in_words(numbers.uptime)
    yield "Requests", count(sum(mount.requests for mount in numbers.mounts))
    yield "Requests a second", rate(whole.rate(_MINUTE, numbers.covered(_MINUTE)))
    yield "Requests in progress", count(numbers.connections_in(*BUSY))
    yield (
        "p50 · p90 · p99",
        " · ".join(duration(recent.percentile(percent)) for percent in (50, 90, 99)),
    )
    yield "Errors in the last minute", _errors(whole.failures(_MINUTE))
    yield "Received", size(sum(mount.bytes_received for mount in numbers.mounts))
    yield "Sent", size(sum(mount.bytes_sent for mount in numbers.mounts))
    yield (
        "Spooled bodies",
        f"{count(numbers.spooled_bodies)}, {size(numbers.spooled_bytes)}",
    )


def _worker_row(worker: WorkerNumbers, now: float) -> Sequence[Flattenable]:
    return (
        str(worker.number),
        str(worker.pid),
        tags.span("does not answer", class_="bad")
        if worker.silent
        else in_words(max(int(now - worker.started), 0)),
        count(worker.requests),
        count(worker.connections),
        count(worker.busy),
        f"{worker.processor.spent:.1f} s",
        _errors(worker.restarts),
    )


def _mount_row(mount: MountNumbers, now: float, covered: float) -> Sequence[Flattenable]:
    counts = by_class(mount.answers())
    lately = mount.chart(now)
    return (
        shown(mount.path) if mount.path != NO_MOUNT else tags.span("no mount", class_="soft"),
        shown(mount.server),
        count(mount.requests),
        *(count(counts.get(name, 0)) for name in ("2xx", "3xx", "4xx")),
        _errors(counts.get("5xx", 0)),
        count(mount.aborted),
        count(mount.in_flight),
        rate(lately.rate(_MINUTE, covered)),
        *_percentiles(mount, now),
        size(mount.bytes_received),
        size(mount.bytes_sent),
        _chart(lately),
    )


def _backend_row(pool: PoolNumbers, backend: BackendNumbers, now: float) -> Sequence[Flattenable]:
    limit = "" if backend.limit is None else f" of {backend.limit}"
    statistics = backend.statistics
    return (
        shown(backend.label),
        shown(pool.name) if pool.balanced else "",
        backend.state_name
        if backend.state_name in USED_STATES
        else tags.span(backend.state_name, class_="bad"),
        count(backend.in_flight) + limit,
        count(backend.elected),
        _errors(sum(statistics.errors.values())),
        *_percentiles(statistics, now),
        size(backend.bytes_received),
        size(backend.bytes_sent),
        _chart(statistics.chart(now)),
    )


def _percentiles(timeline: TimelineNumbers, now: float) -> Iterator[str]:
    recent = timeline.recent(now)
    return (duration(recent.percentile(percent)) for percent in (50, 90, 99))


def _chart(lately: Chart) -> Tag:
    return chart(
        f"{sum(lately.requests)} requests and {sum(lately.errors)} errors in {CHART} seconds",
        lately.requests,
        lately.errors,
    )


def _left_out(number: int) -> Flattenable:
    return tags.p(f"{count(number)} more, with fewer requests, are not shown.") if number else ""


def _busiest(rows: Sequence[T], requests: Callable[[T], int]) -> tuple[Sequence[T], int]:
    """As many as are shown, in their own order, and how many are left out."""
    if len(rows) <= MOST_ROWS:
        return rows, 0
    by_requests = sorted(range(len(rows)), key=lambda place: -requests(rows[place]))
    return [rows[place] for place in sorted(by_requests[:MOST_ROWS])], len(rows) - MOST_ROWS


def _errors(number: int) -> Flattenable:
    return tags.span(count(number), class_="bad") if number else "0"
