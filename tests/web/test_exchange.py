"""An exchange: the answer of a backend, on its way to the client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.answers import Log
from tests.web.harness import OK, POST, STREAM, Gateway

GET = b"GET /a/b?x=1 HTTP/1.1\r\nHost: example.com\r\nCookie: a=1\r\nX-A: 1\r\nCookie: b=2\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"


def test_get_is_relayed() -> None:
    gateway = Gateway()
    client, backend = gateway.exchange(GET, OK)
    answer = client.answer
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
    gateway.finish(client)


def test_backend_may_name_itself_and_the_date() -> None:
    answer = b"Server: me\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n"
    client, _ = Gateway().exchange(GET, answer)
    assert client.answer["server"] == "me"
    assert client.answer["date"] == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_keep_alive_serves_the_next_request() -> None:
    gateway = Gateway()
    client, _ = gateway.exchange(GET, OK)
    client.send(GET)
    gateway.backend.answer(OK)
    assert [answer.body for answer in client.answers] == [b"hello"] * 2
    assert len(gateway.pool.ends) == 2
    gateway.finish(client)


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
    gateway.finish(client)


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
    answer = client.answer
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
    gateway.finish(client)


@pytest.mark.parametrize("request_", [GET, OLD], ids=["1.1", "1.0"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_less_than_the_length_is_an_abort(how: str, request_: bytes) -> None:
    gateway = Gateway()
    client = gateway.client().send(request_)
    gateway.backend.answer(OK[:-2])
    with Log() as log:
        getattr(gateway.backend, how)()
    assert client.closed == "aborted"
    assert not client.answer.whole
    assert "backend.truncated" in log.line()
    assert gateway.pool.dispatches[0].ends == ["faulted"]
    gateway.assert_idle()


def test_reset_without_a_length_is_an_abort() -> None:
    """Bytes so far, no last chunk, and an end that is no end."""
    gateway = Gateway()
    client = gateway.client().send(GET)
    gateway.backend.answer(STREAM + b"hel").reset()
    assert client.closed == "aborted"
    answer = client.answer
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
    gateway.finish(client)


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
    gateway.finish(client)


def test_download_has_backpressure() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    backend = gateway.backend.answer(STREAM + b"hel")
    client.transport.block()
    assert backend.paused
    client.transport.unblock()
    assert not backend.paused
    backend.answer(b"lo").close()
    assert client.answer.body == b"hello"
    gateway.finish(client)


def test_client_that_is_full_already_pauses_the_backend_from_its_head_on() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    client.transport.block()
    backend = gateway.backend.answer(STREAM)
    assert backend.paused
    client.transport.unblock()
    assert not backend.paused
    gateway.finish(client)


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
    gateway.finish(client)


MALFORMED_HEADS = {
    "no colon": b"nonsense\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "two equal lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "signed length": b"Content-Length: +5\r\n\r\nhello",
    "negative length": b"Content-Length: -5\r\n\r\nhello",
    "list of lengths": b"Content-Length: 5,5\r\n\r\nhello",
    "no number": b"Content-Length: foo\r\n\r\nhello",
    "hex length": b"Content-Length: 0x5\r\n\r\nhello",
    "huge length": b"Content-Length: " + b"9" * 30 + b"\r\n\r\nhello",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "both": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    "CR in a value": b"X: a\rSet-Cookie: b\r\n\r\n",
    "NUL in a value": b"X: a\0b\r\n\r\n",
    "CR in the reason": b"Status: 200 OK\rX: y\r\n\r\n",
    "status 100": b"Status: 100 Continue\r\n\r\n",
    "status 101": b"Status: 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    "status 199": b"Status: 199 x\r\n\r\n",
    "status line 100": b"HTTP/1.1 100 Continue\r\n\r\nStatus: 200 OK\r\n\r\n",
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
    answer = client.answer
    assert (answer.status, answer.reason) == (502, "Bad Gateway")
    assert MALFORMED_HEADS[name][:20] not in answer.body
    assert gateway.backend.closed == "aborted"
    assert gateway.pool.dispatches[0].ends == ["faulted"]
    line = log.line()
    assert "backend.bad_response" in line
    assert f"received={len(MALFORMED_HEADS[name])}" in line
    assert repr(MALFORMED_HEADS[name][:80]) in line
    assert client.closed is None
    gateway.finish(client)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("data", [b"", b"Status: 200 OK\r\n"])
def test_no_whole_head_is_502(data: bytes, how: str) -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    gateway.backend.answer(data)
    getattr(gateway.backend, how)()
    assert client.answer.status == 502
    gateway.finish(client)


def test_no_head_in_time_is_504() -> None:
    gateway = Gateway(backend={"timeout": 10.0})
    client = gateway.client().send(GET)
    with Log() as log:
        gateway.advance(11)
    assert client.answer.status == 504
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
    gateway.finish(client)


def test_no_backend_is_503() -> None:
    gateway = Gateway()
    gateway.pool.refuse = True
    with Log() as log:
        client = gateway.client().send(GET)
    assert client.answer.status == 503
    line = log.line()
    assert "backend.unavailable" in line
    assert "phase=connect" in line
    assert gateway.pool.dispatches[0].ends == []
    assert client.closed is None


def test_no_backend_for_an_upload_is_503_without_100() -> None:
    gateway = Gateway()
    gateway.pool.refuse = True
    client = gateway.client().send(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert client.answer.status == 503
    assert client.answer["connection"] == "close"


def test_header_block_over_its_limit_is_431() -> None:
    gateway = Gateway(backend={"max_header": 300})
    client = gateway.client().send(GET[:-2] + b"X: " + b"a" * 300 + b"\r\n\r\n")
    assert client.answer.status == 431
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
    gateway.finish(client)


# -- a balancer --------------------------------------------------------------------------------


def test_member_of_a_balancer_has_its_variables() -> None:
    gateway = Gateway()
    gateway.pool.backend.member = True
    client = gateway.client().send(GET)
    assert gateway.backend.variables["BALANCER_NAME"] == "balancer://c"
    gateway.finish(client)
