"""SIGUSR2: the same command is started again, as what is installed now, and takes this process's place.

Both accept from the same sockets until the new one serves. If it does not, nothing has happened.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from scgiproxy.errors import ConfigError
from scgiproxy.log.events import Logger
from scgiproxy.service.notify import Notifications
from scgiproxy.service.root import GatewayService
from scgiproxy.service.takeover import (
    FORMAT,
    GO,
    PREPARED,
    SERVING,
    VARIABLE,
    WITHIN,
    YOURS,
    ChannelFactory,
    share_log,
)

ENDING = 5.0
"""Seconds that a process is given to be gone when it has closed the channel."""

_LAST_WORDS = 4000
"""Bytes of what a process that fails has said."""

_CHANNEL, _OUT, _ERR, _FIRST = 3, 4, 5, 6
_OF_THIS_PROCESS = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID")


class PidFile:
    """twistd's, by its options: another process that is to write it finds none meanwhile."""

    def __init__(self, options: MutableMapping[str, Any]) -> None:
        self._options = options
        self._path: Path | None = None
        self._aside = Path()

    def set_aside(self) -> None:
        """Rename it to ``.old.PID``, which twistd removes at the end. Raises OSError."""
        name = self._options.get("pidfile")
        if not name or self._path is not None:
            return
        path = Path(name)
        with suppress(FileNotFoundError, ValueError):
            if int(path.read_text()) == os.getpid():
                # The one before may be at its end still, and have a file, too.
                self._aside = path.with_name(f"{path.name}.old.{os.getpid()}")
                path.rename(self._aside)
                self._path = path
                self._options["pidfile"] = str(self._aside)

    def put_back(self) -> None:
        """This process is the one, after all."""
        path, self._path = self._path, None
        if path is not None:
            with suppress(OSError):
                self._aside.rename(path)
            self._options["pidfile"] = str(path)


class Upgrade:
    """Has another process take `gateway`'s place, at most one at a time.

    `pid_file` and `log_file`: twistd's, of this process. `notifications` tell a service manager which process is the service.
    """

    log = Logger()

    def __init__(
        self,
        gateway: GatewayService,
        reactor: Any,
        pid_file: PidFile | None = None,
        notifications: Notifications | None = None,
        log_file: str = "",
    ) -> None:
        self._log_file = log_file
        self._gateway = gateway
        self._reactor = reactor
        self._pid_file = pid_file
        self._notifications = notifications
        # Before a daemon has gone elsewhere: there may be relative paths in it.
        self._directory = Path.cwd()
        self.command = [sys.executable, *sys.orig_argv[1:]]
        self._next: _NextProcess | None = None
        self._when_over: Callable[[int], object] | None = None
        self._state_written: Deferred[Any] = succeed(None)

    def start(self) -> None:
        """Start it, and go on. What comes of it is logged."""
        if not self._gateway.running:
            return
        if self._next is not None:
            self.log.warn("upgrade: another process is already about to take over")
            return
        self.log.info("upgrade: starting {command}", command=" ".join(self.command), notice=True)
        if self._log_file:
            share_log(self._log_file)
        try:
            if self._pid_file is not None:
                self._pid_file.set_aside()
            self._next = self._spawn()
        except OSError as error:
            if self._pid_file is not None:
                self._pid_file.put_back()
            self._tell_failure(f"{error.filename or self.command[0]}: {error.strerror}", "")

    def is_waited_for(self, when_over: Callable[[int], object]) -> bool:
        """Whether one is under way; `when_over` is called then, when it has ended, with the id of the
        process that has taken over, or 0. Only the last one is, and none if this process ends."""
        if self._next is not None:
            self._when_over = when_over
        return self._next is not None

    def _is_over(self, pid: int) -> None:
        when_over, self._when_over = self._when_over, None
        if when_over is not None:
            when_over(pid)

    def cancel(self) -> None:
        """This process ends: no other takes its place."""
        following, self._next = self._next, None
        if following is not None:
            following.give_up()
            if self._pid_file is not None:
                self._pid_file.put_back()

    def _spawn(self) -> _NextProcess:
        sockets = self._gateway.listeners.sockets()
        numbers = range(_FIRST, _FIRST + len(sockets))
        given = {
            "format": FORMAT,
            "channel": _CHANNEL,
            "output": [_OUT, _ERR],
            "sockets": [[*place, fd] for place, fd in zip(sockets, numbers, strict=True)],
        }
        environment = {
            name: value for name, value in os.environ.items() if name not in _OF_THIS_PROCESS
        }
        environment[VARIABLE] = json.dumps(given)
        ours, theirs = socket.socketpair()
        following = _NextProcess(self._reactor, self._prepared, self._serves, self._ended)
        with ours, theirs:
            ours.setblocking(False)
            said = following.output.fileno()
            fds = {0: 0, 1: said, 2: said, _CHANNEL: theirs.fileno(), _OUT: 1, _ERR: 2}
            fds |= dict(zip(numbers, sockets.values(), strict=True))
            try:
                self._reactor.spawnProcess(
                    following,
                    self.command[0],
                    self.command,
                    environment,
                    path=str(self._directory),
                    childFDs=fds,
                )
            except OSError:
                following.discard()
                raise
            factory = ChannelFactory(following.channel)
            self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, factory)
        return following

    def _prepared(self, following: _NextProcess) -> None:
        """It has made everything. State is on the disk before it looks there."""
        given_up = Deferred.fromCoroutine(self._gateway.parts.persistence.stop())
        given_up.addErrback(lambda failure: self.log.failure("upgrade: state", failure))
        given_up.addCallback(lambda _: following.say(GO))
        self._state_written = given_up

    def _serves(self, following: _NextProcess) -> None:
        if self._next is not following:
            return
        self.log.info(
            "upgrade: process {pid} has taken over; this one ends what it has begun",
            pid=following.pid,
            notice=True,
        )
        following.repeat_output()
        if self._notifications is not None:
            self._notifications.is_followed(following.pid)
        self._gateway.listeners.leave()
        following.say(YOURS)
        self._next = None
        self._reactor.stop()
        self._is_over(following.pid)

    def _ended(self, following: _NextProcess) -> None:
        """It is gone, before it has served."""
        if self._next is not following:
            return
        self._next = None
        if self._pid_file is not None:
            self._pid_file.put_back()
        # It may still be about to be given up.
        self._state_written.addCallback(lambda _: self._take_state_back())
        self._tell_failure(following.ending, following.last_words)
        self._is_over(0)

    def _take_state_back(self) -> None:
        if self._gateway.running:
            try:
                self._gateway.parts.persistence.start()
            except ConfigError as error:
                self.log.error("{problem}", problem=error)

    def _tell_failure(self, why: str, last_words: str) -> None:
        for line in last_words.splitlines():
            self.log.error("upgrade: the new process has said: {line}", line=line)
        self.log.error("upgrade: this process goes on, another could not take over: {why}", why=why)
        if self._notifications is not None:
            state = self._gateway.state()
            self._notifications.says(f"{state}; an upgrade has failed: {why}")


