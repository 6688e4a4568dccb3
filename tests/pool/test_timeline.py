"""Timelines."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.pool.histogram import BOUNDS
from scgiproxy.pool.timeline import CHART, RECENT, Chart, Timeline
from scgiproxy.pool.toldstatistics import ToldTimeline, tell_timeline
from tests.pool.test_histogram import histogram

START = 1_000_000_000.0
WITHIN = st.floats(BOUNDS[0], BOUNDS[-1])
ANY = st.floats(0, 500)


def record(timeline: Timeline, now: float, seconds: float, failed: bool = False) -> None:
    """What the method of a subclass does for each request."""
    if not timeline._begins <= now < timeline._ends:
        timeline._turn(now)
    timeline._durations.append(seconds)
    timeline._errors += int(failed)


STEPS = st.lists(
    st.tuples(st.one_of(st.floats(0, 3), st.floats(0, 300)), st.floats(0.001, 100), st.booleans()),
    max_size=60,
)


@given(STEPS, st.floats(0, 200))
def test_a_timeline_tells_what_happened_when(
    steps: list[tuple[float, float, bool]], later: float
) -> None:
    """Of any requests, whenever it is asked: all of them, the last minute, each second."""
    timeline = Timeline()
    now = START
    recorded = []
    for pause, seconds, failed in steps:
        now += pause
        record(timeline, now, seconds, failed)
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
    timeline = Timeline()
    record(timeline, START + 0.1, 1.0)
    assert sum(timeline.chart(START + 0.2).requests) == 0
    assert timeline.recent(START + 0.2).count == timeline.overall().count == 1
    record(timeline, START + 0.9, 3.0)
    chart = timeline.chart(START + 1)
    assert (chart.requests[-1], chart.latencies[-1]) == (2, 2.0)


def test_many_requests_in_one_second() -> None:
    timeline = Timeline()
    for number in range(5000):
        record(timeline, START + number / 5000, number / 1000)
    assert timeline.chart(START + 1).requests[-1] == 5000
    assert timeline.overall().count == 5000


@given(st.floats(1, 100_000))
def test_a_clock_that_is_set_back_costs_the_chart_and_no_count(back: float) -> None:
    timeline = Timeline()
    for second in range(10):
        record(timeline, START + second, 1.0, failed=True)
    now = START - back
    record(timeline, now, 1.0)
    assert timeline.overall().count == 11
    assert timeline.recent(now).count == 1
    chart = timeline.chart(now + 1)
    assert (sum(chart.requests), sum(chart.errors), chart.requests[-1]) == (1, 0, 1)


def test_nothing_has_happened() -> None:
    timeline = Timeline()
    assert timeline.overall().count == timeline.recent(START).count == 0
    assert timeline.chart(START) == Chart([0] * CHART, [0] * CHART, [0.0] * CHART)


def test_rates_are_of_the_newest_seconds() -> None:
    chart = Chart([100, *[0] * 118, 30], [7, *[0] * 118, 3], [0.0] * CHART)
    assert (chart.rate(60, 60.0), chart.rate(120, 120.0)) == (0.5, 130 / 120)
    assert chart.rate(60, 12.0) == 2.5
    assert (chart.failures(60), chart.failures(120)) == (3, 10)


# -- what one process counts for another ------------------------------------------------------


@given(STEPS, st.lists(st.booleans(), min_size=60, max_size=60))
def test_what_is_drained_is_all_there_was(
    steps: list[tuple[float, float, bool]], drains: list[bool]
) -> None:
    """However often, and however long ago: another one that adds it has the same numbers."""
    counting, whole, reference = Timeline(), Timeline(), Timeline()
    now = START
    for (pause, seconds, failed), drain in zip(steps, drains, strict=False):
        now += pause
        record(counting, now, seconds, failed)
        record(reference, now, seconds, failed)
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
    timeline = Timeline()
    now = START
    for pause, seconds, failed in steps:
        now += pause
        record(timeline, now, seconds, failed)
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
    counting, whole = Timeline(), Timeline()
    record(counting, START + 1.001, 1.0)
    whole.add(counting.drain(), START + 0.999)
    assert whole.chart(START + 1).requests[-1] == 1
    assert whole.recent(START + 1).count == 1


def test_a_clock_that_was_set_back_before_it_was_drained() -> None:
    counting, whole = Timeline(), Timeline()
    record(counting, START, 1.0)
    record(counting, START - 1000, 1.0)
    whole.add(counting.drain(), START - 1000)
    assert whole.overall().count == 2
    assert whole.recent(START - 1000).count == 1
