"""Histograms."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from math import ceil, inf

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scgiproxy.pool.histogram import BOUNDS, BUCKETS, Histogram

WITHIN = st.floats(BOUNDS[0], BOUNDS[-1])
ANY = st.floats(0, 500)


def histogram(*durations: float) -> Histogram:
    made = Histogram()
    made.record_all(list(durations))
    return made


def test_the_bounds_are_those_that_are_promised() -> None:
    assert (BOUNDS[0], BOUNDS[-1]) == (0.0005, 131.072)
    assert all(b / a == pytest.approx(2**0.25, rel=1e-3) for a, b in pairwise(BOUNDS))
    assert BUCKETS[:4] == (0.0005, 0.001, 0.002, 0.004)
    assert BUCKETS[-2:] == (131.072, inf)
    assert len(BUCKETS) == 20


@given(st.lists(ANY, max_size=300))
@example([*BOUNDS, *BOUNDS])
@example([0.0] * 64)
@example([500.0] * 65)
def test_each_duration_is_in_the_first_bucket_that_is_long_enough(durations: list[float]) -> None:
    """Few are counted one by one, many together; a bound is the longest of its own bucket."""
    counts = [0] * (len(BOUNDS) + 1)
    for seconds in durations:
        counts[bisect_left(BOUNDS, seconds)] += 1
    total = sum(durations)
    made = Histogram()
    assert made.record_all(durations) == pytest.approx(total)
    assert made.counts == counts
    assert made.count == len(durations)
    assert made.sum == pytest.approx(total)


@given(st.lists(ANY, max_size=100))
def test_cumulative_counts_are_of_all_that_were_not_longer(durations: list[float]) -> None:
    found = histogram(*durations).cumulative()
    assert found == [sum(seconds <= bound for seconds in durations) for bound in BUCKETS]


@given(st.lists(WITHIN, min_size=1, max_size=200), st.floats(0, 100))
def test_a_percentile_is_wrong_by_nine_percent_at_most(
    durations: list[float], percent: float
) -> None:
    """Against the nearest rank of the durations themselves."""
    rank = max(ceil(percent * len(durations) / 100 - 1e-9), 1)
    true = sorted(durations)[rank - 1]
    told = histogram(*durations).percentile(percent)
    assert told is not None
    assert told == pytest.approx(true, rel=0.092)


def test_percentiles_of_nothing_and_at_the_ends() -> None:
    assert Histogram().percentile(50) is None
    assert histogram(0.0).percentile(50) == BOUNDS[0]
    assert histogram(1000.0).percentile(50) == BOUNDS[-1]


def test_a_clock_that_was_set_back_takes_nothing_from_the_sum() -> None:
    made = histogram(2.0)
    made.record(-3600.0)
    assert (made.count, made.sum) == (2, 2.0)
    assert made.counts[0] == 1


@given(st.lists(ANY, max_size=80), st.lists(ANY, max_size=80))
def test_adding(one: list[float], other: list[float]) -> None:
    total = histogram(*one)
    total.add(histogram(*other))
    both = histogram(*one, *other)
    assert total.counts == both.counts
    assert total.sum == pytest.approx(both.sum)


@given(st.lists(ANY, max_size=80), st.lists(ANY, max_size=80))
def test_adding_what_a_list_tells(one: list[float], other: list[float]) -> None:
    total = histogram(*one)
    total.add_list(histogram(*other).as_list())
    both = histogram(*one, *other)
    assert total.counts == both.counts
    assert total.sum == pytest.approx(both.sum)


def test_the_list_has_nothing_but_what_there_was() -> None:
    assert Histogram().as_list() == []
    assert histogram(0.0005, 0.0005, 0.0006).as_list() == [pytest.approx(0.0016), 0, 2, 0, 1]
    assert histogram(500.0).as_list() == [500.0, len(BOUNDS), 1]
