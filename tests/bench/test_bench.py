"""One small work through all parts: origin, load, servers, figures, table."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
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


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 1), (signal.SIGHUP, 1), (signal.SIGQUIT, 1), (signal.SIGINT, 130)],
)
def test_what_was_started_ends_when_the_benchmark_is_stopped(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """And the figures of the rounds until then are kept."""
    written = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.bench", "--only", "a-1", "--servers", GATEWAY]
    command += ["--rounds", "1000", "--seconds", "0.2", "--json", str(written)]
    with (
        tempfile.TemporaryDirectory() as temporary,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": temporary},
            # These tests may run where the signal is ignored, as in a shell's background.
            preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        assert first.startswith(b"a-1 "), process.stderr.read()
        started = tree(process.pid)[1:]
        assert started  # the origin at least
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (code, b"stopped\n")
        assert list(Path(temporary).iterdir()) == []
    assert Results.read(written).series("rate", "a-1", GATEWAY)
    # One that had not been waited for is forgotten by the system a moment later.
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), "their end")
