"""What the tests of the pool share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import LogEvent, formatEvent

from scgiproxy.log.events import gateway_events
from tests.pool.probing import Checks, Probed


@pytest.fixture
def told() -> Iterator[list[str]]:
    """The log's lines: the level, and the message."""
    lines: list[str] = []

    def observe(event: LogEvent) -> bool:
        lines.append(f"{event['log_level'].name}: {formatEvent(event)}")
        return False

    gateway_events.add(observe)
    yield lines
    gateway_events.remove(observe)


@pytest.fixture
def probed() -> Iterator[Probed]:
    """``probed(*settings, ...)`` is `Checks` that run; nothing is left of them in the end."""
    running: list[Checks] = []

    def start(*settings: Any, **options: Any) -> Checks:
        running.append(Checks(*settings, **options))
        return running[-1]

    yield start
    for one in running:
        one.checks.stop()
        # What has been answered may still be closing.
        one.clock.advance(10)
        assert len(one.dialer.wheel) == 0
        assert not one.dialer.open()
        assert not one.clock.getDelayedCalls()
