"""The gateway as a whole process, under twistd.

A start that fails is told in lines on standard error and exit code 1, not in a traceback.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure

from scgiproxy.errors import ConfigError
from scgiproxy.service.notify import Notifications
from scgiproxy.service.signals import ProcessSignals
from scgiproxy.service.takeover import Takeover
from scgiproxy.service.upgrade import Upgrade

_log = Logger()


class StartupError(SystemExit, Exception):
    """Ends the process with exit code 1.

    It is an Exception too, because that is what twistd looks out for: it removes its PID file then,
    and a daemon's start is told to have failed.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 1


class ProcessService(MultiService):
    """Starts `service` as the affair of a whole process, one that ends if that fails.

    While it runs, SIGHUP calls `reload`, once nobody is about to take over or has still to give up its
    place, and neither that nor SIGUSR1 ends the process; a second signal to stop calls `hurry` (see
    `ProcessSignals`). What `reload` returns fires with what is wrong, in short, or with nothing. A
    service manager is told by `notifications`: of the `state` in words, too, and when it serves by
    `serves`.

    At SIGUSR2 `upgrade` starts. With `takeover` this process takes the place of another one, calls `own`
    when that has given up its sockets, and may be replaced itself from then on.
    """

    def __init__(
        self,
        service: IService,
        reactor: Any,
        reload: Callable[[], Deferred[str]] | None = None,
        hurry: Callable[[], object] = lambda: None,
        takeover: Takeover | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.notifications = Notifications(reactor)
        self._reactor = reactor
        self._reload = reload
        self.state: Callable[[], str] = lambda: "serving"
        self._takeover = takeover
        self._has_taken_over = takeover is None
        self._is_to_reload = self._is_to_upgrade = False
        self.upgrade: Upgrade | None = None
        self.own: Callable[[], object] = lambda: None
        self._signals = ProcessSignals(
            reactor, None if reload is None else self._reload_and_tell, hurry, self._upgrade
        )
        service.setServiceParent(self)

    def privilegedStartService(self) -> None:
        """Raises StartupError, with all there is to tell already told."""
        # Who sees that it listens may send one.
        self._signals.start()
        with _telling_problems():
            if self._takeover is not None:
                self._takeover.prepare()
            super().privilegedStartService()  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """Raises StartupError, with all there is to tell already told."""
        self._signals.start()
        with _telling_problems():
            super().startService()  # type: ignore[no-untyped-call]

    def serves(self) -> None:
        """Everything does."""
        if self._takeover is None:
            self.notifications.serves(self.state())
        else:
            takeover, self._takeover = self._takeover, None
            takeover.serve(self._reactor, self._is_alone)

    def _is_alone(self) -> None:
        self._has_taken_over = True
        self.own()
        self.notifications.serves(self.state())
        if self._is_to_upgrade:
            self._upgrade()
        if self._is_to_reload:
            self._reload_and_tell()

    def _upgrade(self) -> None:
        if self.upgrade is None:
            _log.warn("SIGUSR2 does nothing here")
        elif not self._has_taken_over:
            # Another one would have to take over from two.
            self._is_to_upgrade = True
            _log.info("upgrade: SIGUSR2 has to wait until the one before is over", notice=True)
        else:
            self.upgrade.start()

    def _reload_and_tell(self) -> None:
        assert self._reload is not None
        self._is_to_reload = not self._has_taken_over
        is_followed = self.upgrade and self.upgrade.is_waited_for(self._reload_after_upgrade)
        if is_followed or self._is_to_reload:
            # Who takes over has read it already, and both have the sockets of that moment.
            _log.info("config.reload: SIGHUP has to wait until the upgrade is over", notice=True)
            return
        self.notifications.reloads()
        reloading = maybeDeferred(self._reload)
        reloading.addErrback(self._not_reloaded)
        reloading.addCallback(self._reloaded)

    def _reload_after_upgrade(self, pid: int) -> None:
        if pid:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGHUP)
        else:
            self._reload_and_tell()

    def _not_reloaded(self, failure: Failure) -> str:
        _log.failure("the configuration could not be read again", failure)
        return f"the configuration could not be read again: {failure.getErrorMessage()}"

    def _reloaded(self, problem: str) -> None:
        if self.running:
            self.notifications.serves("; ".join(filter(None, (self.state(), problem))))

    def fail(self, reason: str) -> None:
        """End the process with exit code 1 while the reactor runs, with `reason` told."""
        _tell(reason)
        _end_with_1()
        self._reactor.stop()

    def stopService(self) -> Deferred[Any]:
        """As any MultiService; the signals end the process only when everything has stopped."""
        self._signals.stopping()
        if self.upgrade is not None:
            self.upgrade.cancel()
        self.notifications.stops()
        stopped: Deferred[Any] = super().stopService()  # type: ignore[no-untyped-call]
        return stopped.addBoth(self._stopped)

    def _stopped(self, result: Any) -> Any:
        self._signals.stop()
        self.notifications.end()
        return result


@contextmanager
def _telling_problems() -> Iterator[None]:
    try:
        yield
    except (ConfigError, CannotListenError) as error:
        _tell(str(error))
        raise StartupError(str(error)) from None


def _tell(problems: str) -> None:
    # twistd has put its log in the place of sys.stderr, and a daemon has only the log.
    if sys.__stderr__ is not None:
        print(problems, file=sys.__stderr__, flush=True)
    for line in problems.splitlines():
        _log.critical("{line}", line=line)


def _end_with_1() -> None:
    """What a process is to end with is not for a service to say, once twistd has started it."""

    def end() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(1)

    atexit.register(end)
