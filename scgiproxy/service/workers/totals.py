"""The numbers of all workers: counted in each, added up in the parent, and shown by any of them.

A worker tells the parent each second what it has counted since, and at once when it is asked; the
parent adds that to its own statistics, which count nothing else. So nothing gets less when a worker
ends: of one that is killed, what it had counted since it told last is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from scgiproxy.log.events import Logger
from scgiproxy.service.numbers import take_numbers
from scgiproxy.service.workers.counts import Counts, WorkerState, add_counts
from scgiproxy.service.workers.generation import COUNTED, LinkPart
from scgiproxy.service.workers.link import JSON, LinkError, LinkLost
from scgiproxy.service.workers.numbers import PAGES, tell_numbers, tell_registry, told_numbers
from scgiproxy.web.gatewaynumbers import GatewayNumbers

if TYPE_CHECKING:
    from scgiproxy.service.build import GatewayParts

INTERVAL = 1.0
"""Seconds after which a worker tells what is new."""

PATIENCE = 1.0
"""Seconds that a worker is given to tell when it is asked."""

_OF_THE_PARENT = 5.0
"""Seconds that the parent is given: it may be busy, and has to wait for workers."""

_REGISTRY, _NUMBERS = "registry", "numbers"


class WorkerTotals:
    """The end of a worker with `parts`: its pages show what `link`'s parent tells of all workers."""

    log = Logger()

    def __init__(self, parts: GatewayParts, link: LinkPart) -> None:
        self._parts = parts
        self._link = link
        self._counts: Counts | None = None
        self._telling = LoopingCall(self._tell)
        self._telling.clock = parts.reactor
        parts.numbers = self.numbers
        link.answer(COUNTED, lambda _: self._counted())
        link.answer(_REGISTRY, lambda _: tell_registry())

    def start(self) -> None:
        """Count from here on. To be called before anything is served by these parts."""
        self._counts = Counts(self._parts)
        if self._link.serving:
            self._tell()
        telling = self._telling.start(INTERVAL, now=False)
        telling.addErrback(lambda failure: self.log.failure("while counting", failure))

    def leave(self) -> None:
        """Tell for the last time: from here on other parts count."""
        if self._telling.running:
            self._telling.stop()
            self._tell()
            self._counts = None

    async def stop(self) -> None:
        """Tell for the last time, and wait until it has arrived. To be called when everything is
        served."""
        if not self._telling.running:
            return
        self._telling.stop()
        with suppress(LinkError):
            await self._ask_parent(COUNTED, self._counted(), PATIENCE)

    def numbers(self, page: str, age: float) -> Deferred[GatewayNumbers]:
        """A `service.build.PageNumbers`. Fails when the parent has not answered in time, or is
        gone."""
        asked = self._ask_parent(_NUMBERS, {"page": page, "age": age}, _OF_THE_PARENT)
        return asked.addCallback(told_numbers, self._parts)

    def _ask_parent(self, topic: str, value: JSON, seconds: float) -> Deferred[JSON]:
        def late(_: object, seconds: float) -> JSON:
            raise LinkError(f"the parent has not answered within {seconds:g} s")

        return self._link.ask(topic, value).addTimeout(seconds, self._parts.reactor, late)

    def _counted(self) -> dict[str, Any] | None:
        return None if self._counts is None else self._counts.take()

    def _tell(self) -> None:
        counted = self._counted()
        if counted is not None and counted["news"]:
            self._link.tell(COUNTED, counted)


class Processes(Protocol):
    """What `service.workers.parent.WorkerProcesses` has of its workers."""

    started: list[Callable[[LinkPart], object]]
    ended: list[Callable[[LinkPart], object]]


@dataclass(eq=False)
class _Worker:
    link: LinkPart
    known: WorkerState
    late: int = 0
    """Questions that it has not answered in time, and not yet."""


@dataclass(eq=False)
class _Round:
    """One question to all workers, and who waits for what they say."""

    begun: float
    waiting: list[Deferred[None]] = field(default_factory=list)


