"""Lines and words of Apache's configuration syntax: text in, positioned lines out.

A logical line is one or more physical lines joined at backslashes; its position is the last of
them. Words are quoted as `ap_getword_conf` reads them. Nothing here knows a directive's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scgiproxy.config.model import Position
from scgiproxy.errors import ConfigError, Problem

MAX_LINE = 16 << 20
"""Characters of one logical line (Apache's MAX_STRING_LEN for its own files)."""

BLANKS = " \t\n\v\f\r"
"""White space of the C locale. `str.isspace` would also take U+00A0 and others for blanks."""


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line without leading and trailing blanks; never empty, never a comment."""

    text: str
    position: Position


@dataclass(frozen=True, slots=True)
class Word:
    """One argument, unquoted. `closed` is False when its closing quote is missing."""

    text: str
    closed: bool = True


def split_lines(text: str, file_name: str) -> Iterator[Line]:
    """The logical lines of a file.

    A backslash directly before the end of a line (LF or CR LF) joins the next one to it, with
    nothing in between; comments continue as well. Raises ConfigError for a NUL byte or a line
    over `MAX_LINE`, which cannot be read around.
    """
    text = text.removeprefix("\ufeff")
    pending: list[str] = []
    length = 0
    physical = text.split("\n")
    last = len(physical) - 1
    for number, line in enumerate(physical, 1):
        is_last = number - 1 == last
        if not is_last and line.endswith("\r"):
            line = line[:-1]
        continued = not is_last and line.endswith("\\")
        pending.append(line[:-1] if continued else line)
        length += len(line)
        if length > MAX_LINE:
            raise ConfigError([Problem(file_name, number, f"a line over {MAX_LINE} characters")])
        if continued:
            continue
        logical = "".join(pending).strip(BLANKS)
        pending.clear()
        length = 0
        if "\0" in logical:
            raise ConfigError([Problem(file_name, number, "a NUL byte: this is no text file")])
        if logical and not logical.startswith("#"):
            yield Line(logical, Position(file_name, number))


def split_name(text: str) -> tuple[str, str]:
    """The first word of a line, quotes and all, and the rest without blanks around it."""
    end = next((at for at, character in enumerate(text) if character in BLANKS), len(text))
    return text[:end], text[end:].strip(BLANKS)


def split_words(text: str) -> list[Word]:
    r"""The words of a line, separated by blanks.

    A word that begins with ``"`` or ``'`` goes on to the same quote, in which ``\\`` and the
    escaped quote stand for one character; elsewhere a quote is an ordinary character and only
    ``\\`` is unescaped. What follows a closing quote directly is the next word (as in Apache).
    """
    words: list[Word] = []
    at = 0
    end = len(text)
    while True:
        while at < end and text[at] in BLANKS:
            at += 1
        if at == end:
            return words
        word, at = _quoted(text, at) if text[at] in "\"'" else _unquoted(text, at)
        words.append(word)


def _quoted(text: str, start: int) -> tuple[Word, int]:
    quote = text[start]
    pieces: list[str] = []
    at = start + 1
    while at < len(text):
        character = text[at]
        if character == "\\" and text[at + 1 : at + 2] in (quote, "\\"):
            at += 1
            pieces.append(text[at])
        elif character == quote:
            return Word("".join(pieces)), at + 1
        else:
            pieces.append(character)
        at += 1
    return Word("".join(pieces), closed=False), at


def _unquoted(text: str, start: int) -> tuple[Word, int]:
    at = start
    while at < len(text) and text[at] not in BLANKS:
        at += 1
    return Word(text[start:at].replace("\\\\", "\\")), at


def quote_word(word: str) -> str:
    r"""Write `word` so that `split_words` reads it back, with quotes only where they are needed.

    A word with a line end cannot be written; it raises ValueError.
    """
    if "\n" in word:
        raise ValueError("a word of a configuration file cannot hold a line end")
    if word and word[0] not in "\"'" and "\\" not in word and not any(c in BLANKS for c in word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def substitute(
    text: str, look_up: Callable[[str], str | None], undefined: Callable[[str], None]
) -> str:
    """Replace every ``${NAME}`` once, from left to right; results are not looked at again.

    A name that `look_up` does not know stays as it is written and is told to `undefined`.
    """
    if "${" not in text:
        return text
    pieces: list[str] = []
    at = 0
    while (start := text.find("${", at)) >= 0 and (end := text.find("}", start)) >= 0:
        name = text[start + 2 : end]
        value = look_up(name)
        if value is None:
            undefined(name)
            value = text[start : end + 1]
        pieces += (text[at:start], value)
        at = end + 1
    pieces.append(text[at:])
    return "".join(pieces)
