"""What the tests of the pool share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, formatEvent

from scgiproxy.log.events import gateway_events


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
