"""A member that is up again gets its share little by little (slowstart)."""

from __future__ import annotations

import pytest

from scgiproxy.errors import ConnectFailed
from scgiproxy.pool.condition import Condition
from scgiproxy.rules.backend import BackendSettings
from tests.pool.fakes import Scene

S = BackendSettings


def recovered(*settings: BackendSettings) -> Scene:
    """Member a has been in error, and has just answered."""
    scene = Scene(*settings)
    member = scene.backends[0]
    member.fail(ConnectFailed("gone"))
    scene.clock.advance(1000)
    member.take()
    member.answered()
    member.give_back()
    assert member.condition is Condition.UP
    return scene


@pytest.mark.parametrize(
    ("seconds", "factor"), [(0, 2), (1, 20), (5, 100), (9.9, 198), (10, 200), (11, 200)]
)
def test_the_factor_grows(seconds: float, factor: int) -> None:
    """From next to nothing to the whole."""
    scene = recovered(S(slow_start=10.0, load_factor=2.0), S())
    member = scene.backends[0]
    assert member.factor == 1 or seconds
    scene.clock.advance(seconds)
    if seconds:
        assert scene.serve() in "ab"
        assert member.factor == factor
    assert scene.backends[1].factor == 100


def test_warm_tells_when_it_is_whole() -> None:
    member = recovered(S(slow_start=10.0)).backends[0]
    assert member.warm(1005.0)
    assert not member.warm(1010.0)


def test_the_share_grows() -> None:
    """byrequests: what the warming member gets of each hundred requests, ten seconds apart."""
    scene = recovered(S(slow_start=100.0), S())
    shares = []
    for _ in range(12):
        served = "".join(scene.serve() for _ in range(100))
        shares.append(served.count("a"))
        scene.clock.advance(10)
    assert shares == sorted(shares)
    assert shares[0] <= 1
    # f / (f + 100) for a factor f of 10, 20 ... 100.
    assert shares == pytest.approx([1, 9, 17, 23, 29, 33, 38, 41, 44, 47, 50, 50], abs=1)


def test_a_whole_member_is_served_as_ever() -> None:
    scene = recovered(S(slow_start=10.0), S())
    scene.clock.advance(10)
    scene.serve()
    assert "".join(scene.serve() for _ in range(6)) in ("ababab", "bababa")


def test_at_the_start_all_are_whole() -> None:
    scene = Scene(S(slow_start=10.0), S(slow_start=10.0))
    assert [member.factor for member in scene.backends] == [100, 100]
    assert "".join(scene.serve() for _ in range(4)) == "abab"


def test_without_it_a_member_is_whole_at_once() -> None:
    scene = recovered(S(), S())
    assert scene.backends[0].factor == 100


def test_alone_it_serves_all() -> None:
    scene = recovered(S(slow_start=10.0))
    assert "".join(scene.serve() for _ in range(3)) == "aaa"


def test_a_failure_while_it_warms_begins_anew() -> None:
    scene = recovered(S(slow_start=10.0, retry=5.0), S())
    member = scene.backends[0]
    scene.clock.advance(8)
    scene.serve()
    assert member.factor == 80
    member.fail(ConnectFailed("again"))
    scene.clock.advance(5)
    member.take()
    member.answered()
    assert member.factor == 1


@pytest.mark.parametrize("slow_start", [0.0, 10.0])
def test_a_load_factor_that_is_changed(slow_start: float) -> None:
    """At once; of one that warms up it is the goal."""
    scene = recovered(S(slow_start=slow_start), S())
    member = scene.backends[0]
    scene.clock.advance(5)
    member.full_factor = 300
    scene.pool.set_backends(scene.backends)
    scene.serve()
    assert member.factor == (150 if slow_start else 300)
    scene.clock.advance(5)
    scene.serve()
    assert member.factor == 300
