"""Answers that wait for what they show."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from scgiproxy.web.later import answer_when_there
from tests.conftest import LoggedErrors
from tests.web.harness import Gateway
from tests.web.resources import H, Rendered, plugin


def waits(answer: Any = lambda value: value) -> tuple[Deferred[bytes], Gateway]:
    """What is waited for, and a gateway that answers with it."""
    value: Deferred[bytes] = Deferred()
    resource = Rendered(lambda request: answer_when_there(request, value, answer))
    resource.render_HEAD = resource.render_GET  # type: ignore[method-assign]
    return value, plugin(resource)


def test_what_is_there_is_answered_at_once() -> None:
    gateway = plugin(Rendered(lambda request: answer_when_there(request, b"there", bytes.upper)))
    client = gateway.client().get()
    assert client.answer.body == b"THERE"
    gateway.finish(client)


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_what_comes_later_is_answered_then(method: bytes) -> None:
    value, gateway = waits(bytes.upper)
    client = gateway.client().send(method + b" /" + H + b"\r\n")
    assert client.received == b""
    value.callback(b"there")
    assert client.received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 5\r\n" in client.received.title()
    assert client.received.endswith(b"\r\n\r\n" + (b"THERE" if method == b"GET" else b""))
    gateway.finish(client)


def test_what_cannot_be_had() -> None:
    """The client is told to come again, and the log why."""
    value, gateway = waits()
    client = gateway.client().get("/status")
    with capturedLogs() as events:
        value.errback(ValueError("no parent"))
    assert client.answer.status == 503
    assert b"cannot be had now" in client.answer.body
    (told,) = map(formatEvent, events)
    assert told == "/status cannot be answered now: no parent"
    gateway.finish(client)


def test_who_leaves_waits_for_nothing() -> None:
    cancelled: list[Deferred[bytes]] = []
    value: Deferred[bytes] = Deferred(cancelled.append)
    gateway = plugin(Rendered(lambda request: answer_when_there(request, value, bytes.upper)))
    client = gateway.client().get()
    with capturedLogs() as events:
        client.leave()
    assert cancelled == [value]
    assert events == []
    gateway.assert_idle()


def test_an_answer_that_cannot_be_made(logged_errors: LoggedErrors) -> None:
    value, gateway = waits(lambda value: value.no_such_thing)
    client = gateway.client().get()
    value.callback(b"there")
    assert client.answer.status == 500
    (event,) = logged_errors.flush()
    assert "no_such_thing" in event["log_failure"].getErrorMessage()
    gateway.finish(client)
