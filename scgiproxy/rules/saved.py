"""What survives a restart of a balancer that is changed while it runs (BalancerPersist)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SavedMember:
    """One member: what the file said of it, what was changed, and what it had counted."""

    configured: Mapping[str, str] = field(default_factory=dict)
    """In form fields (`rules.changes`), as are those of `changed`."""
    changed: Mapping[str, str] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    """By the names of `pool.backend.Backend`."""


@dataclass(frozen=True, slots=True)
class SavedBalancer:
    """One balancer: likewise, with its members by label, and the labels of those added."""

    configured: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    members: Mapping[str, SavedMember] = field(default_factory=dict)
