"""What is told to the load generator, and what it says."""

from __future__ import annotations

import pytest

from tests.bench.loads import Load, Outcome
from tests.bench.works import WORKS, chosen

SAID = (
    '{"seconds": 1.5, "requests": 30, "bytes": 3000, "open": 2, "p50": 100, "p99": 900,'
    ' "statuses": {"200": 31, "502": 1}, "errors": {"status": 1}}\n'
)


def test_an_outcome_is_what_the_generator_says() -> None:
    outcome = Outcome.parsed(SAID)
    assert (outcome.requests, outcome.seconds, outcome.p99) == (30, 1.5, 900)
    assert outcome.statuses == {"200": 31, "502": 1}
    assert outcome.errors == {"status": 1}


@pytest.mark.parametrize("line", ["", "warm\n", "{}", '{"seconds": 1, "colour": 2}'])
def test_another_line_is_no_outcome(line: str) -> None:
    with pytest.raises(ValueError, match=r"expected a line of load\.c|Expecting value"):
        Outcome.parsed(line)


def test_each_header_is_an_option_of_its_own() -> None:
    words = Load("/x", 5, headers=("A: 1", "B: 2"), chunked=True).words(2)
    assert words[-4:] == ["--header", "A: 1", "--header", "B: 2"]
    assert words[words.index("--chunked") + 1] == "1"
    assert words[words.index("--seconds") + 1] == "2"


def test_works_are_chosen_by_letter_by_name_and_by_its_beginning() -> None:
    assert [work.name for work in chosen(["g-mounts", "a-32"])] == [
        "a-32",
        "g-mounts-10",
        "g-mounts-1000",
    ]
    assert {work.letter for work in chosen(["e"])} == {"e"}
    assert chosen([]) == list(WORKS)


def test_an_unknown_work_is_told_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'a-3'.*a-32"):
        chosen(["c", "a-3"])


def test_names_of_works_are_different_and_sorted_by_letter() -> None:
    """Works of one letter have their rounds together."""
    names = [work.name for work in WORKS]
    assert len(set(names)) == len(names)
    letters = [work.letter for work in WORKS]
    assert letters == sorted(letters)
    assert set(letters) == set("abcdefghi")
