"""Header and RequestHeader: edits of a header list (mod_headers)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from scgiproxy.message.headers import HeaderList, is_field_value, is_token
from scgiproxy.rules.facts import Facts

Times = Callable[[], tuple[int, int]]
"""Gives when the request came in, and how long ago that is: microseconds since the epoch, and
microseconds. Called only for a value with ``%t`` or ``%D``."""

FRAMING_FIELDS = frozenset((b"connection", b"content-length", b"transfer-encoding"))
"""Fields of an answer that no edit can change, lower-case: they say how it is framed."""

_UNDEFINED = b"(null)"

_FORM = re.compile(rb"%(?:\{(?P<argument>[^}]*)\})?(?P<letter>(?s:.)?)|\\(?P<escaped>[\\nrt])")
_ESCAPES = {b"\\": b"\\", b"t": b"\t"}
_CONTROLS_TO_BLANKS = bytes.maketrans(bytes((*range(32), 127)), b" " * 33)
_QUOTED_OR_COMMA = re.compile(rb'"[^"]*"?|,')


class HeaderAction(Enum):
    SET = "set"
    SET_IF_EMPTY = "setifempty"
    APPEND = "append"
    ADD = "add"
    MERGE = "merge"
    UNSET = "unset"


class _Variable(bytes):
    """The name in ``%{NAME}e``."""

    __slots__ = ()


class _Moment(Enum):
    RECEIVED = b"t="
    TAKEN = b"D="


_Piece = bytes | _Variable | _Moment


@dataclass(frozen=True, slots=True)
class HeaderEdit:
    """One line. `value` is the text as written, ``%{VAR}e``, ``%t``, ``%D``, ``%%`` unreplaced.

    `name` may end in a colon, which is dropped. `condition` is ``env=VAR`` (name, True) or
    ``env=!VAR`` (name, False). `always` matters for answers only: the edit also acts on the error
    pages that the gateway makes itself. Raises ValueError with a sentence for a name that is none,
    for a ``%`` form that is not known, for ``expr=``, and for ``\\r`` or ``\\n``, which a header's
    value cannot have.
    """

    action: HeaderAction
    name: bytes
    value: bytes = b""
    condition: tuple[bytes, bool] | None = None
    always: bool = False
    _key: bytes = field(init=False, repr=False, compare=False)
    _pieces: tuple[_Piece, ...] = field(init=False, repr=False, compare=False)
    _constant: bytes | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        name = self.name.removesuffix(b":")
        if not is_token(name):
            shown = name.decode("utf-8", "backslashreplace")
            raise ValueError(f"{shown!r} cannot be the name of a header")
        pieces = () if self.action is HeaderAction.UNSET else _parse_value(self.value)
        constant = None
        if all(type(piece) is bytes for piece in pieces):
            constant = _clean(b"".join(piece for piece in pieces if isinstance(piece, bytes)))
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_key", name.lower())
        object.__setattr__(self, "_pieces", pieces)
        object.__setattr__(self, "_constant", constant)

    def apply(
        self, headers: HeaderList, keys: list[bytes], facts: Facts, times: Times | None
    ) -> None:
        """Change `headers` in place; `keys` are its names in lower case and are kept in step."""
        condition = self.condition
        if condition is not None and (condition[0] in facts.environment) is not condition[1]:
            return
        action = self.action
        key = self._key
        present = key in keys
        if action is HeaderAction.UNSET:
            if present:
                _remove(headers, keys, key, 0)
            return
        if action is HeaderAction.SET_IF_EMPTY and present:
            return
        value = self._constant
        if value is None:
            value = self._expand(facts, times)
        if not present or action is HeaderAction.ADD:
            headers.append((self.name, value))
            keys.append(key)
            return
        first = keys.index(key)
        name, old = headers[first]
        if action is HeaderAction.SET:
            headers[first] = (name, value)
            _remove(headers, keys, key, first + 1)
        elif value and (action is HeaderAction.APPEND or not _listed(headers, keys, key, value)):
            headers[first] = (name, old + b", " + value if old else value)

    def _expand(self, facts: Facts, times: Times | None) -> bytes:
        text = b""
        for piece in self._pieces:
            if isinstance(piece, _Variable):
                text += facts.environment.get(piece, _UNDEFINED)
            elif isinstance(piece, bytes):
                text += piece
            elif times is None:
                text += _UNDEFINED
            else:
                text += piece.value + b"%d" % times()[piece is _Moment.TAKEN]
        return _clean(text)


def apply_edits(
    edits: Sequence[HeaderEdit], headers: HeaderList, facts: Facts, *, times: Times | None = None
) -> None:
    """Change `headers` in place, edit by edit.

    - ``set`` replaces all of that name, at the place of the first; ``add`` is always one more;
      ``append`` joins the first with a comma; ``merge`` does so unless a list of that name has
      the value already; ``setifempty`` acts if there is none of that name.
    - A variable that is not set gives ``(null)``, as in Apache; so do ``%t`` and ``%D`` without
      `times`. Control characters that come in by a variable become blanks, so that a value never
      ends its line.
    """
    if not edits:
        return
    keys = [name.lower() for name, _ in headers]
    for edit in edits:
        edit.apply(headers, keys, facts, times)


def _parse_value(value: bytes) -> tuple[_Piece, ...]:
    if value.lower().startswith(b"expr="):
        raise ValueError("values by expr= are not supported; expected text, %{VAR}e, %t, %D or %%")
    pieces: list[_Piece] = []
    literal = b""
    position = 0
    for found in _FORM.finditer(value):
        literal += value[position : found.start()]
        position = found.end()
        piece = _parse_form(found)
        if type(piece) is bytes:
            literal += piece
            continue
        if literal:
            pieces.append(literal)
        literal = b""
        pieces.append(piece)
    literal += value[position:]
    if literal:
        pieces.append(literal)
    return tuple(pieces)


def _parse_form(found: re.Match[bytes]) -> _Piece:
    """One ``%`` form or backslash escape; plain bytes if its text is known now."""
    argument, letter, escaped = found.group("argument", "letter", "escaped")
    if escaped is not None:
        if escaped in _ESCAPES:
            return _ESCAPES[escaped]
        raise ValueError("a header's value cannot have a line break (\\r or \\n)")
    if argument is None:
        if letter in (b"%", b""):
            return b"%"
        if letter == b"t":
            return _Moment.RECEIVED
        if letter == b"D":
            return _Moment.TAKEN
    elif letter == b"e" and argument:
        return _Variable(argument)
    shown = found.group().decode("utf-8", "backslashreplace")
    raise ValueError(
        f"unknown format {shown!r} in a header's value; expected %{{VAR}}e, %t, %D, %%"
    )


def _clean(value: bytes) -> bytes:
    return value if is_field_value(value) else value.translate(_CONTROLS_TO_BLANKS).strip()


def _remove(headers: HeaderList, keys: list[bytes], key: bytes, start: int) -> None:
    """Take out all of that name from index `start` on."""
    for index in range(len(keys) - 1, start - 1, -1):
        if keys[index] == key:
            del headers[index]
            del keys[index]


def _listed(headers: HeaderList, keys: list[bytes], key: bytes, value: bytes) -> bool:
    """True if `value` is an element of the list that the headers of that name are."""
    return any(
        value in _elements(text)
        for (_, text), name in zip(headers, keys, strict=True)
        if name == key
    )


def _elements(text: bytes) -> list[bytes]:
    """The elements of a comma-separated list; a comma within quotes separates nothing."""
    elements: list[bytes] = []
    start = 0
    for found in _QUOTED_OR_COMMA.finditer(text):
        if found.group() == b",":
            elements.append(text[start : found.start()].strip())
            start = found.end()
    elements.append(text[start:].strip())
    return elements
