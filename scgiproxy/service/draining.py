"""The end of connections: what is idle is closed, what runs may end, and what does not is cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Protocol

from twisted.internet.task import deferLater

from scgiproxy.log.events import Logger
from scgiproxy.pool.dispatch import Pool
from scgiproxy.web.channel import GRACE

_LOOK = 0.02
_TELLING = 0.2
_CLOSING = 1.0


class Connection(Protocol):
    """What of a `web.channel.HttpChannel` is needed."""

    def shut_down(self) -> None:
        """The next answer is the last."""

    def close_idle(self) -> None:
        """Close it if nothing is being answered."""

    def abort(self) -> None:
        """Close it at once."""


class Draining:
    """Ends `connections()`, from which those are gone that are closed."""

    log = Logger()

    def __init__(self, reactor: Any, connections: Callable[[], Iterable[Connection]]) -> None:
        self._reactor = reactor
        self._connections = connections
        self._is_hurried = False

    def hurry(self) -> None:
        """Cut off what runs, now or as soon as `end` is called."""
        self._is_hurried = True

    async def end(self, seconds: float, pools: Iterable[Pool]) -> None:
        """Give running answers `seconds`; 0: as long as they take.

        Idle connections have a `GRACE` for a request that is on its way, which is served. What still
        waits in `pools` after the time is answered with 503, and what runs on is cut off.
        """
        try:
            await self._end(seconds, pools)
        finally:
            self._is_hurried = False

    async def _end(self, seconds: float, pools: Iterable[Pool]) -> None:
        end = self._reactor.seconds() + seconds if seconds else inf
        for connection in self._connections():
            connection.shut_down()
        if not await self._closed(min(GRACE, seconds or GRACE)):
            for connection in self._connections():
                connection.close_idle()
        if await self._closed(end - self._reactor.seconds()):
            return
        waited_for = [pool for pool in pools if pool.queued]
        for pool in waited_for:
            pool.turn_away()
        was_hurried, self._is_hurried = self._is_hurried, False
        if waited_for or not was_hurried:
            # Who waits in another worker is told, too, before he has the place of what is cut off here.
            await self._closed(_TELLING)
        left = list(self._connections())
        after = "when it was told again to stop" if was_hurried else f"after {seconds:g} s"
        self.log.info(
            "cut off: {count} connections that were not done {after}",
            count=len(left),
            after=after,
            notice=True,
        )
        for connection in left:
            connection.abort()
        await self._closed(_CLOSING)

    async def _closed(self, seconds: float) -> bool:
        """Wait until no connection is left, but not longer than `seconds`, and not if it is
        hurried."""
        end = self._reactor.seconds() + seconds
        while any(True for _ in self._connections()):
            if self._is_hurried or self._reactor.seconds() >= end:
                return False
            await deferLater(self._reactor, _LOOK)
        return True
