"""A balancer that is changed while it runs: what Apache's balancer-manager does to one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from scgiproxy.log.events import Logger
from scgiproxy.message.backend_url import parse_backend_url
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.balance import MethodFactory, Surroundings
from scgiproxy.pool.changing import (
    assign,
    changed_check,
    describe_differences,
    fields_of,
    is_enabled,
    level_accounts,
    reset_accounts,
)
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.methods.heartbeat import ByHeartbeat
from scgiproxy.pool.overrides import Overrides
from scgiproxy.pool.resolve import Resolver
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import Sticky
from scgiproxy.rules.changes import (
    BalancerChange,
    MemberChange,
    balancer_change,
    balancer_fields,
    checked_url,
    described_balancer,
    member_change,
    member_fields,
)
from scgiproxy.rules.health import HealthCondition
from scgiproxy.rules.parameters import suggest
from scgiproxy.rules.saved import SavedBalancer, SavedMember

_log = Logger()


class ManagedBalancer:
    """The balancer of `pool`, and what has been changed of it.

    - `key`: of the configuration (`config.model.Config.balancers`).
    - `methods`, `surroundings`: what ``b_lbm`` may name, and what a method is made for.
    - `resolver`: that of the pool.
    - `conditions`: the ProxyHCExpr that ``w_he`` may name, by name in lower case.
    - `discovers`: whether name servers say which members there are; `recorded`: whether a member's
      load factor and set are those of an SRV record.
    - `before`: the one of the configuration before. A member that was added to it is the same object
      if it is added again.

    Changes act at once. One that cannot be made raises ValueError and changes nothing; one that
    changes something is logged once, with `by`: who has made it.

    `on_members` is called when there are other members, or other checks of them; `on_change` after
    every change. Both are for whom it concerns to set. With `is_copy` another process makes the same
    changes, and logs them.
    """

    def __init__(
        self,
        pool: Pool,
        key: str,
        *,
        methods: Mapping[str, MethodFactory],
        surroundings: Surroundings,
        resolver: Resolver,
        conditions: Mapping[str, HealthCondition] | None = None,
        discovers: bool = False,
        recorded: Callable[[Backend], bool] = lambda _: False,
        before: ManagedBalancer | None = None,
    ) -> None:
        self.pool = pool
        self.key = key
        self.name = pool.name.removeprefix("balancer://")
        nonce = pool.settings.nonce
        if nonce is None:
            nonce = secrets.token_hex(16) if before is None else before.nonce
        self.discovers = discovers
        self.nonce: str = nonce
        self.on_members: Callable[[], object] = lambda: None
        self.on_change: Callable[[], object] = lambda: None
        self.is_copy: bool = before is not None and before.is_copy
        self._factories = {
            name: factory
            for name, factory in methods.items()
            # Without a file it would choose nobody, ever.
            if name != ByHeartbeat.name or surroundings.heartbeat_storage is not None
        }
        self._surroundings = surroundings
        self._resolver = resolver
        self._conditions = conditions or {}
        # Has the separator of sessions that are asked for again.
        self._sticky = pool.settings.sticky or Sticky(b"", b"")
        self._added: list[Backend] = []
        self._before = [] if before is None else before._added  # noqa: SLF001  of its kind
        self._overrides = Overrides(pool.settings, recorded)
        self._overrides.adopt(pool.backends)

    def __repr__(self) -> str:
        return f"<ManagedBalancer {self.pool!r}>"

    @property
    def methods(self) -> Sequence[str]:
        """What ``b_lbm`` may name."""
        return tuple(self._factories)

    @property
    def added(self) -> Sequence[Backend]:
        """The members that were added while it runs, and are there still."""
        return [member for member in self._added if member in self.pool.backends]

    @property
    def growth_left(self) -> int:
        """How many members may be added."""
        return max(0, self.pool.settings.growth - len(self.added))

    @property
    def fields(self) -> dict[str, str]:
        """The form fields of the balancer as it is now."""
        return described_balancer(self.pool.settings)

    def fields_of(self, member: Backend) -> dict[str, str]:
        """The form fields of a member as it is now."""
        return fields_of(member)

    def member(self, label: str) -> Backend:
        """The member with this URL. Raises ValueError if there is none."""
        for member in self.pool.backends:
            if member.label == label:
                return member
        near = suggest(label, [member.label for member in self.pool.backends])
        raise ValueError(f"{self.pool.name} has no member {label!a}{near}")

    # -- changes -------------------------------------------------------------------------------

    def change_member(self, member: Backend, change: MemberChange, by: str = "") -> None:
        """Change a member. One that is not disabled, stopped or failed by its check any more is
        tried at once. Raises ValueError: no member any more, or no such ProxyHCExpr."""
        if member not in self.pool.backends:
            raise ValueError(f"{member.label} is no member of {self.pool.name} any more")
        before, was_enabled = fields_of(member), is_enabled(member)
        had = member.settings.health
        self._assign(member, change)
        after = fields_of(member)
        # Also what does nothing yet, such as the interval of a check that there is none of.
        self._overrides.add_to(member, change)
        if after == before:
            return
        pool = self.pool
        if not was_enabled and is_enabled(member):
            reset_accounts(pool.backends, pool.settings.method)
            member.due()
        if after["w_lf"] != before["w_lf"]:
            level_accounts(pool.backends, pool.settings.method)
        self._tell(f"{member.label} of {pool.name}", describe_differences(before, after), by)
        pool.set_backends(pool.backends)
        if member.settings.health != had:
            self.on_members()
        self.on_change()

    def change(self, change: BalancerChange, by: str = "") -> None:
        """Change the balancer. Another method starts without what was counted for the one before.
        Raises ValueError if there is no such method."""
        before = self.fields
        self._apply(change)
        after = self.fields
        if after == before:
            return
        self._overrides.add(balancer_fields(change))
        self._tell(self.pool.name, describe_differences(before, after), by)
        self.on_change()

    def add(self, url: str, by: str = "") -> Backend:
        """Add a member, which is disabled at first.

        Raises ValueError: no place is left (`growth`), no URL of a backend, a member that is there
        already, or an address that this machine cannot have.
        """
        member = self._add(url)
        self._tell(self.pool.name, f"{member.label} added, disabled", by)
        self.on_members()
        self.on_change()
        return member

    # -- members that name servers know of -----------------------------------------------------

    def prepare(self, members: Collection[Backend]) -> None:
        """Name servers say that the pool is to have these: what was set by hand stays so, also of
        one that comes back. To be called before `Pool.set_backends`."""
        overrides = self._overrides
        for member in members:
            if not overrides.has(member):
                overrides.adopt([member])
                saved = overrides.take(member.label)
                if saved is not None:
                    self._restore_member(member, saved)
            elif by_hand := overrides.of_recorded(member.label):
                self._assign(member, member_change(by_hand))

    # -- what survives a restart ---------------------------------------------------------------

    def saved(self) -> SavedBalancer:
        """What is different from the configuration, and what was counted."""
        return self._overrides.saved(self.pool.backends, self.added)

    def restore(self, saved: SavedBalancer) -> None:
        """Take up what `saved` has, as far as the configuration is still the same. Of members that
        are to be discovered it is remembered. Both are logged, a line each: what is different from
        the configuration then, and what was dropped."""
        overrides = self._overrides
        if saved.changed and not overrides.fits(saved):
            self._drop(self.pool.name, "its configuration is another one now")
        elif saved.changed:
            try:
                self._apply(balancer_change(saved.changed))
                overrides.add(saved.changed)
            except ValueError as error:
                self._drop(self.pool.name, error)
            else:
                self._tell_restored(self.pool.name, overrides.configured, self.fields)
        for label in saved.added:
            if all(member.label != label for member in self.pool.backends):
                try:
                    self._add(label)
                except ValueError as error:
                    self._drop(f"{label} of {self.pool.name}", error)
        known = {member.label: member for member in self.pool.backends}
        # An account is one of its method.
        method = saved.changed.get("b_lbm", saved.configured.get("b_lbm"))
        same = method == self.pool.settings.method
        for label, one in saved.members.items():
            counters = {name: n for name, n in one.counters.items() if same or name != "load"}
            one = replace(one, counters=counters)
            member = known.get(label)
            if member is not None:
                before = fields_of(member)
                overrides.take(label)
                self._restore_member(member, one)
                self._tell_restored(f"{label} of {self.pool.name}", before, fields_of(member))
            elif self.discovers:
                overrides.keep(label, one)
            elif one.changed and label not in saved.added:
                self._drop(f"{label} of {self.pool.name}", "there is no such member any more")
        self.pool.set_backends(self.pool.backends)

    # ------------------------------------------------------------------------------------------

    def _assign(self, member: Backend, change: MemberChange) -> None:
        """All or nothing; the pool is not told yet."""
        overrides = self._overrides
        wanted = member_change({**overrides.of(member.label), **member_fields(change)})
        check = changed_check(overrides.written(member).health, wanted, self._conditions)
        assign(member, change, check, self.pool.clock.seconds())

    def _apply(self, change: BalancerChange) -> None:
        settings = self.pool.settings
        name = change.method
        if name is not None and name != settings.method:
            factory = self._factories.get(name)
            if factory is None:
                known = ", ".join(self._factories)
                near = suggest(name, self._factories)
                raise ValueError(f"b_lbm: expected one of {known}, got {name!a}{near}")
            self.pool.set_method(factory(self._surroundings))
            reset_accounts(self.pool.backends, name)
            settings = replace(settings, method=name)
        if change.wait is not None:
            settings = replace(settings, wait=change.wait)
        if change.default_attempts or change.max_attempts is not None:
            settings = replace(settings, max_attempts=change.max_attempts)
        if change.no_failover is not None:
            settings = replace(settings, no_failover=change.no_failover)
        if change.clear_sticky:
            settings = replace(settings, sticky=None)
        elif change.sticky_names is not None:
            cookie, parameter = change.sticky_names
            sticky = replace(settings.sticky or self._sticky, cookie=cookie, parameter=parameter)
            settings = replace(settings, sticky=sticky)
        if settings != self.pool.settings:
            self.pool.set_settings(settings)

    def _add(self, url: str) -> Backend:
        pool = self.pool
        found = parse_backend_url(checked_url(url))
        if found.address is None:
            raise ValueError(f"a balancer cannot be a member, got {url!a}")
        for member in pool.backends:
            at_place = (member.address, member.path) == (found.address, found.path)
            if at_place or member.label == found.label:
                known = "" if member.label == found.label else f", as {member.label}"
                raise ValueError(f"{found.label} is a member already{known}")
        if not self.growth_left:
            raise ValueError(
                f"{pool.name} has no place for another member (growth={pool.settings.growth})"
            )
        self._resolver.lookup(found.address)
        tls = pool.settings.tls if found.secure else None
        settings = BackendSettings(disabled=True, tls=tls)
        where = found.label, found.address, found.path
        same = [one for one in self._before if (one.label, one.address, one.path) == where]
        member = (same or [Backend(*where, settings, clock=pool.clock, balancer=self.name)])[0]
        member.configure(settings)
        self._overrides.adopt([member])
        pool.set_backends((*pool.backends, member))
        self._added.append(member)
        return member

    def _restore_member(self, member: Backend, saved: SavedMember) -> None:
        """The pool is not told yet."""
        if saved.changed:
            where = f"{member.label} of {self.pool.name}"
            if self._overrides.fits_member(saved, member):
                try:
                    change = member_change(saved.changed)
                    self._assign(member, change)
                    self._overrides.add_to(member, change)
                except ValueError as error:
                    self._drop(where, error)
            else:
                self._drop(where, "its configuration is another one now")
        for name, number in saved.counters.items():
            setattr(member, name, number)

    def _tell(self, what: str, told: str, by: str) -> None:
        if not self.is_copy:
            by = f" (by {by})" if by else ""
            _log.info("{what}: {told}{by}", what=what, told=told, by=by, notice=True)

    def _tell_restored(
        self, what: str, before: Mapping[str, str], after: Mapping[str, str]
    ) -> None:
        if not self.is_copy and (told := describe_differences(before, after)):
            _log.info("balancer.restore: {what}: {told}", what=what, told=told, notice=True)

    def _drop(self, what: str, why: object) -> None:
        if self.is_copy:
            return
        _log.info(
            "balancer.restore: what was changed is dropped: {what}: {why}",
            what=what,
            why=str(why),
            notice=True,
        )
