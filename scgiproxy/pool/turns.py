"""Who is probed when it is due, a bounded number at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from math import inf

from zope.interface import implementer

from scgiproxy.interfaces import IDeadline
from scgiproxy.log.events import Logger
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.probe import Probe
from scgiproxy.rules.health import ProbeResult
from scgiproxy.wire.dial import Dialer

_log = Logger()


class Turns:
    """Gives subjects their turns to probe, `at_once` at a time (at least one), first come first."""

    def __init__(self, dialer: Dialer, at_once: int) -> None:
        self.dialer = dialer
        self.at_once = max(at_once, 1)
        # Ordered, not a plain dict: taking from the front of that gets slow.
        self._waiting: OrderedDict[Subject, None] = OrderedDict()
        self._probing: set[Subject] = set()
        self._giving = False

    def ask(self, subject: Subject) -> None:
        """``subject.turn()`` is called when it may probe, maybe at once; `leave` follows."""
        self._waiting[subject] = None
        self._give()

    def leave(self, subject: Subject) -> None:
        """Its probe is over, or it does not want one any more."""
        self._waiting.pop(subject, None)
        self._probing.discard(subject)
        self._give()

    def clear(self) -> None:
        """Forget who waits."""
        self._waiting.clear()

    def _give(self) -> None:
        # A probe may be over at once, and then be back here: one loop does it all.
        if self._giving:
            return
        self._giving = True
        try:
            while self._waiting and len(self._probing) < self.at_once:
                subject, _ = self._waiting.popitem(last=False)
                self._probing.add(subject)
                subject.turn()
        finally:
            self._giving = False


@implementer(IDeadline)
class Subject(ABC):
    """A member of `pool`, and why it is probed: waits for its `deadline`, then for its turn."""

    def __init__(self, turns: Turns, pool: Pool, backend: Backend) -> None:
        self.deadline = inf
        self.pool = pool
        self.backend = backend
        self.route = pool.routes[backend]
        self.turns = turns
        self._probe: Probe | None = None
        self._probe_began = 0.0

    @abstractmethod
    def begin(self) -> None:
        """Wait for what is to come."""

    def end(self) -> None:
        """Wait for nothing any more, and break off what is going on."""
        self.turns.dialer.wheel.forget(self)
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.cancel()
        self.turns.leave(self)

    def now(self) -> float:
        return float(self.turns.dialer.reactor.seconds())

    def wait(self, seconds: float) -> None:
        """Ask for a turn after that time."""
        self.deadline = self.now() + seconds
        self.turns.dialer.wheel.watch(self)

    def deadline_passed(self) -> None:
        self.turns.ask(self)

    def turn(self) -> None:
        """It may probe now."""
        probe = self._probe = self.make_probe()
        if probe is None:
            self.turns.leave(self)
        else:
            self._probe_began = self.now()
            probe.start()

    @abstractmethod
    def make_probe(self) -> Probe | None:
        """The probe whose turn it is, which tells `done`; None if there is to be none."""

    def done(self, passed: bool | None, told: str) -> None:
        """How the probe went."""
        self._probe = None
        now = self.now()
        self.backend.last_probe = ProbeResult(now, passed, told, now - self._probe_began)
        self.backend.tell()
        try:
            self.judge(passed, told)
        finally:
            self.turns.leave(self)

    @abstractmethod
    def judge(self, passed: bool | None, told: str) -> None:
        """What follows from it."""

    def tell(self, told: str) -> None:
        """Log what has no consequence."""
        _log.debug(
            "backend.check: {label} of balancer://{balancer} was probed: {told}",
            label=self.backend.label,
            balancer=self.backend.balancer,
            told=told,
        )
