"""Shell patterns of sections, as expressions (``*``, ``?``, ``[...]``; apr_fnmatch)."""

from __future__ import annotations

import re

_SLASH = 0x2F


def translate_wildcard(pattern: bytes, *, slash_is_special: bool = True) -> re.Pattern[bytes]:
    r"""Compile a shell pattern; the result's `search` is true if the whole text matches.

    ``*`` is any run of bytes, ``?`` one, ``[a-z]`` one of a set, ``[!a-z]`` one of the others, and
    a backslash takes the next byte literally. None of them matches a slash, as in `<Location>` and
    `<Directory>`, unless `slash_is_special` is False, as in `<Proxy>`. A ``[`` that is never
    closed is a literal one. Matching takes time linear in the text for each ``*``.
    """
    one = rb"[^/]" if slash_is_special else rb"(?s:.)"
    chunks: list[bytes] = [b""]
    position = 0
    while position < len(pattern):
        byte = pattern[position : position + 1]
        position += 1
        if byte == b"*":
            chunks.append(b"")
            continue
        if byte == b"?":
            expression = one
        elif byte == b"[" and (end := _set_end(pattern, position)) is not None:
            expression = _set(pattern[position:end], slash_is_special)
            position = end + 1
        else:
            if byte == b"\\" and position < len(pattern):
                byte = pattern[position : position + 1]
                position += 1
            expression = re.escape(byte)
        chunks[-1] += expression
    first, *rest = chunks
    expression = rb"\A" + first
    if rest:
        *inner, last = rest
        # What follows a star is taken where it first fits and never again: a later star can make
        # up for it. So no pattern makes matching slow.
        expression += b"".join(b"(?>" + one + b"*?" + chunk + b")" for chunk in inner if chunk)
        expression += one + b"*" + last
    return re.compile(expression + rb"\Z")


def _set_end(pattern: bytes, start: int) -> int | None:
    """Where the ``]`` of a set is whose inside begins at `start`; a first ``]`` belongs to it."""
    position = start
    if pattern[position : position + 1] in (b"!", b"^"):
        position += 1
    if pattern[position : position + 1] == b"]":
        position += 1
    while position < len(pattern):
        byte = pattern[position : position + 1]
        if byte == b"]":
            return position
        position += 2 if byte == b"\\" else 1
    return None


def _set(inside: bytes, slash_is_special: bool) -> bytes:
    """The bytes that ``[inside]`` matches, as a class of an expression."""
    negated = inside[:1] in (b"!", b"^")
    literals = _unescaped(inside[negated:])
    members: set[int] = set()
    index = 0
    while index < len(literals):
        low = high = literals[index][0]
        if index + 2 < len(literals) and literals[index + 1] == (0x2D, False):
            high = literals[index + 2][0]
            index += 2
        members.update(range(low, high + 1))
        index += 1
    if negated:
        members = set(range(256)) - members
    if slash_is_special:
        members.discard(_SLASH)
    if not members:
        return rb"(?!)"
    return b"[" + b"".join(b"\\x%02x" % member for member in sorted(members)) + b"]"


def _unescaped(inside: bytes) -> list[tuple[int, bool]]:
    """Each byte of a set, and whether a backslash stood before it."""
    result: list[tuple[int, bool]] = []
    escaped = False
    for byte in inside:
        if byte == 0x5C and not escaped:
            escaped = True
            continue
        result.append((byte, escaped))
        escaped = False
    return result
