"""What the records of a DNS answer say: addresses that can be dialled, services, shares.

An answer comes from the network; what cannot be used is left out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import inf
from typing import Any, TypeAlias

from twisted.names import dns

from scgiproxy.message.backend_url import is_host_name
from scgiproxy.rules.networks import unmapped

Answer: TypeAlias = tuple[Sequence[dns.RRHeader], Sequence[dns.RRHeader], Sequence[dns.RRHeader]]
"""The answer, authority and additional sections, as an `IResolver` gives them."""

MAX_MEMBERS = 256
"""How many members one name may have; the first in order count."""

MAX_ALIASES = 10
"""How many CNAME records may follow each other."""

MAX_LOAD_FACTOR = 100.0


@dataclass(frozen=True, slots=True)
class Service:
    """One SRV record; `target` is in lower case and without a dot at its end."""

    priority: int
    weight: int
    target: str
    port: int


@dataclass(frozen=True, slots=True)
class AddressAnswer:
    """The addresses of a name, as text, and how many were left out; `ttl` is in seconds."""

    addresses: tuple[str, ...]
    left_out: int
    ttl: float


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """The SRV records of a name, those to be preferred first, and how many were left out; `ttl`
    is in seconds."""

    services: tuple[Service, ...]
    left_out: int
    ttl: float


def read_addresses(answers: Iterable[dns.RRHeader], name: str, record: int) -> AddressAnswer:
    """The addresses of `name` in records of type `record`, `dns.A` or `dns.AAAA`.

    Without those that are nobody's: 0.0.0.0, which a filtering name server answers and which
    would lead to this machine, multicast, an IPv6 link-local one (it needs an interface). Raises
    ValueError for too many aliases.
    """
    found: dict[str, None] = {}
    left_out = 0
    payloads, ttl = _follow(answers, name, record)
    for payload in payloads:
        address = _unicast(payload.address)
        if address:
            found[address] = None
        else:
            left_out += 1
    return AddressAnswer(tuple(found), left_out, ttl)


def read_services(answers: Iterable[dns.RRHeader], name: str) -> ServiceAnswer:
    """The SRV records of `name`; the first `MAX_MEMBERS` of them.

    Without those with port 0 or a target that is no host name. The target ``.`` says that the
    service is not there (RFC 2782), so such a record says nothing. Raises ValueError for too many
    aliases.
    """
    found: set[Service] = set()
    left_out = 0
    payloads, ttl = _follow(answers, name, dns.SRV)
    for payload in payloads:
        target = _text(payload.target)
        if not target:
            continue
        if payload.port and is_host_name(target):
            found.add(Service(payload.priority, payload.weight, target, payload.port))
        else:
            left_out += 1
    services = sorted(found, key=lambda one: (one.priority, -one.weight, one.target, one.port))
    return ServiceAnswer(tuple(services[:MAX_MEMBERS]), left_out + len(services[MAX_MEMBERS:]), ttl)


def load_factors(weights: Sequence[float]) -> list[float]:
    """Load factors in the proportion of `weights`, from 1 to 100.

    The least weight is 1; if the greatest would then be over 100, that is 100, and the least ones
    are 1 all the same. So equal weights are 1 each, as members without a weight are, and a weight
    of 0 is next to nothing beside others, as RFC 2782 wants it.
    """
    least, greatest = min(weights, default=0), max(weights, default=0)
    if not greatest:
        return [1.0] * len(weights)
    scale = MAX_LOAD_FACTOR / greatest
    if least:
        scale = min(scale, 1 / least)
    return [max(1.0, round(weight * scale, 2)) for weight in weights]


def _follow(answers: Iterable[dns.RRHeader], name: str, record: int) -> tuple[list[Any], float]:
    """The payloads of that type, of `name` or of what it is an alias for; the least TTL."""
    aliases: dict[str, dns.RRHeader] = {}
    records: dict[str, list[dns.RRHeader]] = {}
    for header in answers:
        if header.cls == dns.IN:
            if header.type == dns.CNAME:
                aliases[_text(header.name)] = header
            elif header.type == record:
                records.setdefault(_text(header.name), []).append(header)
    owner = name.lower().removesuffix(".")
    ttl = inf
    followed = 0
    while owner in aliases:
        followed += 1
        if followed > MAX_ALIASES:
            raise ValueError(f"over {MAX_ALIASES} aliases follow each other")
        alias: Any = aliases[owner]
        ttl = min(ttl, alias.ttl)
        owner = _text(alias.payload.name)
    of_owner = records.get(owner, ())
    return [header.payload for header in of_owner], min(
        ttl, *(header.ttl for header in of_owner), inf
    )


def _text(name: dns.Name) -> str:
    return name.name.lower().decode("ascii", "replace")


def _unicast(packed: bytes) -> str:
    """The address as text; empty if it is not one that a connection can be made to."""
    address = unmapped(ip_address(packed))
    if isinstance(address, IPv6Address) and address.is_link_local:
        return ""
    text = str(address)
    if address.is_unspecified or address.is_multicast or text == "255.255.255.255":
        return ""
    return text
