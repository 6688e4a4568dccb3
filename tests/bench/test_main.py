"""What becomes of the figures, with rounds that measure nothing; and what is said of mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import programs, report
from tests.bench.baseline import Baseline, Ratio
from tests.bench.figures import Results
from tests.bench.servers import GATEWAY, Gateway, Nginx

TEXT = "a-1: CPU against nginx"
Main = Callable[..., int]


class Rounds:
    """In the place of `rounds.run`. `cpu` is the gateway's; nginx's is 100. `then` comes last."""

    def __init__(self) -> None:
        self.cpu = 100.0
        self.count = 0
        self.then: Callable[[], object] = lambda: None

    def __call__(
        self, works: object, servers: object, rounds: int, seconds: float, results: Results
    ) -> list[str]:
        self.count += 1
        for server, cpu in ((GATEWAY, self.cpu), ("nginx", 100.0)):
            results.add("a-1", server, {"cpu": cpu, "memory": 1.0})
        self.then()
        return []


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Rounds:
    rounds = Rounds()
    monkeypatch.setattr(bench, "run", rounds)
    monkeypatch.setattr(bench.machine, "described", lambda servers: {"processor": "P"})
    monkeypatch.setattr(bench.shutil, "which", lambda name: name)
    return rounds


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Main:
    """The benchmark with these words; ratios are stored in `tmp_path`."""
    stored = tmp_path / "baseline.json"
    monkeypatch.setattr(bench, "STORED", stored)
    monkeypatch.setattr(bench.options, "STORED", stored)

    def main(*words: object) -> int:
        usual = [] if "--show" in words else ["--servers", GATEWAY, "--only", "a-1"]
        monkeypatch.setattr("sys.argv", ["bench", *usual, *map(str, words)])
        return bench.main()

    return main


def stored(path: Path, **ratios: float) -> None:
    Baseline({"processor": "Q"}, {text: Ratio(each, 0.0) for text, each in ratios.items()}).write(
        path / "baseline.json"
    )


def test_what_is_stored_is_compared_with_what_was_stored_before(
    main: Main, rounds: Rounds, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("--store") == 0
    rounds.cpu = 200
    assert main("--store", "--compare") == 1
    assert f"REGRESSION {TEXT}: 1.00 then, 2.00 now" in capsys.readouterr().out
    assert Baseline.read(tmp_path / "baseline.json").ratios[TEXT].median == 2
    assert main("--store", "--compare") == 0


def test_ratios_that_are_not_measured_stay_and_that_is_said(
    main: Main, rounds: Rounds, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(tmp_path, **{"other": 3.0, TEXT: 7.0})
    assert main("--store") == 0
    ratios = Baseline.read(tmp_path / "baseline.json").ratios
    assert {text: each.median for text, each in ratios.items()} == {"other": 3.0, TEXT: 1.0}
    said = capsys.readouterr().out
    assert "baseline.json: 1 ratios stored, 1 others stay as they were" in said
    assert "on another machine or version: {'processor': 'Q'}" in said


@pytest.mark.parametrize("option", ["--json", "--write", "--store", "--compare"])
@pytest.mark.parametrize("content", [None, b"", b"\xff", b"{}"])
def test_a_file_of_something_else_is_found_before_anything_is_measured(
    option: str, content: bytes | None, main: Main, rounds: Rounds, tmp_path: Path
) -> None:
    """None: a folder."""
    path = tmp_path / "baseline.json"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{option}: {path}"):
        main(option, *([] if option == "--store" else [path]))
    assert rounds.count == 0
    assert path.is_dir() if content is None else path.read_bytes() == content


@pytest.mark.parametrize("option", ["--write", "--compare", "--show"])
def test_a_file_that_is_not_there_is_found_before_anything_is_measured(
    option: str, main: Main, rounds: Rounds, tmp_path: Path
) -> None:
    path = tmp_path / "missing"
    with pytest.raises(ValueError, match=rf"^{option}: {path}: No such file or directory"):
        main(option, path)
    assert rounds.count == 0
    assert not path.exists()


def test_a_binary_file_to_show_is_named(main: Main, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\x80")
    with pytest.raises(ValueError, match=r"^--show: .*/binary: expected text in UTF-8"):
        main("--show", tmp_path / "binary")


def test_figures_that_cannot_be_written_are_printed(
    main: Main, rounds: Rounds, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what can be written is."""
    page, folder = tmp_path / "page.md", tmp_path / "folder"
    page.write_text(f"{report.BEGIN}\n{report.END}\n")
    folder.mkdir()
    rounds.then = folder.rmdir
    with pytest.raises(ValueError, match=r"^--json: .*/figures: No such file or directory$"):
        main("--json", folder / "figures", "--write", page)
    assert "100.0 µs" in capsys.readouterr().out
    assert "100.0 µs" in page.read_text()


