"""The words of the command line."""

from __future__ import annotations

import pytest

from tests.bench import leasttime, options

WRONG = [("--rounds", word) for word in ("0", "-1", "1.5", "many")]
WRONG += [("--seconds", word) for word in ("0", "-2", "nan", "inf", "3601", "long")]


@pytest.mark.parametrize(("option", "word"), WRONG)
def test_a_number_that_cannot_be_is_told(
    option: str, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["leasttime", f"{option}={word}"])
    for parse in (lambda: options.parsed("", [f"{option}={word}"]), leasttime.main):
        with pytest.raises(SystemExit, match=r"^2$"):
            parse()
        assert f"argument {option}: expected a " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "length"),
    [
        ([], (5, 1.5)),
        (["--quick"], (1, 1)),
        (["--quick", "--rounds", "3"], (3, 1)),
        (["--seconds", "0.2", "--quick"], (1, 0.2)),
    ],
)
def test_what_is_said_counts_more_than_quick(words: list[str], length: tuple[int, float]) -> None:
    assert options.length(options.parsed("", words)) == length


@pytest.mark.parametrize(
    "words", [["--quick"], ["--rounds", "1"], ["--only", "a"], ["--json", "other"]]
)
def test_showing_measures_nothing(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        options.parsed("", ["--show", "file", *words])
    assert f"{words[0]} and --show exclude each other" in capsys.readouterr().err
