"""One worker's process, as its parent sees it: from its start to its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from scgiproxy.log.events import Logger
from scgiproxy.service.workers.handover import LINK_FD
from scgiproxy.service.workers.link import JSON, Link, LinkError, LinkLost
from scgiproxy.service.workers.logs import take_events

LOOK_EVERY = 5.0
"""Seconds between questions whether a worker is alive."""

LOOKS_MISSED = 12
"""So many without an answer, and the worker is killed: a minute, in which the parent was awake."""

_SILENT = 3
"""So many, and it is not counted on."""

_LINE = 4096
_LINES = 20
_SERVICE_MANAGERS = frozenset(
    {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}
)


class Phase(Enum):
    """Where a worker is in its life."""

    STARTING = auto()
    SERVING = auto()
    STOPPING = auto()
    ENDED = auto()


def command(number: int, reactor: Any) -> list[str]:
    """How Python is called for a worker."""
    # As the multiprocessing module does it: -O, -W, -X and their like.
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    program = "scgiproxy.service.workers"
    words = [type(reactor).__module__, "scgiproxy", "worker", str(number)]
    # -P: the working directory is not where modules are.
    return [sys.executable, *options, "-P", "-m", program, *words]


def environment() -> dict[str, str]:
    """The parent's, with modules where the parent finds them. What a service manager says to its
    own child is left out."""
    found = {name: value for name, value in os.environ.items() if name not in _SERVICE_MANAGERS}
    found["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    return found


class WorkerProcess(ProcessProtocol):
    """One process.

    - `link`: connected from `spawn` on.
    - `phase`, `began` (seconds of the reactor's clock), `pid` (0: there is none).
    - `ended`: called once, with this, when the process is gone.
    - `given_up`: it was ended on purpose; if another is to take its place, then at once.
    - `problem`: why it could not start, in its own words, if it has told.
    """

    log = Logger()

    def __init__(self, number: int, reactor: Any, ended: Callable[[WorkerProcess], object]) -> None:
        self.number = number
        self.link = Link(number)
        self.phase = Phase.STARTING
        self.began: float = reactor.seconds()
        self.pid = 0
        self.problem = ""
        self.given_up = False
        self.ending = ""
        self._reactor = reactor
        self._ended = ended
        self._missed = 0
        self._looking: Any = None
        self._killing: Any = None
        self._unfinished = b""
        self._said: deque[str] = deque(maxlen=_LINES)
        take_events(self.link)

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.number} {self.phase.name.lower()} pid {self.pid}>"

    @property
    def name(self) -> str:
        return f"worker {self.number} (pid {self.pid})"

    # -- its start -----------------------------------------------------------------------------

    def spawn(self, descriptors: Sequence[int]) -> None:
        """Start the process; `descriptors` become those after `LINK_FD`. Raises OSError."""
        ours, theirs = socket.socketpair()
        with ours, theirs, open(os.devnull, "rb") as null:
            ours.setblocking(False)
            theirs.setblocking(False)
            fds: dict[int, int | str] = {0: null.fileno(), 1: "r", 2: "r"}
            fds |= dict(enumerate((theirs.fileno(), *descriptors), LINK_FD))
            arguments = command(self.number, self._reactor)
            self._reactor.spawnProcess(self, arguments[0], arguments, environment(), childFDs=fds)
            self.link.connect(self._reactor, ours.fileno())
        self._look()

    def connectionMade(self) -> None:
        self.pid = self.transport.pid  # type: ignore[union-attr]

    async def start(self, handover: JSON, prepared: Callable[[Link], object]) -> bool:
        """Have it get ready, call `prepared`, and have it serve. Whether it does, in the end."""
        try:
            await self.link.ask("prepare", handover)
            if self.phase is not Phase.STARTING:
                return False
            prepared(self.link)
            await self.link.ask("serve")
        except LinkLost:
            return False
        except (ValueError, LinkError) as error:
            self.problem = str(error)
        except Exception as error:
            self.log.failure("{worker} cannot be started", worker=self.name)
            self.problem = repr(error)
        if self.problem:
            self.stop(LOOK_EVERY)
            return False
        if self.phase is Phase.STARTING:
            self.phase = Phase.SERVING
        return self.phase is Phase.SERVING

    # -- its life ------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._missed >= LOOKS_MISSED:
            self.log.error(
                "{worker} has not answered for {seconds:g} s, and is killed",
                worker=self.name,
                seconds=LOOKS_MISSED * LOOK_EVERY,
            )
            self.kill()
            return
        if not self._missed:
            alive: Deferred[JSON] = self.link.ask("alive")
            alive.addCallbacks(self._is_alive, lambda _: None)
        self._missed += 1
        self._looking = self._reactor.callLater(LOOK_EVERY, self._look)

    @property
    def answers(self) -> bool:
        """It does not leave questions whether it is alive without an answer."""
        return self._missed < _SILENT

    def _is_alive(self, _: JSON) -> None:
        self._missed = 0

    def errReceived(self, data: bytes) -> None:
        """Warnings of Python, and what it says when it cannot go on."""
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if len(self._unfinished) > _LINE:
            lines.append(self._unfinished)
            self._unfinished = b""
        for line in lines:
            self._hear(line)

    outReceived = errReceived

    def _hear(self, line: bytes) -> None:
        text = line[:_LINE].decode(errors="backslashreplace")
        self._said.append(text)
        self.log.warn("{worker} says: {text}", worker=self.name, text=text)

    # -- its end -------------------------------------------------------------------------------

    def stop(self, seconds: float | None) -> None:
        """Have it end what it does, and kill it if that takes longer than `seconds`."""
        if self.phase in (Phase.STOPPING, Phase.ENDED):
            return
        self.phase = Phase.STOPPING
        self.link.tell("stop")
        if seconds is not None:
            self._killing = self._reactor.callLater(seconds, self._kill_late, seconds)

    def hurry(self, seconds: float) -> None:
        """As `stop`, of what has not ended since: it is cut off."""
        if self.phase is not Phase.STOPPING:
            return
        self.link.tell("hurry")
        if self._killing is not None and self._killing.active():
            self._killing.cancel()
        self._killing = self._reactor.callLater(seconds, self._kill_late, seconds)

    def _kill_late(self, seconds: float) -> None:
        self.log.error(
            "{worker} has not ended within {seconds:g} s, and is killed",
            worker=self.name,
            seconds=seconds,
        )
        self.kill()

    def give_up(self) -> None:
        """End it at once: it is not ready yet, and what it is to begin with is not so any more."""
        self.phase = Phase.STOPPING
        self.given_up = True
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")  # type: ignore[union-attr]

    def processEnded(self, reason: Failure) -> None:
        if self._unfinished:
            self._hear(self._unfinished)
        self.phase = Phase.ENDED
        for timer in (self._looking, self._killing):
            if timer is not None and timer.active():
                timer.cancel()
        number = getattr(reason.value, "signal", None)
        if number:
            self.ending = f"was ended by {signal.Signals(number).name}"
        else:
            self.ending = f"ended with exit code {getattr(reason.value, 'exitCode', 0)}"
        self.link.close()
        self._ended(self)

    @property
    def last_words(self) -> str:
        """Why it could not start, as far as it has said."""
        return self.problem or "\n".join(self._said)
