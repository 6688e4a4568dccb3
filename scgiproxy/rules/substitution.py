"""``$0`` to ``$9`` in the value of SetEnvIf and the target of ProxyPassMatch (ap_pregsub)."""

from __future__ import annotations

import re

_REFERENCE = re.compile(rb"\$([0-9])|\\(.)", re.DOTALL)


class Template:
    """A text with references to the groups of a match, split once.

    ``$0`` is the whole match; a group that took no part, or that the expression does not have, is
    empty. A backslash takes the next character literally, so ``\\$1`` is no reference.

    - `references`: the numbers of the groups that are referred to.
    - `has_references`: whether there are any.
    """

    __slots__ = ("_literal", "_pieces", "has_references", "references")

    def __init__(self, text: bytes) -> None:
        pieces: list[bytes | int] = []
        literal = b""
        position = 0
        for found in _REFERENCE.finditer(text):
            literal += text[position : found.start()]
            position = found.end()
            number, escaped = found.groups()
            if number is None:
                literal += escaped
                continue
            pieces += (literal, int(number))
            literal = b""
        self._literal = literal + text[position:]
        self._pieces = (*pieces, self._literal)
        self.references = frozenset(piece for piece in pieces if isinstance(piece, int))
        self.has_references = bool(pieces)

    def expand(self, match: re.Match[bytes]) -> bytes:
        """The text with the groups of `match` in it."""
        if not self.has_references:
            return self._literal
        count = match.re.groups
        text = b""
        for piece in self._pieces:
            if isinstance(piece, bytes):
                text += piece
            elif piece <= count:
                text += match[piece] or b""
        return text
