"""The SCGI request head: a netstring of variables, written and read.

::

    LEN ":" "CONTENT_LENGTH" NUL n NUL "SCGI" NUL "1" NUL (NAME NUL VALUE NUL)* "," body

Written are `encode_variables` (checked, for load time) and `frame` (per request, unchecked); read is
`RequestParser`. (https://python.ca/scgi/protocol.txt)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from scgiproxy.errors import BadRequest, quoted

RESERVED_NAMES = frozenset((b"CONTENT_LENGTH", b"SCGI", b"GATEWAY_INTERFACE"))
"""`frame` writes the first two; the third is not sent, as mod_proxy_scgi does not."""

FRAMING_SIZE: Final = len(b"CONTENT_LENGTH\x00\x00SCGI\x001\x00")
"""Bytes that `frame` puts in front of a block, besides the digits of the length."""

MAX_BODY = (1 << 63) - 1

_LENGTH_PREFIX = re.compile(rb"[1-9][0-9]{0,9}")
_DECIMAL = re.compile(rb"0|[1-9][0-9]{0,18}")


def encode_variables(variables: Iterable[tuple[bytes, bytes]]) -> bytes:
    """``NAME NUL VALUE NUL`` of each pair, in order.

    Raises ValueError for an empty name, or a NUL in a name or a value: either would shift every
    variable after it.
    """
    parts: list[bytes] = []
    for name, value in variables:
        if not name:
            raise ValueError(f"a variable needs a name; its value is {quoted(value)}")
        if b"\x00" in name or b"\x00" in value:
            raise ValueError(f"a NUL in variable {quoted(name)} would split the request block")
        parts += (name, value)
    if not parts:
        return b""
    parts.append(b"")
    return b"\x00".join(parts)


def frame(content_length: int, block: bytes) -> bytes:
    """The whole request head for a body of `content_length` bytes.

    `block` is the encoded variables, without `RESERVED_NAMES`. Raises ValueError if
    `content_length` is negative.
    """
    if content_length < 0:
        raise ValueError(f"CONTENT_LENGTH cannot be {content_length}")
    first = b"CONTENT_LENGTH\x00%d\x00SCGI\x001\x00" % content_length
    return b"%d:%b%b," % (len(first) + len(block), first, block)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What a gateway has sent: every variable, CONTENT_LENGTH and SCGI included."""

    variables: dict[bytes, bytes]
    content_length: int


class RequestState(Enum):
    LENGTH = "length"
    """Before the colon."""
    BLOCK = "block"
    """Between the colon and the comma."""
    DONE = "done"
    FAILED = "failed"


class RequestParser:
    """Reads one request head, strictly; for whoever serves SCGI.

    `max_block` is the limit for the bytes between colon and comma. Nothing beyond it is kept.
    """

    __slots__ = ("_buffer", "_error", "_expected", "_max_block", "leftover", "state")

    def __init__(self, max_block: int = 65536) -> None:
        self.state = RequestState.LENGTH
        self.leftover = b""
        """The first bytes of the body: what came after the comma in the same piece."""
        self._buffer = bytearray()
        self._expected = 0
        self._max_block = max_block
        self._error: BadRequest | None = None

    def __repr__(self) -> str:
        return f"<RequestParser {self.state.value} {len(self._buffer)}/{self._expected}>"

    def feed(self, data: bytes) -> RequestHead | None:
        """Take the next bytes; return the head once it is complete, None as long as it is not.

        After the head the bytes belong to the body: feeding on is a RuntimeError. Raises
        BadRequest with what is wrong, and again if fed after that.
        """
        if self.state is RequestState.DONE:
            raise RuntimeError("the request head is complete; what follows is its body")
        if self._error is not None:
            raise self._error
        try:
            return self._feed(data)
        except BadRequest as error:
            self.state = RequestState.FAILED
            self._error = error
            self._buffer.clear()
            raise

    def eof(self) -> None:
        """The gateway has closed. Raises BadRequest if the head was not complete."""
        if self._error is not None:
            raise self._error
        if self.state is not RequestState.DONE:
            self.state = RequestState.FAILED
            self._error = BadRequest(
                f"the connection ended within the request head, after {len(self._buffer)} bytes"
            )
            raise self._error

    def _feed(self, data: bytes) -> RequestHead | None:
        buffer = self._buffer
        buffer += data
        if self.state is RequestState.LENGTH:
            # A longest prefix plus its colon: the search is bounded however the bytes arrive.
            colon = buffer.find(b":", 0, 11)
            digits = bytes(buffer[: colon if colon >= 0 else 11])
            if (colon >= 0 or digits) and not _LENGTH_PREFIX.fullmatch(digits):
                raise BadRequest(f"expected a netstring's length and a colon, got {quoted(digits)}")
            if colon < 0:
                return None
            length = int(digits)
            if length > self._max_block:
                raise BadRequest(
                    f"a header block of {length} bytes is over the limit of {self._max_block}"
                )
            del buffer[: colon + 1]
            self._expected = length + 1
            self.state = RequestState.BLOCK
        if len(buffer) < self._expected:
            return None
        end = self._expected - 1
        if buffer[end] != 0x2C:
            raise BadRequest(
                f"expected a comma after the header block, got {quoted(bytes(buffer[end : end + 1]))}"
            )
        head = parse_block(bytes(buffer[:end]))
        self.leftover = bytes(buffer[end + 1 :])
        buffer.clear()
        self.state = RequestState.DONE
        return head


def parse_block(block: bytes) -> RequestHead:
    """Read the bytes between colon and comma. Raises BadRequest with what is wrong."""
    fields = block.split(b"\x00")
    if fields.pop():
        raise BadRequest(f"the header block must end in a NUL, not in {quoted(block[-20:])}")
    if len(fields) % 2:
        raise BadRequest(f"the name {quoted(fields[-1])} at the end has no value")
    names = fields[::2]
    variables = dict(zip(names, fields[1::2], strict=True))
    if len(variables) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise BadRequest(f"variable {quoted(repeated)} is there twice")
    if b"" in variables:
        raise BadRequest(f"a variable without a name; its value is {quoted(variables[b''])}")
    if not names or names[0] != b"CONTENT_LENGTH":
        raise BadRequest(f"CONTENT_LENGTH must come first, not {quoted(b''.join(names[:1]))}")
    length = variables[b"CONTENT_LENGTH"]
    if not _DECIMAL.fullmatch(length) or int(length) > MAX_BODY:
        raise BadRequest(f"CONTENT_LENGTH must be a decimal number, not {quoted(length)}")
    if variables.get(b"SCGI") != b"1":
        version = variables.get(b"SCGI")
        raise BadRequest(
            "the variable SCGI is missing"
            if version is None
            else f"SCGI must be 1, not {quoted(version)}"
        )
    return RequestHead(variables, int(length))
