"""lbmethod=heartbeat: who has told that it has free slots, and how many."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, Final

from zope.interface import implementer

from scgiproxy.interfaces import IAbstention, IBalancingMethod
from scgiproxy.log.events import Logger
from scgiproxy.message.backend_url import TcpAddress, split_authority
from scgiproxy.pool.backend import Backend
from scgiproxy.rules.facts import Facts

LONGEST_SILENCE: Final = 10
"""Seconds after which a server that has sent no heartbeat is taken for gone."""

MAX_SIZE = 1 << 20
"""Bytes of a HeartbeatStorage file; a line has about 60."""

_FORMAT = "ADDRESS ready=N&busy=N&lastseen=SECONDS&port=N"
_NUMBERS = frozenset({"busy", "ready", "lastseen", "port"})


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What one server has told last. `age` is in seconds, when the file was written."""

    slots: int
    age: int


class HeartbeatStorage:
    """The file of mod_heartmonitor, read again when it has changed. Its age counts as silence.

    - `path`: None if there is no file; then nobody has told anything.
    - `problem`: why the file, or a part of it, is not used; empty if it is.

    A problem is logged once (warn), and once that it is over (info).
    """

    _log = Logger()

    def __init__(self, path: str | None) -> None:
        self.path = path
        self._file = Path(path or os.devnull)
        self.problem = ""
        self.written = 0.0
        self._seen: tuple[int, ...] = ()
        self._servers: Mapping[str, Heartbeat] = {}

    def servers(self) -> Mapping[str, Heartbeat]:
        """The last heartbeat of each server, by its address as text."""
        if self.path is None:
            self.problem = "it has no HeartbeatStorage"
            return {}
        try:
            state = self._file.stat()
            seen = (state.st_ino, state.st_mtime_ns, state.st_size)
            if seen != self._seen:
                self._servers, problem = self._read()
                self._seen = seen
                self._tell(problem and f"HeartbeatStorage {self.path}{problem}")
        except OSError as error:
            self._seen = ()
            self._servers = {}
            self._tell(f"HeartbeatStorage {self.path}: {error.strerror}")
        return self._servers

    def _read(self) -> tuple[Mapping[str, Heartbeat], str]:
        """What is in the file, and what is wrong with it."""
        with open(self._file, "rb", opener=_open) as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                return {}, ": it is no regular file"
            text = file.read(MAX_SIZE + 1)
        if len(text) > MAX_SIZE:
            return {}, f": it is over {MAX_SIZE} bytes; expected a line for each server"
        self.written = state.st_mtime
        return _parse(text.decode("utf-8", "replace"))

    def _tell(self, problem: str) -> None:
        if problem == self.problem:
            return
        if problem:
            self._log.warn("balancer.heartbeat: {problem}", problem=problem)
        else:
            self._log.info("balancer.heartbeat: {path} is in order again", path=self.path)
        self.problem = problem


@implementer(IBalancingMethod, IAbstention)
class ByHeartbeat:
    """``lbmethod=heartbeat``: at random, in the ratio of the free slots that servers tell of.

    A server is a member whose host, as written, is the address of a line of the HeartbeatStorage
    file; the line must be less than `LONGEST_SILENCE` old. A server that is not busy at all has
    just started, and counts with a fourth of its slots (mod_lbmethod_heartbeat). The load factor
    means nothing. Nobody is chosen if nobody has a slot.

    - `storage`: the path of that file, which mod_heartmonitor writes; None if there is none.
    - `now`: the time, on the clock of the file system.
    """

    name = "heartbeat"

    def __init__(
        self,
        storage: str | None,
        now: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        self._storage = HeartbeatStorage(storage)
        self._now = now
        self._random = random or Random()  # noqa: S311

    def choose(self, candidates: Sequence[Any], request: Facts | None) -> Backend | None:  # noqa: ARG002
        """The next member, None without a free slot; nothing is to be accounted."""
        servers = self._storage.servers()
        if not servers:
            return None
        # A clock that was set back does not make heartbeats younger than they were.
        oldest = LONGEST_SILENCE - max(0.0, self._now() - self._storage.written)
        slots = [
            server.slots if (server := servers.get(_host(member))) and server.age < oldest else 0
            for member in candidates
        ]
        if not any(slots):
            return None
        (chosen,) = self._random.choices(candidates, slots)
        return chosen  # type: ignore[no-any-return]

    def explain(self) -> str:
        """Why nobody was chosen."""
        return self._storage.problem or (
            f"no member has told of a free slot within {LONGEST_SILENCE} s"
            f" (HeartbeatStorage {self._storage.path})"
        )


def _open(path: str, flags: int) -> int:
    # A FIFO would wait for somebody who writes to it.
    return os.open(path, flags | os.O_NONBLOCK)


def _host(member: Any) -> str:
    """The host of a member, or that of a UNIX socket's label, as in Apache."""
    address = member.address
    return address.host if isinstance(address, TcpAddress) else _labelled_host(member.label)


@lru_cache(maxsize=1024)
def _labelled_host(label: str) -> str:
    try:
        return split_authority(label.rpartition("://")[2].partition("/")[0])[0]
    except ValueError:
        return ""


def _parse(text: str) -> tuple[dict[str, Heartbeat], str]:
    """The heartbeats, and what is wrong with the first line that is none."""
    servers: dict[str, Heartbeat] = {}
    problem = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        address, _, told = line.partition(" ")
        values = _numbers(told)
        if values is None:
            problem = problem or f":{number}: expected {_FORMAT}, got {line[:100]!r}"
            continue
        slots = values.get("ready", 0)
        servers[address.lower()] = Heartbeat(
            slots if values.get("busy") else slots // 4, values.get("lastseen", 0)
        )
    return servers, problem


def _numbers(told: str) -> dict[str, int] | None:
    values: dict[str, int] = {}
    # mod_heartmonitor begins with an ampersand.
    for field in told.strip().strip("&").split("&"):
        key, _, value = field.partition("=")
        if key in _NUMBERS:
            if not (value.isascii() and value.isdigit() and len(value) < 10):
                return None
            values[key] = int(value)
    return values or None
