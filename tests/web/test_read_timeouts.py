"""RequestReadTimeout: whole heads and bodies in time, and a second more for so many bytes."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.interfaces import IHandshakeListener

from scgiproxy.rules.connections import ReadTimeout
from tests.web.harness import CHUNKED, GET, OK, POST, Client, Gateway

HEADER = ReadTimeout(20, 40, 500)
BODY = ReadTimeout(20, 0, 500)
LENGTH = b"Content-Length: 1000000\r\n\r\n"


def made(timeout: float = 60.0, **stages: ReadTimeout) -> Gateway:
    return Gateway(server={"timeout": timeout, "read_timeouts": stages}, backend={"timeout": 900.0})


def drip(gateway: Gateway, client: Client, piece: bytes, every: float, most: float = 200) -> float:
    """Send `piece` again and again until something comes back; how long it has gone on."""
    passed = 0.0
    while passed < most and not client.received and client.closed is None:
        client.send(piece)
        gateway.advance(every)
        passed += every
    return passed


def ended(gateway: Gateway, client: Client, status: int | None = 408) -> None:
    """It was told why, and nothing is held any more."""
    if status is None:
        assert (client.received, client.closed) == (b"", "closed")
    else:
        assert client.answer.status == status
        assert client.answer["connection"] == "close"
    gateway.advance(10)
    gateway.assert_idle()


def test_connection_that_says_nothing_is_closed_silently() -> None:
    gateway = made()
    client = gateway.client()
    gateway.advance(19)
    assert client.closed is None
    gateway.advance(2)
    ended(gateway, client, None)


@pytest.mark.parametrize(
    ("stage", "piece", "every", "seconds"),
    [
        (HEADER, b"a", 10, 30),
        (HEADER, b"a", 1, 21),
        (HEADER, b"a" * 500, 1, 41),
        (ReadTimeout(20, 0, 500), b"a" * 250, 1, 40),
        (ReadTimeout(20), b"a" * 500, 1, 20),
        (ReadTimeout(0), b"a", 30, 200),
    ],
)
def test_whole_heads(stage: ReadTimeout, piece: bytes, every: float, seconds: float) -> None:
    """From the connection on: a byte now and then does not help, 500 of them a second, to the
    maximum. Without a limit only Timeout counts, for each wait."""
    gateway = made(header=stage)
    client = gateway.client().send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    lines = iter(range(100000))
    passed = 0.0
    while passed < 200 and not client.received:
        client.send(b"X-%d: %b\r\n" % (next(lines), piece[12:] + b"a"))
        gateway.advance(every)
        passed += every
        if next(lines) > 150:
            break
    if seconds < 200:
        # A field is a little longer than the piece it is made of.
        assert seconds - every <= passed <= seconds + 3
        ended(gateway, client)
    else:
        assert not client.received
        gateway.finish(client)


def test_first_bytes_do_not_begin_it_anew() -> None:
    """On a new connection it began with that; what has come prolongs it a little."""
    gateway = made()
    client = gateway.client()
    gateway.advance(19)
    client.send(b"GET / HT")
    gateway.advance(2)
    ended(gateway, client)


def test_kept_connection_has_it_all_for_each_head() -> None:
    gateway = made(header=HEADER)
    client, _ = gateway.exchange(GET, OK)
    client.take()
    gateway.advance(4)
    client.send(b"GET / HT")
    gateway.advance(19)
    assert client.closed is None
    gateway.advance(2)
    ended(gateway, client)


def test_head_behind_a_slow_answer_has_it_all_from_then_on() -> None:
    gateway = made()
    client = gateway.client().send(GET + b"GET / HT")
    gateway.advance(100)
    gateway.backend.answer(OK)
    gateway.settle()
    assert client.take()
    gateway.advance(19)
    assert client.closed is None
    gateway.advance(2)
    ended(gateway, client)


@pytest.mark.parametrize(
    ("stage", "piece", "every", "seconds"),
    [
        (BODY, b"a", 10, 30),
        (BODY, b"a" * 250, 1, 40),
        (BODY, b"a" * 5000, 10, 200),
        (ReadTimeout(20, 30, 500), b"a" * 5000, 5, 30),
        (ReadTimeout(0), b"a", 50, 200),
    ],
)
def test_whole_bodies(stage: ReadTimeout, piece: bytes, every: float, seconds: float) -> None:
    gateway = made(body=stage)
    client = gateway.client().send(POST + LENGTH)
    passed = drip(gateway, client, piece, every)
    assert seconds - every <= passed <= seconds + every
    if seconds < 200:
        assert gateway.backend.closed == "aborted"
        ended(gateway, client)
    else:
        gateway.finish(client)


def test_bytes_that_come_with_the_head_count() -> None:
    gateway = made()
    client = gateway.client().send(POST + LENGTH + b"a" * 10000)
    gateway.advance(39)
    assert not client.received
    gateway.advance(3)
    ended(gateway, client)


def test_framing_counts_as_well() -> None:
    """As in Apache, a chunk has two lines around it; but what brings nothing ends in time."""
    gateway = made()
    client = gateway.client().send(CHUNKED)
    assert drip(gateway, client, b"1\r\na\r\n" * 100, 1, 100) == 100
    gateway.finish(client)
    gateway = made()
    client = gateway.client().send(CHUNKED + b"1;")
    assert drip(gateway, client, b"x", 5) <= 25
    ended(gateway, client)


def test_clock_stands_still_while_the_gateway_does_not_read() -> None:
    """A backend that takes nothing for minutes is not the client's fault."""
    gateway = made()
    client = gateway.client().send(POST + LENGTH)
    end = gateway.backend
    gateway.advance(10)
    end.transport.block()
    client.send(b"x" * 70000)
    assert client.paused
    # 140 seconds for those bytes, and 10 that were left; 300 do not count.
    gateway.advance(300)
    assert not client.received
    end.transport.unblock()
    gateway.advance(55)
    client.send(b"x")
    gateway.advance(55)
    client.send(b"x")
    gateway.advance(35)
    assert not client.received
    gateway.advance(10)
    ended(gateway, client)


