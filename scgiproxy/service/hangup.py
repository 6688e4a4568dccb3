"""SIGHUP: what a process does that has nothing to read again."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

from scgiproxy.log.events import Logger


class HangUpSignal:
    """Keeps SIGHUP from ending the process while it is watched: one line in the log, no more.

    It is left alone where somebody else has a say: if it has a handler or is ignored (``nohup``),
    if the reactor runs without handlers of its own, and outside of the main thread.

    A terminal that is closed sends it too. A process that was started on one stops then, as with
    SIGTERM. `terminal` is the file descriptor to tell it by.
    """

    log = Logger()

    def __init__(self, reactor: Any, terminal: int = 0) -> None:
        self._reactor = reactor
        self._terminal = terminal
        self._watched = False
        self._on_terminal = False

    def start(self) -> None:
        """Watch it from when the reactor runs. Again is harmless."""
        if not self._watched:
            self._watched = True
            self._reactor.callWhenRunning(self._install)

    def stop(self) -> None:
        """The signal is again what it was. Harmless if it is not watched."""
        self._watched = False
        if self._is_ours(signal.getsignal(signal.SIGHUP)):
            signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def _install(self) -> None:
        # A reactor that installs handlers has done so by now.
        if (
            self._watched
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
            and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
        ):
            self._on_terminal = os.isatty(self._terminal)
            signal.signal(signal.SIGHUP, self._came)

    def _is_ours(self, handler: object) -> bool:
        return getattr(handler, "__self__", None) is self

    def _came(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  of a handler
        # Between any two instructions: nothing may be logged here.
        self._reactor.callFromThread(self._tell)

    def _tell(self) -> None:
        if self._on_terminal and not os.isatty(self._terminal):
            self.log.info("SIGHUP: the terminal is closed, stopping", notice=True)
            self._reactor.stop()
            return
        self.log.warn(
            "SIGHUP does nothing: the configuration is not read again; start the service again"
            " for that. Log files that were moved away are opened anew without a signal"
        )
