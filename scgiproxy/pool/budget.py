"""How many requests may be repeated, so that a failing backend is not met with a storm of them."""

from __future__ import annotations

SHARE = 0.2
"""Repeated requests among those in flight."""

RATE = 3.0
"""Repeated requests a second that are always allowed."""

_SAVED = 10.0
"""Seconds for which unused ones of `RATE` are kept."""


class RetryBudget:
    """A fifth of the requests in flight may be repeated ones, and always three a second.

    Going to another member because one could not be connected to takes nothing from it: such an
    attempt was no load for anybody.
    """

    __slots__ = ("_saved", "_since", "repeated")

    def __init__(self) -> None:
        self.repeated = 0
        self._saved = RATE * _SAVED
        self._since = 0.0

    def take(self, now: float, in_flight: int) -> bool:
        """Whether one more may be repeated; if so it is counted, until `give_back`."""
        if self.repeated + 1 > SHARE * in_flight:
            passed = max(0.0, now - self._since)
            self._saved = min(self._saved + RATE * passed, RATE * _SAVED)
            self._since = now
            if self._saved < 1.0:
                return False
            self._saved -= 1.0
        self.repeated += 1
        return True

    def give_back(self) -> None:
        """A repeated request has ended."""
        self.repeated -= 1