def test_limit_of_the_body_begins_with_100_continue() -> None:
    gateway = made()
    gateway.pool.hold = True
    client = gateway.client().send(POST + b"Expect: 100-continue\r\n" + LENGTH)
    gateway.advance(100)
    gateway.pool.connect(gateway.pool.held.pop())
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    gateway.advance(19)
    assert not client.received
    gateway.advance(2)
    ended(gateway, client)


def test_upload_goes_on_while_the_answer_is_not_read() -> None:
    """Not to read for a moment is not to send too slowly."""
    gateway = made()
    client = gateway.client().send(POST + LENGTH + b"a" * 20000)
    gateway.backend.answer(b"A: b\r\n\r\nhello")
    client.take()
    client.transport.block()
    gateway.advance(0.25)
    client.transport.unblock()
    gateway.advance(40)
    assert client.closed is None
    gateway.advance(30)
    assert client.closed == "aborted"
    gateway.advance(10)
    gateway.assert_idle()


def test_client_that_reads_nothing_and_uploads_is_cut() -> None:
    """What it sends does not make up for that."""
    gateway = made()
    client = gateway.client().send(POST + LENGTH)
    gateway.backend.answer(b"A: b\r\n\r\nhello")
    client.transport.block()
    for _ in range(61):
        client.send(b"x" * 1000)
        gateway.advance(1)
    assert client.closed == "aborted"
    gateway.assert_idle()


# -- the handshake -----------------------------------------------------------------------------


class Secure:
    """A connection of a listener with TLS, before there is an agreement."""

    def __init__(self, stage: ReadTimeout | None = None, come: int | None = None) -> None:
        stages = {} if stage is None else {"handshake": stage}
        self.gateway = Gateway(server={"timeout": 60.0, "read_timeouts": stages}, secure=True)
        self.client = self.gateway.client()
        self.client.transport.bytes_come = lambda: come


def test_the_channel_is_told_of_the_handshake() -> None:
    channel: Any = Secure().client.channel
    assert IHandshakeListener.providedBy(channel)


@pytest.mark.parametrize(
    ("stage", "come", "seconds"),
    [
        (None, None, 60),
        (ReadTimeout(5), None, 5),
        (ReadTimeout(5), 100000, 5),
        (ReadTimeout(5, 0, 100), 300, 8),
        (ReadTimeout(5, 0, 100), None, 5),
        (ReadTimeout(5, 7, 100), 100000, 7),
    ],
)
def test_handshakes(stage: ReadTimeout | None, come: int | None, seconds: float) -> None:
    """Timeout bounds one that has no limit of its own."""
    secure = Secure(stage, come)
    secure.gateway.advance(seconds - 0.5)
    assert secure.client.closed is None
    secure.gateway.advance(1.5)
    ended(secure.gateway, secure.client, None)


def test_header_begins_behind_the_handshake() -> None:
    secure = Secure(ReadTimeout(5))
    secure.gateway.advance(4)
    secure.client.channel.handshakeCompleted()
    secure.client.send(b"GET / HT")
    secure.gateway.advance(19)
    assert not secure.client.received
    secure.gateway.advance(2)
    assert secure.client.answer.status == 408
    secure.gateway.advance(10)
    secure.gateway.assert_idle()
