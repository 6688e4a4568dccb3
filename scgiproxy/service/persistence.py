"""BalancerPersist: what was changed of balancers, and what they have counted, survives a restart."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from scgiproxy.config.arguments import is_directory
from scgiproxy.config.model import Config, Position
from scgiproxy.errors import ConfigError, Problem
from scgiproxy.log.events import Logger
from scgiproxy.pool.managed import ManagedBalancer
from scgiproxy.rules.saved import decode_saved, encode_saved
from scgiproxy.service.balancing import balancer_names
from scgiproxy.service.statefile import StateFile

SOON = 1.0
"""Seconds from a change until it is written, with all others of that time."""

OFTEN = 60.0
"""Seconds between writes of counters, between attempts while none works, and between log lines."""

_log = Logger()


class Persistence:
    """Keeps the state of those of `balancers` (by key) that are to survive a restart of `config`.

    The file ``scgiproxy-NAME-balancers.json`` (NAME: that of the configuration's file) is in
    DefaultRuntimeDir, else in the directory that systemd names (StateDirectory), else in the
    working directory at the start. It is written in a thread of `reactor`: soon after a change,
    every minute if something was counted, and at the end.

    `problems`: what is wrong with a directory that is named. Nothing is touched before `start`.
    """

    def __init__(
        self,
        config: Config,
        balancers: Mapping[str, ManagedBalancer],
        reactor: Any,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        names = balancer_names(config)
        self.problems: list[Problem] = []
        self.file: StateFile | None = None
        self._balancers = {
            names[key]: balancers[key] for key in config.persistent if key in balancers
        }
        self._reactor = reactor
        source = Path(config.main.position.file)
        # The working directory may be another one when it is started.
        self._owner = str(source.absolute())
        self._file_name = f"scgiproxy-{re.sub('[^A-Za-z0-9._-]', '_', source.stem)}-balancers.json"
        self._directory, self._position = _directory(config, environment)
        self._removed = environment.get("RUNTIME_DIRECTORY", "").split(":")
        self._is_restored = False
        self._written = b""
        self._writing: Deferred[None] | None = None
        self._write_again = False
        self._timers: dict[str, Any] = {}
        self._failed_at: float | None = None
        if self._balancers and self._directory is not None:
            self._check(self._directory)

    def start(self) -> None:
        """Take up what is in the file, and begin to keep it. Raises ConfigError if nothing can be
        written there, or if another gateway has it."""
        if self.file is not None:
            return
        file = self.file = self.claim(None)
        if file is None:
            return
        if not self._is_restored:
            self._is_restored = True
            self._restore(file)
        self._begin()

    def claim(self, held: StateFile | None) -> StateFile | None:
        """The file that `start` would take up, locked; None if nothing is to be kept. It is `held` if
        that one has its path. Raises ConfigError as `start` does."""
        if not self._balancers:
            return None
        file = StateFile((self._directory or Path.cwd()) / self._file_name)
        if held is not None and held.path == file.path:
            return held
        try:
            is_ours = file.lock()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise self._problem(f"cannot write {file.path}: {error.strerror}") from None
            is_ours = True
        if not is_ours:
            raise self._problem(
                f"another gateway that runs keeps its state in {file.path}; expected a"
                " DefaultRuntimeDir of its own"
            )
        if str(file.path.parent) in self._removed:
            _log.warn(
                "balancer.persist: {directory} is removed when the service stops (RuntimeDirectory);"
                " expected a StateDirectory in its unit, or DefaultRuntimeDir",
                directory=str(file.path.parent),
            )
        return file

    def follow(self, next_one: Persistence, file: StateFile | None) -> None:
        """Keep in `file`, which `next_one` has claimed, what that is to keep, and go on without a
        break: it belongs to the next configuration, and is not to be started itself."""
        for balancer in self._balancers.values():
            balancer.on_change = lambda: None
        self._balancers = next_one._balancers
        self._owner = next_one._owner
        self._directory, self._position = next_one._directory, next_one._position
        self._is_restored = True
        if file is not self.file:
            self.release()
            self.file, self._written = file, b""
        if file is not None:
            self._begin()
            self._changed()

    def _begin(self) -> None:
        for balancer in self._balancers.values():
            balancer.on_change = self._changed
        if "counters" not in self._timers:
            self._schedule("counters", OFTEN)

    def release(self) -> None:
        """Give up what `start` has taken, and write nothing."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self.file is not None:
            self.file.unlock()
            self.file = None

    async def stop(self) -> None:
        """Write what is to be written, and end. Harmless if it has not started."""
        file = self.file
        if file is None:
            return
        for balancer in self._balancers.values():
            balancer.on_change = lambda: None
        if self._writing is not None:
            self._write_again = False
            await self._writing
        self._write()
        if self._writing is not None:
            await self._writing
        self.release()

    # ------------------------------------------------------------------------------------------

    def _check(self, directory: Path) -> None:
        if not is_directory(directory):
            self._tell(f"{str(directory)!r} is not an existing directory")
        elif not os.access(directory, os.W_OK | os.X_OK):
            self._tell(f"{str(directory)!r} cannot be written")

    def _tell(self, message: str) -> None:
        self.problems += self._problem(message).problems

    def _problem(self, message: str) -> ConfigError:
        position = self._position
        return ConfigError([Problem(position.file, position.line, f"BalancerPersist: {message}")])

    def _restore(self, file: StateFile) -> None:
        try:
            data = file.read()
            if data is None:
                return
            found = decode_saved(data, self._owner)
        except (OSError, ValueError) as error:
            self._set_aside(file, error)
            return
        for name, saved in found.items():
            balancer = self._balancers.get(name)
            if balancer is not None:
                balancer.restore(saved)
            elif saved.changed or any(one.changed for one in saved.members.values()):
                _log.info(
                    "balancer.restore: what was changed of balancer://{name} is dropped: there is"
                    " no such balancer with BalancerPersist On any more",
                    name=ascii(name)[1:-1],
                    notice=True,
                )
        self._written = data

    @staticmethod
    def _set_aside(file: StateFile, problem: Exception) -> None:
        why = (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
        try:
            place = f"it is {file.set_aside()} now"
        except OSError as error:
            place = f"it cannot be renamed either ({error.strerror})"
        _log.warn(
            "balancer.restore: {path} cannot be used, and balancers begin as they are configured;"
            " {place}: {why}",
            path=str(file.path),
            place=place,
            why=why,
        )

    def _changed(self) -> None:
        if "change" not in self._timers:
            self._schedule("change", SOON)

    def _schedule(self, what: str, seconds: float) -> None:
        self._timers[what] = self._reactor.callLater(seconds, self._due, what)

    def _due(self, what: str) -> None:
        del self._timers[what]
        if what == "counters":
            self._schedule("counters", OFTEN)
        self._write()

    def _write(self) -> None:
        file = self.file
        if file is None:
            return
        if self._writing is not None:
            self._write_again = True
            return
        data = encode_saved(
            self._owner, {name: one.saved() for name, one in self._balancers.items()}
        )
        if data == self._written:
            return
        pool = self._reactor.getThreadPool()
        writing = deferToThreadPool(self._reactor, pool, file.write, data)
        self._writing = Deferred()
        writing.addCallbacks(self._wrote, self._failed, callbackArgs=(data, file))
        writing.addBoth(self._finished)

    def _wrote(self, _: object, data: bytes, file: StateFile) -> None:
        if file is self.file:
            self._written = data
        if self._failed_at is not None:
            self._failed_at = None
            _log.info("balancer.persist: state is written again", notice=True)

    def _failed(self, failure: Failure) -> None:
        self._written = b""
        now = self._reactor.seconds()
        if self._failed_at is not None and now < self._failed_at + OFTEN:
            return
        self._failed_at = now
        error = failure.value
        why = error.strerror if isinstance(error, OSError) else failure.getErrorMessage()
        _log.error(
            "balancer.persist: cannot write {path}: {why}; what was changed of balancers would not"
            " survive a restart now",
            path=str(self.file.path) if self.file else "",
            why=why,
        )

    def _finished(self, _: object) -> None:
        waiting, self._writing = self._writing, None
        if self._write_again:
            self._write_again = False
            self._write()
        if waiting is not None:
            waiting.callback(None)


def _directory(config: Config, environment: Mapping[str, str]) -> tuple[Path | None, Position]:
    """Where it is kept (None: in the working directory), and the line that says so."""
    if config.runtime_directory is not None:
        return Path(config.runtime_directory.path), config.runtime_directory.position
    position = next(iter(config.persistent.values()), config.main.position)
    # systemd separates several directories by colons.
    first = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    return (Path(first) if first else None), position
