"""Range requests: which bytes are wanted, and how several parts are framed. No I/O.

(RFC 9110 section 14, and 15.3.7 for multipart/byteranges.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MAX_RANGES = 10
"""More parts than this, after coalescing, are not worth an answer in parts."""

_MAX_SPECS = 200
"""More range-specs than this are not even read (Apache's MaxRanges)."""

_MIN_GAP = 80
"""Bytes; a part's own head costs about as much, so a smaller gap is sent along."""

_SPEC = re.compile(rb"(\d*)-(\d*)")
_MAX_DIGITS = 18


class ByteRange(NamedTuple):
    """The bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


def parse_range(value: bytes, size: int) -> list[ByteRange] | None:
    """The parts of a representation of `size` bytes that a Range field asks for.

    None means that the field is to be ignored: another unit, malformed, or too many parts. An
    empty list means that nothing of it can be satisfied (416). Ranges that overlap or nearly
    touch are made one, so the sum is never more than `size`; what is left keeps the order of the
    request. An empty representation has no range at all, and the field is ignored there.
    """
    unit, separator, specs = value.partition(b"=")
    if not separator or unit.lower() != b"bytes" or size == 0 or specs.count(b",") >= _MAX_SPECS:
        return None
    found: list[ByteRange] = []
    seen = False
    for spec in specs.split(b","):
        text = spec.strip(b" \t")
        if not text:
            continue
        seen = True
        match = _SPEC.fullmatch(text)
        if match is None or text == b"-":
            return None
        first, last = match.groups()
        if not first:
            start, stop = max(0, size - _number(last)), size
        else:
            start, stop = _number(first), size
            if last:
                stop = _number(last) + 1
                if stop <= start:
                    return None
        if start < size:
            found.append(ByteRange(start, min(stop, size)))
    if not seen:
        return None
    ranges = _coalesce(found) if len(found) > 1 else found
    return ranges if len(ranges) <= MAX_RANGES else None


def content_range(part: ByteRange | None, size: int) -> bytes:
    """The Content-Range of one part; of none, for a 416 (RFC 9110 section 14.4)."""
    if part is None:
        return b"bytes */%d" % size
    return b"bytes %d-%d/%d" % (part.start, part.stop - 1, size)


def multipart_byteranges(
    ranges: Sequence[ByteRange], size: int, content_type: bytes | None, boundary: bytes
) -> list[bytes | ByteRange]:
    """The body of a multipart/byteranges answer, in order: bytes as they are, and ranges to fill in.

    The Content-Type of the answer is ``multipart/byteranges; boundary=`` and `boundary`, which
    must not occur in the representation. (RFC 9110 section 14.6.)
    """
    pieces: list[bytes | ByteRange] = []
    delimiter = b"--" + boundary + b"\r\n"
    if content_type is not None:
        delimiter += b"Content-Type: " + content_type + b"\r\n"
    for part in ranges:
        pieces.append(delimiter + b"Content-Range: %s\r\n\r\n" % content_range(part, size))
        pieces.append(part)
        if len(pieces) == 2:
            delimiter = b"\r\n" + delimiter
    pieces.append(b"\r\n--" + boundary + b"--\r\n")
    return pieces


def _coalesce(ranges: list[ByteRange]) -> list[ByteRange]:
    """Merge what overlaps or nearly touches; each result stands where its first part stood."""
    merged: list[tuple[int, ByteRange]] = []
    for place, part in sorted(enumerate(ranges), key=lambda item: item[1]):
        if merged and part.start - merged[-1][1].stop < _MIN_GAP:
            before, (start, stop) = merged[-1]
            merged[-1] = (min(before, place), ByteRange(start, max(stop, part.stop)))
        else:
            merged.append((place, part))
    merged.sort()
    return [part for _, part in merged]


def _number(digits: bytes) -> int:
    """The number written, or one that is larger than any file."""
    significant = digits.lstrip(b"0")
    return int(significant or b"0") if len(significant) <= _MAX_DIGITS else 10**_MAX_DIGITS
