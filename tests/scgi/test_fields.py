"""`scgi.fields`: what is remembered of lines. What lines may say is tested with whole heads."""

from __future__ import annotations

import pytest

from scgiproxy.errors import BadResponse
from scgiproxy.scgi.fields import FIELDS, LONGEST_LINE, MOST_LINES


def test_remembered_lines_are_bounded_and_no_cookies() -> None:
    """What backends say is remembered by the line: not without end, and no client's secrets."""
    for number in range(MOST_LINES + 10):
        assert FIELDS[b"X-Number: %d" % number][1] == (b"X-Number", b"%d" % number)
        assert FIELDS[b"Set-Cookie: id=%d" % number][0] == b"set-cookie"
        assert FIELDS[b"X-Long: %b%d" % (b"x" * LONGEST_LINE, number)][0] == b"x-long"
    assert 0 < len(FIELDS) <= MOST_LINES
    assert not [line for line in FIELDS if b"Cookie" in line or b"Long" in line]


@pytest.mark.parametrize("line", [b"Status: 700", b"bad"])
def test_bad_lines_are_refused_each_time(line: bytes) -> None:
    for _ in range(2):
        with pytest.raises(BadResponse):
            FIELDS[line]
