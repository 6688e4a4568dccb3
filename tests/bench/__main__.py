"""The gateway beside Apache httpd, nginx and lighttpd, turn by turn::

    python -m tests.bench [--only a,c,g-mounts] [--rounds 5] [--seconds 1.5] [--quick]

One SCGI origin in C, one load generator in C, which looks at the status and the length of every
answer, and whichever of the servers is installed; gcc is needed. Prints the medians of the rounds
(requests a second, CPU time of the whole process tree, percentiles, memory), and the ratios that
are to be reached. Ratios, not times, are what can be compared: machines differ.

Exits with 1 when the gateway answered a request wrongly or not at all, or when --compare shows a
regression. A line to reach that is not met is no error.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import signal
import sys
from pathlib import Path

from tests.bench import machine, report, works
from tests.bench.baseline import STORED, Baseline, compared
from tests.bench.figures import Results
from tests.bench.rounds import run
from tests.bench.servers import GATEWAY, SERVERS, Gateway, Server


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("--only", default="", help="letters or names of works, with commas; see --list")
    add("--servers", default="", help="names of servers, with commas")
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=1.5, help="of each measurement, after half a second")
    add("--quick", action="store_true", help="one round of one second, for a rough look")
    add("--list", action="store_true", help="show the names of the works, and end")
    add("--json", type=Path, metavar="FILE", help="write all figures; works FILE has stay in it")
    add("--show", type=Path, metavar="FILE", help="measure nothing: the figures are those of FILE")
    add("--markdown", action="store_true", help="print tables in Markdown")
    add("--write", type=Path, metavar="FILE", help="write them into a document, between its marks")
    add("--store", action="store_true", help=f"store the ratios as {STORED.name}")
    compare = "beside stored ratios: exit with 1 if one is worse"
    add("--compare", type=Path, nargs="?", const=STORED, metavar="FILE", help=compare)
    return options


def _chosen_servers(words: str) -> list[Server]:
    names = words.split(",") if words else [server.name for server in SERVERS]
    unknown = set(names) - {server.name for server in SERVERS}
    if unknown:
        raise ValueError(f"no server is called {', '.join(unknown)}")
    found = []
    for server in SERVERS:
        missing = server.missing()
        if server.name in names and missing:
            print(f"{server.name} is left out: {missing}")
        elif server.name in names:
            found.append(server)
    return found


def _measured(chosen: argparse.Namespace) -> tuple[Results, list[str]]:
    wanted = works.chosen(chosen.only.split(",") if chosen.only else [])
    servers = _chosen_servers(chosen.servers)
    if shutil.which("gcc") is None:
        raise ValueError("gcc is not installed")
    if any(work.letter == "i" for work in wanted) and not Gateway().has_workers():
        print("(i) is left out: this gateway has no --workers")
        wanted = [work for work in wanted if work.letter != "i"]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rounds, seconds = (1, 1) if chosen.quick else (chosen.rounds, chosen.seconds)
    results = Results(machine.described(servers))
    try:
        failures = run(wanted, servers, rounds, seconds, results)
    finally:
        if chosen.json:
            _kept(results, chosen.json)
    return results, failures


def _kept(results: Results, path: Path) -> None:
    """Written even when the run was stopped half-way."""
    if path.exists():
        results.with_earlier(Results.read(path))
    results.write(path)


def _compared(results: Results, path: Path) -> bool:
    """Whether nothing is worse."""
    stored = Baseline.read(path)
    if stored.machine != results.machine:
        print(f"the ratios of {path.name} were measured on another machine: {stored.machine}")
    changes = compared(stored, Baseline.of(results))
    print(*changes, sep="\n")
    return not any(change.regression for change in changes)


def main() -> int:
    chosen = _options().parse_args()
    if chosen.list:
        print(*(f"{work.name:14} {work.title}" for work in works.WORKS), sep="\n")
        return 0
    failures: list[str] = []
    if chosen.show:
        results = Results.read(chosen.show)
    else:
        results, failures = _measured(chosen)
    if chosen.write:
        report.write_into(chosen.write, results)
    if chosen.store:
        Baseline.of(results).write(STORED)
    print()
    print(report.markdown(results) if chosen.markdown else report.text(results))
    good = chosen.compare is None or _compared(results, chosen.compare)
    for failure in failures:
        print(f"{GATEWAY} failed: {failure}")
    return 0 if good and not failures else 1


if __name__ == "__main__":
    # What was started is stopped then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        sys.exit(main())
    except (ValueError, OSError) as error:
        sys.exit(f"tests.bench: {error}")
