"""Argument rules shared by several directives."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.config.arguments import (
    as_bytes,
    parse_duration,
    parse_flag,
    parse_header_name,
    parse_integer,
)


@pytest.mark.parametrize(
    ("word", "unit", "seconds"),
    [
        ("60", "s", 60.0),
        ("60", "ms", 0.06),
        ("500ms", "s", 0.5),
        ("5S", "ms", 5.0),
        ("2min", "s", 120.0),
        ("1h", "s", 3600.0),
    ],
)
def test_durations(word: str, unit: str, seconds: float) -> None:
    """Units count wherever a time stands; a plain number is in the key's own unit."""
    assert parse_duration(word, unit) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "word", ["", "s", "5x", "5 s", "-1", "+1", "1.5s", "0", "0ms", "\u0663", "5mi"]
)
def test_wrong_durations(word: str) -> None:
    with pytest.raises(ValueError, match="expected a time"):
        parse_duration(word)


def test_zero_where_it_means_something() -> None:
    assert parse_duration("0", zero=True) == 0


@given(st.text())
def test_durations_of_any_text(word: str) -> None:
    """A number above zero, or ValueError."""
    with suppress(ValueError):
        assert parse_duration(word) > 0


def test_flags() -> None:
    assert parse_flag("oN")
    assert not parse_flag("OFF")
    with pytest.raises(ValueError, match="expected On or Off, got 'yes'"):
        parse_flag("yes")


@pytest.mark.parametrize("word", ["", "-1", "+1", "1.0", "1_0", "\u0663", "9" * 5000])
def test_wrong_integers(word: str) -> None:
    with pytest.raises(ValueError, match="expected a number of 0 or more"):
        parse_integer(word)


def test_header_names() -> None:
    assert parse_header_name("X-A:") == b"X-A"
    for word in ("", ":", "X A", "X\n", "é"):
        with pytest.raises(ValueError, match="expected the name of a header"):
            parse_header_name(word)


def test_bytes_as_they_were() -> None:
    assert as_bytes("é\udcff") == b"\xc3\xa9\xff"
