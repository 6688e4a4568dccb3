"""Failures by the thousand: what the log says of them, and when."""

from __future__ import annotations

from typing import Any

from scgiproxy.web.failurelog import MOST, SPAN
from tests.web.answers import Log
from tests.web.balanced import Balanced, request

_LEFT_OUT = "requests failed with this key within 1 s (LogLevel debug tells each)"


def _ask(gateway: Balanced, times: int) -> None:
    """At one moment."""
    for _ in range(times):
        assert gateway.ask(request("GET")).answer.status == 503


def _nobody_listens() -> Balanced:
    gateway = Balanced({"retry": 0}, {"retry": 0})
    gateway.dialer.down = {"a", "b"}
    return gateway


def _lines(log: Log, level: str) -> list[str]:
    chosen: list[dict[str, Any]] = [
        event for event in log.events if "request" in event and event["log_level"].name == level
    ]
    return [event["log_format"].format(**event) for event in chosen]


def test_a_flood_is_told_by_its_number() -> None:
    """A backend that is down under load does not fill the disk."""
    gateway = _nobody_listens()
    with Log() as log:
        _ask(gateway, MOST + 500)
        assert len(_lines(log, "warn")) == MOST
        gateway.advance(SPAN + 1)
    told = _lines(log, "warn")
    assert len(_lines(log, "debug")) == 500
    assert told[MOST:] == [f"backend.unavailable: 500 more {_LEFT_OUT}"]


def test_each_second_has_its_lines() -> None:
    """The lines of a slow trickle are all there, and those after a flood again."""
    gateway = _nobody_listens()
    with Log() as log:
        for _ in range(3):
            _ask(gateway, MOST)
            gateway.advance(SPAN)
        assert len(_lines(log, "warn")) == 3 * MOST
        _ask(gateway, MOST + 1)
        gateway.advance(SPAN + 1)
        _ask(gateway, 2)
    assert len(_lines(log, "warn")) == 4 * MOST + 1 + 2


def test_another_kind_is_told_all_the_same() -> None:
    """Beside a flood another failure of the same mount has its line."""
    gateway = _nobody_listens()
    with Log() as log:
        _ask(gateway, MOST + 5)
        gateway.dialer.down = set()
        client = gateway.ask(request("POST", body=b"x"))
        gateway.backend.close()
    assert client.answer.status == 502
    assert _lines(log, "warn")[-1].startswith("backend.truncated: the backend closed")
    gateway.finish(client)


def test_clients_cannot_fill_the_disk() -> None:
    """Nor by what is their own fault, if it is none of what happens every day."""
    gateway = _nobody_listens()
    with Log() as log:
        for _ in range(MOST + 20):
            asked = b"GET / HTTP/1.1\r\nHost: a\r\nExpect: a miracle\r\n\r\n"
            assert gateway.ask(asked).answer.status == 417
        assert len(_lines(log, "warn")) == MOST
        gateway.advance(SPAN + 1)
    assert _lines(log, "warn")[MOST:] == [f"client.expectation_failed: 20 more {_LEFT_OUT}"]


def test_another_configuration_begins_anew() -> None:
    """What is known of mounts is not kept when they are gone; what was left out is still told."""
    gateway = _nobody_listens()
    with Log() as log:
        _ask(gateway, MOST + 5)
        gateway.site.follow(gateway.site.hosts, b"")
        _ask(gateway, 1)
        assert len(_lines(log, "warn")) == MOST + 1
        gateway.advance(SPAN + 1)
    assert _lines(log, "warn")[-1] == f"backend.unavailable: 5 more {_LEFT_OUT}"
