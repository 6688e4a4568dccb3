"""What has changed, told together: at once, but not again before some time has passed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

T = TypeVar("T")


class Batch(Generic[T]):
    """Calls `send` with what was added: in the next turn of the reactor, and then not again for
    `interval` seconds. While nothing is added there is no delayed call."""

    def __init__(
        self, clock: IReactorTime, interval: float, send: Callable[[list[T]], object]
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._send = send
        # Ordered: what changed first is told first.
        self._items: dict[T, None] = {}
        self._later: IDelayedCall | None = None
        self._not_before = 0.0

    def __contains__(self, item: T) -> bool:
        return item in self._items

    def add(self, item: T) -> None:
        """It has changed."""
        self._items[item] = None
        if self._later is None:
            wait = self._not_before - self._clock.seconds()
            # A clock may be set back.
            self._later = self._clock.callLater(min(max(wait, 0.0), self._interval), self._flush)

    def stop(self) -> None:
        """Forget what was added."""
        self._items.clear()
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _flush(self) -> None:
        self._later = None
        self._not_before = self._clock.seconds() + self._interval
        items, self._items = list(self._items), {}
        self._send(items)
