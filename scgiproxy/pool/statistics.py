"""What is counted of backends, and what all statistics are made of: latencies and a timeline.

Recording costs a request a few operations on numbers and lists. Durations are kept as they come,
and sorted into the buckets of their histogram all together: when their second is over, or when
somebody reads. Times are seconds on one clock, which whoever records or reads passes in; it may
jump, and what that costs is the chart, never a count.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf, sqrt
from operator import sub
from typing import Any

_STEPS = 4
_SHORTEST = 0.0005
_DOUBLINGS = 18

BOUNDS = tuple(round(_SHORTEST * 2 ** (n / _STEPS), 7) for n in range(_DOUBLINGS * _STEPS + 1))
"""The longest duration of each bucket, in seconds: four for each doubling, from 0.5 ms to 131 s.
One more bucket has what took longer."""

BUCKETS = (*BOUNDS[::_STEPS], inf)
"""The bounds of `Histogram.cumulative`: fewer, since each is a series to whoever stores them."""

CHART = 120
"""Seconds that a timeline remembers one by one."""

RECENT = 60
"""Seconds that `Timeline.recent` covers at least; it is up to a third more."""

_SLOT = RECENT // 3
_SLOTS = 1 + RECENT // _SLOT

_WORTH_SORTING = 64


class Histogram:
    """How many durations fell into each bucket, and their sum in seconds."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def record(self, seconds: float) -> None:
        """Count one. What is below zero (the clock was set back) was very short."""
        self.record_all([seconds])

    def record_all(self, durations: list[float]) -> float:
        """Count all of them, in any order, and sort the list if it is long. Returns their sum."""
        counts = self.counts
        many = len(durations)
        if many < _WORTH_SORTING:
            for seconds in durations:
                counts[bisect_left(BOUNDS, seconds)] += 1
        else:
            durations.sort()
            start = 0
            while start < many:
                bucket = bisect_left(BOUNDS, durations[start])
                end = many
                if bucket < len(BOUNDS):
                    end = bisect_right(durations, BOUNDS[bucket], start)
                counts[bucket] += end - start
                start = end
        total = max(sum(durations), 0.0)
        self.sum += total
        return total

    def add(self, other: Histogram) -> None:
        """Count all that `other` has counted."""
        if not any(other.counts):
            return
        self.counts = [
            mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)
        ]
        self.sum += other.sum

    @property
    def count(self) -> int:
        """How many durations there were."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """Seconds; None if there were none."""
        count = self.count
        return self.sum / count if count else None

    def cumulative(self) -> list[int]:
        """How many took at most each of `BUCKETS`."""
        counts = list(accumulate(self.counts))
        return [*counts[:-1:_STEPS], counts[-1]]

    def percentile(self, percent: float) -> float | None:
        """The duration that `percent` of 100 did not exceed; None if there were none.

        It is wrong by 9 % at most (half a bucket) within `BOUNDS`. What was shorter or longer is
        told as the bound.
        """
        rank = percent * self.count / 100
        reached = 0
        for bucket, count in enumerate(self.counts):
            reached += count
            if count and reached >= rank:
                if bucket == 0:
                    return BOUNDS[0]
                if bucket == len(BOUNDS):
                    return BOUNDS[-1]
                return sqrt(BOUNDS[bucket - 1] * BOUNDS[bucket])
        return None


@dataclass(frozen=True, slots=True)
class Chart:
    """The last `CHART` whole seconds, the oldest first."""

    requests: Sequence[int]
    errors: Sequence[int]
    latencies: Sequence[float]
    """The mean duration of each second's requests; 0 where there was none."""

    def rate(self, seconds: int) -> float:
        """Requests a second, over the last `seconds` of them."""
        return sum(self.requests[-seconds:]) / seconds

    def failures(self, seconds: int) -> int:
        """Errors in the last `seconds`."""
        return sum(self.errors[-seconds:])


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
        "_slots",
        "_time",
    )

    def __init__(self) -> None:
        # Of the second at hand. `_requests` and `_time` are without `_durations`.
        self._begins = inf
        self._ends = inf
        self._durations: list[float] = []
        self._errors = 0
        self._requests = 0
        self._time = 0.0
        # Of the seconds before it, each at the place of its number modulo CHART.
        self._chart_requests = array("L", [0]) * CHART
        self._chart_errors = array("L", [0]) * CHART
        self._chart_time = array("d", [0.0]) * CHART
        # The newest first; what is in none of them any more is in the past.
        self._slots = [Histogram() for _ in range(_SLOTS)]
        self._past = Histogram()

    def overall(self) -> Histogram:
        """All that there were."""
        self._settle()
        return self._sum((self._past, *self._slots))

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
        latencies = [
            spent / count if count else 0.0 for spent, count in zip(time, requests, strict=True)
        ]
        return Chart(requests, errors, latencies)

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
        elif self._begins != inf:
            # The clock was set back: which second was which is lost.
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


class BackendStatistics(Timeline):
    """Of one backend: how long it took to connect, to begin its answer, and to end it.

    The timeline's durations are of exchanges, from the connection to the end of the answer; its
    errors are what the backend did wrong, attempts to connect included.

    - `errors`: how often, by the `log_key` of the error.
    """

    __slots__ = ("_connect", "_exchanges", "_first_byte", "errors")

    def __init__(self) -> None:
        super().__init__()
        # Four for each: what `record` was told.
        self._exchanges: list[Any] = []
        self._connect = Histogram()
        self._first_byte = Histogram()
        self.errors: dict[str, int] = {}

    def record(self, now: float, begun: float, connected: float, answered: float | None) -> None:
        """An exchange has ended, well or not.

        It was begun, connected, and answered with a response head (None: it never was) at these
        times.
        """
        if not self._begins <= now < self._ends:
            self._turn(now)
        self._exchanges += (now, begun, connected, answered)

    def record_error(self, now: float, key: str) -> None:
        """The backend did something wrong: `key` is the `log_key` of the error."""
        if not self._begins <= now < self._ends:
            self._turn(now)
        self._errors += 1
        self.errors[key] = self.errors.get(key, 0) + 1

    @property
    def connect(self) -> Histogram:
        """Seconds until a connection was made."""
        self._settle()
        return self._connect

    @property
    def first_byte(self) -> Histogram:
        """Seconds from the connection to the response head, the upload included."""
        self._settle()
        return self._first_byte

    def _settle(self) -> None:
        exchanges = self._exchanges
        if exchanges:
            connected = exchanges[2::4]
            self._durations += map(sub, exchanges[0::4], connected)
            self._connect.record_all(list(map(sub, connected, exchanges[1::4])))
            answers = zip(exchanges[3::4], connected, strict=True)
            self._first_byte.record_all([end - start for end, start in answers if end is not None])
            exchanges.clear()
        super()._settle()


class PoolStatistics:
    """Of one pool: its queue, and what was tried again.

    - `queue`: how long those waited that had to, whether they were served in the end or not.
    - `retries`: attempts after the first one of a request.
    """

    __slots__ = ("queue", "retries")

    def __init__(self) -> None:
        self.queue = Histogram()
        self.retries = 0
