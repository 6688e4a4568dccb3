"""The condition of members is one in all processes: in error, on probation, up; failed its check.

A worker acts on what it finds at once, and tells it; the parent makes it the condition of all, and
tells everybody what that is now, the one that has found it too. Until it has heard that, a worker
does not listen to what the parent had said before.

Only the parent logs what becomes of a member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.interfaces import IReactorTime

from scgiproxy.errors import BackendError
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.condition import Condition
from scgiproxy.pool.dispatch import Pool
from scgiproxy.rules.health import ProbeResult
from scgiproxy.service.workers.batch import Batch
from scgiproxy.service.workers.directory import Directory
from scgiproxy.service.workers.generation import LinkPart
from scgiproxy.service.workers.link import JSON

INTERVAL = 0.01
"""Seconds between two messages, when conditions go on changing."""

TURN = 0.02
"""Seconds by which each worker looks at a member later whose retry time has come: the first one to
have a request for it finds out, and the others have heard of that."""

LAST_TURN = 0.2

_FOUND, _IS = "members.found out", "members.condition"
_LONGEST_FAULT = 500


def _kinds(root: type[BackendError]) -> Iterator[type[BackendError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


class ParentConditions:
    """The parent's end: `directory` has the truth."""

    def __init__(self, directory: Directory, clock: IReactorTime) -> None:
        self._directory = directory
        self._clock = clock
        self._heard: dict[LinkPart, int] = {}
        self._probing = WeakKeyDictionary[Backend, LinkPart]()
        self.changed = Batch[Backend](clock, INTERVAL, self._tell)

    def join(self, link: LinkPart) -> None:
        self._heard[link] = 0
        link.answer(_FOUND, lambda value: self._found(link, value))

    def leave(self, link: LinkPart) -> None:
        """A worker is gone. What it was finding out, another one may."""
        del self._heard[link]
        for backend, prober in list(self._probing.items()):
            if prober is link:
                del self._probing[backend]
                backend.unproved()

    def all(self) -> list[JSON]:
        """For a worker that starts."""
        return [_told(self._directory, backend) for _, backend in self._directory]

    def _found(self, link: LinkPart, value: Any) -> None:
        self._heard[link], entries = value
        for number, label, *told in entries:
            found = self._directory.find(number, label)
            if found is not None:
                self._take(link, found[1], *told)
                # It is told what that is now, whatever has come of it.
                self.changed.add(found[1])

    def _take(
        self,
        link: LinkPart,
        backend: Backend,
        word: str,
        since: float,
        until: float,
        up_since: float,
        fault_told: Any,
        *_: Any,
    ) -> None:
        fault = _fault(backend, fault_told)
        condition, own = Condition(word), backend.condition
        if own is Condition.UP and condition in (Condition.PROBATION, Condition.RECOVERING):
            return  # It is up by now.
        if condition is own and (condition is not Condition.DOWN or fault is None):
            return
        if condition is not Condition.PROBATION:
            self._probing.pop(backend, None)
        elif own is Condition.DOWN:
            self._probing[backend] = link
        else:
            return
        backend.follow(condition, fault, self._clock.seconds())
        if condition is Condition.DOWN:
            backend.down_until = until
            if own is Condition.UP:
                backend.down_since = since
        elif condition is Condition.UP:
            backend.up_since = up_since

    def _tell(self, changed: list[Backend]) -> None:
        entries = [
            _told(self._directory, backend)
            for backend in changed
            if self._directory.name(backend) is not None
        ]
        for link, heard in self._heard.items():
            link.tell(_IS, [heard, *entries])


class WorkerConditions:
    """A worker's end."""

    def __init__(self, directory: Directory, link: LinkPart, clock: IReactorTime) -> None:
        self._directory = directory
        self._link = link
        self._clock = clock
        self._told = 0
        self._told_of = WeakKeyDictionary[Backend, int]()
        self._delay = min((link.number - 1) * TURN, LAST_TURN)
        self.changed = Batch[Backend](clock, INTERVAL, self._tell)
        link.answer(_IS, self._hear)

    def take(self, entries: Any, serve: Callable[[Pool], object]) -> None:
        """Members are like this; `serve` is called with the pools of those that are."""
        pools: dict[Pool, None] = {}
        for number, label, *told in entries:
            found = self._directory.find(number, label)
            if found is not None:
                self._follow(found[1], *told)
                pools[found[0]] = None
        for pool in pools:
            serve(pool)

    def _hear(self, value: Any) -> None:
        heard, *entries = value
        known = self._directory
        # What was found here meanwhile is newer, and there will be an answer to that.
        self.take(
            [
                entry
                for entry in entries
                if (found := known.find(entry[0], entry[1])) is not None
                and found[1] not in self.changed
                and self._told_of.get(found[1], 0) <= heard
            ],
            Pool.drain,
        )

    def _follow(
        self,
        backend: Backend,
        word: str,
        since: float,
        until: float,
        up_since: float,
        fault_told: Any,
        check_failed: bool,
        probe: Any,
    ) -> None:
        now = self._clock.seconds()
        backend.follow(Condition(word), _fault(backend, fault_told), now)
        backend.down_since = since
        backend.down_until = until + self._delay if until > now else until
        backend.up_since = up_since
        if backend.settings.slow_start:
            backend.warm(now)
        backend.check_failed = check_failed
        backend.last_probe = None if probe is None else ProbeResult(*probe)

    def _tell(self, changed: list[Backend]) -> None:
        there = [backend for backend in changed if self._directory.name(backend) is not None]
        entries = [_told(self._directory, backend) for backend in there]
        self._told += 1
        self._told_of.update(dict.fromkeys(there, self._told))
        self._link.tell(_FOUND, [self._told, entries])


def _told(directory: Directory, backend: Backend) -> JSON:
    name = directory.name(backend)
    assert name is not None  # asked before
    fault, probe = backend.last_fault, backend.last_probe
    return [
        *name,
        backend.condition.value,
        backend.down_since,
        backend.down_until,
        backend.up_since,
        None
        if fault is None
        else [fault.log_key, str(fault)[:_LONGEST_FAULT], backend.last_fault_at],
        backend.check_failed,
        None if probe is None else [probe.at, probe.passed, probe.told, probe.seconds],
    ]


def _fault(backend: Backend, told: Any) -> BackendError | None:
    """Have `backend` know what has gone wrong; None if it is nothing new."""
    if told is None:
        return None
    key, text, at = told
    if at <= backend.last_fault_at:
        return None
    kinds = {kind.log_key: kind for kind in _kinds(BackendError)}
    backend.last_fault = kinds.get(key, BackendError)(text)
    backend.last_fault_at = at
    return backend.last_fault
