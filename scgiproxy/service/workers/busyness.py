"""How many requests all workers have in flight at each member (`Backend.elsewhere`).

Nothing is told per request: a worker tells what has changed, at most every `INTERVAL`, and the
parent tells the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.interfaces import IReactorTime

from scgiproxy.pool.backend import Backend
from scgiproxy.service.workers.batch import Batch
from scgiproxy.service.workers.directory import Directory
from scgiproxy.service.workers.generation import LinkPart
from scgiproxy.service.workers.link import JSON

INTERVAL = 0.05
"""Seconds between two messages, when numbers go on changing."""

_HERE, _ELSEWHERE = "members.in flight", "members.elsewhere"


class ParentBusyness:
    """The parent's end. `Backend.elsewhere` is what all workers have in flight there; `used` is
    called when a worker has told: with the member, the worker, and what everyone has."""

    def __init__(
        self,
        directory: Directory,
        clock: IReactorTime,
        used: Callable[[Backend, LinkPart, dict[LinkPart, int]], object],
    ) -> None:
        self._directory = directory
        self._used = used
        self._in_flight = WeakKeyDictionary[Backend, dict[LinkPart, int]]()
        self._links: dict[LinkPart, WeakKeyDictionary[Backend, int]] = {}
        self.changed = Batch[Backend](clock, INTERVAL, self._tell)
        _forget(directory)

    def join(self, link: LinkPart) -> None:
        self._links[link] = WeakKeyDictionary()
        link.answer(_HERE, lambda value: self._hear(link, value))
        self._tell_link(link, [backend for _, backend in self._directory])

    def leave(self, link: LinkPart) -> None:
        """Its connections are gone, too."""
        del self._links[link]
        for backend, of in list(self._in_flight.items()):
            if of.pop(link, 0):
                self._sum(backend, of)

    def _hear(self, link: LinkPart, value: Any) -> None:
        for number, label, in_flight in value:
            found = self._directory.find(number, label)
            if found is not None:
                backend = found[1]
                of = self._in_flight.setdefault(backend, {})
                of[link] = in_flight
                self._sum(backend, of)
                self._used(backend, link, of)

    def _sum(self, backend: Backend, of: dict[LinkPart, int]) -> None:
        backend.elsewhere = sum(of.values())
        if not backend.elsewhere:
            del self._in_flight[backend]
        self.changed.add(backend)

    def _tell(self, changed: list[Backend]) -> None:
        for link in self._links:
            self._tell_link(link, changed)

    def _tell_link(self, link: LinkPart, changed: Iterable[Backend]) -> None:
        told = self._links[link]
        entries: list[JSON] = []
        for backend in changed:
            name = self._directory.name(backend)
            own = self._in_flight.get(backend, {}).get(link, 0)
            elsewhere = backend.elsewhere - own
            if name is not None and told.get(backend, 0) != elsewhere:
                told[backend] = elsewhere
                entries.append([*name, elsewhere])
        if entries:
            link.tell(_ELSEWHERE, entries)


class WorkerBusyness:
    """A worker's end."""

    def __init__(self, directory: Directory, link: LinkPart, clock: IReactorTime) -> None:
        self._directory = directory
        self._link = link
        self._told = WeakKeyDictionary[Backend, int]()
        self.changed = Batch[Backend](clock, INTERVAL, self._tell)
        _forget(directory)
        link.answer(_ELSEWHERE, self._hear)

    def _hear(self, value: Any) -> None:
        for number, label, elsewhere in value:
            found = self._directory.find(number, label)
            if found is not None:
                found[1].elsewhere = elsewhere

    def _tell(self, changed: list[Backend]) -> None:
        entries: list[JSON] = []
        for backend in changed:
            name = self._directory.name(backend)
            if name is not None and self._told.get(backend, 0) != backend.in_flight:
                self._told[backend] = backend.in_flight
                entries.append([*name, backend.in_flight])
        if entries:
            self._link.tell(_HERE, entries)


def _forget(directory: Directory) -> None:
    """What is known was told of a configuration before."""
    for _, backend in directory:
        backend.elsewhere = 0
