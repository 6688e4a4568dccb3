"""A worker: a process that serves from the sockets of its parent."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from scgiproxy.errors import ConfigError
from scgiproxy.log.events import Logger
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.listeners import ListenerService
from scgiproxy.service.root import GatewayService
from scgiproxy.service.workers.generation import LinkPart
from scgiproxy.service.workers.handover import LINK_FD, Handover
from scgiproxy.service.workers.inherited import InheritedListeners
from scgiproxy.service.workers.link import JSON, Link
from scgiproxy.service.workers.logs import send_events
from scgiproxy.service.workers.members import WorkerMembers
from scgiproxy.service.workers.totals import WorkerTotals

_LEFT_TO_THE_PARENT = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that a terminal, or somebody who means the gateway, sends to all its processes."""


class WorkerService(GatewayService):
    """The gateway in a worker; `link` leads to the parent.

    What finds out about members, and what is kept over a restart, is the parent's. `totals` tell
    it what is counted here.
    """

    listeners: InheritedListeners

    def __init__(self, handover: Handover, link: Link, reactor: Any) -> None:
        self.link = link
        self._handover = handover
        super().__init__(handover.config, reactor)
        self._take(handover, serving=False)

    def _take(self, handover: Handover, serving: bool) -> None:
        """The logs that are open, and the part of the link that is about this configuration."""
        part = self._part = LinkPart(self.link, handover.generation, serving)
        self.totals = WorkerTotals(self.parts, part)
        self.members = WorkerMembers(self.parts, part)
        for _, file in self._log_files():
            if file.path in handover.logs:
                # Several logs may write to one file.
                file.adopt(os.dup(handover.logs[file.path]))
        for fd in handover.logs.values():
            os.close(fd)

    def take_up(self, handover: Handover) -> None:
        """Serve by another configuration, as `GatewayService.reload` does. Raises ConfigError."""
        try:
            GatewayParts(handover.config, self._reactor)
        except ConfigError:
            for fd in (*handover.sockets, *handover.logs.values()):
                os.close(fd)
            raise
        config = handover.config
        self.listeners.give(config.listeners, handover.sockets, handover.files)
        self.listeners.change(config.listeners, config.listen_backlog)
        self._follow(config, lambda _: self._take_anew(handover))

    def _leave(self) -> None:
        super()._leave()
        self.totals.leave()
        self.members.stop()
        self._part.close()

    def _take_anew(self, handover: Handover) -> None:
        self._take(handover, serving=True)
        self.totals.start()

    def _make_listeners(self) -> ListenerService:
        given = self._handover
        return InheritedListeners(
            given.config.listeners,
            given.sockets,
            given.files,
            self._site,
            self._reactor,
            self._process.descriptors,
            self._process.admission,
        )

    def _start_state(self) -> None:
        """The parent's, which has told it by now."""
        self.totals.start()

    def _start_outlook(self) -> None:
        self.parts.resolver.start()

    async def _stop_parts(self) -> None:
        await self.totals.stop()
        self.members.stop()
        self.parts.resolver.stop()
        self._close_logs()


class Worker:
    """The process around it: does what the parent says, and ends when the parent is gone.

    `on_serving` is called when it accepts connections.
    """

    log = Logger()

    def __init__(self, number: int, reactor: Any) -> None:
        self._reactor = reactor
        self._service: WorkerService | None = None
        self._is_stopping = False
        self.on_serving: Callable[[], object] = lambda: None
        self.link = Link(number)
        self.link.answer("prepare", self._prepare)
        self.link.answer("serve", self._serve)
        self.link.answer("reload", self._reload)
        self.link.answer("alive", lambda _: None)
        self.link.answer("stop", lambda _: self._stop())
        self.link.answer("hurry", lambda _: self._hurry())
        self.link.on_lost = self._parent_is_gone
        reactor.addSystemEventTrigger("before", "shutdown", self._stopping)
        # Twisted's own cannot bear to be told twice, as by a service manager and by the parent.
        reactor.callWhenRunning(signal.signal, signal.SIGTERM, self._told_to_end)

    def _prepare(self, value: JSON) -> JSON:
        """Make everything, and start nothing."""
        try:
            self._service = WorkerService(Handover.unpacked(value), self.link, self._reactor)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return None

    def _serve(self, _: JSON) -> JSON:
        assert self._service is not None
        try:
            self._service.startService()
        except ConfigError as error:
            raise ValueError(str(error)) from None
        self._reactor.addSystemEventTrigger("before", "shutdown", self._service.stopService)
        self.on_serving()
        return None

    def _reload(self, value: JSON) -> JSON:
        assert self._service is not None
        handover = Handover.unpacked(value)
        descriptors = self.link.take_descriptors(len(handover.sockets) + len(handover.logs))
        try:
            self._service.take_up(handover.at(descriptors))
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return None

    def _parent_is_gone(self) -> None:
        if not self._is_stopping:
            # For an ErrorLog; Twisted's log has gone with it.
            self.log.error("the parent of worker {number} is gone", number=self.link.number)
        self._stop()

    def _stop(self) -> None:
        self._reactor.callWhenRunning(self._stop_running)

    def _told_to_end(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._reactor.callFromThread(self._stop_running)

    def _stop_running(self) -> None:
        if not self._is_stopping:
            # At once: the reactor tells of its end later, and may be stopped only once.
            self._is_stopping = True
            self._reactor.stop()

    def _hurry(self) -> None:
        if self._service is not None:
            self._service.hurry()

    def _stopping(self) -> None:
        self._is_stopping = True


def _be_called(name: str) -> None:
    """Be shown so by `top` and `ps -o comm`, where the system can do that."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def main(arguments: Sequence[str]) -> None:
    """The whole process. `arguments` are those of `process.command`: the reactor's module, words
    for who looks at processes, and the worker's number."""
    for number in _LEFT_TO_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    reactor_module, *_, word = arguments
    if "twisted.internet.reactor" not in sys.modules:
        importlib.import_module(reactor_module).install()

    from twisted.internet import reactor

    worker = Worker(int(word), reactor)
    worker.on_serving = partial(_be_called, f"scgiproxy {word}")
    worker.link.connect(reactor, LINK_FD)
    os.close(LINK_FD)
    send_events(worker.link)
    reactor.run()
