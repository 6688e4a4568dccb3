"""UNIX sockets whose listen queue is full."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from twisted.internet.interfaces import IDelayedCall

BACKLOG_PAUSE = 0.01
"""Seconds between two looks at a listen queue that is full."""

Target: TypeAlias = bytes | tuple[str, int] | tuple[str, int, int, int]
"""What a socket connects to."""


class Attempt(Protocol):
    """A connection that waits for a place in a queue."""

    @property
    def target(self) -> Target: ...

    def try_again(self) -> bool:
        """Ask for a place; False if there is still none."""


class Backlog:
    """Attempts that wait for a place in the listen queue of a UNIX socket, first come first.

    The kernel tells nobody when there is one, so they are tried again, one timer for all.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._queues: dict[Target, dict[Attempt, None]] = {}
        self._call: IDelayedCall | None = None

    def has(self, target: Target) -> bool:
        return target in self._queues

    def add(self, attempt: Attempt) -> None:
        self._queues.setdefault(attempt.target, {})[attempt] = None
        if self._call is None:
            self._call = self._reactor.callLater(BACKLOG_PAUSE, self._look)

    def remove(self, attempt: Attempt) -> None:
        queue = self._queues[attempt.target]
        del queue[attempt]
        if not queue:
            del self._queues[attempt.target]
        if not self._queues and self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = None
        try:
            for target in list(self._queues):
                while queue := self._queues.get(target):
                    if not next(iter(queue)).try_again():
                        break
        finally:
            if self._queues and self._call is None:
                self._call = self._reactor.callLater(BACKLOG_PAUSE, self._look)
