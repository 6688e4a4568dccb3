"""An exchange at a balancer: what each member is told, what is left, and what the log says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.python.failure import Failure

from scgiproxy.errors import RequestTimeout
from scgiproxy.rules.balancer import Sticky
from tests.web.answers import Log
from tests.web.balanced import Balanced, chunked, each_way, leave, request
from tests.web.harness import OK

# -- sessions and variables --------------------------------------------------------------------

STICKY = Sticky(b"SID", b"")
COOKIE = "Cookie: SID=x.ra"


def test_session_moves_and_its_variables_with_it() -> None:
    gateway = Balanced(
        {"route": b"ra"}, {"route": b"rb"}, balancer={"sticky": STICKY, "method": "byrequests"}
    )
    client = gateway.ask(request("GET", COOKIE))
    first = gateway.backend.variables
    assert (first["BALANCER_WORKER_ROUTE"], first["BALANCER_SESSION_ROUTE"]) == ("ra", "ra")
    assert "BALANCER_ROUTE_CHANGED" not in first
    gateway.backend.reset()
    gateway.settle()
    second = gateway.backend.variables
    assert second["BALANCER_WORKER_NAME"] == "scgi://b"
    assert (second["BALANCER_WORKER_ROUTE"], second["BALANCER_SESSION_ROUTE"]) == ("rb", "ra")
    assert second["BALANCER_ROUTE_CHANGED"] == "1"
    gateway.backend.answer(OK)
    assert client.answer.status == 200
    gateway.finish(client)


def test_nothing_of_the_first_member_stays() -> None:
    """The session's own member is back when the one in its place fails."""
    gateway = Balanced(
        {"route": b"ra", "redirect": b"rb"},
        {"route": b"rb"},
        balancer={"sticky": STICKY},
    )
    gateway.members[0].disabled = True
    client = gateway.ask(request("GET", COOKIE))
    assert gateway.backend.variables["BALANCER_ROUTE_CHANGED"] == "1"
    gateway.members[0].disabled = False
    gateway.backend.reset()
    gateway.settle()
    assert gateway.reached == "ba"
    variables = gateway.backend.variables
    assert variables["BALANCER_WORKER_ROUTE"] == "ra"
    assert "BALANCER_ROUTE_CHANGED" not in variables
    gateway.backend.answer(OK)
    assert client.answer.status == 200
    gateway.finish(client)


def test_nofailover_holds() -> None:
    gateway = Balanced(
        {"route": b"ra"}, {"route": b"rb"}, balancer={"sticky": STICKY, "no_failover": True}
    )
    client = gateway.ask(request("GET", COOKIE))
    gateway.backend.reset()
    gateway.gives_up(client)


def test_each_member_gets_its_own_path() -> None:
    gateway = Balanced(backend={"path_info": True})
    gateway.members[1].path = b"/second/"
    client = gateway.ask(request("GET"))
    assert gateway.backend.variables["PATH_INFO"] == "/x"
    gateway.backend.reset()
    gateway.settle()
    assert gateway.backend.variables["PATH_INFO"] == "/second/x"
    gateway.finish(client)


# -- what is left ------------------------------------------------------------------------------


def test_bytes_are_counted_for_each() -> None:
    gateway = Balanced()
    client = gateway.ask(request("GET"))
    first = gateway.backend
    first.reset()
    gateway.settle()
    gateway.backend.answer(OK)
    sent = [member.bytes_sent for member in gateway.members]
    assert sent == [end.protocol.sent for end in gateway.dialer.ends]
    assert [member.bytes_received for member in gateway.members] == [0, len(OK)]
    gateway.finish(client)


def test_probing_request_goes_elsewhere_too() -> None:
    gateway = Balanced({"retry": 1.0}, {})
    gateway.ask(request("POST"))
    gateway.backend.reset()
    gateway.advance(1)
    reached = []
    for _ in range(3):
        before = len(gateway.reached)
        client = gateway.ask(request("GET"))
        if gateway.reached[-1] == "a":
            assert gateway.members[0].state(gateway.clock.seconds()) == "being probed"
            gateway.backend.reset()
            gateway.settle()
        gateway.backend.answer(OK)
        assert client.answer.status == 200
        reached.append(gateway.reached[before:])
        client.leave()
    assert sorted(reached) == ["ab", "b", "b"]
    assert gateway.members[0].state(gateway.clock.seconds()) == "in error for 1 s more"
    gateway.finish()


