from __future__ import annotations

from tests.web.harness import Gateway, split

OK = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
GET = b"GET /a/b?x=1 HTTP/1.1\r\nHost: example.com\r\nCookie: a=1\r\nX-A: 1\r\nCookie: b=2\r\n\r\n"


def test_get_is_relayed() -> None:
    gateway = Gateway()
    client, backend = gateway.exchange(GET, OK)
    status, headers, body = split(client.received)
    assert (status, body) == (200, b"hello")
    assert headers["content-type"] == "text/plain"
    assert headers["content-length"] == "5"
    variables = backend.variables
    assert list(variables)[:2] == ["CONTENT_LENGTH", "SCGI"]
    assert variables["CONTENT_LENGTH"] == "0"
    assert variables["SCRIPT_NAME"] == "/a/b"
    assert variables["QUERY_STRING"] == "x=1"
    assert variables["HTTP_COOKIE"] == "a=1; b=2"
    assert client.closed is None
    assert gateway.pool.dispatches[0].ends == ["released"]


def test_keep_alive_serves_the_next_request() -> None:
    gateway = Gateway()
    client, _ = gateway.exchange(GET, OK)
    client.take()
    client.send(GET)
    gateway.backend.answer(OK)
    assert split(client.take())[2] == b"hello"
    assert len(gateway.pool.ends) == 2
