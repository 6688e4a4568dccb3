r"""Apache's regular expressions (PCRE) as Python's.

The differences that occur in configuration files are translated: named groups ``(?<name>...)``,
``$`` that matches at the very end only (Apache's DOLLAR_ENDONLY), POSIX classes, ``\h``, ``\z``;
the rest is the same or refused with its position.
"""

from __future__ import annotations

import re
import warnings

from scgiproxy.rules.substitution import Template

_POSIX = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "ascii": r"\x00-\x7f",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "0-9a-fA-F",
}
_ESCAPES = {r"\z": r"\Z", r"\Z": r"(?=\n?\Z)", r"\h": r"[ \t]", r"\e": r"\x1b"}
_ESCAPES_IN_CLASS = {r"\h": r" \t", r"\e": r"\x1b"}


def compile_expression(text: str, *, ignore_case: bool = False) -> re.Pattern[bytes]:
    """Compile an expression that is searched in bytes; ``.`` matches line ends (as in Apache).

    Raises ValueError with what is wrong and at which character (from 1).
    """
    translated, origins = _translate(text)
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    try:
        with warnings.catch_warnings():
            # "Possible nested set": Python thinks of a syntax that it does not have yet.
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(translated.encode("utf-8", "surrogateescape"), flags)
    except re.error as error:
        where = ""
        if error.pos is not None:
            at = len(
                translated.encode("utf-8", "surrogateescape")[: error.pos].decode(
                    "utf-8", "replace"
                )
            )
            where = f" at character {origins[min(at, len(origins) - 1)] + 1}"
        raise ValueError(f"the expression {text!r} does not compile: {error.msg}{where}") from None
    except (OverflowError, RecursionError) as error:
        raise ValueError(f"the expression {text!r} is too large: {error}") from None


def missing_groups(text: bytes, pattern: re.Pattern[bytes]) -> str:
    """What to say of each ``$N`` in `text` for which `pattern` has no group; empty if all is well."""
    missing = sorted(each for each in Template(text).references if each > pattern.groups)
    if not missing:
        return ""
    shown = ", ".join(f"${number}" for number in missing)
    count = {0: "no groups", 1: "one group"}.get(pattern.groups, f"{pattern.groups} groups")
    return f"{shown} will be empty: the expression has {count}"


class _Translation:
    """The text written so far, and for each of its characters where it comes from."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.origins: list[int] = []

    def put(self, piece: str, origin: int) -> None:
        self.pieces.append(piece)
        self.origins += [origin] * len(piece)


def _translate(text: str) -> tuple[str, list[int]]:
    out = _Translation()
    at = 0
    while at < len(text):
        if text[at] == "[":
            at = _bracket(text, at, out)
            continue
        pair = text[at : at + 2]
        if text[at] == "\\":
            out.put(_ESCAPES.get(pair, pair), at)
            at += 2
        elif pair == "(?" and text[at + 2 : at + 3] == "<" and text[at + 3 : at + 4] not in "=!":
            out.put("(?P<", at)
            at += 3
        elif text[at] == "$":
            out.put(r"\Z", at)
            at += 1
        else:
            out.put(text[at], at)
            at += 1
    out.origins.append(len(text))
    return "".join(out.pieces), out.origins


def _bracket(text: str, start: int, out: _Translation) -> int:
    """A character class: a ``]`` at its front is an ordinary character."""
    at = start + 1
    if text[at : at + 1] == "^":
        at += 1
    if text[at : at + 1] == "]":
        at += 1
    out.put(text[start:at], start)
    while at < len(text) and text[at] != "]":
        pair = text[at : at + 2]
        if text[at] == "\\":
            out.put(_ESCAPES_IN_CLASS.get(pair, pair), at)
            at += 2
        elif pair == "[:" and (end := text.find(":]", at)) > 0:
            out.put(_posix_class(text[at + 2 : end]), at)
            at = end + 2
        else:
            # A bare bracket is escaped, so that Python sees no nested set.
            out.put(r"\[" if text[at] == "[" else text[at], at)
            at += 1
    if at < len(text):
        out.put("]", at)
        at += 1
    return at


def _posix_class(name: str) -> str:
    if name not in _POSIX:
        known = ", ".join(_POSIX)
        raise ValueError(f"the class [:{name}:] is unknown; expected one of {known}")
    return _POSIX[name]
