"""SIGHUP, at which the configuration is read again, SIGUSR1, at which nothing happens, SIGUSR2, at
which another process takes over, and SIGTERM and Ctrl-C once more."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from scgiproxy.log.events import Logger

_WATCHED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What others read their configuration again at, open their logs, or are replaced; each would end a
process."""

_ENDING = (signal.SIGTERM, signal.SIGINT)


class ProcessSignals:
    """Takes SIGHUP, SIGUSR1 and SIGUSR2, each of which would end the process, while they are watched.

    - `reload` is called at SIGHUP; None: there is nothing that could be read again.
    - `upgrade` is called at SIGUSR2; None: no other process could take over.
    - `hurry` is called at a SIGTERM or SIGINT that follows another: the process is stopping already.
    - `terminal`: the file descriptor to tell by whether the process was started on one. A terminal
      that is closed sends SIGHUP, too: the process stops then, as with SIGTERM.

    Several of a kind that come before anything was done are one.

    A signal is left alone where somebody else has a say: if it has a handler (twistd rotates its log
    file at SIGUSR1) or is ignored (``nohup``), if the reactor runs without handlers of its own, and
    outside of the main thread.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        reload: Callable[[], object] | None = None,
        hurry: Callable[[], object] = lambda: None,
        upgrade: Callable[[], object] | None = None,
        terminal: int = 0,
    ) -> None:
        self._reactor = reactor
        self._does = {signal.SIGHUP: reload, signal.SIGUSR2: upgrade}
        self._hurry = hurry
        self._terminal = terminal
        self._watched = False
        self._on_terminal = False
        self._is_stopping = False
        self._was_told = False
        self._pending: set[int] = set()
        self._ending: dict[int, Any] = {}

    def start(self) -> None:
        """Watch them. What comes before the reactor runs is done when it does. Again is harmless."""
        if self._watched or threading.current_thread() is not threading.main_thread():
            return
        self._watched = True
        self._is_stopping = False
        self._on_terminal = os.isatty(self._terminal)
        for number in _WATCHED:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self._came)
        self._reactor.callWhenRunning(self._look)

    def stop(self) -> None:
        """The signals are again what they were. Harmless if they are not watched."""
        self._watched = False
        for number in _WATCHED:
            if self._is_ours(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        if not self._was_told:  # if it was, the process ends
            for ending, handler in self._ending.items():
                if self._is_ours(signal.getsignal(ending)):
                    signal.signal(ending, handler)
            self._ending.clear()

    def stopping(self) -> None:
        """The process stops, whoever has said so: the next signal to stop is another one."""
        self._is_stopping = True

    def _look(self) -> None:
        # A reactor that installs handlers has done so by now.
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self.stop()
        if not self._watched:
            return
        for number in _ENDING:
            handler = signal.getsignal(number)
            # Twisted's cannot bear to be told twice.
            if getattr(handler, "__self__", None) is self._reactor:
                self._ending[number] = handler
                signal.signal(number, self._told_to_end)

    def _told_to_end(self, number: int, frame: FrameType | None) -> None:
        if self._is_stopping:
            self._reactor.callFromThread(self._tell_again, number)
        else:
            self._is_stopping = self._was_told = True
            self._ending[number](number, frame)

    def _tell_again(self, number: int) -> None:
        self.log.info(
            "{signal}, once more: what is not done is cut off",
            signal=signal.Signals(number).name,
            notice=True,
        )
        self._hurry()

    def _is_ours(self, handler: object) -> bool:
        return getattr(handler, "__self__", None) is self

    def _came(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  of a handler
        # Between any two instructions: nothing may be logged here.
        if number not in self._pending:
            self._pending.add(number)
            self._reactor.callFromThread(self._tell, number)

    def _tell(self, number: int) -> None:
        # What comes from here on is one more.
        self._pending.discard(number)
        if number == signal.SIGHUP and self._on_terminal and not os.isatty(self._terminal):
            self.log.info("SIGHUP: the terminal is closed, stopping", notice=True)
            if not self._is_stopping:
                self._is_stopping = True
                self._reactor.stop()
            return
        if self._is_stopping:
            self.log.info(
                "{signal} does nothing: this process is at its end",
                signal=signal.Signals(number).name,
                notice=True,
            )
            return
        does = self._does.get(signal.Signals(number))
        if does is not None:
            does()
            return
        self.log.warn(
            "{signal} does nothing here. Log files that were moved away are opened anew without a"
            " signal",
            signal=signal.Signals(number).name,
        )
