"""lbmethod=leasttime: where an answer may be expected soonest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from random import Random
from typing import Any, Final

from zope.interface import implementer

from scgiproxy.interfaces import IBalancingMethod, IResponseTimes
from scgiproxy.pool.backend import Backend
from scgiproxy.rules.facts import Facts

DECAY: Final = 10.0
"""Seconds in which what was observed loses two thirds of its weight (1 - 1/e)."""

_SHORTEST = 1e-6
_LONGEST = 60.0
_UNKNOWN = 0.01
"""Seconds that everybody is expected to take before the first answer of all."""


@implementer(IBalancingMethod, IResponseTimes)
class LeastTime:
    """``lbmethod=leasttime``: of two random members the one with the lower cost.

    The cost is the response time that is expected of it (to the first byte), times its requests
    in flight and this one, divided by its load factor. Members are drawn in the ratio of their
    load factors; of two, both are looked at.

    The expected time is a peak-sensitive moving average: a slower answer than it takes effect at
    once, faster ones with the time constant `DECAY`. Without answers it drifts to what is typical
    of the whole balancer, so that a member that was slow is tried again, and one that was fast is
    not flooded after a pause. A member that has never answered is expected to be typical: while
    it has not, it gets about as many requests in flight as each of the others.

    - `seconds`: the clock; the same one that gives ``now`` to `observe` and `failed`.
    - `random`: draws the members.

    Kept in a member: `latency`, the average when it was last changed (0.0: it has never answered),
    and ``latency_at``, when that was.
    """

    name = "leasttime"

    def __init__(self, seconds: Callable[[], float], random: Random | None = None) -> None:
        self._seconds = seconds
        self._random = (random or Random()).random  # noqa: S311
        # The plain moving average over all members.
        self._typical = _UNKNOWN
        self._typical_at: float | None = None

    def choose(self, candidates: Sequence[Any], request: Facts | None) -> Backend:  # noqa: ARG002
        """The next member."""
        first: Backend
        second: Backend
        if len(candidates) == 1:
            first = candidates[0]
            return first
        if len(candidates) == 2:
            first, second = candidates
            # If they cost the same, neither is to be preferred.
            if self._random() < 0.5:
                first, second = second, first
        else:
            total = sum(candidate.factor for candidate in candidates)
            first = self._draw(candidates, total, None)
            second = self._draw(candidates, total - first.factor, first)
        now = self._seconds()
        return first if self._cost(first, now) <= self._cost(second, now) else second

    def observe(self, member: Any, seconds: float, now: float) -> None:
        """`member` has begun to answer, after `seconds`. Constant time."""
        seconds = max(seconds, _SHORTEST)
        if self._typical_at is None:
            self._typical, self._typical_at = seconds, now
        elif now > self._typical_at:
            self._typical = _blend(self._typical, seconds, now - self._typical_at)
            self._typical_at = now
        if member.latency:
            expected = self._expected(member, now)
            if seconds < expected:
                seconds = _blend(expected, seconds, now - member.latency_at)
        member.latency, member.latency_at = seconds, now

    def failed(self, member: Any, seconds: float, now: float) -> None:
        """`member` has failed, after `seconds`. Constant time.

        If it stays in use (``status=I``, ``ejectrate``), what is expected of it is doubled at
        least: who fails fast must not look fast, or all requests would go there. If it is left
        alone, it comes back as one that has never answered.
        """
        if member.usable(now):
            expected = max(seconds, 2 * self._expected(member, now))
            member.latency, member.latency_at = min(expected, _LONGEST), now
        else:
            member.latency = 0.0

    def _expected(self, member: Any, now: float) -> float:
        latency: float = member.latency
        if not latency:
            return self._typical
        return _blend(latency, self._typical, now - member.latency_at)

    def _cost(self, member: Any, now: float) -> float:
        in_flight = member.in_flight + member.elsewhere
        return self._expected(member, now) * (in_flight + 1) / member.factor  # type: ignore[no-any-return]

    def _draw(self, candidates: Sequence[Any], total: int, besides: Any) -> Any:
        """One of `candidates`, in the ratio of their factors (`total` in all), but not `besides`."""
        at = self._random() * total
        drawn = None
        for candidate in candidates:
            if candidate is not besides:
                drawn = candidate
                at -= candidate.factor
                if at < 0:
                    break
        return drawn


def _blend(old: float, new: float, seconds: float) -> float:
    """The average between, that many seconds on the way from `old` to `new`."""
    # A clock may be set back.
    return new + (old - new) * exp(-seconds / DECAY) if seconds > 0 else old