class GatewayTotals:
    """The parent's end: `parts` count what is counted in all of `processes`. `before` is that of the
    configuration before, which has known some of them. `starts`: how often each number was started.
    """

    log = Logger()

    def __init__(
        self, parts: GatewayParts, processes: Processes, before: GatewayTotals | None = None
    ) -> None:
        self._parts = parts
        self._clock = parts.reactor
        self._mounts = list(parts.mount_statistics())
        self._workers: dict[int, _Worker] = {}
        self.starts: dict[int, int] = {} if before is None else before.starts
        self._known: dict[int, WorkerState] = {}
        if before is not None:
            self._known = before.known_workers()
        # All that is asked while a round goes on waits for the next one: it may be about something
        # that a worker had not counted when it told.
        self._round: _Round | None = None
        self._next: list[Deferred[None]] = []
        self._last = float("-inf")
        self._told: dict[str, JSON] = {}
        processes.started.append(self._start)
        processes.ended.append(self._end)

    def known_workers(self) -> dict[int, WorkerState]:
        """What is known of each worker, by its number, but for what it is at: that calls things by
        their places in this configuration."""
        return {n: replace(worker.known, state={}) for n, worker in self._workers.items()}

    def _start(self, link: LinkPart) -> None:
        number = link.number
        known = self._known.pop(number, None)
        if known is None or not link.serving:
            starts = self.starts[number] = self.starts.get(number, 0) + 1
            known = WorkerState(number, restarts=starts - 1)
        worker = self._workers[number] = _Worker(link, known)
        link.answer(COUNTED, partial(self._add, worker))
        link.answer(_NUMBERS, self._numbers)

    def _end(self, link: LinkPart) -> None:
        worker = self._workers.get(link.number)
        if worker is not None and worker.link is link:
            del self._workers[link.number]

    def _add(self, worker: _Worker, told: Any) -> None:
        if told is None:
            return
        now = self._clock.seconds()
        worker.known.take(told, now)
        worker.known.requests += add_counts(self._parts, self._mounts, told["counted"], now)

    # -- what pages show -----------------------------------------------------------------------

    async def _numbers(self, asked: Any) -> JSON:
        page, age = asked["page"], asked["age"]
        if page not in PAGES:
            raise ValueError(f"there are no numbers for {page}")
        registries: list[Any] = []

        def take(worker: _Worker, told: Any) -> None:
            registries.append([worker.link.number, told])

        waited_for = [self._all_told(age)]
        if page == "metrics":
            waited_for.append(self._ask_all(_REGISTRY, take))
        await DeferredList(waited_for)
        if age and page in self._told:
            return self._told[page]
        workers = [worker.known for _, worker in sorted(self._workers.items())]
        own = take_numbers(self._parts)
        told: dict[str, Any] = tell_numbers(page, own, self._parts, self._mounts, workers)
        told["restarts"] = sum(self.starts.values()) - len(self.starts)
        told["registries"] = sorted(registries)
        if age:
            # For all who look at events, until there are newer ones.
            self._told[page] = told
        return told

    def _all_told(self, age: float) -> Deferred[None]:
        """Fires when workers have told what they had counted no longer than `age` seconds ago."""
        if age and 0 <= self._clock.seconds() - self._last <= age:
            return succeed(None)
        told: Deferred[None] = Deferred()
        if age and self._round is not None:
            self._round.waiting.append(told)
        else:
            self._next.append(told)
            self._begin_round()
        return told

    def _begin_round(self) -> None:
        if self._round is None and self._next:
            self._round = _Round(self._clock.seconds(), self._next)
            self._next = []
            asked = self._ask_all(COUNTED, self._add)
            asked.addCallback(self._end_round, self._round)

    def _end_round(self, _: object, ended: _Round) -> None:
        self._last = ended.begun
        self._told.clear()
        self._round = None
        for waiting in ended.waiting:
            waiting.callback(None)
        self._begin_round()

    def _ask_all(self, topic: str, take: Callable[[_Worker, Any], object]) -> Deferred[Any]:
        """Fires when each worker has answered, or has been given the time to."""
        asked = [self._ask(worker, topic, take) for worker in list(self._workers.values())]
        return DeferredList(asked)

    def _ask(
        self, worker: _Worker, topic: str, take: Callable[[_Worker, Any], object]
    ) -> Deferred[None]:
        if worker.late:
            # It has been asked, and will tell everything when it answers.
            return succeed(None)
        done: Deferred[None] = Deferred()

        def late() -> None:
            known = worker.known
            worker.late += 1
            if not known.silent:
                self.log.warn(
                    "worker {number} does not answer within {seconds:g} s: what is shown of it is"
                    " what it told {ago:.0f} s ago",
                    number=known.number,
                    seconds=PATIENCE,
                    ago=self._clock.seconds() - known.told_at if known.told_at else 0,
                )
            known.silent = True
            done.callback(None)

        patience = self._clock.callLater(PATIENCE, late)

        def over(_: object) -> None:
            if patience.active():
                patience.cancel()
                done.callback(None)
            else:
                worker.late -= 1
                worker.known.silent = worker.late > 0

        def fail(failure: Failure) -> None:
            # ValueError: there is another configuration.
            if not failure.check(LinkLost, ValueError):
                self.log.failure(
                    "worker {number}: {topic}", failure, number=worker.known.number, topic=topic
                )

        # What comes late is counted all the same.
        asked = worker.link.ask(topic).addCallback(lambda told: take(worker, told))
        asked.addErrback(fail).addCallback(over)
        return done
