"""Applications that are started, crash, hang, and come back."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench import programs


class Application:
    """`application` on so many free ports; the last is with TLS if `folder` has a certificate."""

    def __init__(self, folder: Path, ports: int = 1) -> None:
        self.folder = folder
        self.ports = [programs.free_port() for _ in range(ports)]
        self._running = ExitStack()
        self._pid = 0

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.soak.application", str(self.folder)]
        command += map(str, self.ports)
        # With its first port it has none of the others yet.
        self._pid = self._running.enter_context(programs.running(command, self.ports[-1]))

    def crash(self) -> None:
        """Without a word, whatever it does."""
        os.kill(self._pid, signal.SIGKILL)
        self._running.close()

    def hang(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def restart(self, after: float) -> None:
        """Be gone for so many seconds."""
        self.crash()
        time.sleep(after)
        self.start()

    def doze(self, seconds: float) -> None:
        self.hang()
        time.sleep(seconds)
        self.go_on()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pid:
            self.go_on()
        self._running.close()
