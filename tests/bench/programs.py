"""The programs of a benchmark: compiled, on free ports, stopped with all that they have started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.bench.stopping import SIGNALS

_SOURCES = Path(__file__).parent


def compiled(name: str, folder: Path) -> Path:
    """The program of the source NAME.c beside this file. Exits where gcc fails."""
    program = folder / name
    command = ["gcc", "-O2", "-o", str(program), str(_SOURCES / f"{name}.c")]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if "error" in line), "no reason")
        raise SystemExit(f"gcc cannot compile {name}.c ({done.returncode}): {said}")
    return program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until something listens on `port`, for half a minute at most."""
    for _ in range(1500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}: {process.args!r}, {process.returncode}")


def _may_be_stopped() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[int]:
    """The program, by its process id, once something listens on `port`."""
    # Who stops the benchmark while it starts a program would leave that one behind.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, start_new_session=True, preexec_fn=_may_be_stopped
    )
    try:
        _may_be_stopped()
        wait_for(port, process)
        yield process.pid
    finally:
        # And who does so while it is ended would have nobody wait for its end.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        with suppress(ProcessLookupError):  # it ended by itself, and that has been said
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        _may_be_stopped()


def twistd() -> str:
    """The `twistd` of the running interpreter."""
    return str(Path(sys.executable).with_name("twistd"))


def gateway(config: Path, *options: str, pid_file: Path | str = "") -> list[str]:
    """The command that runs the gateway; its log is beside `config`."""
    files = [f"--pidfile={pid_file}", f"--logfile={config.with_suffix('.log')}"]
    return [twistd(), "-n", *files, "scgiproxy", *options, "--config", str(config)]
