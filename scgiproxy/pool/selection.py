"""Which member of a pool may serve a request now: a decision, without any consequence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum
from math import inf

from scgiproxy.interfaces import IBalancingMethod
from scgiproxy.pool.backend import Backend, Condition


class Blocked(Enum):
    """Why there is no member to use."""

    FULL = "full"
    """All that could be used have their `max` connections: one of them will be free."""
    NONE = "none"
    """None can be used: failed, disabled or tried already."""


class Selection:
    """The choice among `members`, in the order of their definition.

    Lower ``lbset`` first; in each set the ordinary members, and the standbys when no ordinary one
    is usable. Members with no free connection do not compete. With `force_recovery` all failed
    members are used again when every enabled one has failed and none is due for its retry; a
    disabled member does not prevent that (in Apache it does).
    """

    def __init__(
        self, members: Sequence[Backend], method: IBalancingMethod, force_recovery: bool
    ) -> None:
        self._members = tuple(members)
        self._method = method
        self._force_recovery = force_recovery
        groups: list[tuple[Backend, ...]] = []
        for number in sorted({member.settings.lbset for member in members}):
            of_set = [member for member in members if member.settings.lbset == number]
            groups.append(tuple(member for member in of_set if not member.settings.standby))
            groups.append(tuple(member for member in of_set if member.settings.standby))
        self._groups = tuple(group for group in groups if group)

    def choose(self, now: float, tried: Collection[Backend] = ()) -> Backend | Blocked:
        """The member for the next request, not one of `tried`; the method has accounted it."""
        if self._force_recovery:
            self._recover(now)
        for group in self._groups:
            usable = [member for member in group if member.usable(now) and member not in tried]
            if usable:
                free = [member for member in usable if not member.full()]
                if not free:
                    return Blocked.FULL
                chosen: Backend = self._method.choose(free)  # type: ignore[assignment]
                return chosen
        return Blocked.NONE

    def has_usable(self, now: float, tried: Collection[Backend]) -> bool:
        """Whether a member is left that is not one of `tried`."""
        return any(member.usable(now) and member not in tried for member in self._members)

    def patience(self, now: float, tried: Collection[Backend]) -> float:
        """Seconds to wait when all are full: the longest `acquire` of those waited for."""
        waits = [
            inf if member.settings.acquire is None else member.settings.acquire
            for member in self._members
            if member.usable(now) and member not in tried
        ]
        return max(waits, default=0.0)

    def next_retry(self, now: float, tried: Collection[Backend]) -> float:
        """When the next failed member comes due; infinite if none will."""
        return min(
            (
                member.down_until
                for member in self._members
                if member.condition is Condition.DOWN
                and member.down_until > now
                and not member.disabled
                and member not in tried
            ),
            default=inf,
        )

    def explain(self, now: float) -> str:
        """Why no member could be used, member by member."""
        if not self._members:
            return "it has no member"
        return ", ".join(f"{member.label} is {_state(member, now)}" for member in self._members)

    def _recover(self, now: float) -> None:
        enabled = False
        for member in self._members:
            if not member.disabled:
                if member.usable(now):
                    return
                enabled = True
        if enabled:
            for member in self._members:
                member.recover()


def _state(member: Backend, now: float) -> str:
    if member.disabled:
        return "disabled"
    if member.condition is Condition.DOWN and now < member.down_until:
        return f"in error for {member.down_until - now:.0f} s more"
    if member.condition is Condition.PROBATION:
        return "being probed"
    if member.full():
        return "busy"
    return "usable"
