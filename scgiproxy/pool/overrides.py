"""What has been changed of a balancer while it runs, beside what its configuration says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from scgiproxy.pool.backend import Backend
from scgiproxy.rules.backend import BackendSettings, Flag
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.rules.changes import (
    MemberChange,
    described_balancer,
    described_member,
    member_fields,
)
from scgiproxy.rules.saved import COUNTERS, SavedBalancer, SavedMember

_RECORDED = ("w_lf", "w_ls")
"""What an SRV record says of a member, and not the file."""


class Overrides:
    """Those of one balancer with these `settings`, and of its members, in form fields.

    - `recorded`: whether a member's load factor and set are those of an SRV record.
    - `configured`: what the configuration says of the balancer.

    What holds for a member is known by its label, also for one that name servers do not know of
    now. What is changed to what the configuration says is no override any more.
    """

    def __init__(self, settings: BalancerSettings, recorded: Callable[[Backend], bool]) -> None:
        self.configured = described_balancer(settings)
        self._recorded = recorded
        self._changed: dict[str, str] = {}
        self._members: dict[str, SavedMember] = {}

    def adopt(self, members: Collection[Backend]) -> None:
        """These are new, and still as the configuration says."""
        for member in members:
            member.written = member.settings

    def has(self, member: Backend) -> bool:
        """Whether it was adopted."""
        return member.written is not None

    def written(self, member: Backend) -> BackendSettings:
        """What the configuration says of a member that was adopted."""
        assert member.written is not None  # it was adopted
        return member.written

    def of(self, label: str) -> Mapping[str, str]:
        """What was changed of that member."""
        saved = self._members.get(label)
        return {} if saved is None else saved.changed

    def of_recorded(self, label: str) -> Mapping[str, str]:
        """That of it which stands against an SRV record."""
        changed = self.of(label)
        return {name: changed[name] for name in _RECORDED if name in changed}

    def add(self, fields: Mapping[str, str]) -> None:
        """The balancer was changed so."""
        self._changed = _relative({**self._changed, **fields}, self.configured)

    def add_to(self, member: Backend, change: MemberChange) -> None:
        """A member was changed so."""
        written = self._as_written(member)
        fields = {**self.of(member.label), **member_fields(change)}
        changed = _relative(fields, written)
        if member.settings.health is not None:
            # What a check finds out is no setting.
            changed.pop(Flag.CHECK_FAILED.form_field, None)
        self._members[member.label] = SavedMember(written, changed)

    # -- what survives a restart ---------------------------------------------------------------

    def saved(self, members: Iterable[Backend], added: Iterable[Backend]) -> SavedBalancer:
        """All of it, with what `members` have counted; `added` are those that were added."""
        found: dict[str, SavedMember] = {}
        for member in members:
            counters = {name: getattr(member, name) for name in sorted(COUNTERS)}
            if type(member.load) is not int:  # a plugin's method may keep anything there
                del counters["load"]
            changed = self.of(member.label)
            found[member.label] = SavedMember(self._as_written(member), changed, counters)
        for label, saved in self._members.items():
            if saved.changed:
                found.setdefault(label, saved)
        labels = tuple(member.label for member in added)
        return SavedBalancer(self.configured, self._changed, labels, found)

    def keep(self, label: str, saved: SavedMember) -> None:
        """It holds for a member that is to be discovered."""
        self._members[label] = saved

    def take(self, label: str) -> SavedMember | None:
        """What was kept for that member, which it is not any more."""
        return self._members.pop(label, None)

    def fits(self, saved: SavedBalancer) -> bool:
        """Whether the configuration of the balancer is still what it was then."""
        return _agree(saved.configured, self.configured)

    def fits_member(self, saved: SavedMember, member: Backend) -> bool:
        """Whether that of the member is."""
        return _agree(saved.configured, self._as_written(member))

    def _as_written(self, member: Backend) -> dict[str, str]:
        fields = described_member(self.written(member))
        if self._recorded(member):
            for name in _RECORDED:
                del fields[name]
        return fields


def _relative(fields: Mapping[str, str], configured: Mapping[str, str]) -> dict[str, str]:
    """Those that say something else than the configuration."""
    return {name: word for name, word in fields.items() if configured.get(name) != word}


def _agree(then: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether what was known of the configuration then is still so."""
    return all(now.get(name) == word for name, word in then.items())
