"""The ledgers and leases of `pool.lending`, with a link between them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from scgiproxy.pool.backend import Backend
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.lending import ROTATE, Lease, Ledger
from scgiproxy.service.workers.directory import Directory, Name
from scgiproxy.service.workers.generation import LinkPart

CLAIMED_WITHIN = 1.0
"""Seconds that each worker is given to say what it has in flight where a limit is new."""

_TO_PARENT, _TO_WORKER = "places.ledger", "places.lease"


class _Borrower:
    """What a ledger says goes to the lease of the same name. See `pool.lending.Borrower`."""

    def __init__(self, link: LinkPart, name: Name) -> None:
        self._link = link
        self._name = name

    def granted(self, places: int) -> None:
        self._say("granted", places)

    def lend_idle(self, wanted: bool) -> None:
        self._say("lend_idle", wanted)

    def pressed(self, places: int) -> None:
        self._say("pressed", places)

    def spare(self, places: int) -> None:
        self._say("spare", places)

    def _say(self, what: str, value: int) -> None:
        self._link.tell(_TO_WORKER, [*self._name, what, value])


class _Lender:
    """What a lease says goes to the ledger of the same name. See `pool.lending.Lender`."""

    def __init__(self, link: LinkPart, name: Name) -> None:
        self._link = link
        self._name = name

    def claimed(self, in_flight: int) -> None:
        self._say("claimed", in_flight)

    def wanted(self, places: int) -> None:
        self._say("wanted", places)

    def given_back(self, places: int) -> None:
        self._say("given_back", places)

    def _say(self, what: str, places: int) -> None:
        self._link.tell(_TO_PARENT, [*self._name, what, places])


class ParentPlaces:
    """The parent's end: a ledger for each member with a limit. `count`: of workers."""

    def __init__(self, directory: Directory, clock: IReactorTime, count: int) -> None:
        self._directory = directory
        self._clock = clock
        self._count = count
        self._links: list[LinkPart] = []
        self._ledgers: dict[Backend, tuple[Ledger, dict[LinkPart, _Borrower]]] = {}
        self._rotating: IDelayedCall | None = None
        self._claiming: set[IDelayedCall] = set()
        self.update()

    def join(self, link: LinkPart) -> None:
        """A worker starts. It has been told of all members."""
        self._links.append(link)
        link.answer(_TO_PARENT, lambda value: self._hear(link, value))
        for backend, (ledger, borrowers) in self._ledgers.items():
            borrower = borrowers.setdefault(link, self._borrower(link, backend))
            if link.serving:
                ledger.await_claim(borrower)
                self._await_claims(ledger)
            else:
                ledger.join(borrower)

    def leave(self, link: LinkPart) -> None:
        self._links.remove(link)
        for ledger, borrowers in self._ledgers.values():
            if link in borrowers:
                ledger.leave(borrowers.pop(link))

    def update(self) -> None:
        """There are other members, or other limits. The workers have been told."""
        limited = {backend: backend.limit for _, backend in self._directory if backend.limit}
        for backend in self._ledgers.keys() - limited.keys():
            del self._ledgers[backend]
        for backend, limit in limited.items():
            share = limit // self._count
            if backend in self._ledgers:
                ledger = self._ledgers[backend][0]
                if ledger.limit != limit:
                    ledger.share = share
                    ledger.set_limit(limit)
                continue
            borrowers = {link: self._borrower(link, backend) for link in self._links}
            ledger = Ledger(limit, share, borrowers.values())
            self._ledgers[backend] = ledger, borrowers
            if borrowers:
                self._await_claims(ledger)

    def used(self, backend: Backend, link: LinkPart, in_flight: dict[LinkPart, int]) -> None:
        """A worker has told what it has in flight there; it is among what all have."""
        found = self._ledgers.get(backend)
        if found is not None and link in found[1]:
            ledger, borrowers = found
            ledger.used(
                borrowers[link],
                in_flight.get(link, 0),
                {borrower: in_flight.get(one, 0) for one, borrower in borrowers.items()},
            )

    def stop(self) -> None:
        for call in (*self._claiming, self._rotating):
            if call is not None:
                call.cancel()
        self._claiming.clear()
        self._rotating = None

    def _borrower(self, link: LinkPart, backend: Backend) -> _Borrower:
        name = self._directory.name(backend)
        assert name is not None  # it comes from there
        return _Borrower(link, name)

    def _hear(self, link: LinkPart, value: Any) -> None:
        number, label, what, places = value
        found = self._directory.find(number, label)
        if found is None or found[1] not in self._ledgers:
            return
        ledger, borrowers = self._ledgers[found[1]]
        said: dict[str, Callable[[_Borrower, int], object]] = {
            "claimed": ledger.claimed,
            "wanted": ledger.wanted,
            "given_back": ledger.given_back,
        }
        said[what](borrowers[link], places)
        if ledger.waits and self._rotating is None:
            self._rotating = self._clock.callLater(ROTATE, self._rotate)

    def _rotate(self) -> None:
        self._rotating = None
        waiting = [ledger for ledger, _ in self._ledgers.values() if ledger.waits]
        for ledger in waiting:
            ledger.rotate()
        if waiting:
            self._rotating = self._clock.callLater(ROTATE, self._rotate)

    def _await_claims(self, ledger: Ledger) -> None:
        def over() -> None:
            self._claiming.discard(call)
            ledger.forget_unclaimed()

        call = self._clock.callLater(CLAIMED_WITHIN, over)
        self._claiming.add(call)


