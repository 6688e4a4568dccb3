"""byrequests chooses in the order in which Apache does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from scgiproxy.interfaces import IBalancingMethod
from scgiproxy.message.backend_url import UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.balance import BUILT_IN, ByRequests
from scgiproxy.rules.backend import BackendSettings
from tests.pool.fakes import Scene


def members(*factors: float) -> list[Backend]:
    return [
        Backend(
            name,
            UnixAddress(f"/{name}"),
            b"/",
            BackendSettings(load_factor=factor),
            clock=Clock(),
            balancer="b",
        )
        for name, factor in zip("abcdefgh", factors, strict=False)
    ]


def order(candidates: list[Backend], count: int) -> str:
    method = ByRequests()
    return " ".join(method.choose(candidates).label for _ in range(count))


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((1, 1), "a b a b a b"),
        ((1, 1, 1), "a b c a b c"),
        ((1, 2), "b a b b a b"),
        ((3, 2), "a b a b a a b a b a"),
        ((1, 1, 1, 2), "d a b c d d a b c d"),
        ((1, 1, 3), "c a c b c c a c b c"),
        ((5, 1, 1), "a a b a c a a"),
        ((1.5, 1), "a b a b a"),
        ((7,), "a a a"),
    ],
)
def test_sequences(factors: tuple[float, ...], expected: str) -> None:
    assert order(members(*factors), len(expected.split())) == expected


def test_a_disabled_member_gains_nothing() -> None:
    four = members(1, 1, 1, 1)
    del four[1]
    assert order(four, 6) == "a c d a c d"


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_a_round_gives_each_its_factor(factors: list[int]) -> None:
    """After as many requests as the factors add up to, all is even again."""
    candidates = members(*factors)
    served = order(candidates, sum(factors)).split()
    assert [served.count(member.label) for member in candidates] == factors
    assert [member.load for member in candidates] == [0] * len(factors)


def test_names() -> None:
    assert list(BUILT_IN) == ["byrequests"]
    for name, method in BUILT_IN.items():
        assert method.name == name
        assert verifyObject(IBalancingMethod, method)


@implementer(IBalancingMethod)
class LastFirst:
    """A method of one's own."""

    name = "lastfirst"

    def choose(self, candidates: Sequence[Any]) -> Any:
        return candidates[-1]


def test_a_pool_takes_any_method() -> None:
    scene = Scene(BackendSettings(), BackendSettings(), BackendSettings(), method=LastFirst())
    assert [scene.serve() for _ in range(3)] == ["c", "c", "c"]
