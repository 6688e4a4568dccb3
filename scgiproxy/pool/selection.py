"""Which member of a pool may serve a request now: a decision, without any consequence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum
from math import inf

from scgiproxy.interfaces import IAbstention, IBalancingMethod, ISessionAccounting
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.condition import Condition
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.rules.facts import Facts
from scgiproxy.rules.sticky import Session, redirect_chain


class Blocked(Enum):
    """Why there is no member to use."""

    FULL = "full"
    """All that could be used have their `max` connections: one of them will be free."""
    NONE = "none"
    """None can be used: failed, disabled or tried already."""


class _Set:
    """The members of one ``lbset``, in the order of their definition."""

    __slots__ = ("ordinary", "spares", "standbys")

    def __init__(self, members: Sequence[Backend]) -> None:
        self.ordinary = [one for one in members if not one.standby and not one.spare]
        self.spares = [one for one in members if one.spare and not one.standby]
        self.standbys = [one for one in members if one.standby]


class Selection:
    """The choice among `members`, in the order of their definition.

    A session goes to the member of its route, or to who takes that one's place (``redirect``), also
    if that is draining. Everything else, and a session whose member cannot be used, unless
    ``nofailover`` forbids it: lower ``lbset`` first; in each set the ordinary members, with a spare
    for each of them that is not usable, and the standbys when there is none of these. Members with
    no free connection do not compete. (mod_proxy_balancer.)

    With ``forcerecovery`` all failed members are used again when every enabled one has failed and
    none is due for its retry; a disabled member does not prevent that (in Apache it does).
    """

    def __init__(
        self, members: Sequence[Backend], method: IBalancingMethod, settings: BalancerSettings
    ) -> None:
        self.use(method)
        self.settings = settings
        self.change(members)

    def use(self, method: IBalancingMethod) -> None:
        """Choose by `method` from now on."""
        self.method = method
        self._accounting = ISessionAccounting.providedBy(method)

    def change(self, members: Sequence[Backend]) -> None:
        """Other members, or other flags, routes and sets of the same ones."""
        self.members = tuple(members)
        numbers = sorted({member.lbset for member in members})
        self._sets = [
            _Set([member for member in members if member.lbset == number]) for number in numbers
        ]
        # A session finds ordinary members before standbys, whatever their set.
        self._for_sessions = sorted(members, key=lambda member: member.standby)
        self.routes = frozenset(member.route for member in members if member.route)
        self._limited = any(member.limit is not None for member in members)
        self._slow = [member for member in members if member.settings.slow_start]
        for member in members:
            if not member.settings.slow_start:
                member.factor = member.full_factor

    def recover(self, now: float) -> bool:
        """Bring all failed members back if no enabled one can be used (``forcerecovery``); to be
        asked before each choice. True if they are back."""
        if not self.settings.force_recovery:
            return False
        enabled = False
        for member in self.members:
            if self._enabled(member):
                if member.usable(now):
                    return False
                enabled = True
        if enabled:
            for member in self.members:
                member.recover()
        return enabled

    def choose(
        self,
        now: float,
        tried: Collection[Backend] = (),
        session: Session | None = None,
        request: Facts | None = None,
    ) -> Backend | Blocked:
        """The member for `request`, not one of `tried`; the method has accounted it."""
        stuck = self._stuck(now, tried, session)
        if stuck is not None:
            if stuck.full():
                return Blocked.FULL
            if self._accounting:
                self.method.stuck(  # type: ignore[attr-defined]
                    [one for one in self.members if one.usable(now)], stuck
                )
            return stuck
        if self.bound(session):
            return Blocked.NONE
        competing = self._competing(now, tried)
        if not competing:
            return Blocked.NONE
        if self._limited:
            competing = [member for member in competing if not member.full()]
            if not competing:
                return Blocked.FULL
        for member in self._slow:
            if member.factor != member.full_factor:
                member.warm(now)
        chosen: Backend | None = self.method.choose(competing, request)  # type: ignore[assignment]
        return Blocked.NONE if chosen is None else chosen

    def bound(self, session: Session | None) -> bool:
        """Whether nobody but the session's member may serve it."""
        return session is not None and self.settings.no_failover and session.route in self.routes

    def has_other(
        self, now: float, tried: Collection[Backend], session: Session | None = None
    ) -> bool:
        """Whether a member is left that is not one of `tried`."""
        if self._stuck(now, tried, session) is not None:
            return True
        if self.bound(session):
            return False
        # Hardly ever is more than a look at one or two members needed.
        for group in self._sets:
            for member in group.ordinary:
                if member not in tried and not member.draining and member.usable(now):
                    return True
        return bool(self._competing(now, tried))

    def would_recover(
        self, failing: Backend, now: float, tried: Collection[Backend], session: Session | None
    ) -> bool:
        """Whether all members are tried again once `failing`, which is in use, has failed too, and
        one of them is not one of `tried` (``forcerecovery``)."""
        if not self.settings.force_recovery or self.bound(session):
            return False
        if failing.ignore_errors or failing.settings.eject_rate is not None:
            return False  # it may well stay in use
        others = [one for one in self.members if one is not failing and self._enabled(one)]
        return not any(one.usable(now) for one in others) and any(
            one not in tried and not one.draining and not one.check_failed for one in others
        )

    def patience(
        self, now: float, tried: Collection[Backend], session: Session | None = None
    ) -> float:
        """Seconds to wait when all are full: the longest `acquire` of those waited for."""
        stuck = self._stuck(now, tried, session)
        waited_for = self._competing(now, tried) if stuck is None else [stuck]
        return max(
            (
                inf if member.settings.acquire is None else member.settings.acquire
                for member in waited_for
            ),
            default=0.0,
        )

    def next_retry(self, now: float, tried: Collection[Backend]) -> float:
        """When the next failed member comes due; infinite if none will."""
        return min(
            (
                member.down_until
                for member in self.members
                if member.condition is Condition.DOWN
                and member.down_until > now
                and self._enabled(member)
                and not member.check_failed
                and member not in tried
            ),
            default=inf,
        )

    def explain(self, now: float, session: Session | None = None) -> str:
        """Why no member could be used, member by member."""
        if not self.members:
            return "it has no member"
        states = ", ".join(f"{member.label} is {member.state(now)}" for member in self.members)
        if session is not None and self.bound(session):
            route = ascii(session.route.decode("latin-1"))[1:-1]
            return f"its session is bound to route {route} (nofailover); {states}"
        if IAbstention.providedBy(self.method) and self._competing(now, ()):
            return f"{self.method.explain()}; {states}"
        return states

    # ------------------------------------------------------------------------------------------

    def _stuck(
        self, now: float, tried: Collection[Backend], session: Session | None
    ) -> Backend | None:
        """The member that the session stays with."""
        if session is None or session.route not in self.routes:
            return None
        return redirect_chain(
            self._for_sessions,
            session.route,
            lambda member: member.usable(now) and member not in tried,
        )

    def _competing(self, now: float, tried: Collection[Backend]) -> list[Backend]:
        """Those of the first set that has any; they may be full."""
        for group in self._sets:
            found = self._usable(group.ordinary, now, tried)
            missing = len(group.ordinary) - len(found)
            if missing and group.spares:
                found += self._usable(group.spares, now, tried)[:missing]
            if not found and group.standbys:
                found = self._usable(group.standbys, now, tried)
            if found:
                return found
        return []

    @staticmethod
    def _usable(
        members: Sequence[Backend], now: float, tried: Collection[Backend]
    ) -> list[Backend]:
        return [
            member
            for member in members
            if not member.draining and member.usable(now) and member not in tried
        ]

    @staticmethod
    def _enabled(member: Backend) -> bool:
        return not (member.disabled or member.stopped)
