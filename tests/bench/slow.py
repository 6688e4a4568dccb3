"""What slow clients cost everybody else, and when they are cut::

    python -m tests.bench.slow [--clients 5000] [--kind header|body|read] [--ramp 5]

A client on one connection is served alone for a while, and then while the slow ones come, send a byte
each ten seconds (or read one), and are cut. Prints its percentiles of both times, and how many were
cut after how long. Exits with 1 if its p99 is twice what it was alone or more, or if a slow client was
not cut. gcc is needed, and open files for twice as many as there are slow clients.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import programs
from tests.bench.loads import Load, Outcome, RunningLoad
from tests.bench.processes import proportional_kib

CONFIG = """\
Listen 127.0.0.1:{port}
ServerName localhost
MaxKeepAliveRequests 0
ProxyPass / unix:{origin}|scgi://localhost/
{more}
"""
SERVED = Load("/1024", 1024)
LONGEST = {"header": 20.0, "body": 20.0, "read": 60.0}
"""Seconds that one may stay by default, by its kind; a second more is for what it has sent."""


@dataclass(frozen=True)
class Measured:
    """The served client alone, and beside the slow ones; what became of these (see
    `slowclients.SlowClients.told`), and KiB of the gateway's memory that each of them took."""

    alone: Outcome
    beside: Outcome
    slow: dict[str, Any]
    memory: float

    @property
    def times(self) -> float:
        return self.beside.p99 / self.alone.p99

    def wrong(self, longest: float) -> list[str]:
        """What is not as it should be."""
        found = []
        if self.times >= 2:
            found.append(f"the p99 is {self.times:.2f} times what it is alone")
        if self.slow["cut"] != self.slow["count"]:
            found.append(f"{self.slow['count'] - self.slow['cut']} slow clients were not cut")
        if not longest - 0.5 <= self.slow["first"] <= self.slow["last"] <= longest + 2:
            found.append(f"they were cut after {self.slow['first']} to {self.slow['last']} s")
        for outcome in (self.alone, self.beside):
            if outcome.errors:
                found.append(f"the served client saw {dict(outcome.errors)}")
        return found


def measure(
    clients: int, kind: str, alone: float, ramp: float, longest: float, more: str
) -> Measured:
    """Run it all, which takes `alone`, `ramp` and `longest` seconds and a little more."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        load = programs.compiled("load", folder)
        socket, port, unused = folder / "origin.sock", programs.free_port(), programs.free_port()
        config = folder / "gateway.conf"
        config.write_text(CONFIG.format(port=port, origin=socket, more=more))
        origin = [str(programs.compiled("origin", folder)), str(config), str(unused), str(socket)]

        def served(seconds: float) -> RunningLoad:
            return RunningLoad(load, SERVED, port, "", seconds)

        with (
            programs.running(origin, unused),
            programs.running(programs.gateway(config), port) as pid,
        ):
            with served(alone) as running:
                running.wait_until_warm()
                before = running.outcome()
            memory = proportional_kib(pid)
            command = [
                sys.executable,
                "-m",
                "tests.bench.slowclients",
                str(port),
                str(clients),
                kind,
            ]
            slow = subprocess.Popen([*command, str(ramp)], stdout=subprocess.PIPE, text=True)
            assert slow.stdout is not None
            with served(ramp + longest + 3) as running:
                running.wait_until_warm()
                slow.stdout.readline()
                full = proportional_kib(pid)
                after = running.outcome()
            told, _ = slow.communicate()
    return Measured(before, after, json.loads(told), (full - memory) / clients)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("::")[0])
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--kind", choices=sorted(LONGEST), default="header")
    parser.add_argument("--alone", type=float, default=15.0, help="seconds")
    parser.add_argument("--ramp", type=float, default=5.0, help="seconds in which they come")
    chosen = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    longest = LONGEST[chosen.kind]
    found = measure(chosen.clients, chosen.kind, chosen.alone, chosen.ramp, longest, "")
    for name, outcome in (("alone", found.alone), ("with them", found.beside)):
        rate = outcome.requests / outcome.seconds
        print(
            f"{name:>10}: p50 {outcome.p50 / 1000:.2f} ms, p99 {outcome.p99 / 1000:.2f} ms,"
            f" {rate:.0f} requests a second for {outcome.seconds:.0f} s"
        )
    slow = found.slow
    print(
        f"{slow['count']} slow clients ({chosen.kind}): {slow['cut']} cut after {slow['first']:.2f} to"
        f" {slow['last']:.2f} s (median {slow['median']:.2f}), answers {slow['statuses']};"
        f" {found.memory:.1f} KiB of memory each"
    )
    print(f"the p99 is {found.times:.2f} times what it is alone")
    wrong = found.wrong(longest)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
