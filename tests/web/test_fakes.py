"""The doubles keep to the interfaces they stand for."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from scgiproxy.interfaces import IGatewayRequest
from tests.web.fakes import RecordedRequest


def test_a_recorded_request_provides_the_interface() -> None:
    assert verifyObject(IGatewayRequest, RecordedRequest())


def test_less_than_announced_is_an_abort() -> None:
    """As the interface says of `finish`."""
    request = RecordedRequest()
    request.send_head(200, None, [], 3)
    request.write(b"ab")
    request.finish()
    assert request.aborted
    assert not request.finished


def test_more_than_announced_is_refused() -> None:
    request = RecordedRequest()
    request.send_head(200, None, [], 1)
    with pytest.raises(AssertionError, match="more than was announced"):
        request.write(b"ab")


def test_those_who_asked_are_told_once_when_the_client_leaves() -> None:
    told: list[str] = []
    request = RecordedRequest()
    request.on_gone(lambda: told.append("gone"))
    request.client_leaves()
    request.client_leaves()
    request.on_gone(lambda: told.append("late"))
    assert told == ["gone", "late"]


def test_nobody_is_told_after_the_end() -> None:
    told: list[str] = []
    request = RecordedRequest()
    request.on_gone(lambda: told.append("gone"))
    request.send_head(204, None, [], None)
    request.finish()
    request.client_leaves()
    assert told == []
