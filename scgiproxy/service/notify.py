"""What a service manager is told of the process, as sd_notify(3) has it.

Written out here: the packages there are for it are a binding to libsystemd, which needs a compiler
and its headers, and modules without types that nobody has looked after for years. It is a datagram.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.task import LoopingCall

from scgiproxy.log.events import Logger

_PATIENCE = 1.0
"""Seconds that a service manager's queue may be full."""

_LONGEST_STATUS = 500

WATCHDOG_VARIABLES = ("WATCHDOG_PID", "WATCHDOG_USEC")


class Notifications:
    """Tells the service manager that `environment` names; without one it tells nobody.

    Each is also told what the state is in words, which ``systemctl status`` shows. `is_alive` is
    asked before the watchdog, if there is one, is told that all is well: twice in its time.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        is_alive: Callable[[], bool] = lambda: True,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.is_alive = is_alive
        name = environment.get("NOTIFY_SOCKET", "")
        # "@" is a name of Linux's that is in no folder. Other kinds of addresses are for machines.
        self._address = "\0" + name[1:] if name.startswith("@") else name
        if not name.startswith(("@", "/")):
            self._address = ""
        self._watching = LoopingCall(self._pat)
        self._watching.clock = reactor
        self._every = _watchdog_seconds(environment) / 2

    def serves(self, status: str) -> None:
        """Everything serves, or does so again after it was `reloads`."""
        self._tell("READY=1", status=status)
        if self._every and self._address and not self._watching.running:
            watching = self._watching.start(self._every)
            watching.addErrback(lambda failure: self.log.failure("watchdog", failure))

    def reloads(self) -> None:
        """The configuration is being read again."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={now}", status="reading the configuration again")

    def stops(self) -> None:
        """What runs may end; nothing new is accepted."""
        self._tell("STOPPING=1", status="stopping")

    def is_followed(self, pid: int) -> None:
        """Another process is the service from now on; this one has nothing more to tell."""
        self._tell(f"MAINPID={pid}")
        self.end()

    def end(self) -> None:
        """Nothing more is told."""
        self._address = ""
        if self._watching.running:
            self._watching.stop()

    def says(self, status: str) -> None:
        """The state in words alone."""
        self._tell(status=status)

    def _pat(self) -> None:
        if self.is_alive():
            self._tell("WATCHDOG=1")

    def _tell(self, *states: str, status: str = "") -> None:
        if not self._address:
            return
        lines = list(states)
        if status:
            # One line: what follows another line's end would be a state of its own.
            lines.append("STATUS=" + " ".join(status.split())[:_LONGEST_STATUS])
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_PATIENCE)
                sender.connect(self._address)
                sender.send("\n".join(lines).encode(errors="replace"))
        except (OSError, ValueError) as error:
            self.log.warn(
                "{what} could not be told to the service manager: {why}",
                what=", ".join(lines),
                why=getattr(error, "strerror", None) or str(error),
            )


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """0: nobody watches this process."""
    words = [environment.get(name, "") for name in WATCHDOG_VARIABLES]
    pid, microseconds = [int(word) if word.isascii() and word.isdigit() else 0 for word in words]
    if words[0] and pid != os.getpid():
        return 0.0
    return microseconds / 1e6
