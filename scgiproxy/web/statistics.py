"""What is counted of requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from itertools import compress
from typing import TYPE_CHECKING, Any, Final

from scgiproxy.pool.timeline import Timeline

if TYPE_CHECKING:
    from scgiproxy.web.request import GatewayRequest

NO_MOUNT = "none"
"""In place of a mount's path: files, plugins, and requests that were refused before any mount."""

_METHODS: Final = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "CONNECT",
    "TRACE",
    "other",
)
_CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx", *("other",) * 4)
_WIDTH: Final = len(_CLASSES)
_PLACES = range(len(_METHODS) * _WIDTH)
_ROWS: Final = {name.encode(): row * _WIDTH for row, name in enumerate(_METHODS[:-1])}
_OTHER_ROW: Final = len(_ROWS) * _WIDTH


class MountStatistics(Timeline):
    """Of the requests that one mount has answered.

    The timeline's durations are from the end of the request's head to the end of the answer; its
    errors are answers with a status from 500 on.

    - `server`: the name of the virtual host, empty if it has none; `path`: of the mount.
    - `in_flight`: requests at this moment. Whoever gives a request to the mount counts it up, and
      down when it has been answered or goes elsewhere.
    - `aborted`: answers that were broken off, by the client or because they could not be whole.
    - `bytes_received`, `bytes_sent`: of bodies.
    """

    __slots__ = (
        "_answers",
        "aborted",
        "bytes_received",
        "bytes_sent",
        "in_flight",
        "path",
        "server",
    )

    def __init__(self, server: str = "", path: str = NO_MOUNT) -> None:
        super().__init__()
        self.server = server
        self.path = path
        self.in_flight = 0
        self.aborted = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self._answers = [0] * (len(_METHODS) * _WIDTH)

    def __repr__(self) -> str:
        return (
            f"<MountStatistics {self.server}{self.path} {self.requests} requests,"
            f" {self.in_flight} in flight>"
        )

    def record(
        self,
        now: float,
        seconds: float,
        method: bytes,
        status: int,
        received: int,
        sent: int,
        aborted: bool = False,
    ) -> None:
        """A request has been answered, or given up: then `status` may be 0.

        It took `seconds`; `received` and `sent` are the bytes of the bodies.
        """
        if not self._begins <= now < self._ends:
            self._turn(now)
        self._durations.append(seconds)
        if status >= 500:
            self._errors += 1
            status = min(status, 999)
        self._answers[_ROWS.get(method, _OTHER_ROW) + status // 100] += 1
        self.bytes_received += received
        self.bytes_sent += sent
        if aborted:
            self.aborted += 1

    @property
    def requests(self) -> int:
        """All that have been answered."""
        return sum(self._answers)

    def answers(self) -> dict[tuple[str, str], int]:
        """How many requests there were, by method (``other`` for what RFC 9110 does not know) and
        status class (``2xx``; ``none`` if the client left before there was a status).

        Methods that have not been seen are left out. Those that have, have the classes from 2xx to
        5xx even where that is 0.
        """
        return named_answers(self.answers_as_list())

    def answers_as_list(self) -> list[list[int]]:
        """The same for `named_answers`: places, and how many."""
        answers = self._answers
        return [[place, answers[place]] for place in compress(_PLACES, answers)]

    def drain(self) -> list[Any]:
        timeline = super().drain()
        if not timeline:
            return []
        drained = [
            *(timeline, self.answers_as_list()),
            *(self.aborted, self.bytes_received, self.bytes_sent),
        ]
        self._answers = [0] * len(self._answers)
        self.aborted = self.bytes_received = self.bytes_sent = 0
        return drained

    def add(self, drained: Sequence[Any], now: float) -> None:
        if not drained:
            return
        timeline, answers, aborted, received, sent = drained
        super().add(timeline, now)
        for place, count in answers:
            self._answers[place] += count
        self.aborted += aborted
        self.bytes_received += received
        self.bytes_sent += sent


def named_answers(answers: Iterable[Sequence[int]]) -> dict[tuple[str, str], int]:
    """`MountStatistics.answers` of its `answers_as_list`."""
    found: dict[tuple[str, str], int] = {}
    for place, count in answers:
        method, name = _METHODS[place // _WIDTH], _CLASSES[place % _WIDTH]
        if (method, "2xx") not in found:
            found |= {(method, usual): 0 for usual in _CLASSES[2:6]}
        found[method, name] = found.get((method, name), 0) + count
    return found


def by_class(answers: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """`MountStatistics.answers` without the methods."""
    found: dict[str, int] = {}
    for (_, name), count in answers.items():
        found[name] = found.get(name, 0) + count
    return found


def count_answer(request: GatewayRequest, now: float) -> None:
    """The answer to `request` has ended, well or not: record it where it was answered."""
    statistics = request.statistics
    if statistics is None:
        statistics = request.host_resource.statistics
    else:
        statistics.in_flight -= 1
    statistics.record(
        now,
        now - request.started,
        request.original_method,
        request.status_sent,
        request.body_read,
        request.body_sent,
        request.gone,
    )


class ConnectionPhase(Enum):
    """What a client's connection is at."""

    READING = "reading"
    """The head or the body of a request; the first request of a new connection included."""
    WAITING = "waiting"
    """For a backend: its connection, or its response head."""
    SENDING = "sending"
    """An answer."""
    IDLE = "idle"
    """Kept alive for another request."""
    CLOSING = "closing"
    """Answered for the last time, and being closed."""
