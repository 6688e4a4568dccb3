"""Programs that a test runs: output to a file, a bounded wait for the start, stopped by pid."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import pytest

REQUIRE_SERVERS = "SCGIPROXY_REQUIRE_SERVERS"
"""With this environment variable set to 1, a missing server fails a test instead of skipping it."""

Address = tuple[str, int] | Path
"""Host and port, or the path of a UNIX socket."""

running: list[Process] = []
"""What is running now."""

ended: list[Process] = []
"""What has been stopped since the test began. The output of both is shown when it fails."""

_BLOCKS = range(20000, 32000, 1000)
"""Where the ports begin that one run of the tests hands out. Below the range from which the system
takes those of outgoing connections, so that none of these takes a port between the moment it was
found free and the server's bind."""
_TAIL = 4000


def _claimed() -> Iterator[int]:
    """The ports of blocks that no other run of the tests has, as long as this one lasts: who has
    the lock of a block is bound to its first port."""
    for block in random.sample(_BLOCKS, len(_BLOCKS)):
        with closing(socket.socket()) as lock, suppress(OSError):
            lock.bind(("127.0.0.1", block))
            yield from range(block + 1, block + _BLOCKS.step)


_ports = _claimed()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, not handed out before."""
    for port in _ports:
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise RuntimeError("no free port")


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Poll `condition` until it is true; fail the test with `what` after `seconds`: many, for a
    machine may be busy. What has to be soon is for the test to show in another way."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} seconds: {what}")
        time.sleep(0.01)


def connect(address: Address, timeout: float = 60.0) -> socket.socket:
    """A connected stream socket. Raises OSError."""
    if isinstance(address, Path):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(str(address))
        except OSError:
            connection.close()
            raise
        return connection
    return socket.create_connection(address, timeout)


def listens(address: Address) -> bool:
    """Whether a connection to `address` is accepted."""
    try:
        connect(address, 1.0).close()
    except OSError:
        return False
    return True


def missing(what: str, package: str) -> NoReturn:
    """Skip the test because a server is not installed; fail it where all must be."""
    reason = f"{what} is not installed: install {package}"
    if os.environ.get(REQUIRE_SERVERS) == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class Process:
    """A program, as a context manager.

    Its standard output and error go to `output`, a file in `folder`. Entering waits until
    `address` accepts connections; leaving sends SIGTERM, and SIGKILL to its process group when it
    has not ended after `patience` seconds.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        folder: Path,
        address: Address,
        *,
        environment: Mapping[str, str] | None = None,
        start_within: float = 60.0,
        patience: float = 5.0,
    ) -> None:
        self.name = name
        self.command = [str(word) for word in command]
        self.folder = folder
        self.address = address
        self.output = folder / f"{name}.out"
        self._environment = {**os.environ, **(environment or {})}
        self._start_within = start_within
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def said(self) -> str:
        """The last part of what the program has written."""
        if not self.output.exists():
            return ""
        return self.output.read_bytes()[-_TAIL:].decode(errors="backslashreplace")

    def __enter__(self) -> Self:
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._environment,
                start_new_session=True,
            )
        running.append(self)
        try:
            self._wait_for_start()
        except BaseException:
            self.stop()
            raise
        return self

    def _wait_for_start(self) -> None:
        end = time.monotonic() + self._start_within
        while not listens(self.address):
            if self.has_ended:
                pytest.fail(f"{self.name} ended at its start; it said:\n{self.said()}")
            if time.monotonic() > end:
                pytest.fail(
                    f"{self.name} does not listen on {self.address} after "
                    f"{self._start_within} seconds; it said:\n{self.said()}"
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the program and wait for its end. Nothing happens when it has ended already."""
        process, self._process = self._process, None
        if process is None:
            return
        running.remove(self)
        ended.append(self)
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(self._patience)
        # Also when it has ended: children that outlive their parent are still in its group.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(self._patience)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
