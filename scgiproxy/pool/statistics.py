"""What is counted of backends and pools; see `pool.timeline`."""

from __future__ import annotations

from collections.abc import Sequence
from operator import sub
from typing import Any

from scgiproxy.pool.histogram import Histogram
from scgiproxy.pool.timeline import Timeline


class BackendStatistics(Timeline):
    """Of one backend: how long it took to connect, to begin its answer, and to end it.

    The timeline's durations are of exchanges, from the connection to the end of the answer; its
    errors are what the backend did wrong, attempts to connect included.

    - `errors`: how often, by the `log_key` of the error.
    """

    __slots__ = ("_connect", "_exchanges", "_first_byte", "errors")

    def __init__(self) -> None:
        super().__init__()
        # Four for each: what `record` was told.
        self._exchanges: list[Any] = []
        self._connect = Histogram()
        self._first_byte = Histogram()
        self.errors: dict[str, int] = {}

    def record(self, now: float, begun: float, connected: float, answered: float | None) -> None:
        """An exchange has ended, well or not.

        It was begun, connected, and answered with a response head (None: it never was) at these
        times.
        """
        if not self._begins <= now < self._ends:
            self._turn(now)
        self._exchanges += (now, begun, connected, answered)

    def record_error(self, now: float, key: str) -> None:
        """The backend did something wrong: `key` is the `log_key` of the error."""
        if not self._begins <= now < self._ends:
            self._turn(now)
        self._errors += 1
        self.errors[key] = self.errors.get(key, 0) + 1

    @property
    def connect(self) -> Histogram:
        """Seconds until a connection was made."""
        self._settle()
        return self._connect

    @property
    def first_byte(self) -> Histogram:
        """Seconds from the connection to the response head, the upload included."""
        self._settle()
        return self._first_byte

    def drain(self) -> list[Any]:
        timeline = super().drain()
        if not timeline:
            return []
        drained = [timeline, self._connect.as_list(), self._first_byte.as_list(), self.errors]
        self._connect = Histogram()
        self._first_byte = Histogram()
        self.errors = {}
        return drained

    def add(self, drained: Sequence[Any], now: float) -> None:
        if not drained:
            return
        timeline, connect, first_byte, errors = drained
        super().add(timeline, now)
        self.connect.add_list(connect)
        self.first_byte.add_list(first_byte)
        for key, count in errors.items():
            self.errors[key] = self.errors.get(key, 0) + count

    def _settle(self) -> None:
        exchanges = self._exchanges
        if exchanges:
            connected = exchanges[2::4]
            self._durations += map(sub, exchanges[0::4], connected)
            self._connect.record_all(list(map(sub, connected, exchanges[1::4])))
            answers = zip(exchanges[3::4], connected, strict=True)
            self._first_byte.record_all([end - start for end, start in answers if end is not None])
            exchanges.clear()
        super()._settle()


class PoolStatistics:
    """Of one pool: its queue, and what was tried again.

    - `queue`: how long those waited that had to, whether they were served in the end or not.
    - `retries`: attempts after the first one of a request.
    """

    __slots__ = ("queue", "retries")

    def __init__(self) -> None:
        self.queue = Histogram()
        self.retries = 0

    def drain(self) -> list[Any]:
        """What was recorded since the last time, and forget it. Empty if nothing was."""
        queue = self.queue.as_list()
        if not queue and not self.retries:
            return []
        drained = [queue, self.retries]
        self.queue = Histogram()
        self.retries = 0
        return drained

    def add(self, drained: Sequence[Any]) -> None:
        """Count what was recorded elsewhere."""
        if drained:
            queue, retries = drained
            self.queue.add_list(queue)
            self.retries += retries
