r"""Tokens of an expression, each with the column where it begins (from 1).

A string is one token: the literals and the references in it are its `pieces`. So is a regular
expression, whose pattern is taken as it is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Never

MAX_LENGTH = 8192
"""Characters of an expression (Apache's limit of a string in one)."""
MAX_DEPTH = 50
"""How deep parentheses and arguments of functions may be nested."""

_SHOWN = 40
_SEPARATORS = "/#$%^|?!'\",;:.-"
_TOKEN = re.compile(
    rf"""
      (?P<blank>\s+)
    | (?P<regex>/|m[{re.escape(_SEPARATORS)}])
    | (?P<number>-?[0-9]+)
    | (?P<operator>-[A-Za-z_][A-Za-z0-9_]*|&&|\|\||[=!]~|[=!<>]=|[=<>!.(){{}},])
    | (?P<word>[A-Za-z][A-Za-z0-9_]*)
    | (?P<reference>\$[0-9])
    | (?P<variable>%\{{)
    | (?P<string>['"])
    """,
    re.VERBOSE | re.ASCII,
)
_PLAIN = re.compile(r"[^\\$%'\"}]+")
_REFERENCE = re.compile(r"\$([0-9])", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ESCAPE = re.compile(r"\\([0-9]+|.)", re.DOTALL | re.ASCII)
_OCTAL = re.compile("[0-7]{1,3}")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_AFTER_REGEX = re.compile(r"[A-Za-z0-9_]*")


class Kind(Enum):
    NUMBER = "number"
    WORD = "word"
    """A name, or an operator in letters."""
    OPERATOR = "operator"
    VALUE = "value"
    """A string, a variable or a reference: see `pieces`."""
    REGEX = "regex"
    END = "end"


@dataclass(frozen=True, slots=True)
class Reference:
    """``$0`` to ``$9``."""

    number: int


@dataclass(frozen=True, slots=True)
class Named:
    """``%{name}``, or ``%{name:argument}``."""

    name: str
    column: int
    argument: tuple[Piece, ...] | None


Piece = str | Reference | Named


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is what is written, for a regex its pattern."""

    kind: Kind
    text: str
    column: int
    pieces: tuple[Piece, ...] = ()
    ignore_case: bool = False


def tokens_of(text: str) -> list[Token]:
    """The tokens of a condition, END at the end.

    Raises ValueError with a sentence that says at which character, what, and what was expected.
    """
    return _Lexer(text).tokens()


def pieces_of(text: str) -> tuple[Piece, ...]:
    """The pieces of a text that stands without quotes. Raises ValueError as `tokens_of` does."""
    return _Lexer(text).pieces("", 0)


def fail(column: int, message: str) -> Never:
    """Raise the ValueError of what is wrong there."""
    raise ValueError(f"at character {column}: {message}")


def shown(text: str) -> str:
    """The beginning of what is written, for a message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class _Lexer:
    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ValueError(
                f"the expression has {len(text)} characters; expected at most {MAX_LENGTH}"
            )
        if "\x00" in text:
            fail(text.index("\x00") + 1, "expected no NUL")
        self._text = text
        self._at = 0
        self._depth = 0

    def tokens(self) -> list[Token]:
        text = self._text
        tokens = []
        while self._at < len(text):
            start = self._at
            found = _TOKEN.match(text, start)
            if found is None:
                fail(start + 1, f"expected a word or an operator, got {text[start]!r}")
            kind = found.lastgroup
            self._at = found.end()
            if kind == "blank":
                continue
            if kind == "regex":
                tokens.append(self._regex(start))
                continue
            pieces: tuple[Piece, ...] = ()
            if kind == "string":
                pieces = self.pieces(found[0], start)
            elif kind == "variable":
                pieces = (self._named(start),)
            elif kind == "reference":
                pieces = (Reference(int(found[0][1])),)
            where = Kind.VALUE if kind in ("string", "variable", "reference") else Kind(kind)
            tokens.append(Token(where, text[start : self._at], start + 1, pieces))
        tokens.append(Token(Kind.END, "", len(text) + 1))
        return tokens

    def pieces(self, closing: str, opened: int) -> tuple[Piece, ...]:
        """Read up to `closing` and over it; an empty one is the end of the text."""
        text = self._text
        pieces: list[Piece] = []
        literal = ""
        while self._at < len(text):
            start = self._at
            character = text[start]
            piece: Piece
            if character == closing:
                break
            if plain := _PLAIN.match(text, start):
                piece = plain[0]
                self._at = plain.end()
            elif reference := _REFERENCE.match(text, start):
                piece = Reference(int(reference[1]))
                self._at = reference.end()
            elif text.startswith("%{", start):
                self._at = start + 2
                piece = self._named(start)
            elif character == "\\":
                piece = self._escape()
            else:
                piece = character
                self._at = start + 1
            if isinstance(piece, str):
                literal += piece
                continue
            if literal:
                pieces.append(_joined(literal))
                literal = ""
            pieces.append(piece)
        else:
            if closing:
                what = "the argument" if closing == "}" else "the string"
                fail(opened + 1, f"{what} that begins here does not end; expected {closing}")
        self._at += len(closing)
        if literal:
            pieces.append(_joined(literal))
        return tuple(pieces)

    def _named(self, start: int) -> Named:
        """A variable, whose ``%{`` has been read and stands at `start`."""
        name = _NAME.match(self._text, self._at)
        if name is None:
            fail(self._at + 1, "expected the name of a variable or a function after %{")
        self._at = name.end()
        after = self._text[self._at : self._at + 1]
        if after not in ("}", ":"):
            got = repr(after) if after else "the end"
            fail(self._at + 1, f"expected }} or a colon after the name {shown(name[0])}, got {got}")
        self._at += 1
        if after == "}":
            return Named(name[0], start + 3, None)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            fail(start + 1, f"expected at most {MAX_DEPTH} variables in each other")
        argument = self.pieces("}", start)
        self._depth -= 1
        if not argument:
            fail(self._at, f"expected an argument of {shown(name[0])} after the colon")
        return Named(name[0], start + 3, argument)

    def _escape(self) -> str:
        """What a backslash and its character or octal number stand for."""
        start = self._at
        found = _ESCAPE.match(self._text, start)
        if found is None:
            fail(start + 1, "expected a character after the backslash")
        self._at = found.end()
        escaped = found[1]
        if not "0" <= escaped[0] <= "9":
            return _CONTROLS.get(escaped, escaped)
        byte = int(escaped, 8) if _OCTAL.fullmatch(escaped) else 0
        if not 0 < byte < 256:
            fail(
                start + 1, f"expected an octal number from 1 to 377 after \\, got {shown(escaped)}"
            )
        return chr(byte) if byte < 128 else chr(0xDC00 + byte)

    def _regex(self, start: int) -> Token:
        text = self._text
        separator = text[self._at - 1]
        end = text.find(separator, self._at)
        if end < 0:
            fail(
                start + 1,
                f"the regular expression that begins here does not end; expected {separator}",
            )
        pattern = text[self._at : end]
        if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
            fail(
                end + 1,
                f"a backslash does not take {separator} into the regular expression;"
                " expected other characters around it, such as m#...#",
            )
        after = _AFTER_REGEX.match(text, end + 1)
        flags = after[0] if after else ""
        ignore_case = flags.startswith("i")
        if flags.removeprefix("i") not in ("", "and", "or"):
            fail(end + 2, f"expected i or no flag of the regular expression, got {shown(flags)}")
        self._at = end + 1 + ignore_case
        return Token(Kind.REGEX, pattern, start + 1, ignore_case=ignore_case)


def _joined(literal: str) -> str:
    """UTF-8 that is written as octal numbers becomes characters; other bytes stay escaped."""
    return literal.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
