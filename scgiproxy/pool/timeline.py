"""What all statistics are made of: a timeline.

Recording costs a request a few operations on numbers and lists. Durations are kept as they come,
and sorted into the buckets of their histogram all together: when their second is over, or when
somebody reads. Times are seconds on one clock, which whoever records or reads passes in; it may
jump, and what that costs is the chart, never a count.

One process may count for another: what `drain` returns is added there by `add`. It is made of what
JSON has, and short: nothing is in it but what has been recorded since the last time.
"""

from __future__ import annotations

from array import array
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from scgiproxy.pool.histogram import Histogram

CHART = 120
"""Seconds that a timeline remembers one by one."""

RECENT = 60
"""Seconds that `Timeline.recent` covers at least; it is up to a third more."""

_SLOT: Final = RECENT // 3
_SLOTS: Final = 1 + RECENT // _SLOT
_LONG_AGO: Final = 0
"""In place of the number of a slot."""


@dataclass(frozen=True, slots=True)
class Chart:
    """The last `CHART` whole seconds, the oldest first."""

    requests: Sequence[int]
    errors: Sequence[int]
    latencies: Sequence[float]
    """The mean duration of each second's requests; 0 where there was none."""

    def rate(self, seconds: int, covered: float) -> float:
        """Requests a second in the last `seconds` of them, during which whoever counts has been
        there for so long."""
        return sum(self.requests[-seconds:]) / covered

    def failures(self, seconds: int) -> int:
        """Errors in the last `seconds`."""
        return sum(self.errors[-seconds:])


def mean_latencies(time: Sequence[float], requests: Sequence[int]) -> list[float]:
    """For `Chart`: the time of all requests of each second, by their number."""
    return [spent / count if count else 0.0 for spent, count in zip(time, requests, strict=True)]


