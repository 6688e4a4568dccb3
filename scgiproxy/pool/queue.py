"""Those who wait for a connection of a pool, first come first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import TYPE_CHECKING

from scgiproxy.pool.place import Stage

if TYPE_CHECKING:
    from scgiproxy.pool.attempt import Dispatch


class Queue:
    """Of one pool.

    `kinds` has those who wait, by the kind of members they wait for: those who have been elsewhere,
    or have a member of their own, do not wait for the same as the others. Empty if nobody waits.
    """

    __slots__ = ("_number", "kinds")

    def __init__(self) -> None:
        # Each kind is ordered, and no plain dict: taking from the front of that gets slow.
        self.kinds: dict[tuple[object, ...], OrderedDict[Dispatch, None]] = {}
        self._number = 0

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self.kinds.values()))

    def enter(self, dispatch: Dispatch, routes: Collection[bytes], now: float) -> None:
        """Let `dispatch` wait; `routes` are those of the pool's members."""
        dispatch.stage = Stage.QUEUED
        dispatch.queued_at = now
        self._number += 1
        dispatch.number = self._number
        self._put(dispatch, routes)

    def remove(self, dispatch: Dispatch) -> None:
        """`dispatch` waits no longer."""
        dispatch.stage = Stage.CHOOSING
        kind = self.kinds[dispatch.kind]
        del kind[dispatch]
        if not kind:
            del self.kinds[dispatch.kind]

    def first(self, in_vain: Collection[tuple[object, ...]]) -> Dispatch | None:
        """Who has waited longest, of all kinds but those `in_vain`."""
        firsts = [next(iter(queue)) for kind, queue in self.kinds.items() if kind not in in_vain]
        return min(firsts, key=_number, default=None)

    def in_order(self) -> list[Dispatch]:
        """All of them."""
        waiting = [dispatch for queue in self.kinds.values() for dispatch in queue]
        return sorted(waiting, key=_number)

    def sort(self, routes: Collection[bytes]) -> None:
        """The pool has other members, of these `routes`: who waits for whom may be another matter."""
        waiting = self.in_order()
        self.kinds.clear()
        for dispatch in waiting:
            self._put(dispatch, routes)

    def _put(self, dispatch: Dispatch, routes: Collection[bytes]) -> None:
        session = dispatch.session
        own = session is not None and session.route in routes
        dispatch.kind = (session.route if session is not None and own else b"", *dispatch.tried)
        self.kinds.setdefault(dispatch.kind, OrderedDict())[dispatch] = None


def _number(dispatch: Dispatch) -> int:
    """When it came, compared with others."""
    return dispatch.number
