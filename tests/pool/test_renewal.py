"""When a name is asked for again, and what is logged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.pool.renewal import Renewal


def make(random: float = 0.0, **options: Any) -> Renewal:
    settings: dict[str, Any] = {"floor": 1.0, "ceiling": 300.0, "longest_retry": 30.0, **options}
    return Renewal("app", random=lambda: random, **settings)


@pytest.mark.parametrize(
    ("ttl", "expected"), [(0, 1), (0.5, 1), (1, 1), (30, 30), (300, 300), (86400, 300)]
)
def test_an_answer_is_good_for_its_ttl_within_bounds(ttl: float, expected: float) -> None:
    assert make().after(ttl) == expected
    assert make().succeeded(ttl) == expected


@given(ttl=st.floats(0, 2.0**32), random=st.floats(0, 1))
def test_waits_are_spread_by_a_tenth(ttl: float, random: float) -> None:
    """A TTL that is not over the ceiling is never cut short by more than that leaves."""
    wait = make(random).after(ttl)
    assert 1 <= wait <= 300
    assert wait >= min(ttl, 270)
    assert wait <= max(ttl, 1) * 1.1


def test_the_spread_is_used() -> None:
    assert make(1.0).after(100) == pytest.approx(110)
    assert make(0.5).after(100) == pytest.approx(105)
    assert make(1.0).after(1000) == pytest.approx(270)
    assert make(1.0).failed("nothing works") == pytest.approx(1.1)


def test_failures_are_retried_ever_later() -> None:
    renewal = make()
    waits = [renewal.failed("nothing works") for _ in range(8)]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    renewal.succeeded(5)
    assert renewal.failed("nothing works") == 1


def test_a_short_ttl_bounds_the_retries() -> None:
    renewal = make(1.0, longest_retry=0.5)
    assert [renewal.failed("nothing works") for _ in range(3)] == [0.5, 0.5, 0.5]


def test_each_change_is_logged_once(told: list[str]) -> None:
    renewal = make()
    renewal.succeeded(1)
    assert told == []
    renewal.failed("half of it works", "silence")
    renewal.failed("half of it works", "another reason")
    renewal.failed("nothing works")
    renewal.failed("nothing works")
    renewal.succeeded(1)
    renewal.succeeded(1)
    renewal.failed("nothing works")
    assert told == [
        "warn: backend.name: app could not be resolved: silence; half of it works",
        "warn: backend.name: app could not be resolved; nothing works",
        "info: backend.name: app is resolved now",
        "warn: backend.name: app could not be resolved; nothing works",
    ]
