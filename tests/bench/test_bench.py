"""One small work through all parts: origin, load, servers, figures, table."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench.figures import Results
from tests.bench.processes import tree
from tests.bench.servers import GATEWAY, SERVERS
from tests.e2e.processes import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed"),
]


def test_one_work_goes_through_all_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every answer is looked at by the load generator, and those of the gateway are all good."""
    written = tmp_path / "figures.json"
    words = ["--only", "a-1,e-chunked", "--rounds", "1", "--seconds", "0.2", "--json"]
    monkeypatch.setattr("sys.argv", ["bench", *words, str(written)])
    assert bench.main() == 0
    results = Results.read(written)
    measured = {server for server, _ in results.servers("a-1")}
    assert measured == {server.name for server in SERVERS if not server.missing()}
    for server, figures in results.servers("a-1"):
        assert figures["rate"] > 0, server
        assert figures["memory"] > 0, server
    assert results.series("rate", "e-chunked", GATEWAY)[0] > 0
    assert "1 KiB answers, TCP, 1 client" in capsys.readouterr().out


def test_what_was_started_ends_when_the_benchmark_is_stopped(tmp_path: Path) -> None:
    """And the figures of the rounds until then are kept."""
    written = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.bench", "--only", "a-1", "--servers", GATEWAY]
    command += ["--rounds", "1000", "--seconds", "0.2", "--json", str(written)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"a-1 ")
        started = tree(process.pid)[1:]
        assert started  # the origin at least
        process.terminate()
        assert process.wait(60) != 0
    assert Results.read(written).series("rate", "a-1", GATEWAY)
    # One that had not been waited for is forgotten by the system a moment later.
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), "their end")
