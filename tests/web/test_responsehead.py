"""The head of an answer: what ends here, what is judged here."""

from __future__ import annotations

import pytest

from tests.web.harness import GET, OK, POST, Gateway


def test_hop_by_hop_headers_end_here() -> None:
    fields = (
        b"Connection: close, X-Private\r\nKeep-Alive: timeout=5\r\nX-Private: a\r\nTE: x\r\n"
        b"Trailer: X\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\nProxy-Connection: close\r\n"
        b"X-Public: b\r\n"
    )
    gateway = Gateway()
    client, _ = gateway.exchange(GET, fields + b"Content-Length: 5\r\n\r\nhello")
    answer = client.answer
    assert set(answer.headers) == {"x-public", "content-length", "server", "date"}
    assert client.closed is None
    gateway.finish(client)


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
    gateway.finish(client)


def test_sendfile_header_does_not_leak_through_a_304() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET[:-2] + b'If-None-Match: "x"\r\n\r\n')
    gateway.backend.answer(b'ETag: "x"\r\nX-Sendfile: /etc/passwd\r\nLocation: /secret\r\n\r\n')
    gateway.backend.answer(b'ETag: "x"\r\n\r\n')
    gateway.settle()
    assert b"passwd" not in client.received
    assert b"secret" not in client.received
    gateway.finish(client)


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
    gateway.finish(client)


def test_conditions_of_a_post_are_the_backends_affair() -> None:
    gateway = Gateway()
    client = gateway.client().send(POST + b'If-Match: "x"\r\nContent-Length: 0\r\n\r\n')
    gateway.backend.answer(b"Content-Length: 5\r\n\r\nhello")
    assert client.answer.status == 200


def test_error_override() -> None:
    """The gateway's page in place of the backend's; the challenge stays."""
    gateway = Gateway(error_override=frozenset((401, 404)))
    client = gateway.client().send(GET)
    gateway.backend.answer(
        b"Status: 401 No\r\nWWW-Authenticate: Basic\r\nWWW-Authenticate: X\r\nX-A: b\r\n\r\nsecret"
    )
    gateway.settle()
    answer = client.answer
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == ["Basic", "X"]
    assert b"secret" not in answer.body
    assert answer["x-a"] is None
    assert gateway.pool.dispatches[0].ends == ["released"]
    client.send(GET)
    gateway.backend.answer(b"Status: 403 No\r\nContent-Length: 5\r\n\r\nhello")
    assert client.answers[1].body == b"hello"
    gateway.finish(client)
