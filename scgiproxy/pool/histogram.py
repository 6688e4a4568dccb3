"""How many requests took how long: durations, sorted into buckets."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, compress
from math import inf, sqrt
from operator import add
from typing import Any, Final

_STEPS = 4
_SHORTEST = 0.0005
_DOUBLINGS = 18

BOUNDS: Final = tuple(
    round(_SHORTEST * 2 ** (n / _STEPS), 7) for n in range(_DOUBLINGS * _STEPS + 1)
)
"""The longest duration of each bucket, in seconds: four for each doubling, from 0.5 ms to 131 s.
One more bucket has what took longer."""

BUCKETS: Final = (*BOUNDS[::_STEPS], inf)
"""The bounds of `Histogram.cumulative`: fewer, since each is a series to whoever stores them."""

_PLACES: Final = range(len(BOUNDS) + 1)
_WORTH_SORTING: Final = 64


class Histogram:
    """How many durations fell into each bucket, and their sum in seconds."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * len(_PLACES)
        self.sum = 0.0

    def clear(self) -> None:
        """Forget everything."""
        self.counts = [0] * len(_PLACES)
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
        if any(other.counts):
            self.counts = list(map(add, self.counts, other.counts))
            self.sum += other.sum

    def as_list(self) -> list[Any]:
        """The sum, the number of the first bucket that is not empty, and the counts from it to the
        last one that is not. Empty if nothing was counted."""
        counts = self.counts
        first = next(compress(_PLACES, counts), None)
        if first is None:
            return []
        last = next(compress(reversed(_PLACES), reversed(counts)))
        return [self.sum, first, *counts[first : last + 1]]

    def add_list(self, told: Sequence[Any]) -> None:
        """Count all that the `as_list` of another one tells."""
        if not told:
            return
        mine = self.counts
        self.sum += told[0]
        for bucket, count in enumerate(told[2:], told[1]):
            mine[bucket] += count

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
