"""`message.framing`: how answers and requests are delimited, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import BadRequest, ClientError, ExpectationFailed, NotImplementedHere
from scgiproxy.message.framing import (
    LAST_CHUNK,
    BodyKind,
    RequestFraming,
    ResponseFraming,
    check_request_head,
    chunk,
    response_framing,
)
from scgiproxy.message.headers import HeaderList


@pytest.mark.parametrize(
    ("method", "status", "length", "is_http11", "expected"),
    [
        (b"HEAD", 200, 5, True, ResponseFraming.NO_BODY),
        (b"HEAD", 200, None, False, ResponseFraming.NO_BODY),
        (b"GET", 204, 5, True, ResponseFraming.NO_BODY),
        (b"GET", 304, None, True, ResponseFraming.NO_BODY),
        (b"GET", 200, 5, True, ResponseFraming.LENGTH),
        (b"GET", 200, 0, True, ResponseFraming.LENGTH),
        (b"GET", 200, 5, False, ResponseFraming.LENGTH),
        (b"POST", 500, None, True, ResponseFraming.CHUNKED),
        (b"POST", 200, None, False, ResponseFraming.CLOSE),
    ],
)
def test_response_framing(
    method: bytes, status: int, length: int | None, is_http11: bool, expected: ResponseFraming
) -> None:
    assert response_framing(method, status, length, is_http11) is expected


def test_chunk() -> None:
    assert b"".join(chunk(b"x" * 26)) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert LAST_CHUNK == b"0\r\n\r\n"


def test_no_data_is_no_chunk() -> None:
    """A chunk of no bytes would end the body."""
    assert chunk(b"") == ()


HOST = (b"host", b"h")


def check(*headers: tuple[bytes, bytes], protocol: bytes = b"HTTP/1.1") -> RequestFraming:
    return check_request_head(b"POST", protocol, [HOST, *headers])


NONE, LENGTH, CHUNKED = BodyKind.NONE, BodyKind.LENGTH, BodyKind.CHUNKED


class TestBody:
    @pytest.mark.parametrize(
        ("header", "kind", "length"),
        [
            ((b"X", b"y"), NONE, 0),
            ((b"Content-Length", b"0"), NONE, 0),
            ((b"Content-Length", b"0000"), NONE, 0),
            ((b"content-length", b"5"), LENGTH, 5),
            ((b"CONTENT-LENGTH", b"9223372036854775807"), LENGTH, (1 << 63) - 1),
            ((b"Transfer-Encoding", b"Chunked"), CHUNKED, None),
            ((b"Transfer-Encoding", b" chunked\t"), CHUNKED, None),
        ],
    )
    def test_kind(self, header: tuple[bytes, bytes], kind: BodyKind, length: int | None) -> None:
        framing = check(header)
        assert (framing.kind, framing.length) == (kind, length)

    @pytest.mark.parametrize(
        "value",
        [b"", b"-1", b"+5", b"0x5", b"5,5", b"5 5", b"123abc", b"9223372036854775808", b"\xb2"],
    )
    def test_bad_length(self, value: bytes) -> None:
        with pytest.raises(BadRequest, match="Content-Length"):
            check((b"Content-Length", value))

    def test_repeated_length(self) -> None:
        with pytest.raises(BadRequest, match="2 Content-Length"):
            check((b"Content-Length", b"5"), (b"content-length", b"5"))

    def test_length_and_coding(self) -> None:
        headers = [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")]
        for order in (headers, headers[::-1]):
            with pytest.raises(BadRequest, match="both"):
                check(*order)

    def test_coding_on_http10(self) -> None:
        with pytest.raises(BadRequest, match=r"HTTP/1\.0"):
            check((b"Transfer-Encoding", b"chunked"), protocol=b"HTTP/1.0")

    @pytest.mark.parametrize(
        "values",
        [
            [b"identity"],
            [b""],
            [b"gzip"],
            [b"chunked, gzip"],
            [b"chunked, chunked"],
            [b"xchunked"],
            [b",chunked"],
            [b"chunked,"],
            [b","],
            [b"gzip, chunked, gzip"],
            [b"chunked;q=1"],
            [b"chunked", b"chunked"],
            [b"gzip", b"chunked"],
            [b"\x0bchunked"],
        ],
    )
    def test_bad_coding(self, values: list[bytes]) -> None:
        with pytest.raises(BadRequest, match="Transfer-Encoding: chunked"):
            check(*[(b"Transfer-Encoding", value) for value in values])

    def test_coding_not_known_here(self) -> None:
        with pytest.raises(NotImplementedHere, match="gzip"):
            check((b"Transfer-Encoding", b"gzip, chunked"))

    def test_trace(self) -> None:
        head: HeaderList = [HOST, (b"Content-Length", b"5")]
        with pytest.raises(BadRequest, match="TRACE"):
            check_request_head(b"TRACE", b"HTTP/1.1", head)
        assert check_request_head(b"TRACE", b"HTTP/1.1", [HOST]).kind is NONE


class TestHost:
    def test_missing(self) -> None:
        with pytest.raises(BadRequest, match="needs a Host"):
            check_request_head(b"GET", b"HTTP/1.1", [(b"A", b"b")])
        check_request_head(b"GET", b"HTTP/1.0", [])

    @pytest.mark.parametrize("protocol", [b"HTTP/1.0", b"HTTP/1.1"])
    def test_twice(self, protocol: bytes) -> None:
        with pytest.raises(BadRequest, match="2 Host"):
            check(HOST, protocol=protocol)

    @pytest.mark.parametrize("value", [b"", b"a b", b"a/b"])
    def test_malformed(self, value: bytes) -> None:
        with pytest.raises(BadRequest, match="host name"):
            check_request_head(b"GET", b"HTTP/1.1", [(b"Host", value)])


@pytest.mark.parametrize(
    ("protocol", "values", "keep_alive"),
    [
        (b"HTTP/1.1", [], True),
        (b"HTTP/1.1", [b"close"], False),
        (b"HTTP/1.1", [b"Close,TE"], False),
        (b"HTTP/1.1", [b"TE", b"close"], False),
        (b"HTTP/1.1", [b"closed, x-close"], True),
        (b"HTTP/1.1", [b"keep-alive, close"], False),
        (b"HTTP/1.0", [], False),
        (b"HTTP/1.0", [b"Keep-Alive"], True),
        (b"HTTP/1.0", [b"x", b"te, keep-alive"], True),
        (b"HTTP/1.0", [b"keep-alive, close"], False),
    ],
)
def test_persistence(protocol: bytes, values: list[bytes], keep_alive: bool) -> None:
    framing = check(*[(b"Connection", value) for value in values], protocol=protocol)
    assert framing.keep_alive is keep_alive


class TestExpect:
    BODY = (b"Content-Length", b"5")

    def test_continue(self) -> None:
        assert check(self.BODY, (b"Expect", b"100-Continue")).expects_continue
        assert check((b"Transfer-Encoding", b"chunked"), (b"Expect", b"100-continue"))[3]
        assert not check(self.BODY).expects_continue

    def test_without_a_body(self) -> None:
        assert not check((b"Expect", b"100-continue")).expects_continue

    def test_http10_cannot_wait(self) -> None:
        head = [self.BODY, (b"Expect", b"100-continue")]
        assert not check(*head, protocol=b"HTTP/1.0").expects_continue

    @pytest.mark.parametrize(
        "values", [[b"anything"], [b"100-continue", b"x"], [b"100-continue, x"]]
    )
    def test_unknown(self, values: list[bytes]) -> None:
        with pytest.raises(ExpectationFailed):
            check(self.BODY, *[(b"Expect", value) for value in values])


@pytest.mark.parametrize("protocol", [b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2"])
def test_other_version(protocol: bytes) -> None:
    with pytest.raises(NotImplementedHere, match="is not spoken here"):
        check(protocol=protocol)


@pytest.mark.parametrize("method", [b"DESCRIBE", b"SETUP", b"PLAY"])
def test_methods_of_rtsp(method: bytes) -> None:
    """llhttp knows that protocol, and does not tell it from HTTP."""
    with pytest.raises(NotImplementedHere, match="RTSP is not spoken here"):
        check_request_head(method, b"HTTP/1.0", [HOST])


@pytest.mark.parametrize("protocol", [b"", b"HTTP", b"http/1.1", b"HTTP/1.10", b"HTTP/1.1 "])
def test_no_version(protocol: bytes) -> None:
    with pytest.raises(BadRequest, match=r"HTTP/1\.1"):
        check(protocol=protocol)


NAMES = st.sampled_from(
    [b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Expect", b"X"]
)
VALUES = st.sampled_from([b"h", b"5", b"chunked", b"close", b"100-continue", b""]) | st.binary(
    max_size=8
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5), st.sampled_from([b"HTTP/1.0", b"HTTP/1.1"]))
def test_any_head(headers: HeaderList, protocol: bytes) -> None:
    """A head is refused with a ClientError, or has one meaning: never two lengths."""
    try:
        framing = check_request_head(b"GET", protocol, headers)
    except ClientError:
        return
    names = [name for name, _ in headers]
    assert names.count(b"Content-Length") + names.count(b"Transfer-Encoding") <= 1
    assert names.count(b"Host") <= 1
    assert (framing.length is None) == (framing.kind is CHUNKED)


@pytest.mark.parametrize(
    ("connection", "named"),
    [
        (b"X-Hop", {b"x-hop"}),
        (b"keep-alive, X-HOP ,x-not-there", {b"x-hop"}),
        (b"host, content-length, X-Hop, close", {b"x-hop"}),
        (b"keep-alive", set()),
    ],
)
def test_fields_that_connection_names(connection: bytes, named: set[bytes]) -> None:
    """RFC 9110 section 7.6.1; but what the framing needs is not for a client to take away."""
    headers = [
        (b"host", b"a"),
        (b"content-length", b"1"),
        (b"connection", connection),
        (b"x-hop", b"1"),
    ]
    assert check_request_head(b"POST", b"HTTP/1.1", headers).hop_by_hop == named
