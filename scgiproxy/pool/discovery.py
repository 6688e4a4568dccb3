"""Members that a name server knows: ``BalancerMember ... discover=a`` and ``discover=srv``.

The name is asked for again when the TTL of its records has passed; who uses the members is told
when they have changed. While a name cannot be resolved, what is known of it stays in use.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from scgiproxy.log.events import Logger
from scgiproxy.pool.lookup import PATIENCE, Found, Lookups, NameLookup, Outcome
from scgiproxy.pool.renewal import Renewal
from scgiproxy.rules.discovery import DiscoverySettings

FLOOR = 1.0
"""Seconds before a name is asked for again, at least; also for a TTL of 0."""

CEILING = 300.0
"""Seconds before a name is asked for again, at most."""

LONGEST_RETRY = 30.0
"""Seconds before a name that could not be resolved is asked for again, at most."""


class Discovery:
    """Keeps the members that `settings.name` stands for, in `found`.

    `apply` is called with all of them when they have changed, in a turn of the reactor and never
    from inside `start`, `stop` or itself; the first time is when something is known. Until then,
    and for a name that never resolves, there are no members. What it raises is logged. `on_found`
    is called after it.

    - `clock`: an IReactorTime.
    - `resolver`: such as `pool.stub_resolver.StubResolver`.
    - `ceiling`: seconds before a name is asked for again, at most.
    - `random`: numbers from 0 to 1, which spread the questions in time.

    While the name fails (see `NameLookup`), it keeps the last members. That is logged once (see
    `Renewal`).
    """

    _log = Logger()

    def __init__(
        self,
        settings: DiscoverySettings,
        *,
        clock: IReactorTime,
        resolver: Lookups,
        apply: Callable[[tuple[Found, ...]], object],
        ceiling: float = CEILING,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self.found: tuple[Found, ...] = ()
        self.on_found: Callable[[], object] = lambda: None
        self._clock = clock
        self._lookup = NameLookup(settings, resolver)
        self._apply = apply
        self._renewal = Renewal(
            settings.name,
            floor=FLOOR,
            ceiling=ceiling,
            longest_retry=LONGEST_RETRY,
            random=random,
        )
        self._running = False
        self._next: IDelayedCall | None = None
        self._round: Deferred[Outcome] | None = None

    def start(self) -> None:
        """Ask, in a later turn of the reactor; nothing happens if it is running already."""
        if not self._running:
            self._running = True
            self._next = self._clock.callLater(0, self._ask)

    def stop(self) -> None:
        """Ask no more, and cancel what is being asked. `found` is kept, for the next `start`."""
        self._running = False
        following, self._next = self._next, None
        if following is not None:
            following.cancel()
        running, self._round = self._round, None
        if running is not None:
            self._lookup.cut_short(running)

    # -- rounds --------------------------------------------------------------------------------

    def _ask(self) -> None:
        running = self._round = self._lookup.ask()
        self._next = self._clock.callLater(PATIENCE, self._lookup.cut_short, running)
        running.addErrback(self._broken)
        running.addCallback(self._ended, running)

    def _broken(self, failure: Failure) -> Outcome:
        self._log.failure("Cannot resolve {name}", failure, name=self.settings.name)
        return Outcome((), inf, failure.getErrorMessage())

    def _ended(self, outcome: Outcome, running: Deferred[Outcome]) -> None:
        if self._round is not running:
            return
        self._round = None
        if self._next is not None and self._next.active():
            self._next.cancel()
        if not outcome.found:
            wait = self._renewal.failed(
                "its last members stay in use" if self.found else "it stands for no member",
                outcome.problem,
            )
        elif outcome.problem:
            retry = self._renewal.failed("what else is known of it is used", outcome.problem)
            wait = min(retry, self._renewal.after(outcome.ttl))
        else:
            wait = self._renewal.succeeded(outcome.ttl)
        self._next = self._clock.callLater(wait, self._ask)
        if outcome.found and outcome.found != self.found:
            self.take(outcome.found)
            self.on_found()

    def take(self, found: tuple[Found, ...]) -> None:
        """These are the members, as has been found here, or by whoever runs another one for it."""
        self.found = found
        try:
            self._apply(found)
        except Exception:
            self._log.failure("Cannot apply what {name} stands for", name=self.settings.name)