class _NextProcess(ProcessProtocol):
    """The other process: from its start until it serves, or is gone."""

    def __init__(
        self,
        reactor: Any,
        prepared: Callable[[_NextProcess], object],
        serves: Callable[[_NextProcess], object],
        ended: Callable[[_NextProcess], object],
    ) -> None:
        self.pid = 0
        self.ending = ""
        self.output = tempfile.TemporaryFile()  # noqa: SIM115  it is closed with the process
        self.channel = _Channel(self)
        self._said = {PREPARED: prepared, SERVING: serves}
        self._ended = ended
        self._reactor = reactor
        self._is_connected = self._is_running = True
        self._deadline = reactor.callLater(WITHIN, self._is_late)

    def discard(self) -> None:
        """There is no such process."""
        self._done()
        self.output.close()

    def say(self, word: bytes) -> None:
        self.channel.sendLine(word)  # type: ignore[no-untyped-call]

    def hear(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        if word == PREPARED and rest.isdigit():
            self.pid = int(rest)
        if word == SERVING:
            self._done()
        does = self._said.pop(word, None)
        if does is not None:
            does(self)

    def give_up(self, why: str = "it was given up") -> None:
        """Kill it."""
        self._done()
        self.ending = self.ending or why
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")  # type: ignore[union-attr]
        # A daemon is another process than the one that was started.
        if self.pid and self._is_connected:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)

    def _is_late(self) -> None:
        self.give_up(f"it did not serve within {WITHIN:g} s")

    def _done(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()

    def disconnected(self) -> None:
        """Of the channel: every process that had it is about to be gone, or does not know of it."""
        self._is_connected = False
        if SERVING in self._said and self._is_running:
            self._done()
            # If it ends by itself, it says how.
            self._deadline = self._reactor.callLater(ENDING, self.give_up, "")
        self._look_for_the_end()

    def processEnded(self, reason: Failure) -> None:
        self._is_running = False
        number = getattr(reason.value, "signal", None)
        code = getattr(reason.value, "exitCode", None)
        if number:
            ending = f"it was ended by {signal.Signals(number).name}"
        else:
            ending = f"it ended with exit code {code or 0}"
        self.ending = self.ending or ending
        self._look_for_the_end()

    def _look_for_the_end(self) -> None:
        if not self._is_connected and not self._is_running:
            self._done()
            if SERVING in self._said:
                self._ended(self)
            self.output.close()

    def _read(self, most: int) -> bytes:
        size = os.fstat(self.output.fileno()).st_size
        return os.pread(self.output.fileno(), most, max(0, size - most))

    @property
    def last_words(self) -> str:
        return self._read(_LAST_WORDS).decode(errors="backslashreplace")

    def repeat_output(self) -> None:
        """What it has said goes where it says the rest."""
        with suppress(OSError):
            os.write(2, self._read(_LAST_WORDS))


class _Channel(LineOnlyReceiver):
    delimiter = b"\n"

    def __init__(self, process: _NextProcess) -> None:
        self._process = process

    def lineReceived(self, line: bytes) -> None:
        self._process.hear(line)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ARG002
        self._process.disconnected()
