"""Load: GET requests on some connections until told to stop, and which of them failed."""

from __future__ import annotations

import http.client
import re
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_LONGEST = 120
"""Seconds after which the load ends whatever happens."""


@dataclass(frozen=True)
class Report:
    """What became of the requests; `failures` is empty if all have been answered with 200."""

    answered: int
    failures: str


class Load:
    """Load on ``http://127.0.0.1:PORT/``, by ``wrk`` if that is installed.

    Leaving the context stops it; `stop` does, and tells.
    """

    def __init__(self, port: int, connections: int) -> None:
        self._load: _Wrk | _Threads
        wrk = shutil.which("wrk")
        self._load = _Threads(port, connections) if wrk is None else _Wrk(wrk, port, connections)

    def stop(self) -> Report:
        return self._load.stop()

    def __enter__(self) -> Self:
        self._load.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._load.stop()


class _Wrk:
    def __init__(self, program: str, port: int, connections: int) -> None:
        self._command = [program, "-t1", f"-c{connections}", f"-d{_LONGEST}", "--timeout", "20"]
        self._command.append(f"http://127.0.0.1:{port}/")
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)

    def stop(self) -> Report:
        process, self._process = self._process, None
        if process is None:
            return Report(0, "")
        process.send_signal(signal.SIGINT)
        try:
            said, _ = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
        done = re.search(r"(\d+) requests in", said)
        failures = re.findall(r"^ *((?:Non-2xx|Socket errors).*)$", said, re.MULTILINE)
        return Report(int(done[1]) if done else 0, "; ".join(failures) if done else said)


class _Threads:
    def __init__(self, port: int, connections: int) -> None:
        self._port = port
        self._stopping = threading.Event()
        self._answered = [0] * connections
        self._failures: list[str] = []
        self._threads = [
            threading.Thread(target=self._ask, args=(number,), daemon=True)
            for number in range(connections)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> Report:
        self._stopping.set()
        for thread in self._threads:
            thread.join(_LONGEST)
        return Report(sum(self._answered), "; ".join(self._failures[:20]))

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._stopping.is_set():
            try:
                connection.request("GET", "/")
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                self._failures.append(repr(error))
                connection.close()
                continue
            if response.status == 200:
                self._answered[number] += 1
            else:
                self._failures.append(str(response.status))
        connection.close()
