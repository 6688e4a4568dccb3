"""Argument rules that several directives share: words to values.

Functions that take options return a rule for the table; every rule raises ValueError with a
sentence that says what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from scgiproxy.config.scopes import Place
from scgiproxy.rules.parameters import as_bytes, parse_integer

T = TypeVar("T")

_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)", re.IGNORECASE)
_SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

_DURATION = re.compile(r"([0-9]{1,12})([a-z]*)", re.IGNORECASE)
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def parse_flag(word: str) -> bool:
    """``On`` or ``Off``, in any case."""
    lower = word.lower()
    if lower not in ("on", "off"):
        raise ValueError(f"expected On or Off, got {word!r}")
    return lower == "on"


def parse_duration(word: str, unit: str = "s", *, zero: bool = False) -> float:
    """A time in seconds: a number with ``ms``, ``s``, ``min`` or ``h``; without, in `unit`.

    0 is refused unless `zero`.
    """
    found = _DURATION.fullmatch(word)
    scale = _UNITS.get((found[2] or unit).lower()) if found else None
    if found is None or scale is None:
        raise ValueError(f"expected a time such as 60, 500ms, 5s, 2min or 1h, got {word!r}")
    value = int(found[1]) * scale
    if not value and not zero:
        raise ValueError(f"expected a time above zero, got {word!r}")
    return value


def parse_size(word: str) -> int:
    """A number of bytes, or with K, M, G or T of as many times 1024 each."""
    found = _SIZE.fullmatch(word)
    if found is None:
        raise ValueError(f"expected a number of bytes such as 4096, 512K, 100M or 4G, got {word!r}")
    return int(found[1]) * _SIZE_UNITS[found[2].upper()]


def parse_header_name(word: str) -> bytes:
    """A field name of HTTP (RFC 9110 section 5.1), as written; a colon at its end is dropped."""
    name = word.removesuffix(":")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"expected the name of a header, got {word!r}")
    return name.encode("ascii")


def flag(_: Place, words: list[str]) -> bool:
    """On or Off."""
    return parse_flag(words[0])


def integer(least: int = 0, most: int | None = None) -> Callable[[Place, list[str]], int]:
    """One number."""
    return lambda _, words: parse_integer(words[0], least, most)


MOST_WORKERS = 512
"""More processes than any machine has cores for one gateway; a number above is a mistake."""


def parse_workers(word: str) -> int | None:
    """A number of processes, or ``auto``: None. Raises ValueError."""
    if word.lower() == "auto":
        return None
    try:
        return parse_integer(word, 1, MOST_WORKERS)
    except ValueError:
        raise ValueError(
            f"expected a number from 1 to {MOST_WORKERS}, or auto, got {word!r}"
        ) from None


def duration(unit: str = "s", *, zero: bool = False) -> Callable[[Place, list[str]], float]:
    """One time, in seconds."""
    return lambda _, words: parse_duration(words[0], unit, zero=zero)


def choice(values: Mapping[str, T]) -> Callable[[Place, list[str]], T]:
    """One of the given words, in any case."""

    def read(_: Place, words: list[str]) -> T:
        try:
            return values[words[0].lower()]
        except KeyError:
            raise ValueError(f"expected one of {', '.join(values)}, got {words[0]!r}") from None

    return read


def text(_: Place, words: list[str]) -> bytes:
    """One word, as bytes."""
    return as_bytes(words[0])


def texts(_: Place, words: list[str]) -> tuple[bytes, ...]:
    """Every word, as bytes."""
    return tuple(as_bytes(word) for word in words)


def directory(place: Place, words: list[str]) -> str:
    """An existing directory; a relative one is below ServerRoot."""
    path = place.resolve(words[0])
    if not is_directory(path):
        raise ValueError(f"{str(path)!r} is not an existing directory")
    return str(path)


def header_or_flag(default: bytes) -> Callable[[Place, list[str]], bytes | None]:
    """``On`` (the `default` header), ``Off`` (None) or the name of a header; in lower case."""

    def read(_: Place, words: list[str]) -> bytes | None:
        lower = words[0].lower()
        if lower == "off":
            return None
        return default if lower == "on" else parse_header_name(words[0]).lower()

    return read


def is_directory(path: Path) -> bool:
    """False as well for what cannot be looked at."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
