"""The parent: holds what workers serve from, starts them, and replaces those that end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.python.failure import Failure

from scgiproxy.config.model import Config
from scgiproxy.errors import ConfigError
from scgiproxy.log.events import Logger
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.listeners import ListenerService
from scgiproxy.service.root import GatewayService, workers_problem
from scgiproxy.service.statefile import StateFile
from scgiproxy.service.takeover import Place
from scgiproxy.service.workers.generation import Generation
from scgiproxy.service.workers.handover import LINK_FD, Handover
from scgiproxy.service.workers.held import HeldListeners
from scgiproxy.service.workers.link import Link, LinkLost
from scgiproxy.service.workers.members import ParentMembers
from scgiproxy.service.workers.process import Phase, WorkerProcess
from scgiproxy.service.workers.totals import GatewayTotals

YOUNG = 10.0
"""Seconds; a worker that ends before is replaced later, each time later still."""

LONGEST_DELAY = 30.0
"""Seconds; the latest."""

_FIRST_DELAY = 0.5

MARGIN = 6.0
"""Seconds that a worker is given to end after those of its requests."""


class WorkerProcesses(Service):
    """`count` workers while it runs, numbered from 1; one that ends is replaced.

    - `links`: of the workers that run, in no order.
    - `started`: each is called with a new worker's link before that accepts connections. From then
      on, and not before, the worker may speak.
    - `ended`: each is called with the link of a worker that was in `links`, and is gone.
    - `on_failure`: called with the reason if, at the start, no worker at all can serve.
    - `on_serving`: called when every worker serves, after the start.
    - `drain`: the seconds that running answers are given at the end; 0: as long as they take.

    `hand_over` says what each gets, with descriptors of this process, which are handed over in the
    order of their mention.
    """

    log = Logger()

    def __init__(
        self, count: int, hand_over: Callable[[], tuple[Handover, list[int]]], reactor: Any
    ) -> None:
        self.links: list[Link] = []
        self.started: list[Callable[[Link], object]] = []
        self.ended: list[Callable[[Link], object]] = []
        self.on_failure: Callable[[str], object] = lambda _: None
        self.on_serving: Callable[[], object] = lambda: None
        self.drain = 0.0
        self._count = count
        self._hand_over = hand_over
        self._reactor = reactor
        self._processes: dict[int, WorkerProcess] = {}
        self._waiting: dict[int, Any] = {}
        self._deaths: dict[int, int] = {}
        self._has_served = False
        self._have_all_served = False
        self._has_failed = False
        self._stopped: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self._has_served = self._have_all_served = self._has_failed = False
        # The reactor learns of a child's end when it runs.
        self._reactor.callWhenRunning(self._start_all)

    def _start_all(self) -> None:
        for number in range(1, self._count + 1):
            known = number in self._processes or number in self._waiting
            if self.running and not self._has_failed and not known:
                self._start(number)

    def _start(self, number: int) -> None:
        self._waiting.pop(number, None)
        process = WorkerProcess(number, self._reactor, self._process_ended)
        self._processes[number] = process
        handover, descriptors = self._hand_over()
        try:
            process.spawn(descriptors)
        except OSError as error:
            process.problem = f"cannot run {error.filename or sys.executable}: {error.strerror}"
            process.phase = Phase.ENDED
            self._process_ended(process)
            return
        process.link.on_lost = lambda: self._lost(process.link)
        starting = Deferred.fromCoroutine(process.start(handover.packed(), self._prepared))
        starting.addCallback(self._serves, process)
        starting.addErrback(lambda failure: self.log.failure("a worker's start", failure))

    def _prepared(self, link: Link) -> None:
        self.links.append(link)
        for tell in self.started:
            tell(link)

    def _serves(self, does: bool, process: WorkerProcess) -> None:
        if does:
            self._has_served = True
            self.log.info("{worker} serves", worker=process.name)
            if not self._have_all_served:
                phases = [one.phase for one in self._processes.values()]
                if phases.count(Phase.SERVING) == self._count:
                    self._have_all_served = True
                    self.on_serving()

    def answer(self) -> bool:
        """Whether any worker does; also true while none is there yet, or any more."""
        return not self._processes or any(one.answers for one in self._processes.values())

    def _lost(self, link: Link) -> None:
        if link in self.links:
            self.links.remove(link)
            for tell in self.ended:
                tell(link)

    def _process_ended(self, process: WorkerProcess) -> None:
        number = process.number
        del self._processes[number]
        if not self.running or self._has_failed or number > self._count:
            self._look_for_the_end()
            return
        if process.given_up:
            self._start(number)
            return
        reason = process.last_words
        lived = self._reactor.seconds() - process.began
        deaths = self._deaths[number] = 0 if lived >= YOUNG else self._deaths.get(number, 0) + 1
        if not self._has_served and not self._processes:
            self._has_failed = True
            for waiting in self._waiting.values():
                waiting.cancel()
            self._waiting.clear()
            self.on_failure(f"no worker can start: {reason or process.ending}")
            return
        delay = min(_FIRST_DELAY * 2 ** min(deaths - 1, 10), LONGEST_DELAY) if deaths else 0.0
        self.log.error(
            "{worker} {ending}{reason}; another takes its place in {delay:g} s",
            worker=process.name,
            ending=process.ending or "could not be started",
            reason=f": {reason}" if process.problem else "",
            delay=delay,
        )
        self._waiting[number] = self._reactor.callLater(delay, self._start, number)

    def reload(self, count: int, generation: Generation) -> Deferred[Any]:
        """Have `count` workers, all of which serve by the configuration of `generation`, which is
        that of `hand_over` now. Fires when those have taken it up that serve already, or are about
        to; one that cannot is replaced."""
        self._count = count
        taken = []
        for number, process in list(self._processes.items()):
            if number > count:
                process.given_up = True
                self._end(process)
            elif process.phase is Phase.STOPPING:
                continue
            elif process.link in self.links:
                handover, descriptors = self._hand_over()
                asked = process.link.ask("reload", handover.packed(), descriptors)
                # After that, since it is to hear of it with what is told of members.
                generation.join(process.link, serving=True)
                taken.append(asked.addErrback(self._not_taken, process))
            else:
                process.give_up()
        self._start_all()
        return DeferredList(taken)

    def _not_taken(self, failure: Failure, process: WorkerProcess) -> None:
        if not failure.check(LinkLost):
            self.log.error(
                "{worker} cannot take up the configuration, and is replaced: {why}",
                worker=process.name,
                why=failure.getErrorMessage(),
            )
            self._end(process)

    def stopService(self) -> Deferred[None]:
        """Have every worker end what it does. Fires when all are gone; who is not a `MARGIN` after
        `drain` is killed."""
        super().stopService()  # type: ignore[no-untyped-call]
        for waiting in self._waiting.values():
            waiting.cancel()
        self._waiting.clear()
        if not self._processes:
            return succeed(None)
        self._stopped = Deferred()
        for process in self._processes.values():
            self._end(process)
        return self._stopped

    def _end(self, process: WorkerProcess) -> None:
        process.stop(self.drain + MARGIN if self.drain else None)

    def hurry(self) -> None:
        """Have those that stop cut off what runs."""
        for process in self._processes.values():
            process.hurry(MARGIN)

    def _look_for_the_end(self) -> None:
        if not self._processes and self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)


class ParentService(GatewayService):
    """The gateway of several processes, in the one that starts the others.

    It accepts no connections. Members are found, checked and kept over a restart here.
    `processes` are the workers, `totals` what they have counted.
    """

    listeners: HeldListeners

    def __init__(
        self, config: Config, reactor: Any, sockets: Mapping[Place, int] | None = None
    ) -> None:
        super().__init__(config, reactor, sockets)
        self.processes = WorkerProcesses(config.worker_count, self._hand_over, reactor)
        self.processes.on_failure = lambda reason: self.on_failure(reason)
        self.processes.on_serving = lambda: self.on_serving()
        self.processes.setServiceParent(self)  # type: ignore[no-untyped-call]
        self.processes.started.append(lambda link: self._generation.join(link))
        self.processes.ended.append(lambda link: self._generation.leave(link))
        self._generation = Generation(1)
        self.totals = GatewayTotals(self.parts, self._generation)
        self._make_members()

    def _make_members(self) -> None:
        self.members = ParentMembers(self.parts, self._config.worker_count)
        self._generation.started.append(self.members.join)
        self._generation.ended.append(self.members.leave)

    def _make_listeners(self) -> ListenerService:
        config, descriptors = self._config, self._process.descriptors
        return HeldListeners(
            config.listeners,
            self._site,
            self._reactor,
            descriptors,
            config.listen_backlog,
            self._process.sockets,
        )

    def _start_state(self) -> None:
        super()._start_state()
        self.members.start()

    def _start_parts(self) -> None:
        self._start_outlook()

    def _tell_when_serving(self) -> None:
        """Its workers will."""

    def state(self) -> str:
        return f"serving, {self._config.worker_count} workers"

    def is_alive(self) -> bool:
        return self.processes.answer()

    # -- another configuration -----------------------------------------------------------------

    def _check_workers(self, config: Config) -> None:
        if config.worker_count == 1:
            raise ConfigError([workers_problem(config, "expected more than 1, as at the start")])

    def _leave(self) -> None:
        super()._leave()
        self.members.stop()
        self._generation.leave_behind()

    def _keep_state(self, before: GatewayParts, file: StateFile | None) -> None:
        super()._keep_state(before, file)
        older = self._generation
        self._generation = Generation(older.number + 1)
        self.totals = GatewayTotals(self.parts, self._generation, self.totals)
        self._make_members()
        self.members.start()
        self.processes.drain = self._config.graceful_shutdown_timeout
        taken = self.processes.reload(self._config.worker_count, self._generation)
        # What is on its way until then has been counted by the configuration before.
        self._taken = taken.addCallback(lambda _: older.close(self._generation))

    def _followed(self) -> Deferred[Any]:
        return self._taken

    # -- the end -------------------------------------------------------------------------------

    def stopService(self) -> Deferred[None]:
        self.processes.drain = self._config.graceful_shutdown_timeout
        return super().stopService()

    def hurry(self) -> None:
        self.processes.hurry()

    async def _stop_parts(self) -> None:
        self.members.stop()
        await super()._stop_parts()

    def _hand_over(self) -> tuple[Handover, list[int]]:
        sockets = self.listeners.descriptors()
        logs = {file.path: file.descriptor() for _, file in self._log_files()}
        logs = {path: fd for path, fd in logs.items() if fd >= 0}
        first = LINK_FD + 1
        handover = Handover(
            config=self._config,
            sockets=range(first, first + len(sockets)),
            files=self.listeners.files,
            logs=dict(zip(logs, range(first + len(sockets), 1 << 16), strict=False)),
            generation=self._generation.number,
        )
        return handover, [*sockets, *logs.values()]
