"""`scgi.response`: CGI answers, whole, byte by byte, with trailing bytes, and garbage."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scgiproxy.errors import BackendError, BadResponse, TruncatedResponse
from scgiproxy.scgi.response import (
    END,
    Event,
    ResponseHead,
    ResponseParser,
    ResponseState,
)

Outcome = tuple[list[Event], tuple[type[BackendError], str] | None]


def run(pieces: Iterable[bytes], **options: int) -> Outcome:
    """Events, with adjacent body pieces joined, and the error if there was one."""
    parser = ResponseParser(**options)  # type: ignore[arg-type]
    events: list[Event] = []

    def add(new: list[Event]) -> None:
        for event in new:
            last = events[-1] if events else None
            if isinstance(event, bytes) and isinstance(last, bytes):
                events[-1] = last + event
            else:
                events.append(event)

    try:
        for piece in pieces:
            add(parser.feed(piece))
        add(parser.eof())
    except BackendError as error:
        return events, (type(error), str(error))
    return events, None


def each_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def head(
    status: int = 200,
    *headers: tuple[bytes, bytes],
    reason: bytes | None = None,
    length: int | None = None,
    explicit: bool = False,
) -> ResponseHead:
    names = {name.lower() for name, _ in headers}
    return ResponseHead(status, reason, list(headers), length, explicit, names)


TEXT = (b"Content-Type", b"text/plain")

# The head as it is on the wire, without the empty line, and what it says.
HEADS: list[tuple[bytes, ResponseHead]] = [
    (b"", head()),
    (b"Content-Type: text/plain\n", head(200, TEXT)),
    (b"Content-Type: text/plain\r\n", head(200, TEXT)),
    (b"Status: 404 Nope\r\nA: b\n", head(404, (b"A", b"b"), reason=b"Nope", explicit=True)),
    (b"A: b\nStatus: 404 Nope\r\n", head(404, (b"A", b"b"), reason=b"Nope", explicit=True)),
    (b"status:404\n", head(404, explicit=True)),
    (b"Status: 404\t Not  There \n", head(404, reason=b"Not  There", explicit=True)),
    (b"Status: 200 \n", head(explicit=True)),
    (b"Status: 599 \xe9\n", head(599, reason=b"\xe9", explicit=True)),
    (b"Status: 201\nStatus: 201 Again\n", head(201, explicit=True)),
    (b"HTTP/1.1 200 OK\r\nA: b\r\n", head(200, (b"A", b"b"), reason=b"OK", explicit=True)),
    (b"HTTP/1.0 404 \nA: b\n", head(404, (b"A", b"b"), explicit=True)),
    (b"HTTP/1.1 500\n", head(500, explicit=True)),
    (b"HTTP/1.1 404 X\nStatus: 404 Y\n", head(404, reason=b"X", explicit=True)),
    # Location without a Status
    (b"Location: http://h/x\n", head(302, (b"Location", b"http://h/x"))),
    (b"location: mailto:x@y\n", head(302, (b"location", b"mailto:x@y"))),
    (b"Location: /x\n", head(200, (b"Location", b"/x"))),
    (b"Location: //h/x\n", head(200, (b"Location", b"//h/x"))),
    (b"Location: x/y:z\n", head(200, (b"Location", b"x/y:z"))),
    (
        b"Status: 200\nLocation: http://h/x\n",
        head(200, (b"Location", b"http://h/x"), explicit=True),
    ),
    (b"Location: http://h/\nLocation: /x\n", head(200, (b"Location", b"/x"))),
    # values
    (
        b"A:b\nB:  \t b \t c\t \r\nC:\nD: \n",
        head(200, (b"A", b"b"), (b"B", b"b \t c"), (b"C", b""), (b"D", b"")),
    ),
    (b"A: \x80\xff~!\n", head(200, (b"A", b"\x80\xff~!"))),
    (b"A: b: c\n", head(200, (b"A", b"b: c"))),
    (b"!#$%&'*+-.^_`|~09azAZ: x\n", head(200, (b"!#$%&'*+-.^_`|~09azAZ", b"x"))),
    # repeated
    (
        b"Set-Cookie: a\nX: 1\nSet-Cookie: b\n",
        head(200, (b"Set-Cookie", b"a"), (b"X", b"1"), (b"Set-Cookie", b"b")),
    ),
    (
        b"Content-type: a/b\nX: 1\nContent-Type: text/plain\nETag: a\netag: b\n",
        head(200, TEXT, (b"X", b"1"), (b"etag", b"b")),
    ),
    (
        b"Last-Modified: 1\nContent-Range: 1\nLast-Modified: 2\nContent-Range: 2\n",
        head(200, (b"Last-Modified", b"2"), (b"Content-Range", b"2")),
    ),
]


@pytest.mark.parametrize("empty_line", [b"\n", b"\r\n"])
@pytest.mark.parametrize(("wire", "expected"), HEADS)
def test_head(wire: bytes, expected: ResponseHead, empty_line: bytes) -> None:
    """Every head whole, byte by byte, with a body behind it, and cut short."""
    wire += empty_line
    assert run([wire]) == ([expected, END], None)
    assert run(each_byte(wire)) == ([expected, END], None)
    for body in (b"x", b"\n", b"\r\n\r\nStatus: 500\n\n"):
        assert run([wire + body]) == ([expected, body, END], None)
        assert run(each_byte(wire + body)) == ([expected, body, END], None)
    for cut in range(len(wire)):
        events, error = run([wire[:cut]])
        assert (events, error and error[0]) == ([], TruncatedResponse)


BAD_HEADS: list[tuple[bytes, str]] = [
    # status
    (b"Status: 100 Continue\n", "status 100"),
    (b"Status: 199\n", "status 199"),
    (b"Status: 000\n", "status 0"),
    (b"Status: 99 x\n", "three digits"),
    (b"Status: 600\n", "status 600"),
    (b"Status: 999 x\n", "status 999"),
    (b"Status: 1000 z\n", "three digits"),
    (b"Status: abc\n", "three digits"),
    (b"Status: -20\n", "three digits"),
    (b"Status: +200\n", "three digits"),
    (b"Status: 404Foo\n", "three digits"),
    (b"Status:\n", "three digits"),
    (b"Status: 20\n", "status 20"),
    (b"Status: 200\nStatus: 404\n", "two statuses"),
    (b"HTTP/1.1 200 OK\nStatus: 404\n", "two statuses"),
    (b"Status: 200 O\x01K\n", "control byte"),
    (b"Status: 200 OK\rX: y\n", "control byte"),
    (b"HTTP/1.1 200 O\x01K\r\n", "HTTP/1.x"),
    (b"HTTP/1.1 200 OK\rX: y\n", "HTTP/1.x"),
    (b"HTTP/1.1 2\nX: y\n", "HTTP/1.x"),
    (b"HTTP/1.1 2000\n", "HTTP/1.x"),
    (b"HTTP/2 200\n", "HTTP/1.x"),
    (b"HTTP/1.1 100 Continue\n", "status 100"),
    (b"A: b\nHTTP/1.1 200 OK\n", "without a colon"),
    # length
    (b"Content-Length: 5\nContent-Length: 6\n", "second Content-Length"),
    (b"Content-Length: 5\ncontent-length: 5\n", "second Content-Length"),
    (b"Content-Length: 5,5\n", "a number"),
    (b"Content-Length: -1\n", "a number"),
    (b"Content-Length: +5\n", "a number"),
    (b"Content-Length: 0x5\n", "a number"),
    (b"Content-Length: 5 5\n", "a number"),
    (b"Content-Length: \n", "a number"),
    (b"Content-Length: 1_0\n", "a number"),
    (b"Content-Length: \xb2\n", "a number"),
    (b"Content-Length: 9223372036854775808\n", "a number"),
    (b"Content-Length: " + b"0" * 30 + b"\n", "a number"),
    (b"Transfer-Encoding: chunked\n", "Transfer-Encoding"),
    (b"Content-Length: 5\ntransfer-encoding:\n", "Transfer-Encoding"),
    # lines
    (b"<html>\n", "without a colon"),
    (b"Traceback (most recent call last):\n", "no name can have"),
    (b": x\n", "no name can have"),
    (b"A : x\n", "no name can have"),
    (b"A\x00B: x\n", "no name can have"),
    (b"A\x01: x\n", "no name can have"),
    (b"A\r: x\n", "no name can have"),
    (b"A(: x\n", "no name can have"),
    (b"\xe9: x\n", "no name can have"),
    (b"A: b\x00c\n", "control byte"),
    (b"A: b\x01c\n", "control byte"),
    (b"A: b\x7f\n", "control byte"),
    (b"X: a\rSet-Cookie: b\n", "control byte"),
    (b"X: a\r\r\n", "control byte"),
    (b"A: b\n c\n", "folded"),
    (b"A: b\n\tc: d\n", "folded"),
    (b" A: b\n", "folded"),
    (b"\rA: b\n", "no name can have"),
    (b"A: b\n\r\r\n", "without a colon"),
]


@pytest.mark.parametrize(("wire", "sentence"), BAD_HEADS)
def test_bad_head(wire: bytes, sentence: str) -> None:
    """A bad line is refused as soon as it is complete, with the same words however it was cut."""
    events, error = run([wire])
    assert events == []
    assert error is not None
    assert error[0] is BadResponse
    assert sentence in error[1]
    assert "\n" not in error[1]
    assert error[1].isascii()
    for pieces in ([wire + b"\nbody"], each_byte(wire), each_byte(wire + b"A: b\n\nbody")):
        assert run(pieces) == ([], error)
    for cut in range(len(wire)):
        assert run([wire[:cut], wire[cut:]]) == ([], error)


def test_status_line_cut_anywhere_then_no_status_line() -> None:
    """The state of a half-read status line never outlives its line (CVE-2026-42946)."""
    wire = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"
    for end in range(len(b"HTTP/1.1 200")):
        bad = wire[:end] + b"\nX: y\n\n"
        for cut in range(len(bad)):
            events, error = run([bad[:cut], bad[cut:]])
            if end == 0:
                assert (events, error) == ([head(), b"X: y\n\n", END], None)
            else:
                assert events == []
                assert error is not None
                assert error[0] is BadResponse


def test_long_lines_are_shown_short() -> None:
    """At most 80 bytes of a bad line are in the message."""
    _, error = run([b"x" * 5000 + b"\n"])
    assert error is not None
    assert "x" * 80 + "'" in error[1]
    assert "x" * 81 not in error[1]


class TestBody:
    LENGTH_5 = b"Content-Length: 5\n\n"

    @pytest.mark.parametrize("extra", [b"", b"!", b"\r\n0\r\n\r\n"])
    def test_length(self, extra: bytes) -> None:
        """What is over Content-Length is cut."""
        wire = self.LENGTH_5 + b"hello" + extra
        expected = ([head(length=5), b"hello", END], None)
        assert run([wire]) == expected
        assert run(each_byte(wire)) == expected
        assert run([self.LENGTH_5, b"hello" + extra]) == expected

    def test_end_comes_with_the_last_byte(self) -> None:
        """A backend that keeps its connection open holds nobody up."""
        parser = ResponseParser()
        parser.feed(self.LENGTH_5 + b"hell")
        assert parser.feed(b"o") == [b"o", END]
        assert parser.feed(b"more") == []
        assert parser.eof() == []
        assert parser.eof() == []

    @pytest.mark.parametrize("body", [b"", b"hell"])
    def test_short(self, body: bytes) -> None:
        """Less than Content-Length is no complete answer."""
        events, error = run([self.LENGTH_5 + body])
        assert END not in events
        assert error == (
            TruncatedResponse,
            f"the backend closed after {len(body)} of 5 bytes of the body",
        )

    def test_length_zero(self) -> None:
        parser = ResponseParser()
        assert parser.feed(b"Content-Length: 0\n\nx") == [head(length=0), END]

    def test_largest_length(self) -> None:
        parser = ResponseParser()
        assert parser.feed(b"Content-Length: 9223372036854775807\n\n") == [
            head(length=(1 << 63) - 1)
        ]

    def test_until_close(self) -> None:
        parser = ResponseParser()
        assert parser.feed(b"\n") == [head()]
        assert parser.feed(b"a") == [b"a"]
        assert parser.feed(b"") == []
        assert parser.eof() == [END]
        assert parser.eof() == []
        assert parser.feed(b"b") == []

    def test_head_request(self) -> None:
        """The answer to HEAD has no body, and its length is only an announcement."""
        wire = self.LENGTH_5 + b"hello"
        assert run([wire], body_expected=False) == ([head(length=5), END], None)
        assert run(each_byte(wire), body_expected=False) == ([head(length=5), END], None)

    @pytest.mark.parametrize("status", [204, 304])
    def test_bodiless_status(self, status: int) -> None:
        wire = b"Status: %d\nContent-Length: 5\n\n" % status
        expected = ([head(status, length=5, explicit=True), END], None)
        assert run([wire]) == expected
        assert run([wire + b"hello"]) == expected


class TestTruncated:
    def test_nothing_at_all(self) -> None:
        assert run([]) == ([], (TruncatedResponse, "the backend closed without an answer"))
        assert run([b""]) == run([])

    def test_within_a_line(self) -> None:
        assert run([b"A: b\nSta"])[1] == (
            TruncatedResponse,
            "the backend closed within the response head, after 8 bytes, in the line 'Sta'",
        )

    def test_between_lines(self) -> None:
        assert run([b"A: b\n"])[1] == (
            TruncatedResponse,
            "the backend closed within the response head, after 5 bytes",
        )


class TestLimits:
    HEAD = b"A: b\n" * 4 + b"\n"

    def test_head_of_just_the_limit(self) -> None:
        for pieces in ([self.HEAD], each_byte(self.HEAD)):
            assert run(pieces, max_head=21)[1] is None

    @pytest.mark.parametrize("limit", range(1, 21))
    def test_head_over_the_limit(self, limit: int) -> None:
        events, error = run([self.HEAD + b"body"], max_head=limit)
        assert events == []
        assert error is not None
        assert f"over {limit} bytes" in error[1]
        again = run(each_byte(self.HEAD + b"body"), max_head=limit)[1]
        assert again is not None
        assert again[0] is BadResponse
        assert f"over {limit} bytes" in again[1]

    def test_lines(self) -> None:
        for pieces in ([self.HEAD], each_byte(self.HEAD)):
            assert run(pieces, max_lines=4)[1] is None
            error = (BadResponse, "the response head has more than 3 lines")
            assert run(pieces, max_lines=3) == ([], error)

    def test_status_line_is_a_line(self) -> None:
        wire = b"HTTP/1.1 200 OK\nA: b\n\n"
        for pieces in ([wire], each_byte(wire)):
            assert run(pieces, max_lines=2)[1] is None
            assert run(pieces, max_lines=1)[1] is not None

    def test_endless_line_is_not_kept(self) -> None:
        """A line without an end is refused at the limit, not collected."""
        parser = ResponseParser()
        for _ in range(65):
            assert parser.feed(b"x" * 1000) == []
        with pytest.raises(BadResponse, match="over 65536 bytes"):
            parser.feed(b"x" * 1000)
        assert parser.state is ResponseState.FAILED
        with pytest.raises(BadResponse, match="over 65536 bytes"):
            parser.feed(b"A: b\n\n")
        with pytest.raises(BadResponse, match="over 65536 bytes"):
            parser.eof()

    def test_a_bad_line_comes_before_a_limit_behind_it(self) -> None:
        for pieces in ([b"bad\n" + self.HEAD], each_byte(b"bad\n" + self.HEAD)):
            error = run(pieces, max_lines=1, max_head=10)[1]
            assert error is not None
            assert "without a colon" in error[1]


def test_repr_shows_the_state() -> None:
    parser = ResponseParser()
    assert repr(parser) == "<ResponseParser head>"
    parser.feed(b"\n")
    assert repr(parser) == "<ResponseParser body until close>"
    assert repr(parser.eof()) == "[END]"


FRAGMENTS = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\r",
        b"\n\n",
        b"Status: 200 OK",
        b"Status: 404",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 2",
        b"Content-Length: 3",
        b"Location: http://x/",
        b"Content-Type: a/b",
        b"X-A: b",
        b": ",
        b" ",
        b"\x00",
        b"body",
    ]
)
WIRE = st.lists(FRAGMENTS | st.binary(max_size=8), max_size=30).map(b"".join)


@given(WIRE, st.lists(st.integers(0, 200), max_size=8), st.booleans())
@example(b"A: b\r\n\n\r\nx\n\n", [], True)
@example(b"A: b\n\r\n\n", [5, 6], True)
def test_any_bytes_in_any_cut(wire: bytes, cuts: list[int], body_expected: bool) -> None:
    """Garbage gives events or a BackendError, nothing else, and cutting does not change which."""
    options = {"body_expected": body_expected, "max_head": 100, "max_lines": 6}
    whole = run([wire], **options)
    assert whole[1] is None or whole[1][0] in (BadResponse, TruncatedResponse)
    bounds = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    for pieces in (
        [wire[a:b] for a, b in pairwise(bounds)],
        each_byte(wire),
    ):
        events, error = run(pieces, **options)
        assert events == whole[0]
        # A limit is noticed at the byte it is passed, so the line shown may be less complete.
        assert (error and error[0]) == (whole[1] and whole[1][0])


NAMES = st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,15}", fullmatch=True).filter(
    lambda name: (
        name.lower()
        not in (
            b"status",
            b"content-length",
            b"transfer-encoding",
            b"content-type",
            b"location",
            b"etag",
            b"last-modified",
            b"content-range",
        )
    )
)
VALUES = st.from_regex(
    rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?", fullmatch=True
)


@given(
    st.integers(200, 599),
    st.lists(st.tuples(NAMES, VALUES), max_size=20),
    st.binary(max_size=50),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_what_a_program_writes_is_what_is_read(
    status: int, headers: list[tuple[bytes, bytes]], body: bytes, eol: bytes
) -> None:
    lines = [b"Status: %d" % status, *(b"%b: %b" % header for header in headers), b"", body]
    events, error = run([eol.join(lines)])
    assert error is None
    assert events[0] == head(status, *headers, explicit=True)
    assert events[1:] == ([body, END] if body and status not in (204, 304) else [END])
