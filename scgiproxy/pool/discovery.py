"""Members that a name server knows: ``BalancerMember ... discover=a`` and ``discover=srv``.

The name is asked for again when the TTL of its records has passed; who uses the members is told
when they have changed. While a name cannot be resolved, what is known of it stays in use.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import chain, groupby
from math import inf
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.names import dns
from twisted.names.error import DNSNameError
from twisted.python.failure import Failure

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
from scgiproxy.pool.renewal import Renewal
from scgiproxy.rules.discovery import DiscoverySettings, RecordKind

FLOOR = 1.0
"""Seconds before a name is asked for again, at least; also for a TTL of 0."""

CEILING = 300.0
"""Seconds before a name is asked for again, at most."""

LONGEST_RETRY = 30.0
"""Seconds before a name that could not be resolved is asked for again, at most."""

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
class _Outcome:
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


class Discovery:
    """Keeps the members that `settings.name` stands for, in `found`.

    `apply` is called with all of them when they have changed, in a turn of the reactor and never
    from inside `start`, `stop` or itself; the first time is when something is known. Until then,
    and for a name that never resolves, there are no members. What it raises is logged. `on_found`
    is called after it.

    - `clock`: an IReactorTime.
    - `resolver`: such as `pool.stub_resolver.StubResolver`.
    - `ceiling`: seconds before a name is asked for again, at most.
    - `random`: numbers from 0 to 1, which spread the questions in time.

    An empty answer is a failure: it keeps the last members. So does the failure of a part (one
    family of addresses, one SRV target) for that part. That a name fails is logged once (see
    `Renewal`).
    """

    _log = Logger()

    def __init__(
        self,
        settings: DiscoverySettings,
        *,
        clock: IReactorTime,
        resolver: Lookups,
        apply: Callable[[tuple[Found, ...]], object],
        ceiling: float = CEILING,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self.found: tuple[Found, ...] = ()
        self.on_found: Callable[[], object] = lambda: None
        self._clock = clock
        self._resolver = resolver
        self._apply = apply
        self._renewal = Renewal(
            settings.name,
            floor=FLOOR,
            ceiling=ceiling,
            longest_retry=LONGEST_RETRY,
            random=random,
        )
        self._running = False
        self._next: IDelayedCall | None = None
        self._round: Deferred[_Outcome] | None = None
        self._to_ask: deque[str] = deque()
        self._last_good: dict[str, dict[int, tuple[str, ...]]] = {}
        self._too_many = False

    def start(self) -> None:
        """Ask, in a later turn of the reactor; nothing happens if it is running already."""
        if not self._running:
            self._running = True
            self._next = self._clock.callLater(0, self._ask)

    def stop(self) -> None:
        """Ask no more, and cancel what is being asked. `found` is kept, for the next `start`."""
        self._running = False
        following, self._next = self._next, None
        if following is not None:
            following.cancel()
        running, self._round = self._round, None
        if running is not None:
            self._cut_short(running)

    # -- rounds --------------------------------------------------------------------------------

    def _ask(self) -> None:
        lookups = self._services() if self.settings.kind is RecordKind.SERVICE else self._hosts()
        running = self._round = Deferred.fromCoroutine(lookups)
        self._next = self._clock.callLater(PATIENCE, self._cut_short, running)
        running.addErrback(self._broken)
        running.addCallback(self._ended, running)

    def _cut_short(self, running: Deferred[_Outcome]) -> None:
        # Else each lookup that is cancelled would make room for the next one.
        self._to_ask.clear()
        running.cancel()

    def _broken(self, failure: Failure) -> _Outcome:
        self._log.failure("Cannot resolve {name}", failure, name=self.settings.name)
        return _Outcome((), inf, failure.getErrorMessage())

    def _ended(self, outcome: _Outcome, running: Deferred[_Outcome]) -> None:
        if self._round is not running:
            return
        self._round = None
        if self._next is not None and self._next.active():
            self._next.cancel()
        if not outcome.found:
            wait = self._renewal.failed(
                "its last members stay in use" if self.found else "it stands for no member",
                outcome.problem,
            )
        elif outcome.problem:
            retry = self._renewal.failed("what else is known of it is used", outcome.problem)
            wait = min(retry, self._renewal.after(outcome.ttl))
        else:
            wait = self._renewal.succeeded(outcome.ttl)
        self._next = self._clock.callLater(wait, self._ask)
        if outcome.found and outcome.found != self.found:
            self.take(outcome.found)
            self.on_found()

    def take(self, found: tuple[Found, ...]) -> None:
        """These are the members, as has been found here, or by whoever runs another one for it."""
        self.found = found
        try:
            self._apply(found)
        except Exception:
            self._log.failure("Cannot apply what {name} stands for", name=self.settings.name)

    # -- lookups -------------------------------------------------------------------------------

    async def _hosts(self) -> _Outcome:
        name = self.settings.name
        host = await self._host(name)
        if not host.fresh:
            return _Outcome((), inf, host.problem)
        port = self.settings.port
        found = [Found(TcpAddress(text, port), 0, 1.0, name) for text in host.addresses]
        return _Outcome(self._bounded(found), host.ttl, host.problem)

    async def _services(self) -> _Outcome:
        name = self.settings.name
        try:
            answers, _, _ = await maybeDeferred(self._resolver.lookupService, name)
        except Exception as error:
            return _Outcome((), inf, _describe(error))
        try:
            answer = read_services(answers, name)
        except ValueError as error:
            return _Outcome((), inf, _describe(error))
        problems = []
        if answer.left_out:
            problems.append(f"{answer.left_out} of its SRV records cannot be used")
        if not answer.services:
            return _Outcome((), inf, problems[0] if problems else "it has no SRV record")
        hosts = await self._look_up(tuple(dict.fromkeys(one.target for one in answer.services)))
        problems += [f"{target}: {host.problem}" for target, host in hosts.items() if host.problem]
        if len(problems) > _PROBLEMS_SHOWN:
            problems[_PROBLEMS_SHOWN:] = [f"and {len(problems) - _PROBLEMS_SHOWN} more"]
        ttl = min(answer.ttl, *(host.ttl for host in hosts.values()))
        found = self._bounded(_members(answer.services, hosts))
        return _Outcome(found, ttl, ", ".join(problems))

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
                name=self.settings.name,
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
