"""Pull producers, driven."""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from scgiproxy.web.pull import AT_ONCE, PullToPush


class Producer:
    def __init__(self) -> None:
        self.asked = 0
        self.stopped = 0
        self.driver: PullToPush | None = None
        self.pause_at = 0

    def resumeProducing(self) -> None:
        self.asked += 1
        if self.asked == self.pause_at and self.driver is not None:
            self.driver.pauseProducing()

    def stopProducing(self) -> None:
        self.stopped += 1


def driven(pause_at: int = 0) -> tuple[Producer, PullToPush, Clock]:
    producer, clock = Producer(), Clock()
    driver = producer.driver = PullToPush(producer, clock)  # type: ignore[arg-type]
    producer.pause_at = pause_at
    return producer, driver, clock


def test_provides_what_it_says() -> None:
    assert verifyObject(IPushProducer, driven()[1])


def test_asks_until_paused() -> None:
    producer, driver, clock = driven(pause_at=3)
    driver.start(False)
    assert producer.asked == 3
    assert not clock.getDelayedCalls()
    producer.pause_at = 5
    driver.resumeProducing()
    assert producer.asked == 5


def test_starts_paused() -> None:
    producer, driver, _ = driven(pause_at=1)
    driver.start(True)
    assert producer.asked == 0
    driver.resumeProducing()
    assert producer.asked == 1


def test_gives_others_their_turn() -> None:
    producer, driver, clock = driven()
    driver.start(False)
    assert producer.asked == AT_ONCE
    (call,) = clock.getDelayedCalls()
    driver.resumeProducing()
    assert producer.asked == AT_ONCE
    call.func()
    assert producer.asked == 2 * AT_ONCE
    driver.end()
    assert not [left for left in clock.getDelayedCalls() if left is not call]


def test_paused_between_two_turns() -> None:
    producer, driver, clock = driven()
    driver.start(False)
    driver.pauseProducing()
    clock.advance(0)
    assert producer.asked == AT_ONCE
    assert not clock.getDelayedCalls()
    producer.pause_at = AT_ONCE + 1
    driver.resumeProducing()
    assert producer.asked == AT_ONCE + 1


def test_end_and_stop() -> None:
    producer, driver, clock = driven()
    driver.start(False)
    driver.end()
    driver.end()
    assert producer.stopped == 0
    driver.resumeProducing()
    assert producer.asked == AT_ONCE
    driver.stopProducing()
    assert producer.stopped == 1
    assert not clock.getDelayedCalls()
