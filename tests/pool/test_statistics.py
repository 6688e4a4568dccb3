"""Timelines, and what is counted of backends."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.pool.histogram import BOUNDS
from scgiproxy.pool.statistics import (
    CHART,
    RECENT,
    BackendStatistics,
    Chart,
    PoolStatistics,
    Timeline,
)
from scgiproxy.pool.toldstatistics import ToldTimeline, tell_timeline
from tests.pool.test_histogram import histogram

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
    assert (chart.rate(60, 60.0), chart.rate(120, 120.0)) == (0.5, 130 / 120)
    assert chart.rate(60, 12.0) == 2.5
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


# -- what one process counts for another ------------------------------------------------------


@given(STEPS, st.lists(st.booleans(), min_size=60, max_size=60))
def test_what_is_drained_is_all_there_was(
    steps: list[tuple[float, float, bool]], drains: list[bool]
) -> None:
    """However often, and however long ago: another one that adds it has the same numbers."""
    counting, whole, reference = Recorded(), Recorded(), Recorded()
    now = START
    for (pause, seconds, failed), drain in zip(steps, drains, strict=False):
        now += pause
        counting.record(now, seconds, failed)
        reference.record(now, seconds, failed)
        if drain:
            whole.add(counting.drain(), now)
    whole.add(counting.drain(), now)
    assert counting.drain() == []
    for later in (now, now + 30, now + 100):
        assert whole.overall().counts == reference.overall().counts
        assert whole.spent == pytest.approx(reference.spent)
        assert whole.recent(later).counts == reference.recent(later).counts
        mine, theirs = whole.chart(later), reference.chart(later)
        assert (mine.requests, mine.errors) == (theirs.requests, theirs.errors)
        assert mine.latencies == pytest.approx(theirs.latencies)


@given(STEPS)
def test_what_is_told_lately_is_what_there_is_to_see(
    steps: list[tuple[float, float, bool]],
) -> None:
    timeline = Recorded()
    now = START
    for pause, seconds, failed in steps:
        now += pause
        timeline.record(now, seconds, failed)
    told = json.loads(json.dumps(tell_timeline(timeline, now, overall=True, lately=True)))
    shown = ToldTimeline(told)
    assert shown.overall().counts == timeline.overall().counts
    assert shown.recent(now).counts == timeline.recent(now).counts
    mine, theirs = shown.chart(now), timeline.chart(now)
    assert list(mine.requests) == theirs.requests
    assert list(mine.errors) == theirs.errors
    assert mine.latencies == theirs.latencies


def test_what_another_process_has_counted_a_moment_later() -> None:
    """Its clock may be read after ours: that belongs to the second at hand."""
    counting, whole = Recorded(), Recorded()
    counting.record(START + 1.001, 1.0)
    whole.add(counting.drain(), START + 0.999)
    assert whole.chart(START + 1).requests[-1] == 1
    assert whole.recent(START + 1).count == 1


def test_a_clock_that_was_set_back_before_it_was_drained() -> None:
    counting, whole = Recorded(), Recorded()
    counting.record(START, 1.0)
    counting.record(START - 1000, 1.0)
    whole.add(counting.drain(), START - 1000)
    assert whole.overall().count == 2
    assert whole.recent(START - 1000).count == 1
