"""Makes screenshots small: 256 colours, and the best that zlib can do (PNG, ISO/IEC 15948)."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = 256


def reduced(png: bytes) -> bytes:
    """The same picture, of 8 bits a channel without interlacing, with a palette."""
    chunks = list(_chunks(png))
    header = next(data for kind, data in chunks if kind == b"IHDR")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    assert (depth, interlaced) == (8, 0)
    channels = {2: 3, 6: 4}[colour]
    raw = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    rows = [
        [bytes(row[at : at + 3]) for at in range(0, len(row), channels)]
        for row in _unfiltered(raw, width * channels, channels)
    ]
    counts: Counter[bytes] = Counter()
    for row in rows:
        counts.update(row)
    # A little of a bright colour says more than another grey.
    colours = sorted(counts, key=lambda one: counts[one] * (1 + max(one) - min(one)), reverse=True)
    palette = colours[:_COLOURS]
    places = {one: at for at, one in enumerate(palette)}
    places |= {one: _nearest(one, palette) for one in colours[_COLOURS:]}
    lines = b"".join(b"\0" + bytes(map(places.__getitem__, row)) for row in rows)
    made = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    body = ((b"IHDR", made), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(lines, 9)))
    return _SIGNATURE + b"".join(_chunk(*one) for one in (*body, (b"IEND", b"")))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        yield kind, png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _unfiltered(raw: bytes, width: int, step: int) -> Iterator[bytearray]:
    above = bytearray(width)
    for at in range(0, len(raw), width + 1):
        kind = raw[at]
        row = bytearray(raw[at + 1 : at + 1 + width])
        if kind == 1:
            for x in range(step, width):
                row[x] = (row[x] + row[x - step]) & 255
        elif kind == 2:
            row = bytearray((one + up) & 255 for one, up in zip(row, above, strict=True))
        elif kind == 3:
            for x in range(width):
                left = row[x - step] if x >= step else 0
                row[x] = (row[x] + (left + above[x]) // 2) & 255
        elif kind == 4:
            for x in range(width):
                left, corner = (row[x - step], above[x - step]) if x >= step else (0, 0)
                row[x] = (row[x] + _paeth(left, above[x], corner)) & 255
        yield row
        above = row


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    to_left, to_up, to_corner = abs(estimate - left), abs(estimate - up), abs(estimate - corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner


def _nearest(colour: bytes, palette: list[bytes]) -> int:
    def distance(at: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(colour, palette[at], strict=True))

    return min(range(len(palette)), key=distance)