def test_figures_of_a_run_that_is_stopped_are_kept(
    main: Main, rounds: Rounds, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or printed, where they cannot be written."""

    def stop() -> None:
        raise KeyboardInterrupt

    rounds.then = stop
    path = tmp_path / "folder" / "figures"
    path.parent.mkdir()
    with pytest.raises(KeyboardInterrupt):
        main("--json", path)
    assert Results.read(path).series("cpu", "a-1", GATEWAY) == [100]
    assert "100.0 µs" not in capsys.readouterr().out
    path.unlink()
    rounds.then = lambda: (path.parent.rmdir(), stop())
    with pytest.raises(KeyboardInterrupt):
        main("--json", path)
    said = capsys.readouterr().out
    assert "100.0 µs" in said
    assert f"--json: {path}: No such file" in said


def test_figures_of_works_that_are_not_measured_stay(
    main: Main, rounds: Rounds, tmp_path: Path
) -> None:
    earlier = Results()
    earlier.add("c", GATEWAY, {"cpu": 7.0})
    earlier.write(tmp_path / "figures")
    assert main("--json", tmp_path / "figures") == 0
    assert json.loads((tmp_path / "figures").read_text())["rounds"].keys() == {"a-1", "c"}


def test_servers_that_are_all_missing_are_told(
    main: Main, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Nginx, "missing", lambda server: "nginx is not installed")
    with pytest.raises(ValueError, match=r"^no server is left .*nginx is left out: nginx is not"):
        main("--servers", "nginx")
    assert rounds.count == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--servers", "gateway,"], "no server is called ''; there are gateway, apache"),
        (["--only", "g-mounts", "--servers", "apache"], "no work is left to measure with apache"),
        (["--only", "i"], "no work is left to measure with gateway"),
    ],
)
def test_where_nothing_is_left_to_measure_that_is_told(
    words: list[str], said: str, main: Main, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    for server in bench.SERVERS:
        monkeypatch.setattr(server, "missing", lambda: None)
    monkeypatch.setattr(Gateway, "has_workers", lambda gateway: False)
    with pytest.raises(ValueError, match=said):
        main(*words)
    assert rounds.count == 0


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo 'load.c: In function:' >&2; echo 'load.c:1: error: no' >&2; exit 1",
            "load.c:1: error: no",
        ),
        ("kill -9 $$", "no reason"),
    ],
)
def test_a_compiler_that_fails_is_told(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcc = tmp_path / "gcc"
    gcc.write_text(f"#!/bin/sh\n{script}\n")
    gcc.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(SystemExit, match=rf"^gcc cannot compile load\.c \(-?\d\): {said}$"):
        programs.compiled("load", tmp_path)


def test_a_program_that_ends_by_itself_is_told() -> None:
    port = programs.free_port()
    with (
        pytest.raises(SystemExit, match=rf"^nothing listens on port {port}: .*false"),
        programs.running(["false"], port),
    ):
        pass
