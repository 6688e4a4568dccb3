"""The request's own guarantees: whoever answers it, and however badly."""

from __future__ import annotations

from typing import Any

import pytest
from zope.interface.verify import verifyObject

from scgiproxy.errors import ClientGone, TruncatedResponse
from scgiproxy.interfaces import IGatewayRequest
from scgiproxy.web.request import GatewayRequest
from tests.web.harness import GET, Client, Gateway

OLD = b"GET / HTTP/1.0\r\n\r\n"


def waiting(data: bytes = GET, **kw: Any) -> tuple[Gateway, Client, GatewayRequest]:
    """A request that a queue holds, to be answered by the test."""
    gateway = Gateway(**kw)
    gateway.pool.hold = True
    client = gateway.client().send(data)
    request = client.channel._active
    assert request is not None
    return gateway, client, request


def test_provides_what_it_says() -> None:
    assert verifyObject(IGatewayRequest, waiting()[2])


def test_head_leaves_with_the_first_bytes() -> None:
    _, client, request = waiting()
    request.send_head(200, None, [(b"X", b"y")], 5)
    assert request.head_sent
    assert client.received == b""
    request.write(b"hello")
    request.finish()
    assert (client.answer.body, client.answer["x"]) == (b"hello", "y")


def test_flush_sends_the_head_alone() -> None:
    _, client, request = waiting()
    request.send_head(200, None, [], None)
    request.flush()
    request.flush()
    assert client.received.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("size", [10, 100_000])
def test_body_is_whole_whatever_its_size(size: int) -> None:
    _, client, request = waiting()
    request.send_head(200, None, [], size)
    request.write(b"x" * size)
    request.finish()
    assert client.answer.body == b"x" * size


def test_second_head_is_none() -> None:
    _, client, request = waiting()
    request.send_head(200, None, [], 0)
    request.send_head(500, None, [], 0)
    request.finish()
    assert client.answer.status == 200


def test_standard_reason_or_the_one_given() -> None:
    for status, given, reason in (
        (413, None, "Content Too Large"),
        (299, None, ""),
        (200, b"Yes", "Yes"),
    ):
        _, client, request = waiting()
        request.send_head(status, given, [], 0)
        request.finish()
        assert client.answer.reason == reason


@pytest.mark.parametrize(
    ("data", "length", "framing"),
    [
        (GET, 0, ("0", None, None)),
        (GET, None, (None, "chunked", None)),
        (OLD, None, (None, None, "close")),
        (OLD, 0, ("0", None, "close")),
    ],
)
def test_framing(data: bytes, length: int | None, framing: tuple[str | None, ...]) -> None:
    _, client, request = waiting(data)
    request.send_head(200, None, [], length)
    request.finish()
    answer = client.answer
    assert answer.whole
    assert (answer["content-length"], answer["transfer-encoding"], answer["connection"]) == framing


def test_short_answer_is_an_abort() -> None:
    gateway, client, request = waiting()
    request.send_head(200, None, [], 5)
    request.write(b"hel")
    request.finish()
    assert request.gone
    assert client.closed == "aborted"
    gateway.assert_idle()


def test_abort_before_the_head_just_closes() -> None:
    gateway, client, request = waiting()
    request.abort(TruncatedResponse("no"))
    assert (client.closed, client.received) == ("aborted", b"")
    gateway.assert_idle()


def test_nothing_is_sent_after_the_end() -> None:
    """Not into the next answer either."""
    gateway, client, request = waiting(GET + GET)
    request.send_head(200, None, [], None)
    request.finish()
    before = client.received
    request.write(b"late")
    request.flush()
    request.finish()
    request.abort(ClientGone("late"))
    request.send_head(500, None, [], 0)
    assert client.received == before
    assert client.closed is None
    gateway.pool.dispatches.pop(0)
    gateway.finish(client)


def test_everything_is_harmless_once_the_client_has_gone() -> None:
    gateway, client, request = waiting()
    client.leave()
    request.send_head(200, None, [], None)
    request.write(b"x")
    request.flush()
    request.finish()
    request.abort(ClientGone("again"))
    request.unregisterProducer()
    assert client.received == b""
    gateway.assert_idle()


def test_gone_is_told_once_and_in_that_turn() -> None:
    _, client, request = waiting()
    told: list[int] = []
    request.on_gone(lambda: told.append(1))
    client.leave()
    assert told == [1]
    request.on_gone(lambda: told.append(2))
    assert told == [1, 2]


def test_gone_is_not_told_after_the_end() -> None:
    _gateway, client, request = waiting()
    told: list[int] = []
    request.on_gone(lambda: told.append(1))
    request.send_head(200, None, [], 0)
    request.finish()
    request.on_gone(lambda: told.append(2))
    client.leave()
    assert told == []


def test_one_who_fails_to_be_told_does_not_keep_the_others_from_it(logged_errors: Any) -> None:
    gateway, client, request = waiting()
    told: list[int] = []
    request._gone_callbacks.insert(0, lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    request.on_gone(lambda: told.append(1))
    client.leave()
    assert told == [1]
    assert len(logged_errors.flush()) == 1
    gateway.assert_idle()


def test_headers_are_joined() -> None:
    _, _, request = waiting(
        b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\nCookie: a\r\nCookie: b\r\n\r\n"
    )
    assert request.header(b"x") == b"1, 2"
    assert request.header(b"cookie") == b"a; b"
    assert request.header(b"y") is None
    assert list(request.header_names()) == [b"host", b"x", b"x", b"cookie", b"cookie"]


@pytest.mark.parametrize(
    ("host", "origin"),
    [("a", b"http://a:8080"), ("a:80", b"http://a"), ("[::1]:81", b"http://[::1]:81")],
)
def test_origin(host: str, origin: bytes) -> None:
    assert waiting(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())[2].origin == origin
