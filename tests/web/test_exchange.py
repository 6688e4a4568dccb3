"""One request with one backend: uploads, downloads, and who leaves when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import BackendError
from tests.web.harness import Answer, Client, Gateway, Log

OK = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
STREAM = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n"
GET = b"GET /a/b?x=1 HTTP/1.1\r\nHost: example.com\r\nCookie: a=1\r\nX-A: 1\r\nCookie: b=2\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def one(client: Client) -> Answer:
    (answer,) = client.answers
    return answer


def finish(gateway: Gateway, *clients: Client) -> None:
    """Everybody goes; nothing may be left."""
    for client in clients:
        client.leave()
    gateway.advance(8)
    gateway.assert_idle()


# -- downloads ---------------------------------------------------------------------------------


def test_get_is_relayed() -> None:
    gateway = Gateway()
    client, backend = gateway.exchange(GET, OK)
    answer = one(client)
    assert (answer.status, answer.reason, answer.body) == (200, "OK", b"hello")
    assert answer["content-type"] == "text/plain"
    assert answer["content-length"] == "5"
    assert answer["server"] == "scgiproxy"
    assert answer["date"] == "Sun, 09 Sep 2001 01:46:40 GMT"
    assert answer["connection"] is None
    variables = backend.variables
    assert list(variables)[:2] == ["CONTENT_LENGTH", "SCGI"]
    assert variables["CONTENT_LENGTH"] == "0"
    assert variables["SCRIPT_NAME"] == "/a/b"
    assert variables["QUERY_STRING"] == "x=1"
    assert variables["HTTP_COOKIE"] == "a=1; b=2"
    dispatch = gateway.pool.dispatches[0]
    assert dispatch.ends == ["released"]
    assert dispatch.has_answered
    assert dispatch.sent == len(backend.transport.value())
    assert dispatch.received == len(OK)
    assert backend.closed == "closed"
    finish(gateway, client)


def test_backend_may_name_itself_and_the_date() -> None:
    answer = b"Server: me\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n"
    client, _ = Gateway().exchange(GET, answer)
    assert one(client)["server"] == "me"
    assert one(client)["date"] == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_keep_alive_serves_the_next_request() -> None:
    gateway = Gateway()
    client, _ = gateway.exchange(GET, OK)
    client.send(GET)
    gateway.backend.answer(OK)
    assert [answer.body for answer in client.answers] == [b"hello"] * 2
    assert len(gateway.pool.ends) == 2
    finish(gateway, client)


def test_first_byte_goes_on_at_once() -> None:
    """Server-sent events work: each piece leaves when it comes, and the head before any."""
    gateway = Gateway()
    client = gateway.client().send(GET)
    gateway.backend.answer(STREAM)
    assert client.take().endswith(b"Transfer-Encoding: chunked\r\n\r\n")
    gateway.backend.answer(b"data: 1\n\n")
    assert client.take() == b"9\r\ndata: 1\n\n\r\n"
    gateway.backend.answer(b"data: 2\n\n")
    assert client.take() == b"9\r\ndata: 2\n\n\r\n"
    gateway.backend.close()
    assert client.take() == b"0\r\n\r\n"
    assert client.closed is None
    finish(gateway, client)


def test_head_and_first_bytes_leave_together() -> None:
    gateway = Gateway()
    client = gateway.client()
    writes: list[bytes] = []
    client.transport.write = writes.append  # type: ignore[method-assign]
    client.send(GET)
    gateway.backend.answer(OK)
    assert len(writes) == 1


def test_unknown_length_to_an_old_client_ends_with_the_connection() -> None:
    gateway = Gateway()
    client, _ = gateway.exchange(OLD, STREAM, b"hello")
    answer = one(client)
    assert (answer["connection"], answer.body) == ("close", b"hello")
    assert client.closed == "closed"
    gateway.assert_idle()


@pytest.mark.parametrize("close", [True, False])
def test_more_than_the_length_is_cut(close: bool) -> None:
    """A backend that never closes holds nothing up, and the next answer is in step."""
    gateway = Gateway()
    client, _ = gateway.exchange(GET, OK + b"more", b"and more", close=close)
    assert client.closed is None
    client.send(GET)
    gateway.backend.answer(OK)
    assert [answer.body for answer in client.answers] == [b"hello"] * 2
    finish(gateway, client)


@pytest.mark.parametrize("request_", [GET, OLD], ids=["1.1", "1.0"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_less_than_the_length_is_an_abort(how: str, request_: bytes) -> None:
    gateway = Gateway()
    client = gateway.client().send(request_)
    gateway.backend.answer(OK[:-2])
    with Log() as log:
        getattr(gateway.backend, how)()
    assert client.closed == "aborted"
    assert not one(client).whole
    assert "backend.truncated" in log.line()
    assert gateway.pool.dispatches[0].ends == ["faulted"]
    gateway.assert_idle()


def test_reset_without_a_length_is_an_abort() -> None:
    """Bytes so far, no last chunk, and an end that is no end."""
    gateway = Gateway()
    client = gateway.client().send(GET)
    gateway.backend.answer(STREAM + b"hel").reset()
    assert client.closed == "aborted"
    answer = one(client)
    assert (answer.body, answer.whole) == (b"hel", False)
    gateway.assert_idle()


def test_body_that_stops_is_an_abort() -> None:
    gateway = Gateway(backend={"timeout": 10.0})
    client = gateway.client().send(GET)
    gateway.backend.answer(STREAM + b"hel")
    with Log() as log:
        gateway.advance(11)
    assert client.closed == "aborted"
    assert "backend.body_timeout" in log.line()
    gateway.assert_idle()


def test_abort_does_not_serve_what_waits() -> None:
    gateway = Gateway()
    gateway.client().send(GET + GET)
    gateway.backend.answer(STREAM + b"hel").reset()
    gateway.settle()
    assert len(gateway.pool.ends) == 1
    gateway.assert_idle()


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"Status: 204 No Content\r\n", None),
        (b'Status: 304 Not Modified\r\nETag: "x"\r\n', None),
        (b"Status: 204 No Content\r\nContent-Length: 5\r\n", None),
        (b"Status: 304 Not Modified\r\nContent-Length: 5\r\n", None),
    ],
)
def test_status_without_a_body(head: bytes, length: str | None) -> None:
    gateway = Gateway()
    client, _ = gateway.exchange(GET, head + b"\r\nhello")
    client.send(GET)
    gateway.backend.answer(OK)
    first, second = client.answers
    assert (first.body, first["content-length"], first["transfer-encoding"]) == (b"", length, None)
    assert second.body == b"hello"
    finish(gateway, client)


@pytest.mark.parametrize("length", [b"Content-Length: 5\r\n", b""])
@pytest.mark.parametrize("body", [b"hello", b""])
def test_head_has_no_body(length: bytes, body: bytes) -> None:
    gateway = Gateway()
    client = gateway.client().send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert gateway.backend.variables["REQUEST_METHOD"] == "HEAD"
    gateway.backend.answer(b"Status: 200 OK\r\n" + length + b"\r\n" + body)
    gateway.settle()
    head, _, rest = client.take().partition(b"\r\n\r\n")
    assert rest == b""
    assert (b"Content-Length: 5" in head) is bool(length)
    assert b"chunked" not in head
    assert client.closed is None
    finish(gateway, client)


def test_download_has_backpressure() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    backend = gateway.backend.answer(STREAM + b"hel")
    client.transport.block()
    assert backend.paused
    client.transport.unblock()
    assert not backend.paused
    backend.answer(b"lo").close()
    assert one(client).body == b"hello"
    finish(gateway, client)


def test_client_that_is_full_already_pauses_the_backend_from_its_head_on() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    client.transport.block()
    backend = gateway.backend.answer(STREAM)
    assert backend.paused
    client.transport.unblock()
    assert not backend.paused
    finish(gateway, client)


def test_answer_that_ends_while_the_client_does_not_read() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    client.transport.block()
    gateway.backend.answer(OK)
    assert gateway.backend.closed == "closed"
    client.transport.unblock()
    client.send(GET)
    backend = gateway.backend.answer(STREAM)
    assert not backend.paused
    finish(gateway, client)


MALFORMED_HEADS = {
    "no colon": b"nonsense\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "two equal lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "signed length": b"Content-Length: +5\r\n\r\nhello",
    "negative length": b"Content-Length: -5\r\n\r\nhello",
    "list of lengths": b"Content-Length: 5,5\r\n\r\nhello",
    "no number": b"Content-Length: foo\r\n\r\nhello",
    "huge length": b"Content-Length: " + b"9" * 30 + b"\r\n\r\nhello",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "both": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    "CR in a value": b"X: a\rSet-Cookie: b\r\n\r\n",
    "NUL in a value": b"X: a\0b\r\n\r\n",
    "CR in the reason": b"Status: 200 OK\rX: y\r\n\r\n",
    "status 100": b"Status: 100 Continue\r\n\r\n",
    "status 000": b"Status: 000 x\r\n\r\n",
    "status 999": b"Status: 999 x\r\n\r\n",
    "status abc": b"Status: abc\r\n\r\n",
    "bad name": b"X Y: z\r\n\r\n",
    "folded": b"X: a\r\n b\r\n\r\n",
    "status line cut": b"HTTP/1.1 2\r\nX: y\r\n\r\n",
    "long": b"X: " + b"a" * 70000 + b"\r\n\r\n",
    "many": b"X: a\r\n" * 201 + b"\r\n",
}


@pytest.mark.parametrize("name", MALFORMED_HEADS)
def test_malformed_head_is_502(name: str) -> None:
    """A page, a line in the log that tells what came, and the connection goes on."""
    gateway = Gateway()
    client = gateway.client().send(GET)
    with Log() as log:
        gateway.backend.answer(MALFORMED_HEADS[name])
        gateway.settle()
    answer = one(client)
    assert (answer.status, answer.reason) == (502, "Bad Gateway")
    assert MALFORMED_HEADS[name][:20] not in answer.body
    assert gateway.backend.closed == "aborted"
    assert gateway.pool.dispatches[0].ends == ["faulted"]
    line = log.line()
    assert "backend.bad_response" in line
    assert f"received={len(MALFORMED_HEADS[name])}" in line
    assert repr(MALFORMED_HEADS[name][:80]) in line
    assert client.closed is None
    finish(gateway, client)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("data", [b"", b"Status: 200 OK\r\n"])
def test_no_whole_head_is_502(data: bytes, how: str) -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    gateway.backend.answer(data)
    getattr(gateway.backend, how)()
    assert one(client).status == 502
    finish(gateway, client)


def test_no_head_in_time_is_504() -> None:
    gateway = Gateway(backend={"timeout": 10.0})
    client = gateway.client().send(GET)
    with Log() as log:
        gateway.advance(11)
    assert one(client).status == 504
    line = log.line()
    for part in (
        "backend.head_timeout",
        "phase=head",
        "backend=scgi://127.0.0.1",
        f"sent={len(gateway.backend.transport.value())}",
        "received=0",
        "elapsed=11.000 s",
        "first=b''",
        "192.0.2.7:50000 GET /a/b?x=1",
    ):
        assert part in line, line
    finish(gateway, client)


def test_no_backend_is_503() -> None:
    gateway = Gateway()
    gateway.pool.refuse = True
    with Log() as log:
        client = gateway.client().send(GET)
    assert one(client).status == 503
    line = log.line()
    assert "backend.unavailable" in line
    assert "phase=connect" in line
    assert gateway.pool.dispatches[0].ends == []
    assert client.closed is None


def test_no_backend_for_an_upload_is_503_without_100() -> None:
    gateway = Gateway()
    gateway.pool.refuse = True
    client = gateway.client().send(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert one(client).status == 503
    assert one(client)["connection"] == "close"


def test_header_block_over_its_limit_is_431() -> None:
    gateway = Gateway(backend={"max_header": 300})
    client = gateway.client().send(GET[:-2] + b"X: " + b"a" * 300 + b"\r\n\r\n")
    assert one(client).status == 431
    assert not gateway.pool.ends


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1), st.booleans())
def test_any_bytes_of_a_backend_are_an_answer_or_a_502(pieces: list[bytes], close: bool) -> None:
    """Whatever it says, the client sees whole answers or an abort, and nothing is left over."""
    gateway = Gateway(backend={"timeout": 10.0})
    client = gateway.client().send(GET)
    backend = gateway.backend
    for piece in pieces:
        backend.answer(piece)
    if close:
        backend.close()
    gateway.advance(12)
    assert client.answers
    assert client.closed == "aborted" or all(answer.whole for answer in client.answers)
    finish(gateway, client)


# -- headers of an answer ----------------------------------------------------------------------


def test_hop_by_hop_headers_end_here() -> None:
    fields = (
        b"Connection: close, X-Private\r\nKeep-Alive: timeout=5\r\nX-Private: a\r\nTE: x\r\n"
        b"Trailer: X\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\nProxy-Connection: close\r\n"
        b"X-Public: b\r\n"
    )
    gateway = Gateway()
    client, _ = gateway.exchange(GET, fields + b"Content-Length: 5\r\n\r\nhello")
    answer = one(client)
    assert set(answer.headers) == {"x-public", "content-length", "server", "date"}
    assert client.closed is None
    finish(gateway, client)


@pytest.mark.parametrize(
    ("mode", "field"),
    [
        *((mode, b"X-Sendfile") for mode in (None, b"x-sendfile", b"x-other")),
        *((None, name) for name in (b"x-sendfile", b"X-SENDFILE")),
        (b"x-other", b"X-Other"),
    ],
)
@pytest.mark.parametrize("location", [b"", b"Location: /elsewhere\r\n", b"Location: http://x/\r\n"])
def test_sendfile_header_never_reaches_a_client(
    field: bytes, mode: bytes | None, location: bytes
) -> None:
    gateway = Gateway(sendfile=mode)
    client, _ = gateway.exchange(GET, location + field + b": /etc/passwd\r\n\r\n")
    if len(gateway.pool.ends) > 1:
        gateway.backend.answer(OK)
    assert b"passwd" not in client.received
    assert field.lower() not in client.received.lower()
    finish(gateway, client)


def test_sendfile_header_does_not_leak_through_a_304() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET[:-2] + b'If-None-Match: "x"\r\n\r\n')
    gateway.backend.answer(b'ETag: "x"\r\nX-Sendfile: /etc/passwd\r\nLocation: /secret\r\n\r\n')
    gateway.backend.answer(b'ETag: "x"\r\n\r\n')
    gateway.settle()
    assert b"passwd" not in client.received
    assert b"secret" not in client.received
    finish(gateway, client)


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize(
    ("condition", "answer", "status"),
    [
        (b'If-None-Match: "x"', b'ETag: "x"\r\n', 304),
        (b'If-None-Match: "y", W/"x"', b'ETag: "x"\r\n', 304),
        (b"If-None-Match: *", b"", 304),
        (b'If-None-Match: "y"', b'ETag: "x"\r\n', 200),
        (
            b"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            b"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            304,
        ),
        (
            b"If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
            b"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            200,
        ),
        (b'If-Match: "x"', b"", 412),
        (b'If-Match: "x"', b'ETag: "y"\r\n', 412),
        (b'If-Match: "x"', b'ETag: "x"\r\n', 200),
        (
            b"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
            b"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            412,
        ),
        (b'If-None-Match: "x"', b'Status: 200 OK\r\nETag: "x"\r\n', 200),
        (b"If-None-Match: *", b"Location: http://elsewhere/\r\n", 302),
    ],
)
def test_conditions_are_judged_for_a_backend_that_says_no_status(
    condition: bytes, answer: bytes, status: int, method: bytes
) -> None:
    gateway = Gateway()
    client = gateway.client().send(method + b" / HTTP/1.1\r\nHost: a\r\n" + condition + b"\r\n\r\n")
    gateway.backend.answer(answer + b"Set-Cookie: a=b\r\nContent-Length: 5\r\n\r\nhello")
    gateway.settle()
    head = client.received.partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 %d " % status)
    if status == 304:
        assert client.received.endswith(b"\r\n\r\n")
        assert b"Set-Cookie: a=b" in head
        assert b"Content-Length" not in head
    assert gateway.pool.dispatches[0].ends == ["released"]
    assert client.closed is None
    finish(gateway, client)


def test_conditions_of_a_post_are_the_backends_affair() -> None:
    gateway = Gateway()
    client = gateway.client().send(POST + b'If-Match: "x"\r\nContent-Length: 0\r\n\r\n')
    gateway.backend.answer(b"Content-Length: 5\r\n\r\nhello")
    assert one(client).status == 200


def test_error_override() -> None:
    """The gateway's page in place of the backend's; the challenge stays."""
    gateway = Gateway(error_override=frozenset((401, 404)))
    client = gateway.client().send(GET)
    gateway.backend.answer(
        b"Status: 401 No\r\nWWW-Authenticate: Basic\r\nWWW-Authenticate: X\r\nX-A: b\r\n\r\nsecret"
    )
    gateway.settle()
    answer = one(client)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == ["Basic", "X"]
    assert b"secret" not in answer.body
    assert answer["x-a"] is None
    assert gateway.pool.dispatches[0].ends == ["released"]
    client.send(GET)
    gateway.backend.answer(b"Status: 403 No\r\nContent-Length: 5\r\n\r\nhello")
    assert client.answers[1].body == b"hello"
    finish(gateway, client)


# -- uploads -----------------------------------------------------------------------------------


def upload(length: int = 10, *headers: bytes) -> bytes:
    return (
        POST
        + b"".join(header + b"\r\n" for header in headers)
        + b"Content-Length: %d\r\n\r\n" % length
    )


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def test_upload_with_a_length_is_streamed() -> None:
    """The backend sees the head before any byte of the body, and then each piece as it comes."""
    gateway = Gateway()
    client = gateway.client().send(upload())
    backend = gateway.backend
    assert backend.variables["CONTENT_LENGTH"] == "10"
    assert backend.body == b""
    client.send(b"hello")
    assert backend.body == b"hello"
    client.send(b"world")
    assert backend.body == b"helloworld"
    backend.answer(OK)
    assert one(client).body == b"hello"
    assert one(client)["connection"] is None
    finish(gateway, client)


def test_first_bytes_of_an_upload_go_out_with_the_head() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload() + b"hello")
    assert gateway.backend.body == b"hello"
    finish(gateway, client)


def test_upload_has_backpressure() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload(1 << 30))
    gateway.backend.transport.block()
    assert client.paused
    gateway.backend.transport.unblock()
    assert not client.paused
    finish(gateway, client)


def test_upload_into_a_queue_is_bounded() -> None:
    """While no backend is free, no more than a piece is held."""
    gateway = Gateway()
    gateway.pool.hold = True
    client = gateway.client().send(upload(1 << 30))
    for _ in range(10):
        client.send(b"x" * 65536)
    assert client.paused
    assert len(client.transport.incoming) == 9
    gateway.pool.connect(gateway.pool.held.pop())
    gateway.settle()
    assert not client.paused
    assert len(gateway.backend.body) == 655360
    finish(gateway, client)


def test_large_upload_to_a_slow_backend_holds_little() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload(1 << 30))
    backend = gateway.backend
    backend.transport.block()
    client.send(b"x" * 1000)
    for _ in range(100):
        backend.transport.unblock()
        gateway.settle()
        backend.transport.block()
        client.send(b"x" * 65536)
        assert len(client.transport.incoming) == 1
        backend.transport.clear()
    finish(gateway, client)


@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_chunked_upload_has_its_true_length(size: int) -> None:
    """From memory and from disk."""
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    gateway = Gateway()
    client = gateway.client().send(CHUNKED)
    for start in range(0, size, 50_000):
        piece = body[start : start + 50_000]
        client.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
    assert not gateway.pool.ends
    client.send(b"0\r\n\r\n")
    while gateway.backend.transport.producer is not None:
        gateway.backend.transport.producer.resumeProducing()
    variables = gateway.backend.variables
    assert variables["CONTENT_LENGTH"] == str(size)
    assert "HTTP_TRANSFER_ENCODING" not in variables
    assert gateway.backend.body == body
    gateway.backend.answer(OK)
    assert one(client).body == b"hello"
    finish(gateway, client)


def test_spooled_upload_has_backpressure_to_its_backend() -> None:
    gateway = Gateway()
    client = gateway.client().send(CHUNKED + b"%x\r\n" % 300_000)
    client.send(b"x" * 300_000)
    gateway.pool.hold = True
    client.send(b"\r\n0\r\n\r\n")
    call = gateway.pool.held.pop()
    gateway.pool.connect(call)
    gateway.backend.transport.block()
    assert not client.paused
    gateway.backend.transport.unblock()
    finish(gateway, client)


EXPECT = b"Expect: 100-continue"


def test_100_continue_comes_when_the_backend_is_there() -> None:
    gateway = Gateway()
    gateway.pool.hold = True
    client = gateway.client().send(upload(5, EXPECT))
    assert client.received == b""
    gateway.pool.connect(gateway.pool.held.pop())
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"hello")
    gateway.backend.answer(OK)
    assert client.answers[0].status == 200
    assert "HTTP_EXPECT" not in gateway.backend.variables
    finish(gateway, client)


def test_100_continue_for_a_chunked_upload_comes_at_once() -> None:
    gateway = Gateway()
    gateway.pool.hold = True
    client = gateway.client().send(POST + EXPECT + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"5\r\nhello\r\n0\r\n\r\n")
    gateway.pool.connect(gateway.pool.held.pop())
    gateway.backend.answer(OK)
    assert one(client).status == 200
    finish(gateway, client)


def test_100_continue_is_not_for_old_clients_and_not_without_a_body() -> None:
    gateway = Gateway()
    client = gateway.client().send(
        b"POST / HTTP/1.0\r\n" + EXPECT + b"\r\nContent-Length: 5\r\n\r\n"
    )
    client2 = gateway.client().send(GET[:-2] + EXPECT + b"\r\n\r\n")
    assert client.received == client2.received == b""
    finish(gateway, client, client2)


def test_100_continue_is_not_sent_after_all_has_come() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload(5, EXPECT) + b"hello")
    gateway.backend.answer(OK)
    assert client.answers[-1].status == 200


def test_100_continue_is_never_sent_after_the_answer() -> None:
    gateway = Gateway(limit_request_body=4)
    client = gateway.client().send(upload(5, EXPECT))
    assert one(client).status == 413
    assert not gateway.pool.ends
    gateway = Gateway()
    gateway.pool.hold = True
    client = gateway.client().send(upload(5, EXPECT))
    gateway.pool.held.pop().dispatch_failed(BackendError("no"))
    assert one(client).status == 502


def test_body_over_its_limit_is_413() -> None:
    gateway = Gateway(limit_request_body=5)
    client = gateway.client().send(upload(6))
    assert one(client).status == 413
    assert one(client)["connection"] == "close"
    assert not gateway.pool.dispatches
    client = gateway.client().send(upload(5) + b"hello")
    gateway.backend.answer(OK)
    assert one(client).status == 200


def test_chunked_body_over_its_limit_is_413() -> None:
    gateway = Gateway(limit_request_body=5)
    client = gateway.client().send(CHUNKED + b"5\r\nhello\r\n")
    assert client.received == b""
    client.send(b"1\r\nx")
    assert one(client).status == 413
    assert one(client)["connection"] == "close"
    assert client.half_closed
    client.send(b"\r\n0\r\n\r\n" + GET)
    assert not gateway.pool.dispatches
    assert len(client.answers) == 1
    finish(gateway, client)


def test_chunked_body_at_its_limit_is_served() -> None:
    gateway = Gateway(limit_request_body=5)
    client = gateway.client().send(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")
    gateway.backend.answer(OK)
    assert one(client).status == 200


def test_chunks_over_the_limit_in_one_piece_with_an_expectation() -> None:
    """Refused at once: no 100 either."""
    gateway = Gateway(limit_request_body=5)
    client = gateway.client().send(
        POST + EXPECT + b"\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n\r\n"
    )
    assert client.answers[-1].status == 413


def test_no_limit() -> None:
    gateway = Gateway(limit_request_body=0)
    client = gateway.client().send(upload(1 << 40))
    assert gateway.backend.variables["CONTENT_LENGTH"] == str(1 << 40)
    finish(gateway, client)


def test_early_answer_wins() -> None:
    """The backend has decided; what is still coming is read and dropped, never parsed."""
    gateway = Gateway()
    client = gateway.client().send(upload(1000) + b"x" * 10)
    gateway.backend.answer(OK)
    gateway.settle()
    client.send(GET * 5)
    answer = one(client)
    assert (answer.body, answer["connection"]) == (b"hello", "close")
    assert len(gateway.pool.ends) == 1
    assert gateway.backend.closed == "aborted"
    assert gateway.pool.dispatches[0].ends == ["released"]
    finish(gateway, client)


def test_answer_that_begins_early_goes_on_beside_the_upload() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload(10) + b"hello")
    backend = gateway.backend.answer(STREAM + b"HELLO")
    client.send(b"world")
    assert backend.body == b"helloworld"
    backend.answer(b"WORLD").close()
    gateway.settle()
    answer = one(client)
    assert (answer.body, answer.whole) == (b"HELLOWORLD", True)
    finish(gateway, client)


def test_early_answer_wins_over_a_write_error() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload(1000) + b"x" * 10)
    gateway.backend.protocol.write_failed()
    client.send(b"x" * 10)
    gateway.backend.answer(b"Status: 413 Too big\r\n\r\ntoo big").reset()
    gateway.settle()
    assert (one(client).status, one(client).body) == (413, b"too big")
    finish(gateway, client)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_backend_that_leaves_in_an_upload_without_an_answer_is_502(how: str) -> None:
    gateway = Gateway()
    client = gateway.client().send(upload(1000) + b"x" * 10)
    with Log() as log:
        getattr(gateway.backend, how)()
    assert one(client).status == 502
    assert "backend.send" in log.line()
    assert "phase=send" in log.line()
    finish(gateway, client)


def test_malformed_chunk_is_refused_while_it_is_spooled() -> None:
    gateway = Gateway()
    client = gateway.client().send(CHUNKED + b"5\r\nhello\r\nxyz\r\n")
    assert one(client).status == 400
    assert one(client)["connection"] == "close"
    assert not gateway.pool.ends
    finish(gateway, client)


def test_spool_that_fails_is_500(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the others are served."""
    gateway = Gateway()

    def full(*args: object, **kw: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    client = gateway.client().send(CHUNKED + b"%x\r\n" % 300_000)
    with Log() as log:
        client.send(b"x" * 300_000)
    assert one(client).status == 500
    assert "No space left" in log.line()
    other = gateway.client().send(GET)
    gateway.backend.answer(OK)
    assert one(other).status == 200
    finish(gateway, client, other)


# -- the client leaves -------------------------------------------------------------------------


def left(gateway: Gateway, client: Client, end: list[str]) -> None:
    """After the client left: everything is freed in that turn, and nobody calls it an error."""
    with Log() as log:
        client.leave()
    assert [dispatch.ends for dispatch in gateway.pool.dispatches] == ([end] if end else [])
    assert all(backend.closed == "aborted" for backend in gateway.pool.ends)
    assert not log.events
    gateway.assert_idle()


def test_client_leaves_while_spooling() -> None:
    gateway = Gateway()
    left(gateway, gateway.client().send(CHUNKED + b"5\r\nhello"), [])


def test_client_leaves_while_queued() -> None:
    gateway = Gateway()
    gateway.pool.hold = True
    left(gateway, gateway.client().send(GET), ["cancelled"])


def test_client_leaves_while_queued_with_a_spool() -> None:
    gateway = Gateway()
    gateway.pool.hold = True
    client = gateway.client().send(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")
    file = gateway.pool.held[0]._body._file
    left(gateway, client, ["cancelled"])
    assert file.closed


def test_client_leaves_while_uploading() -> None:
    gateway = Gateway()
    left(gateway, gateway.client().send(upload() + b"hello"), ["cancelled"])


def test_client_leaves_while_a_spool_is_sent() -> None:
    gateway = Gateway()
    gateway.pool.hold = True
    client = gateway.client().send(CHUNKED + b"%x\r\n" % 300_000)
    client.send(b"x" * 300_000 + b"\r\n0\r\n\r\n")
    call = gateway.pool.held.pop()
    file = call._body._file
    gateway.pool.connect(call)
    left(gateway, client, ["cancelled"])
    assert file.closed


def test_client_leaves_while_its_upload_is_paused() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload() + b"hello")
    gateway.backend.transport.block()
    left(gateway, client, ["cancelled"])


def test_client_leaves_while_waiting() -> None:
    gateway = Gateway()
    left(gateway, gateway.client().send(GET), ["cancelled"])


def test_client_leaves_while_downloading() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    gateway.backend.answer(STREAM + b"hel")
    left(gateway, client, ["cancelled"])


def test_client_leaves_while_it_does_not_read() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    gateway.backend.answer(STREAM + b"hel")
    client.transport.block()
    left(gateway, client, ["cancelled"])


def test_client_that_has_sent_all_is_seen_leaving_though_the_backend_does_not_read() -> None:
    """The last bytes pause the upload; the connection is read all the same."""
    gateway = Gateway()
    client = gateway.client().send(upload(10))
    gateway.backend.transport.block()
    assert client.paused
    gateway.backend.transport.unblock()
    gateway.settle()

    def full_at_once(data: bytes) -> None:
        gateway.backend.transport.block()

    gateway.backend.transport.write = full_at_once  # type: ignore[method-assign]
    client.send(b"helloworld")
    assert not client.paused
    left(gateway, client, ["cancelled"])


def test_repr_tells_the_state() -> None:
    gateway = Gateway()
    gateway.pool.hold = True
    gateway.client().send(upload())
    assert "upload=ready download=waiting" in repr(gateway.pool.held[0])


# -- a balancer --------------------------------------------------------------------------------


def test_member_of_a_balancer_has_its_variables() -> None:
    gateway = Gateway()
    gateway.pool.backend.member = True
    client = gateway.client().send(GET)
    assert gateway.backend.variables["BALANCER_NAME"] == "balancer://c"
    finish(gateway, client)
