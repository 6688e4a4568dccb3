"""When a name is asked for again, and what the log says of it."""

from __future__ import annotations

from collections.abc import Callable

from scgiproxy.log.events import Logger

FIRST_RETRY = 1.0
"""Seconds until a name that could not be resolved is asked for again; doubled each time."""

_SPREAD = 0.1


class Renewal:
    """The renewals of what is known of `name`. All times are in seconds.

    - `floor`, `ceiling`: bounds of the wait after an answer, whatever its TTL is.
    - `longest_retry`: bound of the wait after a failure.
    - `random`: numbers from 0 to 1. They spread the waits by up to a tenth, so that many gateways
      (or many names) do not ask in step; a TTL is exceeded rather than cut short, for then a
      cache would give the old answer once more.

    That a name cannot be resolved is logged once (warn), again only if that has another
    consequence, and once that it is resolved again (info).
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        *,
        floor: float,
        ceiling: float,
        longest_retry: float,
        random: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._name = name
        self._floor = floor
        self._ceiling = ceiling
        self._longest_retry = longest_retry
        self._random = random
        self._retry = FIRST_RETRY
        self._consequence = ""

    def after(self, ttl: float) -> float:
        """How long an answer with that TTL is good."""
        spread = _SPREAD * self._random()
        return min(max(ttl, self._floor) * (1 + spread), self._ceiling * (1 - spread))

    def succeeded(self, ttl: float) -> float:
        """It has been resolved: how long that is good."""
        self._retry = FIRST_RETRY
        if self._consequence:
            self._consequence = ""
            self._log.info("backend.name: {name} is resolved now", name=self._name)
        return self.after(ttl)

    def failed(self, consequence: str, reason: str = "") -> float:
        """It has not, or not as a whole: how long to wait before it is asked for again."""
        if consequence != self._consequence:
            self._consequence = consequence
            self._log.warn(
                "backend.name: {name} could not be resolved{reason}; {consequence}",
                name=self._name,
                reason=reason and f": {reason}",
                consequence=consequence,
            )
        wait = self._retry * (1 + _SPREAD * self._random())
        self._retry = min(self._retry * 2, self._longest_retry)
        return min(wait, self._longest_retry)
