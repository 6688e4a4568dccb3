"""How the bytes of a peer stand in a message, and where a problem is."""

from __future__ import annotations

from ast import literal_eval

from hypothesis import given
from hypothesis.strategies import binary, integers

from scgiproxy.errors import Problem, escaped, quoted


def test_bytes_in_a_message() -> None:
    assert quoted(b"a/b") == "'a/b'"
    assert quoted(b"it's") == '"it\'s"'
    assert quoted(b"\x16\x03\r\n\xe9") == r"'\x16\x03\r\n\xe9'"
    assert escaped(b"/a b\x1b[1m") == r"/a b\x1b[1m"


def test_long_bytes_are_cut() -> None:
    assert quoted(b"x" * 81) == f"'{'x' * 80}'..."
    assert quoted(b"x" * 80) == f"'{'x' * 80}'"
    assert escaped(b"abc", 2) == "ab..."


@given(binary(), integers(1, 100))
def test_nothing_but_printable_ascii(data: bytes, most: int) -> None:
    """And what is shown can be told from what it was."""
    shown = quoted(data, most)
    assert shown.isascii()
    assert shown.isprintable()
    assert literal_eval("b" + shown.removesuffix("..." if len(data) > most else "")) == data[:most]
    assert escaped(data, most).removesuffix("...") in shown


def test_where_a_problem_is() -> None:
    assert str(Problem("f", 3, "no")) == "f:3: no"
    assert str(Problem("f", 0, "cannot read f")) == "f: cannot read f"
