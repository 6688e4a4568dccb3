"""Configurations that were followed by others, until the last of their requests has been answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

from twisted.internet.task import LoopingCall

from scgiproxy.log.events import Logger

if TYPE_CHECKING:
    from scgiproxy.log.file import LogFile
    from scgiproxy.service.build import GatewayParts
    from scgiproxy.web.channel import HttpChannel

LOOK_EVERY = 1.0
"""Seconds between two looks at whether there are requests left."""


class Retirement:
    """Keeps open the logs of older parts while `channels()` still answer requests of theirs."""

    log = Logger()

    def __init__(self, reactor: Any, channels: Callable[[], Iterable[HttpChannel]]) -> None:
        self._channels = channels
        self._older: list[GatewayParts] = []
        self._current: GatewayParts | None = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def follow(self, before: GatewayParts, now: GatewayParts) -> None:
        """`now` has taken the place of `before`."""
        self._older.append(before)
        self._current = now
        if not self._looking.running:
            looking = self._looking.start(LOOK_EVERY, now=False)
            looking.addErrback(lambda failure: self.log.failure("while looking", failure))

    def stop(self) -> None:
        """There are no requests any more: close all that is theirs."""
        if self._looking.running:
            self._looking.stop()
        self._let_go(self._older)

    def _look(self) -> None:
        served = {channel.host for channel in self._channels()}
        self._let_go([parts for parts in self._older if served.isdisjoint(parts.all_hosts)])
        if not self._older:
            self._looking.stop()

    def _let_go(self, ended: Iterable[GatewayParts]) -> None:
        for parts in list(ended):
            self._older.remove(parts)
            kept: set[LogFile] = set()
            for other in self._living():
                other.error_logs.forget(parts.error_logs)
                kept |= _files(other)
            for log in parts.access_logs:
                if log.file not in kept:
                    log.close()
            for file in parts.error_logs.files:
                if file not in kept:
                    file.close()

    def _living(self) -> Iterable[GatewayParts]:
        assert self._current is not None  # something has been followed
        return chain(self._older, (self._current,))


def _files(parts: GatewayParts) -> set[LogFile]:
    return {log.file for log in parts.access_logs} | set(parts.error_logs.files)
