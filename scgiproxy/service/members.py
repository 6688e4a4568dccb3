"""The members of a balancer as it runs: those that are written, and those that are discovered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from scgiproxy.config.model import Balancer, Member
from scgiproxy.message.backend_url import Address, TcpAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.dispatch import Pool
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.discovery import RecordKind, member_route

if TYPE_CHECKING:
    from scgiproxy.pool.discovery import Discovery
    from scgiproxy.pool.lookup import Found, Lookups


class BalancerMembers:
    """The members of `balancer`, line by line; `clock` is the reactor.

    With `before`, those of the same balancer in the configuration before, members that it has at the
    same places stay the same objects: with what was counted and found out of them, and their places
    taken. They are as this configuration says then.
    """

    def __init__(
        self, balancer: Balancer, clock: IReactorTime, before: BalancerMembers | None = None
    ) -> None:
        self._clock = clock
        self._lines = [_Line(member, balancer.name, clock) for member in balancer.members]
        if before is not None:
            self._follow(before)

    def _follow(self, before: BalancerMembers) -> None:
        at = {backend.label: backend for backend in before.backends}
        names = {line.place: line for line in before._lines if line.is_name}
        for line in self._lines:
            if line.is_name:
                known = names.pop(line.place, None)
                if known is not None:
                    line.follow_name(known)
            else:
                line.follow_place(at)

    @property
    def backends(self) -> list[Backend]:
        """All that there are now, in the order of the lines; of two at one place the first."""
        places: dict[tuple[Address, bytes], Backend] = {}
        for backend in self._of_lines():
            places.setdefault((backend.address, backend.path), backend)
        return list(places.values())

    def is_recorded(self, backend: Backend) -> bool:
        """Whether its load factor and its set are those of an SRV record."""
        return any(line.is_service and backend in line.backends for line in self._lines)

    def discoveries(
        self,
        pool: Pool,
        resolver: Lookups,
        changed: Callable[[], object],
        prepare: Callable[[Sequence[Backend]], object] = lambda _: None,
    ) -> Iterator[Discovery]:
        """What keeps `pool` in step with the name servers; to be started, and stopped. `prepare`
        is called with other members before it has them, and `changed` then."""
        from scgiproxy.pool.discovery import Discovery

        for line in self._lines:
            if line.member.discovery is not None:
                discovery = Discovery(
                    line.member.discovery,
                    clock=self._clock,
                    resolver=resolver,
                    apply=partial(self._apply, pool, line, changed, prepare),
                )
                discovery.found = line.found
                yield discovery

    def _of_lines(self) -> Iterator[Backend]:
        return chain.from_iterable(line.backends for line in self._lines)

    def _apply(
        self,
        pool: Pool,
        line: _Line,
        changed: Callable[[], object],
        prepare: Callable[[Sequence[Backend]], object],
        found: Sequence[Found],
    ) -> None:
        before = set(self._of_lines())
        # Those that were added while it runs stay where they are, at the end.
        added = [backend for backend in pool.backends if backend not in before]
        line.update(found)
        backends = self.backends
        places = {(backend.address, backend.path) for backend in backends}
        backends += [one for one in added if (one.address, one.path) not in places]
        prepare(backends)
        pool.set_backends(backends)
        changed()


class _Line:
    """One BalancerMember: a backend, or those that its name stands for."""

    def __init__(self, member: Member, balancer: str, clock: IReactorTime) -> None:
        self.member = member
        self.backends: tuple[Backend, ...] = ()
        self._balancer = balancer
        self._clock = clock
        self._found: dict[TcpAddress, tuple[Found, Backend]] = {}
        self._leaving: dict[TcpAddress, tuple[Found, Backend]] = {}
        url = member.url
        if member.discovery is None and url.address is not None:
            self.backends = (self._backend(url.label, url.address, member.settings),)

    @property
    def found(self) -> tuple[Found, ...]:
        """What it stands for, as far as that was discovered."""
        return tuple(one for one, _ in self._found.values())

    @property
    def is_name(self) -> bool:
        """Whether it stands for those that name servers tell of."""
        return self.member.discovery is not None

    @property
    def place(self) -> tuple[object, ...]:
        """What tells whether it is the same line in another configuration."""
        return self.member.discovery, self.member.url.path, self.member.url.secure

    def follow_name(self, before: _Line) -> None:
        """Have the members that the name has stood for."""
        self._found, self._leaving = before._found, before._leaving
        self.backends = before.backends
        for one, backend in (*self._found.values(), *self._leaving.values()):
            backend.configure(self._settings(one))

    def follow_place(self, known: dict[str, Backend]) -> None:
        """Have the one of `known` with its label, which is taken out."""
        for backend in self.backends:
            same = known.pop(backend.label, None)
            if same is not None:
                same.configure(self.member.settings)
                self.backends = (same,)

    def update(self, found: Iterable[Found]) -> None:
        """Have these backends from now on.

        Who has been there stays the same object: with its counters, its errors, and its places
        taken. So does one that comes back before its last exchange has ended.
        """
        known = {**self._leaving, **self._found}
        is_first = not known
        self._found = {}
        for one in found:
            previous = known.pop(one.address, None)
            if previous is None:
                backend = self._discovered(one, is_first)
            else:
                backend = previous[1]
                self._change(backend, previous[0], one)
            self._found[one.address] = (one, backend)
        self._leaving = {
            at: pair for at, pair in known.items() if pair[1].in_flight or pair[1].elsewhere
        }
        self.backends = tuple(backend for _, backend in self._found.values())

    def _settings(self, one: Found) -> BackendSettings:
        written = self.member.settings
        settings = replace(written, route=member_route(written.route, one.address))
        if self.is_service:
            settings = replace(settings, lbset=one.lbset, load_factor=one.load_factor)
        return settings

    def _discovered(self, one: Found, is_first: bool) -> Backend:
        path = self.member.url.path.decode("utf-8", "surrogateescape")
        scheme = "scgis" if self.member.url.secure else "scgi"
        label = f"{scheme}://{one.address}{path}"
        backend = self._backend(label, one.address, self._settings(one), one.name)
        if not is_first:
            # Among others that have been there for a while, as after an error.
            now = backend.up_since = self._clock.seconds()
            backend.warm(now)
        return backend

    def _change(self, backend: Backend, before: Found, now: Found) -> None:
        """Follow the record; what it does not change may have been changed by somebody else."""
        if not self.is_service:
            return
        if now.lbset != before.lbset:
            backend.lbset = now.lbset
        if now.load_factor != before.load_factor:
            backend.full_factor = round(now.load_factor * 100)
            backend.warm(self._clock.seconds())

    @property
    def is_service(self) -> bool:
        discovery = self.member.discovery
        return discovery is not None and discovery.kind is RecordKind.SERVICE

    def _backend(
        self, label: str, address: Address, settings: BackendSettings, server_name: str = ""
    ) -> Backend:
        return Backend(
            label,
            address,
            self.member.url.path,
            settings,
            clock=self._clock,
            balancer=self._balancer,
            server_name=server_name,
        )
