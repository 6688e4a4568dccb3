"""ProxyMaxDuration: an exchange ends in time in each of its phases, and holds nothing then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from scgiproxy.wire.spool import MEMORY_SPOOL
from tests.web.harness import CHUNKED, GET, OK, POST, Client, Gateway

MOST = 30.0


def made(**settings: Any) -> Gateway:
    return Gateway(
        backend={"timeout": 900.0},
        server={"timeout": 900.0, "read_timeouts": {}},
        proxy_max_duration=MOST,
        **settings,
    )


def waits_for_a_place(gateway: Gateway) -> Client:
    gateway.pool.hold = True
    return gateway.client().send(GET)


def waits_for_a_head(gateway: Gateway) -> Client:
    return gateway.client().send(GET)


def reads_half_a_head(gateway: Gateway) -> Client:
    client = gateway.client().send(GET)
    gateway.backend.answer(b"Status: 200 OK\r\n")
    return client


def uploads(gateway: Gateway) -> Client:
    return gateway.client().send(POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 30000)


def uploads_to_one_that_takes_nothing(gateway: Gateway) -> Client:
    client = gateway.client().send(POST + b"Content-Length: 100000\r\n\r\n")
    gateway.backend.transport.block()
    return client.send(b"x" * 70000)


def spools(gateway: Gateway) -> Client:
    return gateway.client().send(CHUNKED + b"4000\r\n" + b"x" * 16384)


def spools_to_disk(gateway: Gateway) -> Client:
    """A file that nobody closes is an error in these tests."""
    body = b"x" * (MEMORY_SPOOL + 1)
    client = gateway.client().send(CHUNKED + b"%x\r\n" % (2 * len(body)) + body)
    assert gateway.site.spool_space.disk == len(body)
    return client


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        (waits_for_a_place, "connect"),
        (waits_for_a_head, "head"),
        (reads_half_a_head, "head"),
        (uploads, "send"),
        (uploads_to_one_that_takes_nothing, "send"),
        (spools, "spool"),
        (spools_to_disk, "spool"),
    ],
)
def test_before_the_first_byte(state: Callable[[Gateway], Client], phase: str) -> None:
    """504, and the log says how far it had come."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        gateway = made()
        client = state(gateway)
        gateway.advance(MOST - 1)
        assert not client.received
        gateway.advance(2)
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert client.answer.status == 504
    (told,) = [event for event in events if event.get("log_key") == "gateway.max_duration"]
    assert f"phase={phase} " in told["detail"]
    assert gateway.pool.dispatches == [] or gateway.pool.dispatches[0].fault is None
    gateway.finish(client)


@pytest.mark.parametrize("blocked", [False, True])
def test_within_the_answer(blocked: bool) -> None:
    """It is broken off, also when it is the client that is slow."""
    gateway = made()
    client = gateway.client().send(GET)
    backend = gateway.backend
    for _ in range(3):
        backend.answer(b"A: b\r\n\r\nhello" if not client.received else b"more")
        gateway.advance(9)
    assert client.closed is None
    if blocked:
        client.transport.block()
    gateway.advance(4)
    assert client.closed == "aborted"
    assert backend.closed == "aborted"
    assert not client.answer.whole
    gateway.assert_idle()


def test_requests_that_are_over_in_time() -> None:
    """They leave nothing behind, whichever way they have ended."""
    gateway = made()
    client, _ = gateway.exchange(GET, OK)
    assert len(gateway.wheel) == 1
    leaving = gateway.client().send(GET)
    leaving.leave()
    failed, _ = gateway.exchange(GET, b"no head")
    assert failed.answer.status == 502
    gateway.finish(client, failed)


def test_time_in_the_pipeline_does_not_count_twice() -> None:
    """Each request's time begins with its head, so that it ends in any case."""
    gateway = made()
    client = gateway.client().send(GET + GET)
    gateway.advance(20)
    gateway.backend.answer(OK)
    gateway.settle()
    gateway.advance(12)
    assert [answer.status for answer in client.answers] == [200, 504]
    gateway.finish(client)
