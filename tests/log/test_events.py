"""Which way log events go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from scgiproxy.log.events import GatewayEvents, Logger, gateway_events


@pytest.fixture
def published() -> Iterator[list[str]]:
    """The messages in Twisted's log."""
    seen: list[str] = []

    def observe(event: LogEvent) -> None:
        seen.append(str(event.get("log_format")))

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


class Filter:
    """Remembers what it was asked, and says always the same."""

    def __init__(self, passes: bool) -> None:
        self.passes = passes
        self.asked: list[str] = []

    def __call__(self, event: LogEvent) -> bool:
        self.asked.append(event["log_format"])
        return self.passes


class Part:
    log = Logger()


def test_a_logger_is_named_for_its_module() -> None:
    """As Twisted's own; on an instance, for its class, and with the instance as its source."""
    part = Part()
    assert Logger().namespace == __name__
    assert Part.log.namespace == f"{__name__}.Part"
    assert (part.log.namespace, part.log.source) == (f"{__name__}.Part", part)
    assert part.log.observer is Part.log.observer is gateway_events
    assert Logger("named").namespace == "named"


def test_without_a_filter_all_goes_to_twisted(published: list[str]) -> None:
    Part.log.info("one")
    assert published == ["one"]


@pytest.mark.parametrize(
    ("verdicts", "seen"),
    [
        ((True,), ["one"]),
        ((False,), []),
        ((False, False), []),
        ((True, False), ["one"]),
        ((False, True), ["one"]),
        ((True, True), ["one"]),
    ],
)
def test_filters(published: list[str], verdicts: tuple[bool, ...], seen: list[str]) -> None:
    """Each is asked, and one that lets the event pass is enough; it passes only once."""
    events = GatewayEvents()
    filters = [Filter(verdict) for verdict in verdicts]
    for each in filters:
        events.add(each)
    Logger("a", observer=events).info("one")
    assert published == seen
    assert [each.asked for each in filters] == [["one"]] * len(filters)


def test_a_filter_that_is_removed_is_not_asked(published: list[str]) -> None:
    """Not even once more; and removing it again is harmless."""
    events = GatewayEvents()
    silent = Filter(False)
    events.add(silent)
    events.remove(silent)
    events.remove(silent)
    Logger("a", observer=events).info("one")
    assert (silent.asked, published) == ([], ["one"])
