"""The lines to reach: what one figure may be in proportion to another."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from tests.bench.figures import Results
from tests.bench.servers import GATEWAY

Measured = tuple[str, str]
"""A work, and a server."""


@dataclass(frozen=True)
class Line:
    """`figure` of `over`, divided by that of `under` if there is one, is to be at most `least`, and
    better `aim`; at least, where `more` is better. A limit that is None is not asked for."""

    text: str
    figure: str
    over: Measured
    under: Measured | None
    least: float | None
    aim: float | None
    more: bool = False
    unit: str = "x"

    def values(self, results: Results) -> list[float]:
        """One for each round; none if it was not measured."""
        return results.ratios(self.figure, self.over, self.under)

    def value(self, results: Results) -> float | None:
        """The median of the rounds."""
        values = self.values(results)
        return statistics.median(values) if values else None

    def meets(self, value: float, limit: float) -> bool:
        """To two decimals, as they are printed."""
        value = round(value, 2)
        return value >= limit if self.more else value <= limit


def _beside(
    text: str,
    work: str,
    peer: str,
    least: float | None,
    aim: float | None,
    figure: str = "cpu",
    more: bool = False,
) -> Line:
    return Line(text, figure, (work, GATEWAY), (work, peer), least, aim, more)


def _price(
    text: str, work: str, base: str, least: float | None = None, aim: float | None = None
) -> Line:
    return Line(text, "cpu", (work, GATEWAY), (base, GATEWAY), least, aim)


def _faster(text: str, work: str, base: str, least: float | None) -> Line:
    return Line(text, "rate", (work, GATEWAY), (base, GATEWAY), least, None, more=True)


LINES: tuple[Line, ...] = (
    _beside("(a) 32 clients, CPU per request, against Apache", "a-32", "apache", 1.1, 0.9),
    _beside("(a) 32 clients, CPU per request, against nginx", "a-32", "nginx", 1.6, 1.25),
    _beside("(a) requests/s, one process, against nginx", "a-32", "nginx", 0.75, 1.0, "rate", True),
    _beside("(c) streamed, CPU per 10 MB, against Apache", "c", "apache", 1.0, None),
    _beside("(c) streamed, CPU per 10 MB, against lighttpd", "c", "lighttpd", None, 1.0),
    _beside("(d) X-Sendfile, CPU per 10 MB, against nginx", "d", "nginx", 1.2, 1.0),
    _beside("(e) 1 MB upload, CPU, against Apache", "e-length", "apache", 1.2, 1.0),
    Line("(f) idle connection", "each", ("f", GATEWAY), None, 12, 6, unit="KiB"),
    _price("(g) 1 000 mounts against 10, CPU", "g-mounts-1000", "g-mounts-10", 1.05, 1.0),
    _price("(g) 40 headers against 5, CPU", "g-headers-40", "g-headers-5", 1.5, 1.3),
    _price("(g) access log on against off, CPU", "g-log-on", "g-log-off"),
    _price("(g) balancer of 16 against 1, CPU", "g-balancer-16", "g-balancer-1"),
    Line("(h) p99 beside slow readers, against alone", "beside", ("h", GATEWAY), None, 2, 1.2),
    _faster("(i) requests/s, 2 workers against 1", "i-2", "i-1", 1.0),
    _faster("(i) requests/s, 4 workers against 1", "i-4", "i-1", None),
)
