"""When the share of faulty exchanges puts a member in error (``ejectrate``)."""

from __future__ import annotations

WINDOW = 10.0
"""Seconds that are looked back at, more or less: two halves, of which the older one goes."""

FEWEST = 10
"""Exchanges below which a share says nothing."""


class ErrorRate:
    """Counts exchanges and faults of the last `WINDOW` seconds; `limit` is a share from 0 to 1."""

    __slots__ = ("_begun", "_faults", "_older_faults", "_older_total", "_total", "limit")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._begun = 0.0
        self._total = self._faults = self._older_total = self._older_faults = 0

    def add(self, now: float, fault: bool) -> bool:
        """Count one exchange that has ended; True if there are too many faults. Begins anew then."""
        passed = now - self._begun
        if passed >= WINDOW / 2:
            recent = passed < WINDOW
            self._older_total = self._total if recent else 0
            self._older_faults = self._faults if recent else 0
            self._total = self._faults = 0
            self._begun = now
        self._total += 1
        self._faults += fault
        total = self._total + self._older_total
        faults = self._faults + self._older_faults
        if not fault or total < FEWEST or faults < self.limit * total:
            return False
        self._total = self._faults = self._older_total = self._older_faults = 0
        return True
