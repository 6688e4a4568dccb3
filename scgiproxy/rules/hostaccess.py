"""Order, Allow and Deny: who may come in by mod_access_compat."""

# ruff: noqa: ARG002 - each rule is asked with both facts and user; these look at the facts.

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from scgiproxy.rules.access import Outcome, Requirement
from scgiproxy.rules.facts import Facts
from scgiproxy.rules.networks import LOOPBACK_NETWORKS, Network, NetworkSet, parse_network

_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")
_IPV4_LIKE = re.compile(r"[0-9.]+")


class AccessOrder(Enum):
    """``Order`` of mod_access_compat; its default is ``deny,allow``."""

    DENY_ALLOW = "deny,allow"
    ALLOW_DENY = "allow,deny"
    MUTUAL_FAILURE = "mutual-failure"


@dataclass(frozen=True, slots=True)
class HostList:
    """Whom the ``Allow from`` or the ``Deny from`` lines of one section name.

    `names` are the ends of host names, in lower case. They are compared with the variable
    REMOTE_HOST and match nobody without it: no names are looked up here.
    """

    everyone: bool = False
    networks: tuple[Network, ...] = ()
    names: tuple[bytes, ...] = ()
    variables: tuple[bytes, ...] = ()
    """``env=VAR``: it is set."""
    absent_variables: tuple[bytes, ...] = ()
    """``env=!VAR``: it is not."""
    _set: NetworkSet = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_set", NetworkSet(self.networks))

    def matches(self, facts: Facts) -> bool:
        if self.everyone or facts.remote_ip in self._set:
            return True
        environment = facts.environment
        if any(name in environment for name in self.variables):
            return True
        if any(name not in environment for name in self.absent_variables):
            return True
        if not self.names:
            return False
        host = environment.get(b"REMOTE_HOST", b"").lower()
        return any(_in_domain(host, name) for name in self.names)


def _in_domain(host: bytes, domain: bytes) -> bool:
    if not host.endswith(domain):
        return False
    front = host[: len(host) - len(domain)]
    return not front or domain.startswith(b".") or front.endswith(b".")


def parse_host_list(words: Iterable[str]) -> HostList:
    """Read the words after ``from``, of one line or of all lines of a section.

    ``localhost`` is taken as the loopback addresses. Raises ValueError with a sentence.
    """
    everyone = False
    networks: list[Network] = []
    names: list[bytes] = []
    variables: list[bytes] = []
    absent: list[bytes] = []
    for word in words:
        lower = word.lower()
        if lower == "all":
            everyone = True
        elif lower.startswith("env="):
            name = word[len("env=") :]
            unset = name.startswith("!")
            name = name.removeprefix("!")
            if not name:
                raise ValueError(f"no variable in {word!r}; expected env=NAME or env=!NAME")
            (absent if unset else variables).append(name.encode("utf-8", "surrogateescape"))
        elif "/" in word or ":" in word or _IPV4_LIKE.fullmatch(word):
            networks.append(parse_network(word))
        elif lower == "localhost":
            networks.extend(LOOPBACK_NETWORKS)
        elif _HOST_NAME.fullmatch(word):
            names.append(lower.encode())
        else:
            raise ValueError(
                f"{word!r} names no client; expected all, an address, a network, a host name,"
                " env=NAME or env=!NAME, with blanks between several"
            )
    return HostList(everyone, tuple(networks), tuple(names), tuple(variables), tuple(absent))


@dataclass(frozen=True, slots=True)
class HostAccess(Requirement):
    """``Order``, ``Allow from`` and ``Deny from`` (mod_access_compat)."""

    order: AccessOrder = AccessOrder.DENY_ALLOW
    allow: HostList = HostList()
    deny: HostList = HostList()

    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        if self.order is AccessOrder.DENY_ALLOW:
            granted = self.allow.matches(facts) or not self.deny.matches(facts)
        else:
            # "allow,deny" and "mutual-failure" differ in name only: a client must be allowed
            # and must not be denied.
            granted = self.allow.matches(facts) and not self.deny.matches(facts)
        return Outcome.GRANTED if granted else Outcome.DENIED
