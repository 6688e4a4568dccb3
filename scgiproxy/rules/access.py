"""Who may come in: Require and its containers (mod_authz_core and kin)."""

# ruff: noqa: ARG002 - each rule is asked with both facts and user, and most look at one.

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

from scgiproxy.rules.facts import Facts
from scgiproxy.rules.networks import LOOPBACK, Network, NetworkSet


class Outcome(Enum):
    """What a requirement says. Only GRANTED lets a request in: NEUTRAL at the top is a refusal."""

    GRANTED = "granted"
    DENIED = "denied"
    NEUTRAL = "neutral"
    NEEDS_USER = "needs user"
    """Denied as it stands, but a user name could still change that: 401."""


class Requirement(ABC):
    """One rule or container."""

    __slots__ = ()

    negative: ClassVar[bool] = False
    """True if it can only refuse: such a one is useless where any of several may grant."""

    refusal: ClassVar[str] = "access is denied by Require"
    """What the log says when it has refused."""

    @abstractmethod
    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        """Judge a request; `user` is None before authentication."""


@dataclass(frozen=True, slots=True)
class RequireAllGranted(Requirement):
    """``Require all granted``, or denied."""

    granted: bool

    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        return Outcome.GRANTED if self.granted else Outcome.DENIED


@dataclass(frozen=True, slots=True)
class RequireIp(Requirement):
    """``Require ip``: the client is in one of `networks`; nobody on a UNIX socket is."""

    networks: tuple[Network, ...]
    _set: NetworkSet = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_set", NetworkSet(self.networks))

    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        return Outcome.GRANTED if facts.remote_ip in self._set else Outcome.DENIED


@dataclass(frozen=True, slots=True)
class RequireLocal(Requirement):
    """``Require local``: a loopback address, the server's own address, or a UNIX socket."""

    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        address = facts.remote_ip
        if address is None or address in LOOPBACK or facts.remote_addr == facts.server_addr:
            return Outcome.GRANTED
        return Outcome.DENIED


@dataclass(frozen=True, slots=True)
class RequireLoopback(Requirement):
    """What stands in the place of Require for `LOOPBACK_HANDLERS`: a client of this machine.

    That is a loopback address or a UNIX socket, and a request that says of itself that it was
    passed on does not come from there: a proxy on this machine shows nothing to its clients.
    """

    refusal: ClassVar[str] = (
        "this handler is for clients on this machine, unless a Require beside its SetHandler says"
        " otherwise"
    )

    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        address = facts.remote_ip
        if address is not None and address not in LOOPBACK:
            return Outcome.DENIED
        if any(facts.header(name) is not None for name in _PASSED_ON):
            return Outcome.DENIED
        return Outcome.GRANTED


LOOPBACK_HANDLERS = frozenset(("balancer-manager", "metrics", "server-status"))
"""The names after SetHandler that tell of the gateway itself."""

_PASSED_ON = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")


@dataclass(frozen=True, slots=True)
class RequireValidUser(Requirement):
    """``Require valid-user``."""

    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        return Outcome.NEEDS_USER if user is None else Outcome.GRANTED


@dataclass(frozen=True, slots=True)
class RequireUser(Requirement):
    """``Require user``: one of `names`, case-sensitive. Another user may try again: 401."""

    names: frozenset[bytes]

    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        return Outcome.GRANTED if user in self.names else Outcome.NEEDS_USER


@dataclass(frozen=True, slots=True)
class RequireNot(Requirement):
    """``Require not``: refuses whom `inner` would let in, and says nothing about the others."""

    inner: Requirement
    negative: ClassVar[bool] = True

    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        return _negated(self.inner, facts, user)


@dataclass(frozen=True, slots=True)
class RequireAll(Requirement):
    """``<RequireAll>``: none refuses and at least one grants.

    Raises ValueError with a sentence if there is nothing in it that could grant.
    """

    children: tuple[Requirement, ...]

    def __post_init__(self) -> None:
        _check_not_empty(self.children, "RequireAll")
        if all(child.negative for child in self.children):
            raise ValueError(
                "<RequireAll> contains only negative authorization directives, so nobody could"
                " pass; expected at least one that grants, such as 'Require all granted'"
            )

    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        result = Outcome.NEUTRAL
        for child in self.children:
            outcome = child.check(facts, user)
            if outcome is Outcome.DENIED:
                return outcome
            if outcome is Outcome.NEEDS_USER or (
                outcome is Outcome.GRANTED and result is Outcome.NEUTRAL
            ):
                result = outcome
        return result


@dataclass(frozen=True, slots=True)
class RequireAny(Requirement):
    """``<RequireAny>``, and the lines outside any container: at least one grants.

    Raises ValueError with a sentence for an empty one, or one with a negative rule.
    """

    children: tuple[Requirement, ...]

    def __post_init__(self) -> None:
        _check_any(self.children, "RequireAny")

    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        result = Outcome.NEUTRAL
        for child in self.children:
            outcome = child.check(facts, user)
            if outcome is Outcome.GRANTED:
                return outcome
            if outcome is Outcome.NEEDS_USER or (
                outcome is Outcome.DENIED and result is Outcome.NEUTRAL
            ):
                result = outcome
        return result


@dataclass(frozen=True, slots=True)
class RequireNone(Requirement):
    """``<RequireNone>``: refuses whom one of `children` would let in; never grants.

    Raises ValueError with a sentence for an empty one, or one with a negative rule.
    """

    children: tuple[Requirement, ...]
    negative: ClassVar[bool] = True
    _any: RequireAny = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_any(self.children, "RequireNone")
        object.__setattr__(self, "_any", RequireAny(self.children))

    def check(self, facts: Facts, user: bytes | None) -> Outcome:
        return _negated(self._any, facts, user)


def _negated(inner: Requirement, facts: Facts, user: bytes | None) -> Outcome:
    if inner.check(facts, user) is not Outcome.GRANTED:
        return Outcome.NEUTRAL
    # It was this user's name that counted: another name may do, so 401 and not 403.
    if user is not None and inner.check(facts, None) is not Outcome.GRANTED:
        return Outcome.NEEDS_USER
    return Outcome.DENIED


def _check_not_empty(children: tuple[Requirement, ...], name: str) -> None:
    if not children:
        raise ValueError(f"<{name}> is empty; expected at least one Require or container in it")


def _check_any(children: tuple[Requirement, ...], name: str) -> None:
    _check_not_empty(children, name)
    if any(child.negative for child in children):
        raise ValueError(
            f"a negative rule has no effect in <{name}>, or outside any container;"
            " expected it in <RequireAll>, beside one that grants"
        )
