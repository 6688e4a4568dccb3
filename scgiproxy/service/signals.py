"""SIGHUP and SIGUSR1: what a process does that has nothing to read or to open again."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

from scgiproxy.log.events import Logger

_WATCHED = (signal.SIGHUP, signal.SIGUSR1)
"""What others read their configuration again at, or open their logs; both would end a process."""


class HarmlessSignals:
    """Keeps SIGHUP and SIGUSR1 from ending the process while they are watched: one line in the log,
    no more.

    One is left alone where somebody else has a say: if it has a handler (twistd rotates its log
    file at SIGUSR1) or is ignored (``nohup``), if the reactor runs without handlers of its own, and
    outside of the main thread.

    A terminal that is closed sends SIGHUP too. A process that was started on one stops then, as
    with SIGTERM. `terminal` is the file descriptor to tell it by.
    """

    log = Logger()

    def __init__(self, reactor: Any, terminal: int = 0) -> None:
        self._reactor = reactor
        self._terminal = terminal
        self._watched = False
        self._on_terminal = False

    def start(self) -> None:
        """Watch them from when the reactor runs. Again is harmless."""
        if not self._watched:
            self._watched = True
            self._reactor.callWhenRunning(self._install)

    def stop(self) -> None:
        """The signals are again what they were. Harmless if they are not watched."""
        self._watched = False
        for number in _WATCHED:
            if self._is_ours(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)

    def _install(self) -> None:
        # A reactor that installs handlers has done so by now.
        if (
            not self._watched
            or threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            return
        self._on_terminal = os.isatty(self._terminal)
        for number in _WATCHED:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self._came)

    def _is_ours(self, handler: object) -> bool:
        return getattr(handler, "__self__", None) is self

    def _came(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  of a handler
        # Between any two instructions: nothing may be logged here.
        self._reactor.callFromThread(self._tell, number)

    def _tell(self, number: int) -> None:
        if number == signal.SIGHUP and self._on_terminal and not os.isatty(self._terminal):
            self.log.info("SIGHUP: the terminal is closed, stopping", notice=True)
            self._reactor.stop()
            return
        self.log.warn(
            "{signal} does nothing: the configuration is not read again; start the service again"
            " for that. Log files that were moved away are opened anew without a signal",
            signal=signal.Signals(number).name,
        )
