"""One line of a CGI response's head (RFC 3875 section 6.3): what it says, or why it is none."""

from __future__ import annotations

import re
from typing import Final

from scgiproxy.errors import BadResponse, quoted

MAX_LENGTH: Final = (1 << 63) - 1

# Possessive: no input makes it go back.
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++):[ \t]*+([\t\x20-\x7e\x80-\xff]*+)\r?")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

MOST_LINES: Final = 1024
"""Lines that are remembered."""

LONGEST_LINE: Final = 100
"""Bytes of a line that is remembered, at most."""

Field = tuple[bytes, tuple[bytes, bytes], int | None]
"""The name in lower case; name and value; and a number if it is one that is not passed on: the
length, or the status, whose value here is the reason."""


class _Fields(dict[bytes, Field]):
    """The header lines seen so far, without LF: a backend says mostly the same in each answer.

    Bounded, and without cookies, which are one client's. A line that is not seen yet raises
    BadResponse if it is no header, or has not the value that it needs.
    """

    def __missing__(self, line: bytes) -> Field:
        field = _read_field(line)
        if len(line) <= LONGEST_LINE and field[0] != b"set-cookie":
            if len(self) >= MOST_LINES:
                self.clear()
            self[line] = field
        return field


FIELDS: Final = _Fields()


def _read_field(line: bytes) -> Field:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise _bad_line(line)
    name, value = match.groups()
    lower = name.lower()
    value = value.rstrip(b" \t")
    number: int | None = None
    if lower == b"status":
        digits = value[:3]
        if not digits.isdigit() or value[3:4] not in b" \t":
            raise BadResponse(f"expected Status: and three digits, got {quoted(value)}")
        number, value = final_status(int(digits), value[3:])
    elif lower == b"content-length":
        if not value.isdigit() or len(value) > 19 or (number := int(value)) > MAX_LENGTH:
            raise BadResponse(f"expected Content-Length: and a number, got {quoted(value)}")
    elif lower == b"transfer-encoding":
        raise BadResponse(f"a CGI response has no Transfer-Encoding: {quoted(value)}")
    return lower, (name, value), number


def final_status(status: int, reason: bytes) -> tuple[int, bytes]:
    """Both, without blanks around the reason; raises BadResponse for another than 200 to 599."""
    if not 200 <= status <= 599:
        raise BadResponse(
            f"status {status} is no final status (200 to 599); reason {quoted(reason)}"
        )
    return status, reason.strip(b" \t")


def _bad_line(line: bytes) -> BadResponse:
    shown = quoted(line.rstrip(b"\r\n"))
    if line[:1] in (b" ", b"\t"):
        return BadResponse(f"a folded header line (obsolete): {shown}")
    name, colon, _ = line.rstrip(b"\r\n").partition(b":")
    if not colon:
        return BadResponse(f"a line of the response head without a colon: {shown}")
    if _TOKEN.fullmatch(name) is None:
        return BadResponse(f"a header name with a byte that no name can have: {shown}")
    return BadResponse(f"a control byte in the value of a header: {shown}")
