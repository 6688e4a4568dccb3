"""Range fields, and the framing of several parts."""

from __future__ import annotations

import email.parser
import email.policy
from email.message import EmailMessage
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.message.ranges import (
    MAX_RANGES,
    ByteRange,
    content_range,
    multipart_byteranges,
    parse_range,
)


@pytest.mark.parametrize(
    ("value", "ranges"),
    [
        (b"bytes=0-499", [(0, 500)]),
        (b"bytes=500-999", [(500, 1000)]),
        (b"bytes=-500", [(9500, 10000)]),
        (b"bytes=9500-", [(9500, 10000)]),
        (b"bytes=0-0,-1", [(0, 1), (9999, 10000)]),
        (b"bytes= 0-999, 4500-5499, -1000", [(0, 1000), (4500, 5500), (9000, 10000)]),
        (b"bytes=500-600,601-999", [(500, 1000)]),
        (b"bytes=500-700,601-999", [(500, 1000)]),
        (b"BYTES=0-1", [(0, 2)]),
        (b"bytes=,,0-1\t,", [(0, 2)]),
        (b"bytes=0-", [(0, 10000)]),
        (b"bytes=0-99999999999999999999999999", [(0, 10000)]),
        (b"bytes=-99999999999999999999999999", [(0, 10000)]),
        (b"bytes=00000000000000000000000000001-1", [(1, 2)]),
        # One part of two can be satisfied.
        (b"bytes=10000-,0-1", [(0, 2)]),
        (b"bytes=-0,0-1", [(0, 2)]),
    ],
)
def test_ranges_of_ten_thousand_bytes(value: bytes, ranges: list[tuple[int, int]]) -> None:
    """The examples of RFC 9110 section 14.1.2, and their neighbours."""
    assert parse_range(value, 10000) == ranges


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"bytes",
        b"bytes=",
        b"bytes=,",
        b"bytes=-",
        b"bytes=a-b",
        b"bytes=1-0",
        b"bytes=0-1,1-0",
        b"bytes=0-1;2-3",
        b"bytes=0-1-2",
        b"bytes=+0-1",
        b"bytes=0--1",
        b"bytes=0 - 1",
        b"bytes =0-1",
        b"bytes=0x0-0x1",
        b"bytes=\xb2-",
        b"lines=0-1",
        b"0-1",
    ],
)
def test_a_malformed_field_or_another_unit_is_ignored(value: bytes) -> None:
    assert parse_range(value, 10000) is None


@pytest.mark.parametrize("value", [b"bytes=10000-", b"bytes=10000-20000,20000-", b"bytes=-0"])
def test_nothing_that_can_be_satisfied(value: bytes) -> None:
    assert parse_range(value, 10000) == []


@pytest.mark.parametrize("value", [b"bytes=0-", b"bytes=-5", b"bytes=0-0"])
def test_an_empty_file_has_no_ranges(value: bytes) -> None:
    """Clients that always ask for a range get the empty file, not an error."""
    assert parse_range(value, 0) is None


def test_the_last_twenty_bytes_of_ten() -> None:
    """twisted.web.static.File answers 500 to this."""
    assert parse_range(b"bytes=-20", 10) == [(0, 10)]


def test_a_small_gap_is_sent_along() -> None:
    assert parse_range(b"bytes=0-9,50-59", 1000) == [(0, 60)]
    assert parse_range(b"bytes=0-9,500-509", 1000) == [(0, 10), (500, 510)]


def test_the_order_of_the_request_is_kept() -> None:
    """A client may want the end first (RFC 9110 section 15.3.7.2)."""
    assert parse_range(b"bytes=5000-5009,0-9,5005-5020", 10000) == [(5000, 5021), (0, 10)]


def test_too_many_parts_are_ignored() -> None:
    specs = [b"%d-%d" % (n * 1000, n * 1000) for n in range(MAX_RANGES + 1)]
    assert len(parse_range(b"bytes=" + b",".join(specs[:-1]), 10**6) or ()) == MAX_RANGES
    assert parse_range(b"bytes=" + b",".join(specs), 10**6) is None


def test_four_thousand_overlapping_ranges_are_not_read() -> None:
    """CVE-2011-3192, and what twisted.web.static.File answers with four gigabytes."""
    assert parse_range(b"bytes=" + b",".join([b"0-"] * 4000), 10**6) is None


SPECS = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 3000)).map(lambda pair: (pair[0], sum(pair))),
    min_size=1,
    max_size=30,
)


@given(SPECS, st.integers(1, 4000))
def test_parts_cover_what_was_asked_and_never_overlap(
    specs: list[tuple[int, int]], size: int
) -> None:
    """The sum is at most the size: no request makes an answer larger than the file."""
    ranges = parse_range(b"bytes=" + b", ".join(b"%d-%d" % pair for pair in specs), size)
    if ranges is None:
        return
    ordered = sorted(ranges)
    assert all(0 <= part.start < part.stop <= size for part in ranges)
    assert all(one.stop < two.start for one, two in pairwise(ordered))
    for first, last in specs:
        if first < size:
            assert any(p.start <= first and min(last + 1, size) <= p.stop for p in ranges)


@given(st.binary(max_size=60).map(lambda tail: b"bytes=" + tail), st.integers(0, 100))
def test_any_field_is_read_or_ignored(value: bytes, size: int) -> None:
    ranges = parse_range(value, size)
    assert ranges is None or sum(part.length for part in ranges) <= size


def test_content_range() -> None:
    assert content_range(ByteRange(0, 500), 1234) == b"bytes 0-499/1234"
    assert content_range(None, 1234) == b"bytes */1234"


@pytest.mark.parametrize("content_type", [b"text/plain", None])
def test_parts_are_read_back_by_a_mime_parser(content_type: bytes | None) -> None:
    """What the standard library's parser finds is what was put in."""
    data = bytes(range(32, 127)) * 20
    ranges = [ByteRange(0, 10), ByteRange(500, 700), ByteRange(200, 201)]
    pieces = multipart_byteranges(ranges, len(data), content_type, b"BOUNDARY")
    body = b"".join(
        data[piece.start : piece.stop] if isinstance(piece, ByteRange) else piece
        for piece in pieces
    )
    message = email.parser.BytesParser(EmailMessage, policy=email.policy.HTTP).parsebytes(
        b"Content-Type: multipart/byteranges; boundary=BOUNDARY\r\n\r\n" + body
    )
    parts = list(message.iter_parts())
    assert [part["Content-Range"] for part in parts] == [
        content_range(one, len(data)).decode() for one in ranges
    ]
    assert [part.get_payload(decode=True) for part in parts] == [
        data[one.start : one.stop] for one in ranges
    ]
    assert {part["Content-Type"] for part in parts} == {
        content_type.decode() if content_type else None
    }
    assert body.startswith(b"--BOUNDARY\r\n")
    assert body.endswith(b"\r\n--BOUNDARY--\r\n")
