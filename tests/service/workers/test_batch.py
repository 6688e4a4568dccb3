"""What changes is told together, and not too often."""

from __future__ import annotations

from twisted.internet.task import Clock

from scgiproxy.service.workers.batch import Batch


class Told:
    def __init__(self) -> None:
        self.clock = Clock()
        self.sent: list[tuple[float, list[str]]] = []
        self.batch = Batch[str](
            self.clock, 1.0, lambda items: self.sent.append((self.clock.seconds(), items))
        )


def test_the_first_is_told_at_once_and_what_follows_together() -> None:
    told = Told()
    told.clock.advance(100)
    told.batch.add("a")
    assert not told.sent
    told.clock.advance(0)
    for item in "bcb":
        told.batch.add(item)
        told.clock.advance(0.1)
    told.clock.advance(1)
    told.clock.advance(5)
    told.batch.add("d")
    told.clock.advance(0)
    assert [items for _, items in told.sent] == [["a"], ["b", "c"], ["d"]]
    assert told.sent[1][0] - told.sent[0][0] >= 1
    assert not told.clock.getDelayedCalls()


def test_what_waits_is_in_it_until_it_is_told() -> None:
    told = Told()
    told.batch.add("a")
    assert "a" in told.batch
    told.clock.advance(0)
    assert "a" not in told.batch


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    told = Told()
    told.clock.advance(100)
    told.batch.add("a")
    told.clock.advance(0)
    told.clock.rightNow = 10.0
    told.batch.add("b")
    told.clock.advance(1)
    assert [items for _, items in told.sent] == [["a"], ["b"]]


def test_it_stops() -> None:
    told = Told()
    told.batch.add("a")
    told.batch.stop()
    told.clock.advance(5)
    assert not told.sent
    assert not told.clock.getDelayedCalls()