@pytest.mark.parametrize("body", [None, "length", "chunked"])
@pytest.mark.parametrize("when", ["dialling", "queued", "sent"])
def test_client_that_leaves_after_the_first_member(when: str, body: str | None) -> None:
    """All is freed in that turn, and nobody calls it an error."""
    gateway = Balanced({}, {"max_connections": 1} if when == "queued" else {})
    if when == "queued":
        gateway.members[1].take()
    gateway.dialer.held = {"b"} if when == "dialling" else set()
    data = {
        None: request("GET"),
        "length": request("PUT", body=b"hello", length=10),
        "chunked": chunked("PUT", b"hello"),
    }
    client = gateway.ask(data[body])
    file = getattr(gateway.backend.protocol._request.body, "_file", None)
    gateway.backend.reset()
    gateway.settle()
    with Log() as log:
        client.leave()
    assert not log.events
    if when == "dialling":
        assert gateway.dialer.attempts[-1].stopped
    if when == "queued":
        gateway.members[1].give_back()
    assert file is None or file.closed
    assert gateway.members[1].errors == 0
    gateway.finish()


def test_upload_that_breaks_between_two_members() -> None:
    """The client's fault, which the next member does not pay for."""
    gateway = Balanced()
    gateway.dialer.held = {"b"}
    client = gateway.ask(request("PUT", body=b"hello", length=10))
    gateway.backend.reset()
    (served,) = [channel._active for channel in gateway.site.channels]
    assert served is not None
    served.body_failed(Failure(RequestTimeout("too slow")))
    gateway.dialer.attempts[-1].accept()
    gateway.settle()
    assert client.answer.status == 408
    assert gateway.backend.closed == "aborted"
    assert gateway.members[1].errors == 0
    gateway.finish(client)


# -- the log -----------------------------------------------------------------------------------


@each_way
def test_one_line_says_that_it_took_more_than_one(how: str) -> None:
    gateway = Balanced({}, {}, {}, {})
    gateway.dialer.down = {"b"}
    client = gateway.ask(request("GET", COOKIE))
    with Log() as log:
        leave(gateway.backend, how)
        gateway.settle()
        gateway.backend.close()
        gateway.settle()
        gateway.backend.answer(OK)
    assert gateway.reached == "acd"
    (event,) = [event for event in log.events if "request" in event]
    assert event["log_level"].name == "info"
    line = event["log_format"].format(**event)
    gone = {
        "close": "the backend closed without an answer",
        "reset": "the backend reset the connection",
        "after EPIPE": "the backend closed while the request was being sent",
    }
    a, c = (end.protocol.sent for end in gateway.dialer.ends[:2])
    assert line.startswith(
        "backend.repeated: unix:/d|scgi://d answers after "
        f"unix:/a|scgi://a: {gone[how]} (phase=head sent={a}); nobody listens on /b;"
        f" unix:/c|scgi://c: the backend closed without an answer (phase=head sent={c})"
    )
    assert "(192.0.2.7:50000 GET /x elapsed=0.000 s)" in line
    gateway.finish(client)


def test_first_attempt_that_is_answered_is_not_worth_a_line() -> None:
    gateway = Balanced()
    client = gateway.ask(request("GET"))
    with Log() as log:
        gateway.backend.answer(OK)
    assert not log.events
    gateway.finish(client)


def test_502_tells_of_every_attempt() -> None:
    gateway = Balanced({}, {}, {})
    gateway.dialer.down = {"b"}
    client = gateway.ask(request("GET"))
    with Log() as log:
        gateway.backend.reset()
        gateway.settle()
        gateway.backend.close()
        gateway.settle()
    assert client.answer.status == 502
    (event,) = [event for event in log.events if "request" in event]
    line = event["log_format"].format(**event)
    assert "backend.truncated: the backend closed without an answer" in line
    assert "backend=unix:/c|scgi://c" in line
    assert (
        "before='unix:/a|scgi://a: the backend reset the connection"
        f" (phase=head sent={gateway.dialer.ends[0].protocol.sent}); nobody listens on /b'"
        " not repeated: no other member can be used)"
    ) in line
    gateway.finish(client)


