"""The collection of what is wrong."""

from __future__ import annotations

import pytest

from scgiproxy.config.model import Position
from scgiproxy.config.problems import Problems
from scgiproxy.errors import ConfigError, Problem


def test_order_and_repetition() -> None:
    """Files in the order they were entered, then lines; the same thing is said once."""
    problems = Problems()
    problems.enter_file("z")
    problems.warn(Position("a", 1), "three")
    problems.warn(Position("z", 2), "two")
    problems.warn(Position("z", 1), "one")
    problems.warn(Position("z", 1), "one")
    assert [problem.message for problem in problems.found()] == ["one", "two", "three"]
    problems.raise_errors()


def test_control_characters_are_shown_as_escapes() -> None:
    """A file that is no configuration must not steer the terminal."""
    problems = Problems()
    problems.warn(Position("f", 1), "unknown directive \x1b[2J\x9b\nm ü")
    (problem,) = problems.found()
    assert problem.message == r"unknown directive \x1b[2J\x9b\x0am ü"


def test_an_error_makes_all_of_them_raise() -> None:
    problems = Problems()
    problems.warn(Position("f", 2), "warning")
    problems.error(Position("f", 1), "error")
    problems.include(ConfigError([Problem("f", 3, "other")]))
    assert problems.error_count == 2
    with pytest.raises(ConfigError) as caught:
        problems.raise_errors()
    assert caught.value.problems == problems.found()
    assert [problem.line for problem in problems.found()] == [1, 2, 3]


def test_note_once() -> None:
    problems = Problems()
    problems.note_once("a", Position("f", 1), "one")
    problems.note_once("a", Position("f", 2), "two")
    assert [problem.message for problem in problems.found()] == ["one"]
