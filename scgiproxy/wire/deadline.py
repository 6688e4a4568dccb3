"""The deadlines of everything that is going on, on one delayed call.

A delayed call for each connection costs more than the rest of its bookkeeping together. Here the
points in time are rounded up to ticks; what ends in the same tick shares a set, and the reactor
has one call, for the first tick that somebody waits for.
"""

from __future__ import annotations

from math import floor, inf
from typing import ClassVar, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from scgiproxy.interfaces import IDeadline
from scgiproxy.log.events import Logger

LEAST_SHARE: Final = 0.005
"""Seconds for which deadlines are acted on before others have their turn, at least."""


class DeadlineWheel:
    """Calls `deadline_passed` on each watched `IDeadline` whose time has come.

    - `clock`: where time comes from; `item.deadline` is in its seconds.
    - `resolution`: seconds between two ticks: how late a call may come.

    An item's `deadline` may move *later* at any time (each piece of a body moves it), and costs
    nothing then: it is looked at again when its old tick comes up. To move it *earlier*, or back
    from ``math.inf``, watch it again. While nothing is watched there is no delayed call.
    """

    __slots__ = (
        "_buckets",
        "_clock",
        "_due",
        "_left_at",
        "_rate",
        "_resolution",
        "_ticks",
        "_timer",
        "_turned",
    )

    _log: ClassVar[Logger] = Logger()

    def __init__(self, clock: IReactorTime, resolution: float = 0.125) -> None:
        if not 0 < resolution < inf:
            raise ValueError(f"resolution must be a positive number of seconds, not {resolution}")
        self._clock = clock
        self._resolution = resolution
        self._rate = 1 / resolution
        # Ordered, so that of one tick those are told first that were watched first.
        self._buckets: dict[int, dict[IDeadline, None]] = {}
        self._ticks: dict[IDeadline, int] = {}
        self._timer: IDelayedCall | None = None
        # The tick the timer is set for; infinite without one.
        self._due: float = inf
        # The last tick whose bucket was emptied. Later ones only are given out, so that an item
        # that watches itself again with an old deadline waits for the next turn.
        self._turned = -1
        # When the wheel has left its buckets to others.
        self._left_at: float = 0.0

    def __len__(self) -> int:
        """How many items wait for a time; those whose deadline is infinite do not."""
        return len(self._ticks)

    def watch(self, item: IDeadline) -> None:
        """Call ``item.deadline_passed()`` once, at most one tick after ``item.deadline``.

        One that has passed already is told in a later turn of the reactor. An infinite one is
        never told. Watching again what is watched takes its deadline anew.
        """
        deadline = item.deadline
        if deadline == inf:
            self.forget(item)
            return
        tick = floor(deadline * self._rate) + 1
        if tick <= self._turned:
            tick = self._turned + 1
        ticks = self._ticks
        if item in ticks:
            if ticks[item] <= tick:
                return
            self.forget(item)
        try:
            self._buckets[tick][item] = None
        except KeyError:
            self._buckets[tick] = {item: None}
        ticks[item] = tick
        if tick < self._due:
            self._set_timer(tick)

    def forget(self, item: IDeadline) -> None:
        """Watch `item` no longer. Does nothing if it is not watched."""
        tick = self._ticks.pop(item, None)
        if tick is None:
            return
        bucket = self._buckets[tick]
        del bucket[item]
        if not bucket:
            del self._buckets[tick]
            if not self._ticks and self._timer is not None:
                self._timer.cancel()
                self._timer = None
                self._due = inf

    def _set_timer(self, tick: int) -> None:
        delay = max(0.0, tick * self._resolution - self._clock.seconds())
        if self._timer is None:
            self._timer = self._clock.callLater(delay, self._turn)
        else:
            self._timer.reset(delay)
        self._due = float(tick)

    def _turn(self) -> None:
        """Empty the buckets that are due, or go on with it."""
        self._timer = None
        now = self._clock.seconds()
        share = LEAST_SHARE
        if min(self._buckets) <= self._turned:
            share = max(share, now - self._left_at)
        else:
            # Rounding can make the timer come a hair before its tick: that tick counts as reached.
            self._turned = max(int(now * self._rate), int(self._due))
        try:
            for tick in sorted(tick for tick in self._buckets if tick <= self._turned):
                if not self._empty(tick, now, now + share):
                    break
        finally:
            self._left_at = self._clock.seconds()
            self._due = inf
            if self._buckets:
                self._set_timer(min(self._buckets))

    def _empty(self, tick: int, now: float, until: float) -> bool:
        """False if there was no time for all of them."""
        bucket = self._buckets.get(tick, {})
        for item in list(bucket):
            # What one item does may make another of this bucket be forgotten.
            if item not in bucket:
                continue
            del bucket[item]
            del self._ticks[item]
            if item.deadline > now:
                self.watch(item)
                continue
            try:
                item.deadline_passed()
            except Exception:
                self._log.failure("A deadline of {item!r} could not be acted on", item=item)
            if bucket and self._clock.seconds() >= until:
                return False
        self._buckets.pop(tick, None)
        return True
