"""The channel: what reaches a backend, what is refused, and when a connection ends."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher

from tests.web.harness import Answer, Client, Gateway, MemoryTransport, parse_answers

OK = b"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def answer_all(gateway: Gateway, answer: bytes = OK) -> None:
    """Every backend that has its whole request answers, the oldest first, until none is left."""
    served = 0
    while served < len(gateway.pool.ends):
        end = gateway.pool.ends[served]
        served += 1
        if len(end.body) == int(end.variables["CONTENT_LENGTH"]):
            end.answer(answer)
            gateway.settle()


def one_answer(client: Client) -> Answer:
    (answer,) = client.answers
    return answer


# -- what is refused ---------------------------------------------------------------------------

H = b"GET / HTTP/1.1\r\nHost: a\r\n"
P = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = P + b"Transfer-Encoding: chunked\r\n\r\n"

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
    "unknown Expect": (417, P + b"Content-Length: 5\r\nExpect: a pony\r\n\r\nhello"),
    "both lengths": (400, P + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "both lengths, turned": (
        400,
        P + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    "two equal lengths": (400, P + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    "list of lengths": (400, P + b"Content-Length: 5, 5\r\n\r\nhello"),
    "signed length": (400, P + b"Content-Length: +5\r\n\r\nhello"),
    "negative length": (400, P + b"Content-Length: -5\r\n\r\nhello"),
    "hexadecimal length": (400, P + b"Content-Length: 0x5\r\n\r\nhello"),
    "empty length": (400, P + b"Content-Length:\r\n\r\nhello"),
    "huge length": (400, P + b"Content-Length: 99999999999999999999\r\n\r\nhello"),
    "length over 2^63": (400, P + b"Content-Length: 9223372036854775808\r\n\r\nhello"),
    "TE identity": (400, P + b"Transfer-Encoding: identity\r\n\r\nhello"),
    "TE xchunked": (400, P + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "TE gzip, chunked": (501, P + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "TE chunked, identity": (400, P + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    "TE chunked twice": (400, P + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "two TE": (
        400,
        P + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "TE with a control": (400, P + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
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
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    try:
        gateway, client = feed(MALFORMED[name][1] + SMUGGLED)
    finally:
        globalLogPublisher.removeObserver(events.append)
    answer = one_answer(client)
    assert answer.status == MALFORMED[name][0]
    assert answer["connection"] == "close"
    assert answer["content-type"] == "text/html; charset=utf-8"
    assert f"<h1>{answer.status} {answer.reason}</h1>".encode() in answer.body
    assert not gateway.pool.ends
    lines = [event for event in events if "log_key" in event]
    assert len(lines) == 1
    assert lines[0]["log_key"].startswith("client.")
    assert client.half_closed or client.closed == "closed"
    client.leave()
    gateway.assert_idle()


@pytest.mark.parametrize("name", MALFORMED)
def test_bad_request_is_refused_however_it_is_cut(name: str) -> None:
    status, data = MALFORMED[name]
    whole = one_answer(feed(data)[1])
    for step in (1, 2, 7) if len(data) < 1000 else (97, 1009):
        gateway, client = feed(data, step)
        answer = one_answer(client)
        assert (answer.status, answer.reason) == (status, whole.reason)
        assert not gateway.pool.ends


def test_answer_to_a_bad_head_has_no_body_for_head() -> None:
    _, client = feed(b"HEAD / HTTP/1.1\r\n\r\n")
    head, _, body = client.received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert body == b""


def test_page_does_not_repeat_the_request_unescaped() -> None:
    _, client = feed(b"GET / HTTP/1.1\r\nHost: <script>\r\n\r\n")
    assert b"<script>" not in one_answer(client).body


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
    "length": P + b"Content-Length: 5\r\n\r\nhello",
    "length with zeros": P + b"Content-Length: 0005\r\n\r\nhello",
    "length zero": P + b"Content-Length: 0\r\n\r\n",
    "many zeros": P + b"Content-Length: 000000000\r\n\r\n",
    "body of a GET": H + b"Content-Length: 5\r\n\r\nhello",
    "chunked": CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    "Chunked": P + b"transfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunk extensions": CHUNKED + b'5;a=b;c="d e"\r\nhello\r\n0;last\r\n\r\n',
    "trailers": CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\nAuthorization: x\r\n\r\n",
    "options": b"OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n",
    "WebDAV": b"PROPFIND /x HTTP/1.1\r\nHost: a\r\nDepth: 0\r\n\r\n",
    "upgrade": H + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
    "upgrade with a length": P
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
    "upgrade with chunks": P
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    "continue": P + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
}


def seen(gateway: Gateway) -> list[tuple[dict[str, str], bytes]]:
    return [(end.variables, end.body) for end in gateway.pool.ends]


@pytest.mark.parametrize("name", GOOD)
def test_request_is_the_same_however_it_is_cut(name: str) -> None:
    """Cut at every byte, followed by another request, the backend is told the same."""
    data = GOOD[name]
    following = b"" if b"HTTP/1.0" in data else GET
    gateway, client = feed(data + following)
    answer_all(gateway)
    expected = seen(gateway)
    assert len(expected) == (2 if following else 1)
    interim = [100] if name == "continue" else []
    assert [answer.status for answer in client.answers][-len(expected) :] == [200] * len(expected)
    cuts = range(1, len(data) + 1) if len(data) < 400 else (1, 5000, len(data) - 1, len(data))
    for cut in cuts:
        gateway = Gateway()
        client = gateway.client().send(data[:cut])
        client.send(data[cut:] + following)
        answer_all(gateway)
        assert seen(gateway) == expected, cut
        statuses = [answer.status for answer in client.answers]
        assert statuses in ([200] * len(expected), [*interim, *[200] * len(expected)])
        client.leave()
        gateway.assert_idle()


@pytest.mark.parametrize("name", GOOD)
def test_request_may_come_byte_by_byte(name: str) -> None:
    data = GOOD[name]
    gateway, client = feed(data)
    answer_all(gateway)
    expected = seen(gateway)
    gateway, client = feed(data, 1)
    answer_all(gateway)
    assert seen(gateway) == expected
    assert client.answers[-1].status == 200


def test_trailers_are_dropped() -> None:
    gateway, _ = feed(CHUNKED + b"5\r\nhello\r\n0\r\nX-Evil: y\r\nAuthorization: x\r\n\r\n")
    variables = gateway.backend.variables
    assert "HTTP_X_EVIL" not in variables
    assert "HTTP_AUTHORIZATION" not in variables
    assert "HTTP_TRANSFER_ENCODING" not in variables
    assert variables["CONTENT_LENGTH"] == "5"


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
    data = P + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + body
    gateway, _ = feed(data + GET, step)
    answer_all(gateway)
    first, second = gateway.pool.ends
    assert first.body == SMUGGLED[:31]
    assert second.variables["REQUEST_URI"] == "/"


def test_request_line_and_fields_have_the_limits_of_the_server() -> None:
    limits = {"limit_request_line": 100, "limit_request_field_size": 50, "limit_request_fields": 3}
    assert one_answer(feed(b"GET /" + b"a" * 100 + b" HTTP/1.1\r\n", **limits)[1]).status == 414
    assert one_answer(feed(H + b"X: " + b"a" * 50 + b"\r\n\r\n", **limits)[1]).status == 431
    assert one_answer(feed(H + b"X: a\r\n" * 3 + b"\r\n", **limits)[1]).status == 431
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
    answer = one_answer(client)
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
    assert one_answer(client).status == 431


@pytest.mark.parametrize(
    "start", [b"5;", b"5\r\nhello\r\n0\r\nX: ", b"5\r\nhello\r\n0\r\nX"], ids=repr
)
def test_chunk_extension_or_trailer_without_an_end_is_refused(start: bytes) -> None:
    gateway = Gateway()
    client = gateway.client().send(CHUNKED + start)
    sent = 0
    while not client.received:
        client.send(b"a" * 5000)
        sent += 5000
        assert sent < 200_000
    assert one_answer(client).status in (400, 431)
    assert not gateway.pool.ends
    client.leave()
    gateway.assert_idle()


def test_endless_trailers_are_refused() -> None:
    gateway = Gateway()
    client = gateway.client().send(CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 102)
    assert one_answer(client).status == 431
    assert not gateway.pool.ends


def test_next_head_in_the_same_piece_as_a_long_body_is_not_too_long() -> None:
    """What came before it does not count for its limits."""
    body = b"x" * 60_000
    gateway = Gateway()
    client = gateway.client().send(P + b"Content-Length: 60000\r\n\r\n" + body[:10])
    client.send(body[10:] + b"GET /ne")
    client.send(b"xt HTTP/1.1\r\nHost: a\r\nX-")
    client.send(b"Y: z\r\n\r\n")
    answer_all(gateway)
    assert [answer.status for answer in client.answers] == [200, 200]
    assert gateway.backend.variables["HTTP_X_Y"] == "z"


def test_next_head_in_the_same_piece_as_many_requests_is_not_too_long() -> None:
    gateway = Gateway(server={"max_keep_alive_requests": 0}, mounts=[("/x", "scgi://h/")])
    client = gateway.client().send(GET * 2000 + GET[:-10])
    client.send(GET[-10:])
    assert [answer.status for answer in client.answers] == [404] * 2001


# -- several requests --------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order() -> None:
    """The second does not even start before the first is answered."""
    gateway = Gateway()
    client = gateway.client()
    client.send(
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo"
        b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert len(gateway.pool.ends) == 1
    gateway.advance(30)
    gateway.backend.answer(b"Content-Length: 1\r\n\r\n1")
    assert len(gateway.pool.ends) == 2
    assert gateway.backend.body == b"two"
    gateway.backend.answer(b"Content-Length: 1\r\n\r\n2")
    gateway.backend.answer(b"Content-Length: 1\r\n\r\n3")
    assert [answer.body for answer in client.answers] == [b"1", b"2", b"3"]
    assert [end.variables["REQUEST_URI"] for end in gateway.pool.ends] == ["/1", "/2", "/3"]
    client.leave()
    gateway.assert_idle()


def test_many_tiny_pipelined_requests_need_no_stack() -> None:
    """They wait behind a slow one, and are then answered in one go."""
    gateway = Gateway(mounts=[("/slow", "scgi://h/")], server={"max_keep_alive_requests": 0})
    client = gateway.client().send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(200):
        client.send(GET)
    gateway.backend.answer(OK)
    gateway.settle()
    assert [answer.status for answer in client.answers] == [200] + [404] * 200
    client.send(GET * 2000)
    assert len(client.answers) == 2201


def test_waiting_requests_are_bounded() -> None:
    """The connection ends behind the last that is taken; the rest never starts."""
    gateway = Gateway(mounts=[("/slow", "scgi://h/")], server={"max_keep_alive_requests": 0})
    client = gateway.client().send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + GET * 5000)
    gateway.backend.answer(OK)
    gateway.settle()
    answers = client.answers
    assert 100 < len(answers) < 1000
    assert answers[-1]["connection"] == "close"
    assert client.closed == "closed"


def test_bytes_ahead_are_bounded() -> None:
    """While a request waits, the connection is read only so far."""
    gateway = Gateway()
    client = gateway.client().send(GET)
    for _ in range(20):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 8000 + b"\r\n\r\n")
    assert client.paused
    answer_all(gateway)
    assert not client.paused
    assert len(client.answers) == 21


def test_client_that_pipelines_is_seen_leaving() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET + GET)
    assert not client.paused
    client.leave()
    assert gateway.backend.closed == "aborted"
    gateway.assert_idle()


def test_refusal_waits_for_its_turn() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET + b"BAD\r\n\r\n")
    assert client.received == b""
    gateway.backend.answer(OK)
    gateway.settle()
    assert [answer.status for answer in client.answers] == [200, 501]


@pytest.mark.parametrize("request_", [CLOSE, b"GET / HTTP/1.0\r\n\r\n"], ids=["1.1", "1.0"])
@pytest.mark.parametrize("together", [True, False])
def test_bytes_behind_the_last_request_are_dropped(request_: bytes, together: bool) -> None:
    gateway = Gateway()
    client = gateway.client().send(request_ + GET if together else request_)
    if not together:
        client.send(GET)
    gateway.backend.answer(OK)
    client.send(GET)
    gateway.settle()
    assert len(gateway.pool.ends) == 1
    assert one_answer(client)["connection"] == "close"
    assert client.closed == "closed"
    gateway.assert_idle()


@pytest.mark.parametrize("value", [b"close", b"Close", b"TE, close", b"close,TE"])
def test_close_is_found_in_a_list(value: bytes) -> None:
    gateway, client = feed(H + b"Connection: keep-alive\r\nConnection: " + value + b"\r\n\r\n")
    answer_all(gateway)
    assert client.closed == "closed"


def test_request_behind_an_answered_error_is_not_served() -> None:
    """An answer that closes is the last one, also when the next request came along with it."""
    gateway = Gateway()
    client = gateway.client().send(b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n" + GET + GET)
    gateway.settle()
    assert one_answer(client).status == 400
    assert not gateway.pool.ends


def test_max_keep_alive_requests() -> None:
    gateway = Gateway(server={"max_keep_alive_requests": 2})
    client = gateway.client().send(GET + GET + GET + GET)
    answer_all(gateway)
    assert [answer["connection"] for answer in client.answers] == [None, "close"]
    assert len(gateway.pool.ends) == 2
    gateway.assert_idle()


def test_keep_alive_off() -> None:
    gateway = Gateway(server={"keep_alive": False})
    client = gateway.client().send(GET + GET)
    answer_all(gateway)
    assert one_answer(client)["connection"] == "close"
    gateway.assert_idle()


def test_http10_is_kept_alive_if_it_asks() -> None:
    gateway = Gateway()
    client = gateway.client().send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    answer_all(gateway)
    assert one_answer(client)["connection"] == "keep-alive"
    assert client.closed is None
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    answer_all(gateway)
    assert client.closed == "closed"
    gateway.assert_idle()


def test_http10_without_a_length_ends_with_the_connection() -> None:
    gateway = Gateway()
    client = gateway.client().send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    gateway.backend.answer(b"Content-Type: a/b\r\n\r\nhello").close()
    gateway.settle()
    answer = one_answer(client)
    assert (answer["connection"], answer.body) == ("close", b"hello")
    assert client.closed == "closed"


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.data())
def test_pipelined_bodies_are_never_mixed(kinds: list[int], data: st.DataObject) -> None:
    """Any mixture of framings, cut anywhere: each backend sees its own body, in order."""
    stream = b""
    bodies = []
    for number, kind in enumerate(kinds):
        body = b"%d:" % number + b"GET / HTTP/1.1\r\n\r\n" * kind
        upgrade = b"Connection: upgrade\r\nUpgrade: h2c\r\n" if kind % 2 else b""
        if kind % 3 == 0:
            framing = b"Content-Length: %d\r\n\r\n" % len(body) + body
        elif kind % 3 == 1:
            framing = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            framing, body = b"\r\n", b""
        stream += P + upgrade + framing
        bodies.append(body)
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(stream)), max_size=30))), len(stream)]
    gateway = Gateway()
    client = gateway.client()
    for start, end in pairwise(cuts):
        client.send(stream[start:end])
        answer_all(gateway)
    answer_all(gateway)
    assert [end.body for end in gateway.pool.ends] == bodies
    assert [answer.status for answer in client.answers] == [200] * len(kinds)
    client.leave()
    gateway.assert_idle()


# -- deadlines ---------------------------------------------------------------------------------


def test_connection_that_says_nothing_is_closed_silently() -> None:
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client()
    gateway.advance(59)
    assert client.closed is None
    gateway.advance(2)
    assert (client.closed, client.received) == ("closed", b"")
    gateway.assert_idle()


def test_head_that_drips_is_refused_at_its_deadline() -> None:
    """Timeout is for the whole head: a byte now and then does not help."""
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client()
    gateway.advance(30)
    for byte in range(61):
        if client.received:
            break
        client.send(
            b"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"[byte : byte + 1]
        )
        gateway.advance(1)
    assert byte == 60
    assert one_answer(client).status == 408
    assert one_answer(client)["connection"] == "close"
    gateway.advance(10)
    gateway.assert_idle()


def test_idle_connection_is_closed_silently() -> None:
    gateway = Gateway(server={"keep_alive_timeout": 5.0})
    client, _ = gateway.exchange(GET, OK)
    client.take()
    gateway.advance(4)
    assert client.closed is None
    gateway.advance(2)
    assert (client.closed, client.received) == ("closed", b"")
    gateway.assert_idle()


def test_idle_time_begins_anew_with_each_answer() -> None:
    gateway = Gateway(server={"keep_alive_timeout": 5.0})
    client = gateway.client()
    for _ in range(5):
        gateway.advance(4)
        client.send(GET)
        gateway.backend.answer(OK)
    assert client.closed is None
    gateway.advance(6)
    assert client.closed == "closed"


def test_head_on_a_kept_connection_has_all_of_timeout() -> None:
    gateway = Gateway(server={"keep_alive_timeout": 5.0, "timeout": 60.0})
    client, _ = gateway.exchange(GET, OK)
    client.send(b"GET / HT")
    gateway.advance(30)
    client.send(b"TP/1.1\r\nHost: a\r\n\r\n")
    gateway.backend.answer(OK)
    assert len(client.answers) == 2


def test_head_begun_behind_a_slow_answer_has_all_of_timeout() -> None:
    gateway = Gateway(
        server={"keep_alive_timeout": 5.0, "timeout": 60.0}, backend={"timeout": 300.0}
    )
    client = gateway.client().send(GET + b"GET / HT")
    gateway.advance(100)
    gateway.backend.answer(OK)
    gateway.advance(30)
    client.send(b"TP/1.1\r\nHost: a\r\n\r\n")
    gateway.backend.answer(OK)
    assert len(client.answers) == 2


def test_body_that_stops_is_refused() -> None:
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client().send(P + b"Content-Length: 10\r\n\r\nhel")
    gateway.advance(50)
    client.send(b"l")
    gateway.advance(50)
    assert client.received == b""
    gateway.advance(15)
    assert one_answer(client).status == 408
    assert gateway.backend.closed == "aborted"
    gateway.advance(10)
    gateway.assert_idle()


def test_chunked_body_that_stops_is_refused() -> None:
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client().send(CHUNKED + b"5\r\nhel")
    gateway.advance(61)
    assert one_answer(client).status == 408
    assert not gateway.pool.ends
    gateway.advance(10)
    gateway.assert_idle()


def test_body_is_not_due_before_100_continue() -> None:
    """The client waits for us, however long the queue for a backend is."""
    gateway = Gateway(server={"timeout": 60.0})
    gateway.pool.hold = True
    client = gateway.client().send(P + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    gateway.advance(200)
    assert client.received == b""
    gateway.pool.connect(gateway.pool.held.pop())
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    gateway.advance(50)
    client.send(b"hello")
    gateway.backend.answer(OK)
    assert one_answer(client).status == 200


def test_body_that_does_not_come_after_100_continue_is_refused() -> None:
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client().send(P + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    gateway.advance(61)
    assert [answer.status for answer in client.answers] == [100, 408]


def test_waiting_body_that_is_not_read_does_not_time_out() -> None:
    """A pipelined upload that the gateway itself does not read has no deadline meanwhile."""
    gateway = Gateway(server={"timeout": 60.0}, backend={"timeout": 300.0})
    client = gateway.client().send(GET + P + b"Content-Length: 100000\r\n\r\n" + b"x" * 70000)
    assert client.paused
    gateway.advance(200)
    gateway.backend.answer(OK)
    gateway.settle()
    client.send(b"x" * 30000)
    gateway.backend.answer(OK)
    assert [answer.status for answer in client.answers] == [200, 200]


def test_waiting_for_the_backend_is_not_the_clients_deadline() -> None:
    gateway = Gateway(server={"timeout": 10.0}, backend={"timeout": 300.0})
    client = gateway.client().send(GET)
    gateway.advance(200)
    gateway.backend.answer(OK)
    assert one_answer(client).status == 200


def test_client_that_does_not_read_is_aborted() -> None:
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client().send(GET)
    backend = gateway.backend.answer(b"Content-Type: a/b\r\n\r\nhello")
    client.transport.block()
    assert backend.paused
    gateway.advance(59)
    assert client.closed is None
    gateway.advance(2)
    assert client.closed == "aborted"
    assert backend.closed == "aborted"
    gateway.assert_idle()


def test_client_that_reads_slowly_is_not_aborted() -> None:
    """Neither within an answer nor at its end, when what is left waits in the buffer."""
    gateway = Gateway(server={"timeout": 60.0, "keep_alive_timeout": 5.0})
    client = gateway.client().send(GET)
    backend = gateway.backend.answer(b"Content-Type: a/b\r\n\r\nhello")
    for _ in range(5):
        client.transport.block()
        gateway.advance(50)
        client.transport.unblock()
        backend.answer(b"hello")
    client.transport.block()
    backend.close()
    gateway.advance(50)
    assert client.closed is None
    client.transport.unblock()
    gateway.advance(4)
    assert client.closed is None
    gateway.advance(2)
    assert client.closed == "closed"
    assert one_answer(client).whole
    gateway.assert_idle()


def test_client_that_never_reads_the_end_is_aborted() -> None:
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client().send(CLOSE)
    client.transport.block()
    gateway.backend.answer(OK)
    gateway.settle()
    assert client.closed is None
    gateway.advance(61)
    assert client.closed == "aborted"
    gateway.assert_idle()


# -- closing -----------------------------------------------------------------------------------


def test_client_that_is_still_sending_gets_to_read_its_answer() -> None:
    """Lingering close: half-closed, read and dropped, then closed in order."""
    gateway = Gateway(limit_request_body=100)
    client = gateway.client().send(P + b"Content-Length: 1000000\r\n\r\n" + b"x" * 50)
    assert one_answer(client).status == 413
    assert client.half_closed
    assert client.closed is None
    for _ in range(10):
        client.send(b"x" * 10000)
        gateway.advance(1)
    assert client.closed is None
    gateway.advance(3)
    assert client.closed == "closed"
    assert len(client.answers) == 1
    gateway.assert_idle()


def test_lingering_has_an_end() -> None:
    gateway = Gateway(limit_request_body=100)
    client = gateway.client().send(P + b"Content-Length: 1000000000\r\n\r\n")
    for _ in range(40):
        client.send(b"x" * 10000)
        gateway.advance(1)
    assert client.closed == "closed"
    gateway.assert_idle()


def test_lingering_waits_for_the_answer_to_leave() -> None:
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client().send(P + b"Content-Length: 1000000\r\n\r\n" + b"x" * 50)
    backend = gateway.backend.answer(b"Content-Type: a/b\r\n\r\nhello")
    client.transport.block()
    backend.close()
    gateway.advance(30)
    assert client.closed is None
    assert not client.half_closed
    client.transport.unblock()
    assert client.half_closed
    gateway.advance(3)
    assert client.closed == "closed"
    assert one_answer(client).body == b"hello"
    gateway.assert_idle()


def test_lingering_ends_when_the_client_has_read() -> None:
    gateway = Gateway(limit_request_body=100)
    client = gateway.client().send(P + b"Content-Length: 1000000\r\n\r\n")
    client.leave()
    gateway.assert_idle()


def test_transport_without_half_close_is_closed() -> None:
    gateway = Gateway(limit_request_body=100)
    client = gateway.client(transport=MemoryTransport)
    client.send(P + b"Content-Length: 1000000\r\n\r\n" + b"x" * 50)
    assert one_answer(client).status == 413
    assert client.closed == "closed"
    gateway.assert_idle()


def test_upload_left_paused_is_read_while_lingering() -> None:
    gateway = Gateway()
    client = gateway.client().send(P + b"Content-Length: 1000000\r\n\r\n")
    gateway.backend.transport.block()
    client.send(b"x" * 70000)
    assert client.paused
    gateway.backend.answer(OK)
    gateway.settle()
    assert not client.paused
    client.send(b"x" * 70000)
    assert one_answer(client).body == b"hello"
    gateway.advance(5)
    gateway.assert_idle()


def test_shut_down_closes_an_idle_connection() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.channel.shut_down()
    assert client.closed == "closed"
    gateway.assert_idle()


def test_shut_down_lets_the_running_answer_end() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET + GET)
    client.channel.shut_down()
    gateway.backend.answer(OK)
    gateway.settle()
    assert one_answer(client)["connection"] == "close"
    assert client.closed == "closed"
    gateway.assert_idle()


def test_tcp_delay_is_off() -> None:
    """A chunk is to leave at once."""
    calls = []

    class Recorded(MemoryTransport):
        def setTcpNoDelay(self, enabled: bool) -> None:
            calls.append(enabled)

    Gateway().client(transport=Recorded)
    assert calls == [True]


def test_error_in_a_callback_ends_the_connection_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, logged_errors: Any
) -> None:
    """A defect of ours must not leave a client waiting."""
    gateway = Gateway()
    monkeypatch.setattr(gateway.site, "make_request", lambda *args: 1 / 0)
    client = gateway.client().send(GET)
    assert client.closed == "aborted"
    gateway.assert_idle()
    (event,) = logged_errors.flush()
    assert event["log_failure"].check(ZeroDivisionError)


def test_error_while_serving_is_a_page(monkeypatch: pytest.MonkeyPatch, logged_errors: Any) -> None:
    gateway = Gateway()
    monkeypatch.setattr(gateway.host, "serve", lambda request: 1 / 0)
    client = gateway.client().send(GET)
    assert one_answer(client).status == 500
    assert len(logged_errors.flush()) == 1
    client.leave()
    gateway.assert_idle()


def test_parse_answers_is_strict() -> None:
    """The harness's own reading of answers can fail."""
    with pytest.raises(AssertionError):
        parse_answers(b"HTTP/1.1 200 OK\r\n\r\n")
    cut = parse_answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
    assert not cut[0].whole
