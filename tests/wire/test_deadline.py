"""The wheel of deadlines: when it calls, and that it leaves nothing behind."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from scgiproxy.interfaces import IDeadline
from scgiproxy.wire.deadline import DeadlineWheel
from tests.conftest import LoggedErrors


@implementer(IDeadline)
class Item:
    """Notes the times at which it was told."""

    def __init__(self, clock: Clock, deadline: float) -> None:
        self.clock = clock
        self.deadline = deadline
        self.told: list[float] = []

    def deadline_passed(self) -> None:
        self.told.append(self.clock.seconds())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wheel(clock: Clock) -> DeadlineWheel:
    return DeadlineWheel(clock)


def test_items_provide_the_interface(clock: Clock) -> None:
    assert verifyObject(IDeadline, Item(clock, 1.0))


def test_tells_within_one_tick(clock: Clock, wheel: DeadlineWheel) -> None:
    item = Item(clock, 1.01)
    wheel.watch(item)
    clock.pump([0.0625] * 16)
    assert item.told == []
    clock.pump([0.0625] * 2)
    assert item.told == [1.125]


def test_tells_once_and_then_has_no_timer(clock: Clock, wheel: DeadlineWheel) -> None:
    item = Item(clock, 1.0)
    wheel.watch(item)
    clock.advance(50)
    clock.advance(50)
    assert item.told == [50]
    assert len(wheel) == 0
    assert clock.getDelayedCalls() == []


def test_no_timer_before_anything_is_watched(clock: Clock, wheel: DeadlineWheel) -> None:
    assert clock.getDelayedCalls() == []


def test_one_timer_for_all(clock: Clock, wheel: DeadlineWheel) -> None:
    for deadline in (5.0, 3.0, 9.0, 3.0):
        wheel.watch(Item(clock, deadline))
    assert [call.getTime() for call in clock.getDelayedCalls()] == [3.125]


def test_forgotten_items_are_not_told(clock: Clock, wheel: DeadlineWheel) -> None:
    kept, forgotten = Item(clock, 1.0), Item(clock, 1.0)
    wheel.watch(kept)
    wheel.watch(forgotten)
    wheel.forget(forgotten)
    clock.advance(2)
    assert (kept.told, forgotten.told) == ([2], [])


def test_forgetting_the_last_cancels_the_timer(clock: Clock, wheel: DeadlineWheel) -> None:
    items = [Item(clock, 1.0), Item(clock, 7.0)]
    for item in items:
        wheel.watch(item)
    for item in items:
        wheel.forget(item)
    assert clock.getDelayedCalls() == []
    assert wheel._buckets == {}
    wheel.watch(items[0])
    clock.advance(2)
    assert items[0].told == [2]


def test_forgetting_what_is_not_watched_does_nothing(clock: Clock, wheel: DeadlineWheel) -> None:
    wheel.forget(Item(clock, 1.0))
    assert len(wheel) == 0


def test_a_deadline_may_move_later_silently(clock: Clock, wheel: DeadlineWheel) -> None:
    item = Item(clock, 1.0)
    wheel.watch(item)
    item.deadline = 5.0
    clock.pump([0.125] * 40)
    assert item.told == []
    clock.advance(0.125)
    assert item.told == [5.125]


def test_a_deadline_may_move_to_never(clock: Clock, wheel: DeadlineWheel) -> None:
    item = Item(clock, 1.0)
    wheel.watch(item)
    item.deadline = inf
    clock.advance(1000)
    assert item.told == []
    assert clock.getDelayedCalls() == []


def test_watching_again_takes_an_earlier_deadline(clock: Clock, wheel: DeadlineWheel) -> None:
    item = Item(clock, 100.0)
    wheel.watch(item)
    item.deadline = 1.0
    wheel.watch(item)
    clock.advance(1.125)
    clock.advance(200)
    assert item.told == [1.125]


def test_an_infinite_deadline_needs_no_timer(clock: Clock, wheel: DeadlineWheel) -> None:
    item = Item(clock, inf)
    wheel.watch(item)
    assert clock.getDelayedCalls() == []
    wheel.forget(item)
    item.deadline = 1.0
    wheel.watch(item)
    item.deadline = inf
    wheel.watch(item)
    assert clock.getDelayedCalls() == []


def test_a_past_deadline_is_told_in_a_later_turn(clock: Clock, wheel: DeadlineWheel) -> None:
    clock.advance(100)
    item = Item(clock, 3.0)
    wheel.watch(item)
    assert item.told == []
    clock.advance(0)
    assert item.told == [100]


def test_watching_itself_again_does_not_spin(clock: Clock, wheel: DeadlineWheel) -> None:
    class Again(Item):
        def deadline_passed(self) -> None:
            super().deadline_passed()
            wheel.watch(self)

    item = Again(clock, 1.0)
    wheel.watch(item)
    clock.advance(2)
    assert item.told == [2]
    clock.advance(0.125)
    assert item.told == [2, 2.125]
    wheel.forget(item)
    assert clock.getDelayedCalls() == []


def test_those_of_one_tick_are_told_in_the_order_they_came(
    clock: Clock, wheel: DeadlineWheel
) -> None:
    order: list[Item] = []

    class Noting(Item):
        def deadline_passed(self) -> None:
            order.append(self)

    items = [Noting(clock, 1.0) for _ in range(20)]
    for item in items:
        wheel.watch(item)
    clock.advance(2)
    assert order == items


class Laborious(Item):
    """Takes a while."""

    cost = 0.003

    def deadline_passed(self) -> None:
        self.clock.rightNow += self.cost
        super().deadline_passed()


def turn(clock: Clock, items: list[Laborious]) -> int:
    """One turn of the reactor, which `Clock.advance` would repeat: how many were told in it."""
    before = sum(len(item.told) for item in items)
    if clock.calls and clock.calls[0].getTime() <= clock.seconds():
        call = clock.calls.pop(0)
        call.called = 1
        call.func()
    return sum(len(item.told) for item in items) - before


def test_others_have_their_turn_between_many(clock: Clock, wheel: DeadlineWheel) -> None:
    """Two take longer than the least share: then others are served, and the rest is told at once."""
    items = [Laborious(clock, 1.0) for _ in range(5)]
    for item in items:
        wheel.watch(item)
    clock.rightNow = 1.125
    assert [turn(clock, items) for _ in range(4)] == [2, 2, 1, 0]
    assert clock.getDelayedCalls() == []


def test_as_much_time_as_others_have_taken(clock: Clock, wheel: DeadlineWheel) -> None:
    """Where there is much to do besides, deadlines are not left behind."""
    items = [Laborious(clock, 1.0) for _ in range(20)]
    for item in items:
        wheel.watch(item)
    clock.rightNow = 1.125
    assert turn(clock, items) == 2
    clock.rightNow += 0.0285
    assert turn(clock, items) == 10
    assert turn(clock, items) == 2


def test_those_of_later_ticks_wait_for_the_rest(clock: Clock, wheel: DeadlineWheel) -> None:
    """Also when their time comes meanwhile; and one that is forgotten is not told."""
    items = [Laborious(clock, 1.0) for _ in range(6)]
    later = Laborious(clock, 1.13)
    for item in (*items, later):
        wheel.watch(item)
    clock.rightNow = 1.125
    assert turn(clock, items) == 2
    wheel.forget(items[3])
    clock.rightNow = 1.3
    later.cost = 0.0
    turn(clock, items)
    assert [len(item.told) for item in items] == [1, 1, 1, 0, 1, 1]
    assert later.told == []
    turn(clock, items)
    assert later.told == [clock.seconds()]
    assert clock.getDelayedCalls() == []


def test_one_item_may_forget_another_of_its_tick(clock: Clock, wheel: DeadlineWheel) -> None:
    class Rival(Item):
        other: Rival

        def deadline_passed(self) -> None:
            super().deadline_passed()
            wheel.forget(self.other)

    one, two = Rival(clock, 1.0), Rival(clock, 1.0)
    one.other, two.other = two, one
    wheel.watch(one)
    wheel.watch(two)
    clock.advance(2)
    assert len(one.told + two.told) == 1
    assert clock.getDelayedCalls() == []


def test_a_failing_item_is_logged_and_the_others_are_told(
    clock: Clock, wheel: DeadlineWheel, logged_errors: LoggedErrors
) -> None:
    class Failing(Item):
        def deadline_passed(self) -> None:
            raise RuntimeError("cannot")

    others = [Item(clock, 1.0), Item(clock, 2.0)]
    for item in (others[0], Failing(clock, 1.0), Failing(clock, 1.5), others[1]):
        wheel.watch(item)
    clock.advance(3)
    assert [item.told for item in others] == [[3], [3]]
    assert [event["log_failure"].type for event in logged_errors.flush()] == [RuntimeError] * 2


@pytest.mark.parametrize("resolution", [0, -1.0, inf])
def test_refuses_a_resolution_that_is_none(clock: Clock, resolution: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        DeadlineWheel(clock, resolution)


@settings(max_examples=200)
@given(
    resolution=st.sampled_from([0.125, 0.1, 1.0, 0.03]),
    start=st.floats(0, 2e9),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("watch"), st.integers(0, 4), st.floats(0, 3)),
            st.tuples(st.just("later"), st.integers(0, 4), st.floats(0, 3)),
            st.tuples(st.just("forget"), st.integers(0, 4), st.just(0.0)),
            st.tuples(st.just("advance"), st.just(0), st.floats(0, 2)),
        ),
        max_size=40,
    ),
)
def test_never_early_never_twice_never_more_than_a_tick_late(
    resolution: float, start: float, steps: list[tuple[str, int, float]]
) -> None:
    """Whatever is watched, moved and forgotten, each is told in its own time."""
    clock = Clock()
    clock.advance(start)
    wheel = DeadlineWheel(clock, resolution)
    items = [Item(clock, 0.0) for _ in range(5)]
    waiting: dict[Item, float] = {}

    def settle() -> None:
        now = clock.seconds()
        for item in items:
            for when in item.told:
                assert when >= waiting.pop(item)
            item.told.clear()
        for deadline in waiting.values():
            assert now <= deadline + resolution + 1e-6

    for action, index, seconds in steps:
        item = items[index]
        if action == "watch":
            item.deadline = waiting[item] = clock.seconds() + seconds
            wheel.watch(item)
        elif action == "later" and item in waiting:
            item.deadline = waiting[item] = item.deadline + seconds
        elif action == "forget":
            wheel.forget(item)
            waiting.pop(item, None)
        elif action == "advance":
            clock.advance(seconds)
            settle()
        assert len(wheel) == len(waiting)
        assert bool(clock.getDelayedCalls()) == bool(waiting)