def test_503_tells_of_every_attempt() -> None:
    gateway = Balanced({}, {}, {})
    gateway.dialer.down = {"b", "c"}
    client = gateway.ask(request("GET"))
    with Log() as log:
        gateway.backend.reset()
        gateway.settle()
    assert client.answer.status == 503
    (event,) = [event for event in log.events if "request" in event]
    line = event["log_format"].format(**event)
    assert (
        "backend.unavailable: no member of balancer://app could be used:"
        " unix:/a|scgi://a: the backend reset the connection"
        f" (phase=head sent={gateway.backend.protocol.sent}); nobody listens on /b;"
        " nobody listens on /c"
    ) in line
    assert "phase=connect backend=balancer://app" in line
    gateway.finish(client)


def test_a_request_that_moved_before_it_was_sent() -> None:
    """A connection that was refused was no load for anybody, and is told all the same."""
    gateway = Balanced()
    gateway.dialer.down = {"a"}
    with Log() as log:
        client = gateway.ask(request("POST", body=b"hello"))
        gateway.settle()
        gateway.backend.answer(OK)
    (event,) = [event for event in log.events if "request" in event]
    assert event["log_level"].name == "info"
    assert event["log_format"].format(**event) == (
        "backend.failover: unix:/b|scgi://b answers after nobody listens on /a"
        " (192.0.2.7:50000 POST /x elapsed=0.000 s)"
    )
    gateway.finish(client)


def _lost(gateway: Balanced, data: bytes, end: Callable[[Balanced], object]) -> str:
    """What the log says of a request to a that nobody else is asked for."""
    client = gateway.ask(data)
    with Log() as log:
        end(gateway)
        gateway.settle()
    (event,) = [event for event in log.events if "request" in event]
    assert event["log_level"].name == "warn"
    assert gateway.reached == "a"
    gateway.finish(client)
    line: str = event["log_format"].format(**event)
    assert " backend=unix:/a|scgi://a sent=" in line
    return line.rpartition(" not repeated: ")[2] if " not repeated: " in line else ""


def _reset(gateway: Balanced) -> None:
    gateway.backend.reset()


@pytest.mark.parametrize(
    ("method", "end", "why"),
    [
        ("POST", _reset, "POST may have been carried out)"),
        ("PATCH", _reset, "PATCH may have been carried out)"),
        ("GET", lambda gateway: gateway.advance(61), "it may still be at work on it)"),
        # That an answer had begun is to be seen from what was received.
        ("GET", lambda gateway: gateway.backend.answer(b"no head").close(), ""),
    ],
)
def test_why_it_was_not_repeated(method: str, end: Callable[[Balanced], object], why: str) -> None:
    assert _lost(Balanced(), request(method), end) == why


def test_why_a_large_upload_was_not_repeated() -> None:
    """What is over the bound was passed on and is gone."""
    gateway = Balanced()
    data = request("PUT", body=b"x" * 100_000, length=200_000)
    assert _lost(gateway, data, _reset) == "its body is not held any more)"


@pytest.mark.parametrize(
    ("members", "balancer", "why"),
    [
        (({}, {}), {"max_attempts": 0}, "maxattempts=0)"),
        (({}, {"disabled": True}), {}, "no other member can be used)"),
        (
            ({"route": b"ra"}, {}),
            {"sticky": STICKY, "no_failover": True},
            "no other member can be used)",
        ),
    ],
)
def test_why_no_other_was_asked(
    members: tuple[dict[str, Any], ...], balancer: dict[str, Any], why: str
) -> None:
    assert _lost(Balanced(*members, balancer=balancer), request("GET", COOKIE), _reset) == why


def test_of_one_that_stands_alone_nobody_expects_it() -> None:
    assert _lost(Balanced({}, alone=True), request("POST"), _reset) == ""


def test_line_about_a_long_target_is_bounded() -> None:
    gateway = Balanced()
    client = gateway.ask(b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    with Log() as log:
        gateway.backend.reset()
        gateway.settle()
        gateway.backend.answer(OK)
    (event,) = [event for event in log.events if "request" in event]
    line = event["log_format"].format(**event)
    assert f"GET /{'a' * 199}... elapsed" in line
    gateway.finish(client)
