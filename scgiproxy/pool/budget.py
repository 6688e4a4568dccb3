"""How many requests may be repeated, so that a failing backend is not met with a storm of them."""

from __future__ import annotations

SHARE = 0.2
"""Repeated requests among those in flight."""

RATE = 3.0
"""Repeated requests a second that are always allowed."""

_SAVED = 10.0
"""Seconds for which what is not used is saved."""

_QUIET = 1.0
"""Seconds without a request over the share, after which that was no storm."""


class RetryBudget:
    """A fifth of the requests in flight may be repeated ones, and always three a second.

    What is not used is saved for ten seconds, of the share as well: when one of two members dies,
    half of the requests in flight are repeated at once, and that is no storm. In a storm nothing is
    left to save but the three a second.

    Going to another member because one could not be connected to takes nothing from it: such an
    attempt was no load for anybody.

    - `repeated`: those in flight now.
    - `granted`, `denied`: how often `take` has said so.
    """

    __slots__ = ("_asked_at", "_saved", "denied", "granted", "repeated")

    def __init__(self) -> None:
        self.repeated = 0
        self.granted = 0
        self.denied = 0
        self._saved = RATE * _SAVED
        self._asked_at = 0.0

    def take(self, now: float, in_flight: int) -> bool:
        """Whether one more may be repeated; if so it is counted, until `give_back`.

        `in_flight` are all requests with a backend, this one and the repeated ones too.
        """
        if self.repeated + 1 > SHARE * in_flight:
            passed = max(0.0, now - self._asked_at)
            self._asked_at = now
            most = max(RATE, SHARE * in_flight)
            rate = RATE if passed < _QUIET else most
            self._saved = min(self._saved + rate * passed, most * _SAVED)
            if self._saved < 1.0:
                self.denied += 1
                return False
            self._saved -= 1.0
        self.granted += 1
        self.repeated += 1
        return True

    def give_back(self, count: int = 1) -> None:
        """That many repeated requests have ended."""
        self.repeated -= count