class WorkerPlaces:
    """A worker's end: a lease for each member with a limit. `make_room` is called with a member
    where there are fewer places than before."""

    def __init__(
        self,
        directory: Directory,
        link: LinkPart,
        clock: IReactorTime,
        make_room: Callable[[Pool, Backend], object],
    ) -> None:
        self._directory = directory
        self._link = link
        self._clock = clock
        self._make_room = make_room
        self._leases: dict[Backend, Lease] = {}
        link.answer(_TO_WORKER, self._hear)

    def update(self, *, claims: bool) -> None:
        """There are other members, or other limits. With `claims` requests may be in flight."""
        limited = {one: pool for pool, one in self._directory if one.limit is not None}
        for backend in self._leases.keys() - limited.keys():
            self._leases.pop(backend).end()
        for backend, pool in limited.items():
            if backend not in self._leases:
                self._lease(pool, backend, claims)

    def stop(self) -> None:
        """Nothing is lent to who is told of another configuration."""
        while self._leases:
            self._leases.popitem()[1].end()

    def freed(self, backend: Backend) -> None:
        """A request has ended there."""
        lease = self._leases.get(backend)
        if lease is not None:
            lease.freed()

    def _lease(self, pool: Pool, backend: Backend, claims: bool) -> None:
        name = self._directory.name(backend)
        assert name is not None  # it comes from there
        lender = _Lender(self._link, name)
        self._leases[backend] = Lease(
            backend,
            lender,
            serve=pool.drain,
            later=partial(self._clock.callLater, 0),
            make_room=partial(self._make_room, pool, backend),
        )
        pool.on_full = partial(self._full, pool)
        if claims:
            lender.claimed(backend.in_flight)
            if pool.queued:
                self._full(pool)

    def _full(self, pool: Pool) -> None:
        """Somebody waits for a place."""
        waiting = pool.queued
        now = self._clock.seconds()
        for backend in pool.backends:
            lease = self._leases.get(backend)
            if lease is not None and backend.full() and backend.usable(now):
                lease.want(waiting)

    def _hear(self, value: Any) -> None:
        number, label, what, places = value
        found = self._directory.find(number, label)
        lease = None if found is None else self._leases.get(found[1])
        if lease is not None:
            said: dict[str, Callable[[Any], object]] = {
                "granted": lease.granted,
                "lend_idle": lease.lend_idle,
                "pressed": lease.pressed,
                "spare": lease.spare,
            }
            said[what](places)
