"""What is read as a request, however it is cut, and what is refused; nothing bad goes further."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.message.framing import BodyKind, RequestFraming
from scgiproxy.rules.settings import ServerSettings
from scgiproxy.web.limits import ConnectionLimits
from scgiproxy.web.reader import RequestReader
from tests.web.answers import Log
from tests.web.harness import (
    CHUNKED,
    GET,
    POST,
    Client,
    Gateway,
)

H = b"GET / HTTP/1.1\r\nHost: a\r\n"

MALFORMED = {
    "no Host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two Hosts": (400, H + b"Host: a\r\n\r\n"),
    "empty Host": (400, b"GET / HTTP/1.1\r\nHost: \r\n\r\n"),
    "Host with a blank": (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "Host with a bad port": (400, b"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n"),
    "LF only": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "LF only after the first line": (400, b"GET / HTTP/1.1\r\nHost: a\n\n"),
    "folded": (400, H + b"X: a\r\n b\r\n\r\n"),
    "blank before the colon": (400, H + b"X : a\r\n\r\n"),
    "no colon": (400, H + b"X\r\n\r\n"),
    "no name": (400, H + b": x\r\n\r\n"),
    "leading blank": (400, H + b" X: a\r\n\r\n"),
    "NUL in a name": (400, H + b"X\0: a\r\n\r\n"),
    "NUL in a value": (400, H + b"X: a\0b\r\n\r\n"),
    "CR in a value": (400, H + b"X: a\rb\r\n\r\n"),
    "escape in a value": (400, H + b"X: a\x1bb\r\n\r\n"),
    "blank in the target": (400, b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "control in the target": (400, b"GET /a\x02 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "high byte in the target": (400, b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
    "fragment": (400, b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
    "no slash": (400, b"GET foo HTTP/1.1\r\nHost: a\r\n\r\n"),
    "escape cut": (400, b"GET /%1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "NUL decoded": (400, b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "LF decoded": (400, b"GET /a%0ab HTTP/1.1\r\nHost: a\r\n\r\n"),
    "above the root": (400, b"GET /.. HTTP/1.1\r\nHost: a\r\n\r\n"),
    "star for GET": (400, b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CONNECT": (400, b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CONNECT with a body": (
        400,
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    ),
    "HTTP/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/2.0": (501, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "HTTP/0.9": (501, b"GET /\r\n\r\n"),
    "HTTP/1.2": (400, b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    "HTTP/11": (400, b"GET / HTTP/11\r\nHost: a\r\n\r\n"),
    "other protocol": (400, b"GET / HTTQ/1.1\r\nHost: a\r\n\r\n"),
    "unknown method": (501, b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "lower-case method": (501, b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "TRACE with a body": (400, b"TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"),
    "unknown Expect": (417, POST + b"Content-Length: 5\r\nExpect: a pony\r\n\r\nhello"),
    "both lengths": (
        400,
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "both lengths, turned": (
        400,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    "two equal lengths": (400, POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    "list of lengths": (400, POST + b"Content-Length: 5, 5\r\n\r\nhello"),
    "signed length": (400, POST + b"Content-Length: +5\r\n\r\nhello"),
    "negative length": (400, POST + b"Content-Length: -5\r\n\r\nhello"),
    "hexadecimal length": (400, POST + b"Content-Length: 0x5\r\n\r\nhello"),
    "empty length": (400, POST + b"Content-Length:\r\n\r\nhello"),
    "huge length": (400, POST + b"Content-Length: 99999999999999999999\r\n\r\nhello"),
    "length over 2^63": (400, POST + b"Content-Length: 9223372036854775808\r\n\r\nhello"),
    "TE identity": (400, POST + b"Transfer-Encoding: identity\r\n\r\nhello"),
    "TE xchunked": (400, POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "TE gzip, chunked": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "TE chunked, identity": (400, POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    "TE chunked twice": (400, POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "two TE": (
        400,
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "TE with a control": (400, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "TE on 1.0": (
        400,
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "chunk size 0x": (400, CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk size signed": (400, CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with a blank": (400, CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n"),
    "chunk size with LF": (400, CHUNKED + b"5\nhello\r\n0\r\n\r\n"),
    "chunk size too big": (400, CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
    "chunk longer than said": (400, CHUNKED + b"3\r\nhello\r\n0\r\n\r\n"),
    "chunk ends in LF": (400, CHUNKED + b"5\r\nhello\n0\r\n\r\n"),
    "long target": (414, b"GET /" + b"a" * 8200 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "line just too long": (414, b"GET /" + b"a" * 8177 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "long field": (431, H + b"X: " + b"a" * 8190 + b"\r\n\r\n"),
    "many fields": (431, H + b"X: a\r\n" * 100 + b"\r\n"),
}
SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"


def feed(data: bytes, step: int | None = None, **server: Any) -> tuple[Gateway, Client]:
    gateway = Gateway(server=server)
    client = gateway.client()
    for start in range(0, len(data), step or len(data)):
        client.send(data[start : start + (step or len(data))])
    gateway.settle()
    return gateway, client


@pytest.mark.parametrize("name", MALFORMED)
def test_bad_request_is_refused_and_nothing_reaches_a_backend(name: str) -> None:
    """One page, then the end; what follows is never parsed; one line in the log."""
    with Log() as log:
        gateway, client = feed(MALFORMED[name][1] + SMUGGLED)
    answer = client.answer
    assert answer.status == MALFORMED[name][0]
    assert answer["connection"] == "close"
    assert answer["content-type"] == "text/html; charset=utf-8"
    assert f"<h1>{answer.status} {answer.reason}</h1>".encode() in answer.body
    assert not gateway.pool.ends
    assert log.line().startswith("client.")
    assert client.half_closed or client.closed == "closed"
    client.leave()
    gateway.assert_idle()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("HTTP/2 preface", "HTTP/2 is not spoken here; expected HTTP/1.1"),
        ("TLS", "a TLS handshake, where plain HTTP is spoken"),
        ("escape cut", "expected two hexadecimal digits after the percent sign of '%1'"),
    ],
)
def test_what_is_wrong_is_told_in_words(name: str, told: str) -> None:
    for step in (1, 1000):
        with Log() as log:
            client = feed(MALFORMED[name][1], step)[1]
        assert told in log.line()
        assert escape(told).encode() in client.answer.body


@pytest.mark.parametrize("name", MALFORMED)
def test_bad_request_is_refused_however_it_is_cut(name: str) -> None:
    status, data = MALFORMED[name]
    whole = feed(data)[1].answer
    for step in (1, 2, 7) if len(data) < 1000 else (97, 1009):
        gateway, client = feed(data, step)
        answer = client.answer
        assert (answer.status, answer.reason) == (status, whole.reason)
        assert not gateway.pool.ends


def test_answer_to_a_bad_head_has_no_body_for_head() -> None:
    _, client = feed(b"HEAD / HTTP/1.1\r\n\r\n")
    head, _, body = client.received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert body == b""


def test_page_does_not_repeat_the_request_unescaped() -> None:
    _, client = feed(b"GET / HTTP/1.1\r\nHost: <script>\r\n\r\n")
    assert b"<script>" not in client.answer.body


GOOD = {
    "plain": GET,
    "empty lines before": b"\r\n\r\n" + GET,
    "old": b"GET / HTTP/1.0\r\n\r\n",
    "old with Host": b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    "absolute": b"GET http://b/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
    "blanks around a value": H + b"X: \t a \t\r\n\r\n",
    "blanks around Host": b"GET / HTTP/1.1\r\nHost: \ta \r\n\r\n",
    "no blank": H + b"X:a\r\n\r\n",
    "empty value": H + b"X:\r\n\r\n",
    "high bytes in a value": H + b"X: \xff\x80\r\n\r\n",
    "longest line": b"GET /" + b"a" * 8176 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "longest field": H + b"X: " + b"a" * 8187 + b"\r\n\r\n",
    "most fields": H + b"X: a\r\n" * 99 + b"\r\n",
    "length": POST + b"Content-Length: 5\r\n\r\nhello",
    "length with zeros": POST + b"Content-Length: 0005\r\n\r\nhello",
    "length zero": POST + b"Content-Length: 0\r\n\r\n",
    "many zeros": POST + b"Content-Length: 000000000\r\n\r\n",
    "body of a GET": H + b"Content-Length: 5\r\n\r\nhello",
    "chunked": CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    "Chunked": POST + b"transfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunk extensions": CHUNKED + b'5;a=b;c="d e"\r\nhello\r\n0;last\r\n\r\n',
    "trailers": CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\nAuthorization: x\r\n\r\n",
    "options": b"OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "WebDAV": b"PROPFIND /x HTTP/1.1\r\nHost: a\r\nDepth: 0\r\n\r\n",
    "upgrade": H + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
    "upgrade with a length": POST
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
    "upgrade with chunks": POST
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    "continue": POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
}


def seen(gateway: Gateway) -> list[tuple[dict[str, str], bytes]]:
    return [(end.variables, end.body) for end in gateway.pool.ends]


@pytest.mark.parametrize("name", GOOD)
def test_request_is_the_same_however_it_is_cut(name: str) -> None:
    """Cut at every byte, followed by another request, the backend is told the same."""
    data = GOOD[name]
    following = b"" if b"HTTP/1.0" in data else GET
    gateway, client = feed(data + following)
    gateway.answer_all()
    expected = seen(gateway)
    assert len(expected) == (2 if following else 1)
    interim = [100] if name == "continue" else []
    assert [answer.status for answer in client.answers][-len(expected) :] == [200] * len(expected)
    cuts = range(1, len(data) + 1) if len(data) < 400 else (1, 5000, len(data) - 1, len(data))
    for cut in cuts:
        gateway = Gateway()
        client = gateway.client().send(data[:cut])
        client.send(data[cut:] + following)
        gateway.answer_all()
        assert seen(gateway) == expected, cut
        statuses = [answer.status for answer in client.answers]
        assert statuses in ([200] * len(expected), [*interim, *[200] * len(expected)])
        client.leave()
        gateway.assert_idle()


@pytest.mark.parametrize("name", GOOD)
def test_request_may_come_byte_by_byte(name: str) -> None:
    data = GOOD[name]
    gateway, client = feed(data)
    gateway.answer_all()
    expected = seen(gateway)
    gateway, client = feed(data, 1)
    gateway.answer_all()
    assert seen(gateway) == expected
    assert client.answers[-1].status == 200


def test_upgrade_is_not_forwarded() -> None:
    gateway, _ = feed(GOOD["upgrade"])
    assert not {"HTTP_UPGRADE", "HTTP_CONNECTION", "HTTP_HTTP2_SETTINGS"} & set(
        gateway.backend.variables
    )


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 31\r\n\r\n" + SMUGGLED[:31],
        b"Transfer-Encoding: chunked\r\n\r\n1f\r\n" + SMUGGLED[:31] + b"\r\n0\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("step", [1, 3, 10_000])
def test_body_behind_an_upgrade_is_no_request(body: bytes, step: int) -> None:
    """llhttp takes what follows for a tunnel; it is the body all the same."""
    data = POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + body
    gateway, _ = feed(data + GET, step)
    gateway.answer_all()
    first, second = gateway.pool.ends
    assert first.body == SMUGGLED[:31]
    assert second.variables["REQUEST_URI"] == "/"


def test_request_line_and_fields_have_the_limits_of_the_server() -> None:
    limits = {"limit_request_line": 100, "limit_request_field_size": 50, "limit_request_fields": 3}
    assert feed(b"GET /" + b"a" * 100 + b" HTTP/1.1\r\n", **limits)[1].answer.status == 414
    assert feed(H + b"X: " + b"a" * 50 + b"\r\n\r\n", **limits)[1].answer.status == 431
    assert feed(H + b"X: a\r\n" * 3 + b"\r\n", **limits)[1].answer.status == 431
    gateway, _ = feed(H + b"X: a\r\n" * 2 + b"\r\n", **limits)
    assert gateway.pool.ends


@pytest.mark.parametrize("step", [1, 100, 5000])
@pytest.mark.parametrize(
    ("status", "start"),
    [
        (414, b"GET /"),
        (414, b"GET http://"),
        (431, b"GET / HTTP/1.1\r\nHost"),
        (431, b"GET / HTTP/1.1\r\nHost: "),
        (431, H + b"X: "),
    ],
)
def test_line_without_an_end_is_refused(status: int, start: bytes, step: int) -> None:
    """A client cannot make the gateway keep more than the limits."""
    gateway = Gateway()
    client = gateway.client().send(start)
    sent = 0
    while not client.received:
        client.send(b"a" * step)
        sent += step
        assert sent < 3 * 8190
    answer = client.answer
    assert answer.status == status
    client.leave()
    gateway.assert_idle()


def test_fields_have_a_limit_together() -> None:
    """Also where the number of fields has none."""
    gateway = Gateway(server={"limit_request_fields": 0})
    client = gateway.client().send(H)
    sent = 0
    while not client.received:
        client.send(b"X: " + b"a" * 8000 + b"\r\n")
        sent += 8000
        assert sent < 20_000_000
    assert client.answer.status == 431


def test_next_head_in_the_same_piece_as_a_long_body_is_not_too_long() -> None:
    """What came before it does not count for its limits."""
    body = b"x" * 60_000
    gateway = Gateway()
    client = gateway.client().send(POST + b"Content-Length: 60000\r\n\r\n" + body[:10])
    client.send(body[10:] + b"GET /ne")
    client.send(b"xt HTTP/1.1\r\nHost: a\r\nX-")
    client.send(b"Y: z\r\n\r\n")
    gateway.answer_all()
    assert [answer.status for answer in client.answers] == [200, 200]
    assert gateway.backend.variables["HTTP_X_Y"] == "z"


def test_next_head_in_the_same_piece_as_many_requests_is_not_too_long() -> None:
    gateway = Gateway(server={"max_keep_alive_requests": 0}, mounts=[("/x", "scgi://h/")])
    client = gateway.client().send(GET * 2000 + GET[:-10])
    client.send(GET[-10:])
    assert [answer.status for answer in client.answers] == [404] * 2001


STREAM = b"".join(
    (
        GET,
        POST + b"Content-Length: 5\r\n\r\nhello",
        POST + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 4\r\n\r\nGET ",
        CHUNKED + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n",
        POST + b"Content-Length: 300\r\n\r\n" + bytes(range(256)) + b"x" * 44,
        GET,
    )
)
BODIES = [None, b"hello", b"GET ", b"abcdefg", bytes(range(256)) + b"x" * 44, None]


class Heard:
    """The bodies of the requests that a reader told of; None where there is none."""

    def __init__(self) -> None:
        self.bodies: list[bytes | None] = []
        self.complete = 0

    def head_begun(self, size: int) -> None:
        """It comes in pieces."""

    def head_read(self, protocol: bytes, framing: RequestFraming) -> None:
        assert protocol == b"HTTP/1.1"
        self.bodies.append(None if framing.kind is BodyKind.NONE else b"")

    def body_read(self, data: bytes) -> None:
        body = self.bodies[-1]
        assert body is not None
        assert data
        self.bodies[-1] = body + data

    def body_ended(self) -> None:
        self.complete += 1


def new_reader(heard: Heard) -> RequestReader:
    reader = RequestReader()
    reader.begin(ConnectionLimits.of([ServerSettings()]), heard)
    return reader


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_bodies_are_read_however_they_are_cut(cuts: list[int]) -> None:
    """Counted or parsed: what belongs to a body, and where the next request begins."""
    heard = Heard()
    reader = new_reader(heard)
    edges = sorted({0, len(STREAM), *cuts})
    for start, end in pairwise(edges):
        reader.feed(STREAM[start:end])
    assert heard.bodies == BODIES
    assert heard.complete == 4
    assert reader.between_requests
    assert not reader.in_body


@pytest.mark.parametrize("cut", [1, 5, 6])
def test_nothing_follows_the_last_request(cut: int) -> None:
    """Not when its body was counted either: the reader is for nobody else then."""
    heard = Heard()
    reader = new_reader(heard)
    last = POST + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello"
    reader.feed(last[:-cut])
    reader.feed(last[-cut:])
    assert heard.bodies == [b"hello"]
    assert heard.complete == 1
    assert not reader.between_requests


def test_a_body_with_a_length_is_passed_on_as_it_came() -> None:
    """Nothing is copied behind its head, and chunks that came together are told as one."""
    pieces: list[bytes] = []
    heard = Heard()
    heard.body_read = pieces.append  # type: ignore[method-assign]
    reader = new_reader(heard)
    data = b"x" * 100_000
    reader.feed(POST + b"Content-Length: 100000\r\n\r\n")
    reader.feed(data)
    assert pieces[0] is data
    pieces.clear()
    reader.feed(CHUNKED + b"1\r\na\r\n" * 1000 + b"0\r\n\r\n")
    assert pieces == [b"a" * 1000]
