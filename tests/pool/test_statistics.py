"""Histograms, timelines, and what is counted of backends."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from math import ceil, inf

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scgiproxy.pool.statistics import (
    BOUNDS,
    BUCKETS,
    CHART,
    RECENT,
    BackendStatistics,
    Chart,
    Histogram,
    PoolStatistics,
    Timeline,
)

START = 1_000_000_000.0
WITHIN = st.floats(BOUNDS[0], BOUNDS[-1])
ANY = st.floats(0, 500)


class Recorded(Timeline):
    """A timeline as it is: what a subclass does for each request."""

    __slots__ = ()

    def record(self, now: float, seconds: float, failed: bool = False) -> None:
        if not self._begins <= now < self._ends:
            self._turn(now)
        self._durations.append(seconds)
        self._errors += failed


def histogram(*durations: float) -> Histogram:
    made = Histogram()
    made.record_all(list(durations))
    return made


# -- histograms --------------------------------------------------------------------------------


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


# -- timelines ---------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.one_of(st.floats(0, 3), st.floats(0, 300)), st.floats(0.001, 100), st.booleans()),
    max_size=60,
)


@given(STEPS, st.floats(0, 200))
def test_a_timeline_tells_what_happened_when(
    steps: list[tuple[float, float, bool]], later: float
) -> None:
    """Of any requests, whenever it is asked: all of them, the last minute, each second."""
    timeline = Recorded()
    now = START
    recorded = []
    for pause, seconds, failed in steps:
        now += pause
        timeline.record(now, seconds, failed)
        recorded.append((now, seconds, failed))
    now += later
    overall = timeline.overall()
    assert overall.counts == histogram(*(seconds for _, seconds, _ in recorded)).counts
    assert overall.sum == pytest.approx(sum(seconds for _, seconds, _ in recorded))

    recent = timeline.recent(now).count
    assert recent >= sum(at > now - RECENT for at, _, _ in recorded)
    assert recent <= sum(at >= now - RECENT * 4 / 3 for at, _, _ in recorded)

    chart = timeline.chart(now)
    for place in range(CHART):
        second = now // 1 - CHART + place
        of_it = [each for each in recorded if each[0] // 1 == second]
        assert chart.requests[place] == len(of_it)
        assert chart.errors[place] == sum(failed for _, _, failed in of_it)
        mean = sum(seconds for _, seconds, _ in of_it) / len(of_it) if of_it else 0
        assert chart.latencies[place] == pytest.approx(mean)
    # Asking has not changed anything.
    assert timeline.overall().counts == overall.counts
    assert timeline.chart(now) == chart


def test_the_second_at_hand_is_not_in_the_chart_yet() -> None:
    """Its bar would always be too low. It is in everything else."""
    timeline = Recorded()
    timeline.record(START + 0.1, 1.0)
    assert sum(timeline.chart(START + 0.2).requests) == 0
    assert timeline.recent(START + 0.2).count == timeline.overall().count == 1
    timeline.record(START + 0.9, 3.0)
    chart = timeline.chart(START + 1)
    assert (chart.requests[-1], chart.latencies[-1]) == (2, 2.0)


def test_many_requests_in_one_second() -> None:
    timeline = Recorded()
    for number in range(5000):
        timeline.record(START + number / 5000, number / 1000)
    assert timeline.chart(START + 1).requests[-1] == 5000
    assert timeline.overall().count == 5000


@given(st.floats(1, 100_000))
def test_a_clock_that_is_set_back_costs_the_chart_and_no_count(back: float) -> None:
    timeline = Recorded()
    for second in range(10):
        timeline.record(START + second, 1.0, failed=True)
    now = START - back
    timeline.record(now, 1.0)
    assert timeline.overall().count == 11
    assert timeline.recent(now).count == 1
    chart = timeline.chart(now + 1)
    assert (sum(chart.requests), sum(chart.errors), chart.requests[-1]) == (1, 0, 1)


def test_nothing_has_happened() -> None:
    timeline = Recorded()
    assert timeline.overall().count == timeline.recent(START).count == 0
    assert timeline.chart(START) == Chart([0] * CHART, [0] * CHART, [0.0] * CHART)


def test_rates_are_of_the_newest_seconds() -> None:
    chart = Chart([100, *[0] * 118, 30], [7, *[0] * 118, 3], [0.0] * CHART)
    assert (chart.rate(60), chart.rate(120)) == (0.5, 130 / 120)
    assert (chart.failures(60), chart.failures(120)) == (3, 10)


# -- backends and pools ------------------------------------------------------------------------


def test_an_exchange_is_recorded_in_its_phases() -> None:
    statistics = BackendStatistics()
    statistics.record(START, START - 5, START - 4, START - 2)
    statistics.record(START, START - 31, START - 30, None)
    assert (statistics.connect.count, statistics.connect.sum) == (2, 2)
    assert (statistics.first_byte.count, statistics.first_byte.sum) == (1, 2)
    assert (statistics.overall().count, statistics.overall().sum) == (2, 34)


def test_phases_are_told_again_after_more_was_recorded() -> None:
    statistics = BackendStatistics()
    for number in range(3):
        statistics.record(START + number, START - 3, START - 2, START - 1)
        assert statistics.connect.count == statistics.first_byte.count == number + 1


def test_errors_are_counted_by_their_key_and_by_the_second() -> None:
    """Also those of attempts that never became an exchange."""
    statistics = BackendStatistics()
    statistics.record_error(START, "backend.connect")
    statistics.record_error(START + 1, "backend.connect")
    statistics.record_error(START + 1, "backend.head_timeout")
    assert statistics.errors == {"backend.connect": 2, "backend.head_timeout": 1}
    chart = statistics.chart(START + 2)
    assert list(chart.errors[-2:]) == [1, 2]
    assert sum(chart.requests) == 0


def test_a_pool_counts_waits_and_retries() -> None:
    statistics = PoolStatistics()
    statistics.queue.record(0.5)
    statistics.retries += 1
    assert (statistics.queue.count, statistics.retries) == (1, 1)
