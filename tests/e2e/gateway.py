"""The gateway as a subprocess: `twistd -n scgiproxy --config FILE`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.e2e.processes import Process, free_port, wait_until

WORKERS = int(os.environ.get("SCGIPROXY_TEST_WORKERS", "1"))
"""How many workers every gateway has that a test does not give a number itself."""

_TROUBLE = (
    "Traceback (most recent call last)",
    "Unhandled error",
    "Unhandled Error",
    "--- <exception caught here> ---",
)


def twistd() -> Path:
    """The `twistd` script of the running interpreter."""
    return Path(sys.executable).parent / "twistd"


class GatewayProcess(Process):
    """A gateway with the configuration file `config`, which listens on `port` of 127.0.0.1.

    `to_terminal`: its log is its standard output, which is a file.

    `check_log` fails the test when a traceback was logged since the last call; leaving the context
    calls it too.
    """

    def __init__(
        self,
        config: Path,
        port: int,
        name: str,
        environment: Mapping[str, str] | None = None,
        workers: int = WORKERS,
        to_terminal: bool = False,
    ) -> None:
        self.config = config
        self.port = port
        self.log = config.parent / (f"{name}.out" if to_terminal else f"{name}.log")
        self._checked: dict[Path, int] = {}
        command: list[str | Path] = [twistd(), "-n", "--pidfile="]
        if not to_terminal:
            command.append(f"--logfile={self.log}")
        command += ["scgiproxy", "--config", config]
        if workers > 1:
            command += ["--workers", str(workers)]
        self.workers = workers
        super().__init__(
            name, command, config.parent, self.http, environment=environment, patience=8
        )

    @property
    def http(self) -> tuple[str, int]:
        """Where it listens."""
        return ("127.0.0.1", self.port)

    def _wait_for_start(self) -> None:
        """Also for its workers: they come when it listens already."""
        super()._wait_for_start()
        if self.workers > 1:
            wait_until(self._all_serve, f"{self.name} has {self.workers} workers that serve")

    def _all_serve(self) -> bool:
        try:
            names = [Path(f"/proc/{pid}/comm").read_text() for pid in self.worker_pids]
        except OSError:
            return False
        return sum(name.startswith("scgiproxy ") for name in names) == self.workers

    @property
    def worker_pids(self) -> list[int]:
        """The processes that serve; of one alone, itself."""
        if self.workers == 1:
            return [self.pid]
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(word) for word in children.read_text().split()]

    def logged(self) -> str:
        """The whole log."""
        return self.log.read_text(errors="backslashreplace") if self.log.exists() else ""

    def said(self) -> str:
        return f"{super().said()}\n{self.logged()[-8000:]}"

    def resident(self) -> int:
        """Bytes of memory in use now (VmRSS), by those that serve."""
        return self._memory("VmRSS")

    def peak(self) -> int:
        """The most bytes of memory in use since `forget_peak` (VmHWM)."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        total = 0
        for pid in self.worker_pids:
            status = Path(f"/proc/{pid}/status").read_text()
            (line,) = [line for line in status.splitlines() if line.startswith(f"{name}:")]
            total += int(line.split()[1]) * 1024
        return total

    def forget_peak(self) -> None:
        """Let `peak` start again from the memory in use now."""
        for pid in self.worker_pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def check_log(self) -> None:
        """Fail the test when the gateway has logged a traceback since the last call."""
        new = ""
        for file in (self.log, self.output):
            text = file.read_text(errors="backslashreplace") if file.exists() else ""
            new += text[self._checked.get(file, 0) :]
            self._checked[file] = len(text)
        if any(sign in new for sign in _TROUBLE):
            pytest.fail(f"{self.name} logged a traceback:\n{new[-8000:]}")

    def __enter__(self) -> Self:
        if not twistd().exists():
            pytest.fail(f"{twistd()} is missing: install Twisted into this environment")
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is None:
            self.check_log()


class Gateway(GatewayProcess):
    """A gateway with a configuration of its own, listening on a free port.

    The configuration is `text` with ``Define PORT`` and, unless it has a Listen line of its own,
    ``Listen 127.0.0.1:${PORT}`` before it.
    """

    def __init__(
        self,
        folder: Path,
        text: str,
        name: str = "gateway",
        environment: Mapping[str, str] | None = None,
        workers: int = WORKERS,
        to_terminal: bool = False,
    ) -> None:
        port = free_port()
        lines = [f"Define PORT {port}"]
        if not any(line.lower().split()[:1] == ["listen"] for line in text.splitlines()):
            lines.append("Listen 127.0.0.1:${PORT}")
        config = folder / f"{name}.conf"
        config.write_text("\n".join([*lines, text, ""]))
        super().__init__(config, port, name, environment, workers, to_terminal)


def open_files(gateway: GatewayProcess) -> list[str]:
    """What the gateway has open, as the system calls it."""
    files = []
    for pid in gateway.worker_pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                files.append(str(entry.readlink()))
    return files


def spool_files(gateway: GatewayProcess) -> list[str]:
    """Files without a name that the gateway has open."""
    return [name for name in open_files(gateway) if name.endswith("(deleted)")]
