"""Who may come in: Require and its containers, Order/Allow/Deny (mod_authz_core and kin)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from scgiproxy.rules.facts import Facts


class Outcome(Enum):
    GRANTED = "granted"
    DENIED = "denied"
    NEUTRAL = "neutral"
    NEEDS_USER = "needs user"
    """Denied as it stands, but a user name could still change that: 401."""


class Requirement(ABC):
    """One rule or container."""

    @abstractmethod
    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        """Judge a request; `user` is None before authentication."""


@dataclass(frozen=True, slots=True)
class RequireAllGranted(Requirement):
    """``Require all granted``, or denied."""

    granted: bool

    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        raise NotImplementedError


# to come: RequireIp(networks), RequireLocal(), RequireValidUser(), RequireUser(names),
# RequireNot(inner), RequireAll(children), RequireAny(children), RequireNone(children),
# HostAccess(...) for Order/Allow/Deny
