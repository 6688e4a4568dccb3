"""Lines, continuation, comments, words and quotes; the rules are those of Apache's reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.config import lexer
from scgiproxy.config.lexer import (
    BLANKS,
    quote_word,
    split_lines,
    split_name,
    split_words,
    substitute,
)
from scgiproxy.errors import ConfigError


def _lines(text: str) -> list[tuple[str, int]]:
    return [(line.text, line.position.line) for line in split_lines(text, "f")]


def _words(text: str) -> list[str]:
    return [word.text for word in split_words(text)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("A 1\n\n  B 2  \n", [("A 1", 1), ("B 2", 3)]),
        ("# no\n  # no\nA # yes", [("A # yes", 3)]),
        ("A \\\n  1 \\\n2\nB", [("A   1 2", 3), ("B", 4)]),
        ("A \\\r\n1\r\nB\r\n", [("A 1", 2), ("B", 3)]),
        ("# a \\\nB\nC", [("C", 3)]),
        ("A\\\n\\\n\\\nB", [("AB", 4)]),
        ("A \\ \nB", [("A \\", 1), ("B", 2)]),
        ("A b\\", [("A b\\", 1)]),
        ("A b\\\n", [("A b", 2)]),
        ("\ufeffA", [("A", 1)]),
        ("A\x0bB\x85C\u2028D", [("A\x0bB\x85C\u2028D", 1)]),
        ("\\\nA", [("A", 2)]),
        ("", []),
        ("\n\n", []),
    ],
)
def test_logical_lines(text: str, lines: list[tuple[str, int]]) -> None:
    """Joined at backslashes, trimmed, without comments; the number is the last physical line's."""
    assert _lines(text) == lines


def test_a_nul_byte_is_refused() -> None:
    """Apache would take it for the end of the file without a word."""
    with pytest.raises(ConfigError, match="f:2: a NUL byte"):
        _lines("A\nB\0C\n")


def test_a_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it is made of many continued ones."""
    monkeypatch.setattr(lexer, "MAX_LINE", 10)
    with pytest.raises(ConfigError, match="f:6: a line over 10 characters"):
        _lines("A\\\n" * 20)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\tc\v\fd", ["a", "b", "c", "d"]),
        ('"a b" c', ["a b", "c"]),
        ("'a \"b' c", ['a "b', "c"]),
        (r'"a \" b"', ['a " b']),
        (r"'a \' b'", ["a ' b"]),
        (r'"a \' b"', [r"a \' b"]),
        (r'"a\\b" "c\d"', [r"a\b", r"c\d"]),
        (r"a\\.gif \.b \"", [r"a\.gif", r"\.b", r"\""]),
        ('a"b c"', ['a"b', 'c"']),
        ('"a"b', ["a", "b"]),
        ('"" x', ["", "x"]),
        ("# c", ["#", "c"]),
        ("\u00a0 a\u2003b", ["\u00a0", "a\u2003b"]),
        ("   ", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    """A quote counts at the front of a word only; the rest is literal."""
    assert _words(text) == words


def test_a_missing_closing_quote_is_seen() -> None:
    """The word goes on to the end of the line, as in Apache, and says so."""
    assert [word.closed for word in split_words('"a" "b c')] == [True, False]
    assert _words('"a" "b c') == ["a", "b c"]


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))))
def test_quoting_round_trip(words: list[str]) -> None:
    """What `quote_word` writes, `split_words` reads back."""
    assert _words(" ".join(quote_word(word) for word in words)) == words


def test_a_line_end_cannot_be_quoted() -> None:
    with pytest.raises(ValueError, match="line end"):
        quote_word("a\nb")


@given(st.text())
def test_any_text_gives_lines_or_a_config_error(text: str) -> None:
    """Nothing else is raised, no line is empty, and positions rise."""
    try:
        lines = list(split_lines(text, "f"))
    except ConfigError:
        assert "\0" in text
        return
    numbers = [line.position.line for line in lines]
    assert numbers == sorted(set(numbers))
    for line in lines:
        assert line.text == line.text.strip(BLANKS) != ""
        split_words(line.text)
        name, rest = split_name(line.text)
        assert name
        assert line.text.startswith(name)
        assert line.text.endswith(rest)


def test_substitution() -> None:
    """Once, from left to right, in whatever is quoted; what is unknown stays and is told."""
    names: list[str] = []
    values = {"A": "${B} x", "B": "y"}
    text = '"${A}" ${B}${B} ${C} $D ${E'
    assert substitute(text, values.get, names.append) == '"${B} x" yy ${C} $D ${E'
    assert names == ["C"]
