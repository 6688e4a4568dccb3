"""Who may come in: Require and its containers, Order/Allow/Deny (mod_authz_core and kin)."""

# ruff: noqa: ARG002 - each rule is asked with both facts and user, and most look at one.

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import ClassVar

from scgiproxy.rules.facts import Facts

Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+")
_IPV4_LIKE = re.compile(r"[0-9.]+")


class Outcome(Enum):
    """What a requirement says. Only GRANTED lets a request in: NEUTRAL at the top is a refusal."""

    GRANTED = "granted"
    DENIED = "denied"
    NEUTRAL = "neutral"
    NEEDS_USER = "needs user"
    """Denied as it stands, but a user name could still change that: 401."""


class NetworkSet:
    """Networks as one look-up: its cost is the number of different mask lengths.

    An IPv4 client on an IPv6 socket (``::ffff:a.b.c.d``) is compared as IPv4. None, a client on a
    UNIX socket, is in no network.
    """

    __slots__ = ("_v4", "_v6")

    def __init__(self, networks: Iterable[Network]) -> None:
        tables: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for network in networks:
            by_mask = tables[network.version]
            by_mask.setdefault(int(network.netmask), set()).add(int(network.network_address))
        self._v4, self._v6 = (
            tuple((mask, frozenset(fronts)) for mask, fronts in tables[version].items())
            for version in (4, 6)
        )

    def __contains__(self, address: IPv4Address | IPv6Address | None) -> bool:
        if address is None:
            return False
        table = self._v4
        if isinstance(address, IPv6Address):
            mapped = address.ipv4_mapped
            if mapped is None:
                table = self._v6
            else:
                address = mapped
        number = int(address)
        for mask, fronts in table:  # noqa: SIM110 - a generator costs more than the look-ups
            if number & mask in fronts:
                return True
        return False


LOOPBACK_NETWORKS: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
_LOOPBACK = NetworkSet(LOOPBACK_NETWORKS)


def parse_networks(words: Iterable[str]) -> tuple[Network, ...]:
    """Read the words of ``Require ip``.

    Each is an address, the first numbers of an IPv4 address (``10.1``), a network with a length
    or a netmask (bits beyond it are ignored, as Apache does). Raises ValueError with a sentence.
    """
    networks = tuple(_parse_network(word) for word in words)
    if not networks:
        raise ValueError("no address; expected one or more addresses or networks")
    return networks


def _parse_network(word: str) -> Network:
    address, slash, mask = word.partition("/")
    try:
        if ":" in address:
            if "%" in word:
                raise ValueError("a zone does not belong to a network")
            return _unmapped(IPv6Network(word, strict=False))
        if not slash:
            return _parse_partial(address)
        length = int(mask) if mask.isascii() and mask.isdigit() else _mask_length(mask)
        return IPv4Network((address, length), strict=False)
    except ValueError:
        raise ValueError(
            f"{word!r} is no address or network; expected one like 10.1.2.3, 10.1,"
            " 10.1.0.0/16, 10.1.0.0/255.255.0.0, 2001:db8::1 or 2001:db8::/32"
        ) from None


def _unmapped(network: IPv6Network) -> Network:
    if not network.subnet_of(_MAPPED):
        return network
    return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))


def _parse_partial(text: str) -> IPv4Network:
    """``10.1`` or ``10.1.``: the front of an address, whole numbers only."""
    numbers = text.removesuffix(".").split(".")
    if len(numbers) > 4:
        raise ValueError("more than four numbers")
    whole = ".".join(numbers + ["0"] * (4 - len(numbers)))
    return IPv4Network((whole, 8 * len(numbers)))


def _mask_length(mask: str) -> int:
    """The length of ``255.255.0.0``. `ipaddress` alone would take ``0.0.255.255`` for it too."""
    holes = int(IPv4Address(mask)) ^ 0xFFFFFFFF
    if holes & (holes + 1):
        raise ValueError("not a run of ones")
    return 32 - holes.bit_length()


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
        if address is None or address in _LOOPBACK or facts.remote_addr == facts.server_addr:
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
        if address is not None and address not in _LOOPBACK:
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
            networks.append(_parse_network(word))
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
