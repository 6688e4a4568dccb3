"""How many requests may be repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.pool.budget import RATE, SHARE, RetryBudget


def granted(budget: RetryBudget, now: float, in_flight: int, asked: int) -> int:
    """How many of so many at once may be repeated."""
    return sum(budget.take(now, in_flight) for _ in range(asked))


def spent() -> RetryBudget:
    """One of which nothing is saved, at the time 0."""
    budget = RetryBudget()
    budget.give_back(granted(budget, 0.0, 0, 100))
    return budget


@pytest.mark.parametrize(
    ("in_flight", "expected"), [(0, 0), (4, 0), (5, 1), (9, 1), (10, 2), (100, 20)]
)
def test_a_fifth_of_those_in_flight(in_flight: int, expected: int) -> None:
    assert granted(spent(), 0.0, in_flight, 1000) == expected


def test_who_has_ended_makes_room() -> None:
    budget = spent()
    assert granted(budget, 0.0, 10, 5) == 2
    budget.give_back()
    assert granted(budget, 0.0, 10, 5) == 1
    budget.give_back(2)
    assert granted(budget, 0.0, 10, 5) == 2
    assert budget.repeated == 2


@pytest.mark.parametrize(("seconds", "expected"), [(0.3, 0), (0.34, 1), (1, 3), (2.5, 7)])
def test_three_a_second(seconds: float, expected: int) -> None:
    """However few are in flight."""
    assert granted(spent(), seconds, 1, 100) == expected


def test_three_a_second_in_small_steps() -> None:
    budget = spent()
    taken = 0
    for step in range(1, 1001):
        count = granted(budget, step / 100, 1, 1)
        budget.give_back(count)
        taken += count
    assert taken == pytest.approx(30, abs=1)


@pytest.mark.parametrize("seconds", [10, 11, 1e9])
def test_ten_seconds_are_saved_up(seconds: float) -> None:
    assert granted(spent(), seconds, 1, 1000) == 30


def test_thirty_are_there_at_first() -> None:
    assert granted(RetryBudget(), 0.0, 1, 1000) == 30


@pytest.mark.parametrize("in_flight", [2, 20, 200, 2000])
def test_the_death_of_one_of_two_members_is_no_storm(in_flight: int) -> None:
    """Half of what is in flight fails at once; and so again, some seconds later."""
    budget = RetryBudget()
    now = 1e6
    for _ in range(10):
        count = granted(budget, now, in_flight, in_flight // 2)
        assert count == in_flight // 2
        budget.give_back(count)
        now += 2


@pytest.mark.parametrize("rate", [10, 100, 1000])
def test_a_storm_of_quick_failures_adds_three_a_second(rate: int) -> None:
    """Each request fails at once, so that hardly one is in flight."""
    budget = spent()
    denied = budget.denied
    repeated = 0
    for request in range(20 * rate):
        if budget.take(request / rate, 1):
            repeated += 1
            budget.give_back()
    assert repeated <= 20 * RATE
    assert budget.denied - denied == 20 * rate - repeated
    assert repeated <= SHARE * 20 * rate or rate < 20


@pytest.mark.parametrize("seconds", [0.1, 1.0, 10.0])
def test_a_storm_of_slow_failures_adds_a_fifth(seconds: float) -> None:
    """A hundred in flight, each of which fails after that time, and is repeated if that may be."""
    budget = spent()
    repeated = [False] * 100
    rounds = int(60 / seconds)
    repeats = 0
    for number in range(2 * rounds):
        for index, was_repeated in enumerate(repeated):
            if was_repeated:
                budget.give_back()
            repeated[index] = budget.take(1 + (number + index / 100) * seconds, 100)
            # Before that it is not known to be one.
            repeats += repeated[index] and number >= rounds
    assert repeats <= max(SHARE * rounds * 100, 60 * RATE) * 1.1


def test_a_clock_may_go_back() -> None:
    budget = spent()
    granted(budget, 100.0, 1, 1000)
    assert granted(budget, 50.0, 1, 1000) == 0
    assert granted(budget, 51.0, 1, 1000) == 3


@given(
    st.lists(
        st.tuples(st.floats(0, 20), st.integers(0, 300), st.integers(0, 50), st.integers(0, 50))
    )
)
def test_the_numbers_agree(steps: list[tuple[float, int, int, int]]) -> None:
    """Whatever happens: no more in flight than allowed at once, each told one way or the other."""
    budget = RetryBudget()
    now = 0.0
    asked = 0
    for seconds, in_flight, wanted, ended in steps:
        now += seconds
        asked += wanted
        before = budget.repeated
        count = granted(budget, now, in_flight, wanted)
        most = max(RATE, SHARE * in_flight) * 10
        assert budget.repeated == before + count <= max(before, SHARE * in_flight) + most + 1
        budget.give_back(min(ended, budget.repeated))
    assert budget.granted + budget.denied == asked
