"""A discovery on a clock of the test's, with the test as its name server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

from scgiproxy.pool.discovery import Discovery
from scgiproxy.pool.lookup import Found
from scgiproxy.rules.discovery import DiscoverySettings, RecordKind
from tests.pool.names import FakeNames

SERVICE = "_app._tcp.example"


class Scene:
    """A discovery that was started, with a record of what it has applied."""

    def __init__(self, kind: RecordKind = RecordKind.ADDRESS, **options: Any) -> None:
        self.clock = Clock()
        self.names = FakeNames()
        self.applied: list[tuple[Found, ...]] = []
        self.do: Callable[[], None] = lambda: None
        name = SERVICE if kind is RecordKind.SERVICE else "app"
        self.discovery = Discovery(
            DiscoverySettings(kind, name, 4000),
            clock=self.clock,
            resolver=self.names,
            apply=self._apply,
            random=lambda: 0.0,
            **options,
        )

    def _apply(self, found: tuple[Found, ...]) -> None:
        self.applied.append(found)
        self.do()

    def start(self) -> None:
        """Start, and answer the first questions."""
        self.discovery.start()
        self.clock.advance(0)
        self.names.answer()

    def later(self, seconds: float) -> int:
        """Let time pass, and answer; how many questions were asked."""
        self.clock.advance(seconds)
        return self.names.answer()

    def wait(self) -> float:
        """Seconds until it asks again."""
        (call,) = self.clock.getDelayedCalls()
        return call.getTime() - self.clock.seconds()

    def texts(self) -> list[str]:
        """What was applied last."""
        return [str(one.address) for one in self.applied[-1]]

    def shares(self) -> list[tuple[str, int, float]]:
        return [(str(one.address), one.lbset, one.load_factor) for one in self.applied[-1]]
