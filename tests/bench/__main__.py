"""The gateway beside Apache httpd, nginx and lighttpd, turn by turn::

    python -m tests.bench [--only a,c,g-mounts] [--rounds 5] [--seconds 1.5] [--quick]

One SCGI origin in C, one load generator in C, which looks at the status and the length of every
answer, and whichever of the servers is installed; gcc is needed. Prints the medians of the rounds
(requests a second, CPU time of the whole process tree, percentiles, memory), and the ratios that
are to be reached. Ratios, not times, are what can be compared: machines differ.

Exits with 1 when the gateway answered a request wrongly or not at all, or when --compare shows a
regression, with 130 when it is interrupted. A line to reach that is not met is no error.
"""

from __future__ import annotations

import argparse
import resource
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.bench import machine, options, outputs, report, works
from tests.bench.baseline import STORED, Baseline, compared
from tests.bench.figures import Results
from tests.bench.outputs import Output
from tests.bench.rounds import run
from tests.bench.servers import GATEWAY, SERVERS, Gateway, Server
from tests.bench.stopping import ended
from tests.bench.works import Work


def _chosen_servers(words: str) -> list[Server]:
    known = [server.name for server in SERVERS]
    names = words.split(",") if words else known
    for name in names:
        if name not in known:
            raise ValueError(f"no server is called {name!r}; there are {', '.join(known)}")
    wanted = [server for server in SERVERS if server.name in names]
    missing = {server.name: why for server in wanted if (why := server.missing())}
    told = [f"{name} is left out: {why}" for name, why in missing.items()]
    if len(missing) == len(wanted):
        raise ValueError(f"no server is left to measure; {'; '.join(told)}")
    print(*told, sep="\n", end="\n" if told else "")
    return [server for server in wanted if server.name not in missing]


def _chosen_works(words: str, servers: Sequence[Server]) -> list[Work]:
    wanted = works.chosen(words.split(",") if words else [])
    if any(work.letter == "i" for work in wanted) and not Gateway().has_workers():
        print("(i) is left out: this gateway has no --workers")
        wanted = [work for work in wanted if work.letter != "i"]
    names = {server.name for server in servers}
    if not any(names & {*work.servers} for work in wanted):
        raise ValueError(f"no work is left to measure with {', '.join(sorted(names))}")
    return wanted


def _measured(chosen: argparse.Namespace, figures: Sequence[Output]) -> tuple[Results, list[str]]:
    servers = _chosen_servers(chosen.servers)
    wanted = _chosen_works(chosen.only, servers)
    if shutil.which("gcc") is None:
        raise ValueError("gcc is not installed")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rounds, seconds = options.length(chosen)
    results = Results(machine.described(servers))
    with _kept_when_stopped(results, figures):
        failures = run(wanted, servers, rounds, seconds, results)
    return results, failures


@contextmanager
def _kept_when_stopped(results: Results, figures: Sequence[Output]) -> Iterator[None]:
    """What was measured until then is written, or at least shown."""
    try:
        yield
    except BaseException:
        if results.rounds:
            errors = outputs.write(figures, results)
            if errors:
                print("", report.text(results), *errors, sep="\n")
        raise


def _compared(stored: Baseline, results: Results, name: str) -> bool:
    """Whether nothing is worse."""
    if stored.differs_from(results.machine):
        print(f"the ratios of {name} were measured on another machine: {stored.machine}")
    changes = compared(stored, Baseline.of(results))
    print(*changes, sep="\n")
    return not any(change.regression for change in changes)


def main() -> int:
    chosen = options.parsed(__doc__)
    if chosen.list:
        print(*(f"{work.name:14} {work.title}" for work in works.WORKS), sep="\n")
        return 0
    stored = outputs.read("--compare", chosen.compare, Baseline.read) if chosen.compare else None
    wanted = outputs.chosen(chosen.json, chosen.write, STORED if chosen.store else None)
    failures: list[str] = []
    if chosen.show:
        results = outputs.read("--show", chosen.show, Results.read)
    else:
        figures = [output for output in wanted if output.option == "--json"]
        results, failures = _measured(chosen, figures)
    unwritten = outputs.write(wanted, results)
    print()
    print(report.markdown(results) if chosen.markdown else report.text(results))
    good = stored is None or _compared(stored, results, chosen.compare.name)
    for failure in failures:
        print(f"{GATEWAY} failed: {failure}")
    if unwritten:
        raise ValueError("; ".join(unwritten))
    return 0 if good and not failures else 1


if __name__ == "__main__":
    ended("tests.bench", main)
