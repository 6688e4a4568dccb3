"""What reloads and upgrades cost those who ask meanwhile::

    python -m tests.bench.reloads [--workers 1] [--reloads 20] [--upgrades 5]

Sixteen connections ask as fast as they are answered: eight stay open, and eight are made anew for each
request. Measured are a while alone, one in which the file changes and is read again (SIGHUP), and one in
which another process takes over again and again (SIGUSR2). Prints percentiles, what failed, and how long
each change took until the log told of it. Exits with 1 if a request failed. gcc is needed.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from tests.bench import programs
from tests.bench.loads import Load, Outcome, RunningLoad

LOADS = {
    "kept": Load("/1024", 1024, connections=8),
    "new": Load("/1024", 1024, connections=8, headers=("Connection: close",)),
}
ALWAYS = """\
Listen 127.0.0.1:{port}
ServerName localhost
MaxKeepAliveRequests 0
"""
CHANGES = (
    "ProxyPass / unix:{origin}|scgi://localhost/",
    "ProxyPass / unix:{origin}|scgi://localhost/ max=50\nHeader set X-Is other",
    "ProxyPass / balancer://b/\nBalancerMember balancer://b unix:{origin}|scgi://localhost",
    "<Location />\nProxyPass unix:{origin}|scgi://localhost/\n</Location>\nKeepAliveTimeout 9",
)
"""What the file says by turns; the first one to begin with."""
RELOADED = "the configuration was read again"
TAKEN_OVER = "has taken over"
PATIENCE = 20.0
"""Seconds for one change."""


@dataclass(frozen=True)
class Phase:
    """What became of each of `LOADS` in one of the times, and the seconds that each change took;
    `within`: the load went on for as long as there were changes."""

    name: str
    outcomes: dict[str, Outcome]
    changes: Sequence[float] = ()
    within: bool = True

    def wrong(self) -> list[str]:
        """What is not as it should be."""
        found = [
            f"{self.name}, {load} connections: {dict(outcome.errors)}, answers {dict(outcome.statuses)}"
            for load, outcome in self.outcomes.items()
            if outcome.errors or set(outcome.statuses) != {"200"}
        ]
        if not self.within:
            found.append(f"{self.name}: the load had ended before the last change")
        return found

    def told(self) -> Iterator[str]:
        for load, outcome in self.outcomes.items():
            failed = sum(outcome.errors.values())
            yield (
                f"{self.name:>12}, {load:>4} connections: {outcome.requests} requests, {failed} failed,"
                f" {outcome.requests / outcome.seconds:.0f} a second,"
                f" p50 {outcome.p50 / 1000:.2f} ms, p99 {outcome.p99 / 1000:.2f} ms"
            )
        if self.changes:
            yield (
                f"{len(self.changes)} of them took {min(self.changes):.2f} to"
                f" {max(self.changes):.2f} s (median {statistics.median(self.changes):.2f})"
            )


class Gateway:
    """The gateway under test, whichever process it is at the moment."""

    def __init__(self, folder: Path, origin: Path, port: int, workers: int) -> None:
        self.config = folder / "gateway.conf"
        self._pid_file = folder / "gateway.pid"
        self._origin = origin
        self._port = port
        self._texts = cycle(CHANGES)
        self.write()
        options = ["--workers", str(workers)] if workers > 1 else []
        self.command = programs.gateway(self.config, *options, pid_file=self._pid_file)

    def write(self) -> None:
        """The next one of `CHANGES`."""
        text = ALWAYS + next(self._texts) + "\n"
        self.config.write_text(text.format(port=self._port, origin=self._origin))

    def reload(self) -> float:
        self.write()
        return self._signal(signal.SIGHUP, RELOADED)

    def upgrade(self) -> float:
        return self._signal(signal.SIGUSR2, TAKEN_OVER)

    def _signal(self, number: signal.Signals, told: str) -> float:
        """Seconds until the log tells of it. Exits if it does not."""
        before = self._logged(told)
        begun = time.monotonic()
        os.kill(int(self._pid_file.read_text()), number)
        while self._logged(told) == before:
            if time.monotonic() > begun + PATIENCE:
                log = self.config.with_suffix(".log").read_text()
                raise SystemExit(
                    f"{number.name}: nothing in the log that {told!r}; its end is\n{log[-2000:]}"
                )
            time.sleep(0.005)
        return time.monotonic() - begun

    def _logged(self, told: str) -> int:
        return self.config.with_suffix(".log").read_text().count(told)

    @contextmanager
    def running(self) -> Iterator[None]:
        with programs.running(self.command, self._port):
            try:
                yield
            finally:  # the first process is waited for by `programs.running`, who took over here
                os.kill(int(self._pid_file.read_text()), signal.SIGTERM)
                for _ in range(int(PATIENCE / 0.02)):
                    if not self._pid_file.exists():
                        break
                    time.sleep(0.02)


def phase(
    load: Path, port: int, name: str, pause: float, changes: int, change: Callable[[], float]
) -> Phase:
    """One time: a change every `pause` seconds, and the load for one such pause more."""
    seconds = pause * (changes + 1)
    took = []
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(RunningLoad(load, what, port, "", seconds))
            for name, what in LOADS.items()
        }
        for one in running.values():
            one.wait_until_warm()
        begun = time.monotonic()
        for number in range(1, changes + 1):
            time.sleep(max(0.0, begun + number * pause - time.monotonic()))
            took.append(change())
        within = time.monotonic() < begun + seconds
        return Phase(name, {name: one.outcome() for name, one in running.items()}, took, within)


def measure(
    workers: int, alone: float, reloads: int, upgrades: int, pauses: tuple[float, float]
) -> Iterator[Phase]:
    """The three times; `pauses` are the seconds between two reloads, and between two upgrades."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        load = programs.compiled("load", folder)
        socket, port, unused = folder / "origin.sock", programs.free_port(), programs.free_port()
        gateway = Gateway(folder, socket, port, workers)
        program = str(programs.compiled("origin", folder))
        origin = [program, str(gateway.config), str(unused), str(socket)]
        with programs.running(origin, unused), gateway.running():
            yield phase(load, port, "alone", alone, 0, gateway.reload)
            yield phase(load, port, "reloads", pauses[0], reloads, gateway.reload)
            yield phase(load, port, "upgrades", pauses[1], upgrades, gateway.upgrade)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("::")[0])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--upgrades", type=int, default=5)
    parser.add_argument("--alone", type=float, default=10.0, help="seconds")
    chosen = parser.parse_args()
    wrong = []
    # Who starts anew does so beside the load, which takes all there is.
    pauses = (1.0, 4.0 * chosen.workers)
    for one in measure(chosen.workers, chosen.alone, chosen.reloads, chosen.upgrades, pauses):
        print(*one.told(), sep="\n", flush=True)
        wrong += one.wrong()
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
