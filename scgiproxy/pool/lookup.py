"""What a name stands for, asked of name servers once: the members behind ``discover=a`` and
``discover=srv``."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import chain, groupby
from math import inf
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.names import dns
from twisted.names.error import DNSNameError

from scgiproxy.log.events import Logger
from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool.records import (
    MAX_MEMBERS,
    AddressAnswer,
    Answer,
    Service,
    load_factors,
    read_addresses,
    read_services,
)
from scgiproxy.rules.discovery import DiscoverySettings, RecordKind

PATIENCE = 30.0
"""Seconds after which what has not been answered counts as failed."""

MAX_LBSET = 99

_AT_A_TIME = 8
"""How many targets of SRV records are looked up at the same time."""

_PROBLEMS_SHOWN = 3
_LONGEST_REASON = 200
_SILENCE = f"no answer within {PATIENCE:g} s"


class Lookups(Protocol):
    """What is needed of an `IResolver`; how long it waits is its own affair."""

    def lookupAddress(self, name: str) -> Deferred[Answer]: ...

    def lookupIPV6Address(self, name: str) -> Deferred[Answer]: ...

    def lookupService(self, name: str) -> Deferred[Answer]: ...


@dataclass(frozen=True, slots=True)
class Found:
    """One member. The host of `address` is an IP address; `name` is whose address it is.

    `lbset` counts from 0 (by SRV priority) and `load_factor` is from 1 to 100 (by SRV weight);
    0 and 1.0 for ``discover=a``.
    """

    address: TcpAddress
    lbset: int
    load_factor: float
    name: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one round of lookups gave; `problem` says what of it failed, `ttl` is in seconds."""

    found: tuple[Found, ...]
    ttl: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Host:
    """The addresses of one host name; the last good ones, for what of it could not be resolved.

    `fresh` is whether any of it was.
    """

    addresses: tuple[str, ...]
    fresh: bool
    ttl: float
    problem: str


