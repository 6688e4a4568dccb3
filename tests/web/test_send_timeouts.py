"""ResponseSendTimeout: a client that reads nothing, or hardly anything, is not waited for."""

from __future__ import annotations

import pytest

from scgiproxy.rules.connections import SendTimeout
from tests.web.harness import GET, OK, POST, Client, Gateway

CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
STREAM = b"A: b\r\n\r\nhello"
LIMIT = SendTimeout(20.0, 100)


class Reader:
    """A client that does not read from now on, but for `rate` bytes a second."""

    def __init__(self, gateway: Gateway, client: Client) -> None:
        self._gateway = gateway
        self._client = client
        self.taken = 0
        client.transport.bytes_taken = lambda: self.taken
        client.transport.block()

    def read(self, rate: int, seconds: int) -> None:
        for _ in range(seconds):
            self._gateway.advance(1)
            self.taken += rate


def answering(request: bytes, answer: bytes) -> tuple[Gateway, Client, Reader]:
    gateway = Gateway(server={"timeout": 60.0, "send_timeout": LIMIT}, backend={"timeout": 900.0})
    client = gateway.client().send(request)
    reader = Reader(gateway, client)
    gateway.backend.answer(answer)
    gateway.settle()
    return gateway, client, reader


STATES = [(GET, STREAM), (GET, OK), (CLOSE, OK), (CLOSE, STREAM)]


@pytest.mark.parametrize(("request_", "answer"), STATES)
@pytest.mark.parametrize(("rate", "lasts"), [(0, 20), (1, 20), (90, 20), (110, 1000)])
def test_least_rate(request_: bytes, answer: bytes, rate: int, lasts: int) -> None:
    """In the middle of an answer, and at its end, whether the connection closes behind it or not."""
    gateway, client, reader = answering(request_, answer)
    reader.read(rate, lasts - 1)
    assert client.closed is None
    if lasts < 100:
        reader.read(rate, 3)
        assert client.closed == "aborted"
    else:
        reader.read(0, 45)
        assert client.closed == "aborted"
    gateway.assert_idle()


def test_burst_now_and_then_is_enough() -> None:
    """What counts is the average."""
    gateway, client, reader = answering(GET, STREAM)
    for _ in range(10):
        reader.read(0, 15)
        reader.read(600, 5)
    assert client.closed is None
    reader.read(0, 41)
    assert client.closed == "aborted"
    gateway.assert_idle()


def test_pauses_begin_anew() -> None:
    """Who has read everything has all the time again."""
    gateway, client, reader = answering(GET, STREAM)
    for _ in range(5):
        reader.read(0, 15)
        client.transport.unblock()
        gateway.settle()
        client.transport.block()
    assert client.closed is None
    reader.read(0, 21)
    assert client.closed == "aborted"
    gateway.assert_idle()


def test_any_rate() -> None:
    """MinRate=0: one byte is enough."""
    gateway = Gateway(server={"send_timeout": SendTimeout(20.0, 0)}, backend={"timeout": 900.0})
    client = gateway.client().send(GET)
    reader = Reader(gateway, client)
    gateway.backend.answer(STREAM)
    reader.read(1, 200)
    assert client.closed is None
    reader.read(0, 42)
    assert client.closed == "aborted"
    gateway.assert_idle()


def test_lingering_close() -> None:
    """A client that still uploads and does not read its 413 is cut, too."""
    gateway = Gateway(server={"timeout": 60.0, "send_timeout": LIMIT}, limit_request_body=10)
    client = gateway.client()
    reader = Reader(gateway, client)
    client.send(POST + b"Content-Length: 100000\r\n\r\n")
    for _ in range(60):
        if client.closed:
            break
        client.send(b"x")
        reader.read(1, 1)
    assert client.closed == "aborted"
    gateway.advance(1)
    gateway.assert_idle()


def test_half_close_that_is_not_read() -> None:
    """The end of the answer waits in the buffer, which does not fill it."""
    gateway = Gateway(server={"timeout": 60.0, "send_timeout": LIMIT}, limit_request_body=10)
    client = gateway.client()
    client.transport.blocked = True
    client.transport.bytes_taken = lambda: 0
    client.send(POST + b"Content-Length: 100000\r\n\r\n")
    gateway.advance(60)
    assert client.closed == "aborted"
    gateway.assert_idle()
