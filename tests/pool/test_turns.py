"""How many members are probed at the same time."""

from __future__ import annotations

from typing import Any

import pytest
from zope.interface.verify import verifyObject

from scgiproxy.interfaces import IDeadline
from scgiproxy.pool.turns import Turns
from tests.pool.fakes import FakeDialer, name_of
from tests.pool.probing import GONE, Probed, member


def test_interface(probed: Probed) -> None:
    checks = probed(member())
    (subject,) = checks.checks._subjects.values()
    assert verifyObject(IDeadline, subject)


@pytest.mark.parametrize(("at_once", "expected"), [(16, 5), (3, 3), (1, 1), (0, 1)])
def test_how_many_at_once(probed: Probed, at_once: int, expected: int) -> None:
    checks = probed(*[member()] * 5, at_once=at_once)
    checks.advance(2)
    assert len(checks.open) == expected


def test_first_come_first_served(probed: Probed) -> None:
    """Who ends makes room, whatever the end; everybody has a turn."""
    checks = probed(*[member(interval=30.0)] * 5, at_once=2)
    checks.advance(2)
    seen = []
    for good in (True, False, True, False, True):
        dial = checks.dialer.open()[0]
        seen.append(name_of(dial.address))
        if good:
            dial.succeed()
        else:
            dial.fail(GONE)
        assert len(checks.open) == min(2, 5 - len(seen))
    assert sorted(seen) == list("abcde")


def test_many_that_are_over_at_once() -> None:
    """Each has its turn, and none within that of another."""
    turns = Turns(FakeDialer(), 1)  # type: ignore[arg-type]
    depth = most = count = 0

    class Brief:
        def turn(self) -> None:
            nonlocal depth, most, count
            depth += 1
            most = max(most, depth)
            count += 1
            turns.leave(self)  # type: ignore[arg-type]
            depth -= 1

    class Long:
        def turn(self) -> None:
            pass

    first: Any = Long()
    turns.ask(first)
    for _ in range(100):
        turns.ask(Brief())  # type: ignore[arg-type]
    assert count == 0
    turns.leave(first)
    assert (count, most) == (100, 1)


def test_one_that_is_connected_at_once(probed: Probed) -> None:
    """Before the dialer returns."""
    checks = probed(member())
    checks.dialer.at_once = True
    checks.advance(2)
    result = checks.members[0].last_probe
    assert result is not None
    assert result.told == "connected"


def test_a_stopped_member_does_not_keep_its_turn(probed: Probed) -> None:
    checks = probed(member(), member(stopped=True), member(), at_once=1)
    checks.advance(2)
    first = checks.open
    checks.dial().succeed()
    assert sorted([*first, *checks.open]) == ["a", "c"]
