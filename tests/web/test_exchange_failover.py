"""An exchange at a balancer: when the next member is asked after one has gone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.answers import Log
from tests.web.balanced import Balanced, chunked, each_way, leave, request
from tests.web.harness import OK

SAFE = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]


# -- methods -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", SAFE)
@each_way
def test_request_that_may_be_repeated_goes_to_the_next(method: str, how: str) -> None:
    gateway = Balanced()
    client = gateway.ask(request(method))
    leave(gateway.backend, how)
    gateway.settle()
    assert gateway.reached == "ab"
    assert gateway.backend.variables["REQUEST_METHOD"] == method
    gateway.backend.answer(OK)
    assert client.received.startswith(b"HTTP/1.1 200 ")
    assert client.closed is None
    assert gateway.members[0].errors == 1
    assert not gateway.members[0].usable(gateway.clock.seconds())
    assert gateway.members[1].errors == 0
    gateway.finish(client)


@pytest.mark.parametrize("method", ["POST", "PATCH", "PROPFIND"])
@each_way
def test_request_that_may_not_is_sent_once(method: str, how: str) -> None:
    gateway = Balanced()
    client = gateway.ask(request(method))
    leave(gateway.backend, how)
    gateway.gives_up(client)


@each_way
def test_post_of_which_nothing_was_sent_goes_to_the_next(how: str) -> None:
    gateway = Balanced()
    client = gateway.ask(request("POST"))
    gateway.backend.protocol.sent = 0
    leave(gateway.backend, how)
    gateway.settle()
    assert gateway.reached == "ab"
    gateway.backend.answer(OK)
    assert client.answer.status == 200
    gateway.finish(client)


@each_way
def test_backend_that_stands_alone_is_not_asked_again(how: str) -> None:
    gateway = Balanced({}, alone=True)
    client = gateway.ask(request("GET"))
    leave(gateway.backend, how)
    gateway.gives_up(client)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("body", ["", "length", "chunked"])
def test_refused_connection_is_no_reason_to_give_up(method: str, body: str) -> None:
    """Nothing of any request has been sent then."""
    gateway = Balanced()
    gateway.dialer.down = {"a"}
    data = {
        "": request(method),
        "length": request(method, body=b"hello"),
        "chunked": chunked(method, b"hello"),
    }
    client = gateway.ask(data[body])
    assert gateway.reached == "b"
    assert gateway.backend.body == (b"hello" if body else b"")
    gateway.backend.answer(OK)
    assert client.answer.status == 200
    gateway.finish(client)


# -- phases ------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"S", OK[:20], b"Status: 200 OK\r\nX: y\r\n"])
@each_way
def test_answer_that_has_begun_is_not_had_again(said: bytes, how: str) -> None:
    """One byte of it is enough: it may be the answer to something that was done."""
    gateway = Balanced()
    client = gateway.ask(request("GET"))
    gateway.backend.answer(said)
    leave(gateway.backend, how)
    gateway.gives_up(client)


def test_malformed_answer_is_not_had_again() -> None:
    gateway = Balanced()
    client = gateway.ask(request("GET"))
    gateway.backend.answer(b"nonsense\r\n\r\n")
    gateway.gives_up(client)


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_slow_backend_is_not_asked_elsewhere(method: str) -> None:
    """It may still be at it."""
    gateway = Balanced({"timeout": 5.0}, {})
    client = gateway.ask(request(method, body=b"hello"))
    if method == "PUT":
        gateway.backend.transport.block()
    gateway.advance(7)
    gateway.gives_up(client, 504)


@each_way
def test_answer_that_ends_early_is_an_abort(how: str) -> None:
    gateway = Balanced()
    client = gateway.ask(request("GET"))
    gateway.backend.answer(OK[:-2])
    leave(gateway.backend, how)
    gateway.settle()
    assert gateway.reached == "a"
    assert client.closed == "aborted"
    gateway.finish(client)


# -- limits ------------------------------------------------------------------------------------


@each_way
def test_each_member_is_asked_once(how: str) -> None:
    gateway = Balanced({}, {}, {})
    client = gateway.ask(request("GET"))
    for _ in "abc":
        leave(gateway.backend, how)
        gateway.settle()
    assert gateway.reached == "abc"
    assert client.answer.status == 502
    gateway.finish(client)


@pytest.mark.parametrize(("most", "reached"), [(0, "a"), (1, "ab"), (None, "abc")])
def test_maxattempts_is_for_these_too(most: int | None, reached: str) -> None:
    gateway = Balanced({}, {}, {}, balancer={"max_attempts": most})
    client = gateway.ask(request("GET"))
    for _ in reached:
        gateway.backend.reset()
        gateway.settle()
    assert gateway.reached == reached
    assert client.answer.status == 502
    gateway.finish(client)


def test_budget_for_repeated_requests() -> None:
    """Thirty are saved up at first; then there are three a second."""
    gateway = Balanced({"ignore_errors": True}, {"ignore_errors": True})
    statuses = []
    with Log() as log:
        for _ in range(40):
            client = gateway.ask(request("GET"))
            gateway.backend.reset()
            gateway.settle()
            if not client.received:
                gateway.backend.answer(OK)
            statuses.append(client.answer.status)
            gateway.settle()
            client.leave()
    assert statuses == [200] * 30 + [502] * 10
    lines = [event["log_format"].format(**event) for event in log.events]
    assert sum("not repeated: too many are" in line for line in lines) == 10
    assert (gateway.balancer.budget.granted, gateway.balancer.budget.denied) == (30, 10)
    gateway.finish()


def test_only_members_that_can_be_used_are_asked() -> None:
    gateway = Balanced({}, {"disabled": True})
    client = gateway.ask(request("GET"))
    gateway.backend.reset()
    gateway.gives_up(client)


def test_members_in_error_are_asked_when_all_are() -> None:
    """forcerecovery: with the last one gone, those in error are tried again."""
    gateway = Balanced({"retry": 600.0}, {"retry": 600.0})
    gateway.ask(request("POST"))
    gateway.backend.reset()
    client = gateway.ask(request("GET"))
    assert gateway.reached == "ab"
    gateway.backend.reset()
    gateway.settle()
    assert gateway.reached == "aba"
    gateway.backend.answer(OK)
    assert client.answer.status == 200


@pytest.mark.parametrize(
    "why",
    [
        {"balancer": {"force_recovery": False}},
        {"members": ({}, {"ignore_errors": True})},
        {"members": ({}, {"eject_rate": 0.5})},
        {"members": ({"draining": True}, {})},
    ],
)
def test_members_in_error_are_left_alone_otherwise(why: dict[str, Any]) -> None:
    gateway = Balanced(*why.get("members", ({}, {})), balancer=why.get("balancer"))
    for member in gateway.members[:1]:
        draining, member.draining = member.draining, False
        gateway.balancer.set_backends(gateway.members)
        gateway.ask(request("POST"))
        gateway.backend.reset()
        member.draining = draining
        gateway.balancer.set_backends(gateway.members)
    client = gateway.ask(request("GET"))
    assert gateway.reached == "ab"
    gateway.backend.reset()
    gateway.settle()
    assert gateway.reached == "ab"
    assert client.answer.status == 502


def test_full_member_is_waited_for() -> None:
    gateway = Balanced({}, {"max_connections": 1})
    gateway.members[1].take()
    client = gateway.ask(request("GET"))
    gateway.backend.reset()
    gateway.settle()
    assert gateway.reached == "a"
    assert client.received == b""
    gateway.members[1].give_back()
    gateway.balancer.drain()
    assert gateway.reached == "ab"
    gateway.backend.answer(OK)
    assert client.answer.status == 200
    gateway.finish(client)


def test_full_member_is_not_waited_for_for_ever() -> None:
    gateway = Balanced({}, {"max_connections": 1, "acquire": 1.0})
    gateway.members[1].take()
    client = gateway.ask(request("PUT", body=b"hello"))
    gateway.backend.reset()
    with Log() as log:
        gateway.advance(3)
    assert client.answer.status == 503
    line = log.line()
    assert "unix:/a|scgi://a: the backend reset the connection (phase=" in line
    assert "no connection to balancer://app was free" in line
    gateway.members[1].give_back()
    gateway.finish(client)