class NameLookup:
    """Asks what `settings.name` stands for, and remembers what is needed when a part of the answer
    fails.

    An empty answer is a failure. So is that of a part (one family of addresses, one SRV target),
    for which the last good addresses are taken.
    """

    _log = Logger()

    def __init__(self, settings: DiscoverySettings, resolver: Lookups) -> None:
        self._settings = settings
        self._resolver = resolver
        self._to_ask: deque[str] = deque()
        self._last_good: dict[str, dict[int, tuple[str, ...]]] = {}
        self._too_many = False

    def ask(self) -> Deferred[Outcome]:
        """One round; to end it early there is `cut_short`."""
        of_services = self._settings.kind is RecordKind.SERVICE
        return Deferred.fromCoroutine(self._services() if of_services else self._hosts())

    def cut_short(self, running: Deferred[Outcome]) -> None:
        """Ask no more in that round: what has not been answered has failed."""
        # Else each lookup that is cancelled would make room for the next one.
        self._to_ask.clear()
        running.cancel()

    async def _hosts(self) -> Outcome:
        name = self._settings.name
        host = await self._host(name)
        if not host.fresh:
            return Outcome((), inf, host.problem)
        port = self._settings.port
        found = [Found(TcpAddress(text, port), 0, 1.0, name) for text in host.addresses]
        return Outcome(self._bounded(found), host.ttl, host.problem)

    async def _services(self) -> Outcome:
        name = self._settings.name
        try:
            answers, _, _ = await maybeDeferred(self._resolver.lookupService, name)
        except Exception as error:
            return Outcome((), inf, _describe(error))
        try:
            answer = read_services(answers, name)
        except ValueError as error:
            return Outcome((), inf, _describe(error))
        problems = []
        if answer.left_out:
            problems.append(f"{answer.left_out} of its SRV records cannot be used")
        if not answer.services:
            return Outcome((), inf, problems[0] if problems else "it has no SRV record")
        hosts = await self._look_up(tuple(dict.fromkeys(one.target for one in answer.services)))
        problems += [f"{target}: {host.problem}" for target, host in hosts.items() if host.problem]
        if len(problems) > _PROBLEMS_SHOWN:
            problems[_PROBLEMS_SHOWN:] = [f"and {len(problems) - _PROBLEMS_SHOWN} more"]
        ttl = min(answer.ttl, *(host.ttl for host in hosts.values()))
        found = self._bounded(_members(answer.services, hosts))
        return Outcome(found, ttl, ", ".join(problems))

    async def _look_up(self, names: Collection[str]) -> dict[str, _Host]:
        """The addresses of each name, a few at a time; of other names nothing is kept."""
        found: dict[str, _Host] = {}
        to_ask = self._to_ask = deque(names)

        async def look_up() -> None:
            while to_ask:
                name = to_ask.popleft()
                found[name] = await self._host(name)

        await DeferredList([Deferred.fromCoroutine(look_up()) for _ in range(_AT_A_TIME)])
        self._last_good = {name: self._last_good.get(name, {}) for name in names}
        return {name: found.get(name) or self._not_resolved(name, _SILENCE) for name in names}

    async def _host(self, name: str) -> _Host:
        resolver = self._resolver
        outcomes: Any = await DeferredList(
            [
                maybeDeferred(resolver.lookupAddress, name),
                maybeDeferred(resolver.lookupIPV6Address, name),
            ],
            consumeErrors=True,
        )
        last_good = self._last_good.get(name, {})
        found: dict[int, tuple[str, ...]] = {}
        ttl = inf
        fresh = False
        problem = reason = ""
        for record, outcome in zip((dns.A, dns.AAAA), outcomes, strict=True):
            answer = _addresses(outcome, name, record)
            if isinstance(answer, DNSNameError):
                reason = _describe(answer)
            elif isinstance(answer, Exception):
                problem = _describe(answer)
                found[record] = last_good.get(record, ())
            else:
                found[record] = answer.addresses
                fresh = fresh or bool(answer.addresses)
                ttl = min(ttl, answer.ttl)
                if answer.left_out:
                    reason = "no connection can be made to its addresses"
        if not fresh:
            return self._not_resolved(name, problem or reason or "it has no address")
        self._last_good[name] = found
        return _Host(tuple(chain.from_iterable(found.values())), True, ttl, problem)

    def _not_resolved(self, name: str, problem: str) -> _Host:
        last_good = self._last_good.get(name, {})
        return _Host(tuple(chain.from_iterable(last_good.values())), False, inf, problem)

    def _bounded(self, found: Iterable[Found]) -> tuple[Found, ...]:
        """In an order of its own, as name servers turn theirs round; each address once."""
        members: dict[TcpAddress, Found] = {}
        for one in sorted(found, key=_rank):
            members.setdefault(one.address, one)
        too_many = len(members) > MAX_MEMBERS
        if too_many and not self._too_many:
            self._log.warn(
                "backend.name: {name} stands for {count} members, and only {limit} are used",
                name=self._settings.name,
                count=len(members),
                limit=MAX_MEMBERS,
            )
        self._too_many = too_many
        return tuple(members.values())[:MAX_MEMBERS]


def _addresses(outcome: Any, name: str, record: int) -> AddressAnswer | Exception:
    succeeded, result = outcome
    if not succeeded:
        error: Exception = result.value
        return error
    try:
        return read_addresses(result[0], name, record)
    except ValueError as malformed:
        return malformed


def _members(services: Iterable[Service], hosts: Mapping[str, _Host]) -> Iterator[Found]:
    """The addresses of each target share its weight."""
    by_priority = groupby(services, key=lambda one: one.priority)
    for lbset, (_, of_priority) in enumerate(by_priority):
        ends = [
            (one, text, one.weight / len(hosts[one.target].addresses))
            for one in of_priority
            for text in hosts[one.target].addresses
        ]
        factors = load_factors([weight for _, _, weight in ends])
        for (one, text, _), factor in zip(ends, factors, strict=True):
            yield Found(TcpAddress(text, one.port), min(lbset, MAX_LBSET), factor, one.target)


def _rank(one: Found) -> tuple[object, ...]:
    address = ip_address(one.address.host)
    return one.lbset, -one.load_factor, one.name, address.version, int(address), one.address.port


def _describe(error: Exception) -> str:
    if isinstance(error, CancelledError):
        return _SILENCE
    return str(error)[:_LONGEST_REASON] or type(error).__name__
