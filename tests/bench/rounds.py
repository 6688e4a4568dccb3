"""The rounds: every work with every server, one server after the other within a round."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Results
from tests.bench.measuring import TEN_MB, Figures, RefusedError, Target
from tests.bench.programs import compiled, free_port, running
from tests.bench.report import figures_line
from tests.bench.servers import GATEWAY, Server
from tests.bench.works import MEMBERS, Origin, Work


@dataclass(frozen=True)
class Bench:
    """What is there during all rounds: the origin, the load generator, a folder for the servers."""

    origin: Origin
    origin_pid: int
    generator: Path
    folder: Path

    def once(self, work: Work, server: Server, seconds: float) -> tuple[Figures, str]:
        """The figures, and what went wrong (empty for nothing). Raises `RefusedError`."""
        port = free_port()
        folder = self.folder / server.name
        with running(server.configured(work.site(self.origin), folder, port), port) as pid:
            target = Target(self.generator, pid, port, server.file, (self.origin_pid,))
            figures = work.measure(target, seconds)
        errors = ", ".join(f"{count} {kind}" for kind, count in target.errors.items())
        return figures, f"errors: {errors}" if errors else ""


@contextmanager
def bench() -> Iterator[Bench]:
    """Compiles the programs and starts the origin."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # servers that run as nobody get through
        files = folder / "files"
        files.mkdir()
        (files / "ten-mb").write_bytes(b"x" * TEN_MB)
        ports = [free_port() for _ in range(MEMBERS)]
        origin = Origin(ports, folder / "origin.socket", files)
        where = [str(origin.socket), *map(str, ports)]
        command = [str(compiled("origin", folder)), str(files / "ten-mb"), *where]
        with running(command, ports[-1]) as pid:
            yield Bench(origin, pid, compiled("load", folder), folder)


def run(
    works: Sequence[Work],
    servers: Sequence[Server],
    rounds: int,
    seconds: float,
    results: Results,
) -> list[str]:
    """Add the figures to `results`, and print them as they come.

    Returns what the gateway did wrong. What others do wrong is remarked: Apache httpd now and then
    closes a connection when one of its threads ends. Each round begins with another server.
    """
    failures = []
    with bench() as everything:
        for _, group in itertools.groupby(works, lambda work: work.letter):
            for turn, work in itertools.product(range(rounds), list(group)):
                for server in _from(servers, turn):
                    if server.name not in work.servers or _refused(results, work, server):
                        continue
                    wrong = _measured(everything, work, server, seconds, results)
                    if wrong and server.name == GATEWAY:
                        failures.append(f"{work.name}: {wrong}")
    return failures


def _measured(
    everything: Bench, work: Work, server: Server, seconds: float, results: Results
) -> str:
    try:
        figures, wrong = everything.once(work, server, seconds)
    except RefusedError as refused:
        wrong = str(refused)
        print(f"{work.name:14} {server.name:9} {wrong}", flush=True)
    else:
        results.add(work.name, server.name, figures)
        print(
            f"{work.name:14} {server.name:9} {figures_line(figures, work.per)} {wrong}", flush=True
        )
    if wrong:
        results.remark(work.name, server.name, wrong)
    return wrong


def _refused(results: Results, work: Work, server: Server) -> bool:
    """Asked once, and not again in the rounds that follow."""
    remark = results.remarks.get(work.name, {}).get(server.name, "")
    return bool(remark) and not results.series("memory", work.name, server.name)


def _from(servers: Sequence[Server], turn: int) -> list[Server]:
    first = turn % len(servers)
    return [*servers[first:], *servers[:first]]