class Timeline:
    """Durations of requests: of all there were, of the last minute, and second by second.

    The base of statistics: a subclass has a method that records, which begins with `_turn` unless
    the second at hand goes on, and adds to `_durations` (or does so in its `_settle`) and `_errors`.
    """

    __slots__ = (
        "_begins",
        "_chart_errors",
        "_chart_requests",
        "_chart_time",
        "_durations",
        "_ends",
        "_errors",
        "_past",
        "_requests",
        "_since",
        "_slots",
        "_time",
    )

    def __init__(self) -> None:
        # Of the second at hand. `_requests` and `_time` are without `_durations`. It never begins
        # until something is recorded, also after all has been drained.
        self._begins = inf
        self._ends = inf
        self._since = 0
        self._durations: list[float] = []
        self._errors = 0
        self._requests = 0
        self._time = 0.0
        # Of the seconds before it, each at the place of its number modulo CHART.
        self._chart_requests = array("I", [0]) * CHART
        self._chart_errors = array("I", [0]) * CHART
        self._chart_time = array("d", [0.0]) * CHART
        # The newest first; what is in none of them any more is in the past.
        self._slots = [Histogram() for _ in range(_SLOTS)]
        self._past = Histogram()

    def overall(self) -> Histogram:
        """All that there were."""
        self._settle()
        return self._sum((self._past, *self._slots))

    @property
    def spent(self) -> float:
        """Seconds of all that there were."""
        self._settle()
        return self._past.sum + sum(slot.sum for slot in self._slots)

    def recent(self, now: float) -> Histogram:
        """Those of the last minute, or up to 20 seconds more."""
        self._look(now)
        return self._sum(self._slots)

    def chart(self, now: float) -> Chart:
        """The last two minutes, without the second at hand."""
        self._look(now)
        first = int(self._begins) % CHART
        requests, errors, time = (
            [*ring[first:], *ring[:first]]
            for ring in (self._chart_requests, self._chart_errors, self._chart_time)
        )
        return Chart(requests, errors, mean_latencies(time, requests))

    def lately(self, now: float) -> list[Any]:
        """What `recent` and `chart` say, for a `ToldTimeline`; empty if there was nothing."""
        self._look(now)
        first = int(self._begins) % CHART
        rings = (self._chart_requests, self._chart_errors, self._chart_time)
        last = [packed(ring, first) for ring in rings]
        recent = self._sum(self._slots).as_list()
        return [recent, *last] if recent or any(last) else []

    # -- what one process counts for another ---------------------------------------------------

    def drain(self) -> list[Any]:
        """What was recorded since the last time, and forget it. Empty if nothing was."""
        if self._begins == inf:
            return []
        self._settle()
        last = int(self._begins)
        seconds = []
        for second in range(max(self._since, last - CHART), last):
            place = second % CHART
            requests, errors = self._chart_requests[place], self._chart_errors[place]
            if requests or errors:
                seconds.append([second, requests, errors, self._chart_time[place]])
                self._forget(place)
        if self._requests or self._errors:
            seconds.append([last, self._requests, self._errors, self._time])
        newest = last // _SLOT
        spans = []
        for age, histogram in enumerate((*self._slots, self._past)):
            told = histogram.as_list()
            if told:
                spans.append([newest - age if age < _SLOTS else _LONG_AGO, *told])
                histogram.clear()
        self._requests = self._errors = 0
        self._time = 0.0
        self._begins = self._ends = inf
        return [seconds, spans] if seconds or spans else []

    def add(self, drained: Sequence[Any], now: float) -> None:
        """Count what was recorded elsewhere, by the same clock."""
        if not drained:
            return
        self._look(now)
        at_hand = int(self._begins)
        seconds, spans = drained
        for second, requests, errors, time in seconds:
            if second >= at_hand:
                self._requests += requests
                self._errors += errors
                self._time += time
            elif second >= at_hand - CHART:
                place = second % CHART
                self._chart_requests[place] += requests
                self._chart_errors[place] += errors
                self._chart_time[place] += time
        for number, *told in spans:
            age = max(at_hand // _SLOT - number, 0)
            (self._slots[age] if age < _SLOTS else self._past).add_list(told)

    @staticmethod
    def _sum(histograms: Sequence[Histogram]) -> Histogram:
        total = Histogram()
        for histogram in histograms:
            total.add(histogram)
        return total

    # -- the passing of time -------------------------------------------------------------------

    def _look(self, now: float) -> None:
        if not self._begins <= now < self._ends:
            self._turn(now)
        self._settle()

    def _turn(self, now: float) -> None:
        """Another second has begun: write down the one that was at hand."""
        self._settle()
        second = int(now // 1)
        if now >= self._ends:
            last = int(self._begins)
            place = last % CHART
            self._chart_requests[place] = self._requests
            self._chart_errors[place] = self._errors
            self._chart_time[place] = self._time
            for idle in range(last + 1, min(second, last + 1 + CHART)):
                self._forget(idle % CHART)
            self._drop_slots(second // _SLOT - last // _SLOT)
        elif self._begins == inf:
            self._since = second
        else:
            # The clock was set back: which second was which is lost.
            self._since = second
            for place in range(CHART):
                self._forget(place)
            self._drop_slots(_SLOTS)
        self._requests = self._errors = 0
        self._time = 0.0
        self._begins = float(second)
        self._ends = second + 1.0

    def _forget(self, place: int) -> None:
        self._chart_requests[place] = self._chart_errors[place] = 0
        self._chart_time[place] = 0.0

    def _drop_slots(self, count: int) -> None:
        for _ in range(min(count, _SLOTS)):
            self._past.add(self._slots.pop())
            self._slots.insert(0, Histogram())

    def _settle(self) -> None:
        """Sort the durations at hand into their buckets."""
        durations = self._durations
        if durations:
            self._time += self._slots[0].record_all(durations)
            self._requests += len(durations)
            durations.clear()


def packed(ring: array[Any], first: int) -> str:
    """Text of a ring from `first` on, empty if there is nothing but zeros: text is read and written
    much faster than numbers are."""
    octets = (ring[first:] + ring[:first]).tobytes()
    return b64encode(octets).decode("ascii") if octets.strip(b"\0") else ""


def unpacked(kind: str, text: str) -> array[Any]:
    """The array of `Timeline.lately`: its `kind` is that of the module of that name."""
    made: array[Any] = array(kind)
    made.frombytes(b64decode(text))
    return made or array(kind, [0]) * CHART
