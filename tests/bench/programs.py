"""The programs of a benchmark: on free ports, stopped with all that they have started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[int]:
    """The program, by its process id, once something listens on `port`."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(port)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def gateway(config: Path) -> list[str]:
    """The command that runs the gateway; its log is beside `config`."""
    twistd = str(Path(sys.executable).with_name("twistd"))
    log = f"--logfile={config.with_suffix('.log')}"
    return [twistd, "-n", "--pidfile=", log, "scgiproxy", "--config", str(config)]


def wrk(port: int, seconds: int, *options: str) -> str:
    """What wrk says of so many seconds of load; every answer must be a good one."""
    command = ["wrk", "-t1", f"-d{seconds}", *options, f"http://127.0.0.1:{port}/x"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(text)
    return text
