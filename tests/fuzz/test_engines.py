"""The frame: inputs are made again, and what fails is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import engines, frame
from tests.fuzz.__main__ import main
from tests.fuzz.changes import Changes
from tests.fuzz.frame import ErrorLog, Target
from tests.fuzz.targets import TARGETS


class Toy(Target):
    """Fails for what has a `!`."""

    name = "toy"
    words = (b"a", b"!")

    def __init__(self, *seeds: bytes) -> None:
        self._seeds = list(seeds)
        self.checked = 0

    def seeds(self) -> list[bytes]:
        return self._seeds

    def check(self, data: bytes) -> None:
        self.checked += 1
        assert b"!" not in data


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(frame, "CORPUS", tmp_path)
    monkeypatch.setattr(engines, "CORPUS", tmp_path)
    (tmp_path / "toy").mkdir()
    return tmp_path / "toy"


def test_the_same_inputs_come_again() -> None:
    seeds, words = [b"GET / HTTP/1.1", b"x" * 50], (b"\r\n", b"y")
    first, again = (Changes(seeds, words, 7) for _ in range(2))
    made = [first.make() for _ in range(500)]
    assert made == [again.make() for _ in range(500)]
    assert len(set(made)) > 300
    assert max(map(len, made)) <= frame.LONGEST


def test_what_fails_is_kept(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError):
        engines.by_chance(Toy(b"aaaa"), 60, 1)
    (found,) = corpus.iterdir()
    assert found.name.startswith("found-")
    assert b"!" in found.read_bytes()
    assert str(found) in capsys.readouterr().err
    assert list(Toy().kept().values()) == [found.read_bytes()]


def test_what_does_not_fail_is_counted(corpus: Path) -> None:
    toy = Toy(b"")
    toy.words = (b"a",)
    toy.check = lambda data: setattr(toy, "checked", toy.checked + 1)  # type: ignore[method-assign]
    assert engines.by_chance(toy, 0.01, 1) == toy.checked > 0
    assert not list(corpus.iterdir())


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["requests", "--minutes", "0.001", "--engine", "chance", "--seed", "1"])
    assert "nothing is wrong" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_has_a_corpus(name: str) -> None:
    target = engines.load(name)
    assert target.name == name
    assert target.seeds()
    assert target.kept()
    assert target.words


def test_an_error_in_the_log_is_one(logged_errors: list[object]) -> None:
    from twisted.logger import Logger

    with pytest.raises(AssertionError, match="of the log"), ErrorLog():
        Logger().error("of the log")
    logged_errors.clear()
