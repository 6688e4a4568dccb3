"""A dispatch whose member has gone without an answer goes on to the next, if it may."""

from __future__ import annotations

import pytest

from scgiproxy.errors import (
    BackendBusy,
    ConnectFailed,
    QueueTimeout,
    SendFailed,
    TruncatedResponse,
    Unavailable,
)
from scgiproxy.pool.budget import RATE
from scgiproxy.pool.methods.apache import ByRequests
from scgiproxy.pool.place import Stage
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import Sticky
from tests.pool.fakes import Call, Request, Scene

S = BackendSettings
GONE = TruncatedResponse("it closed")
STICKY = Sticky(b"SID", b"")


def connected(scene: Scene, request: Request | None = None) -> Call:
    """A call with a connection; those after it are the test's to make."""
    call = scene.call(request)
    scene.dialer.open()[-1].succeed()
    return call


def test_the_next_member_is_dialled() -> None:
    scene = Scene(S(), S(), S())
    call = connected(scene)
    assert call.dispatch.retry(GONE, sent=100, received=0)
    assert call.dispatch.stage is Stage.DIALLING
    assert scene.where() == "b"
    assert scene.in_flight() == [0, 1, 0]
    a, b, _ = scene.backends
    assert (a.errors, a.bytes_sent, b.errors) == (1, 100, 0)
    assert not a.usable(0.0)
    scene.dialer.open()[0].succeed()
    assert (call.told, call.backend) == (2, b)
    call.dispatch.release()
    assert scene.in_flight() == [0, 0, 0]


def test_it_may_be_connected_before_this_returns() -> None:
    scene = Scene(S(), S())
    scene.dialer.at_once = True
    call = scene.call()
    assert call.dispatch.retry(GONE)
    assert (call.told, call.backend) == (2, scene.backends[1])
    assert call.dispatch.environment()[b"BALANCER_WORKER_NAME"] == b"scgi://b"


def test_reasons_say_whose_they_are() -> None:
    scene = Scene(S(), S(), S())
    call = connected(scene)
    assert call.dispatch.retry(SendFailed("it closed"))
    scene.fail(ConnectFailed("nobody on b"))
    scene.fail(ConnectFailed("nobody on c"))
    assert isinstance(call.error, Unavailable)
    assert [type(reason) for reason in call.error.reasons] == [SendFailed] + [ConnectFailed] * 2
    assert str(call.error) == (
        "no member of balancer://app could be used:"
        " unix:/a|scgi://a: it closed (phase=head sent=0); nobody on b; nobody on c"
    )
    assert call.told == 2


def test_with_nobody_left_nothing_happens() -> None:
    scene = Scene(S(), S())
    call = connected(scene)
    assert call.dispatch.retry(GONE)
    scene.dialer.open()[0].succeed()
    assert not call.dispatch.retry(GONE, sent=5)
    assert call.dispatch.stage is Stage.CONNECTED
    assert (scene.backends[1].errors, scene.backends[1].bytes_sent) == (0, 0)
    assert (scene.in_flight(), call.told) == ([0, 1], 2)
    call.dispatch.release(GONE, sent=5)
    assert (scene.backends[1].errors, scene.backends[1].bytes_sent) == (1, 5)


@pytest.mark.parametrize(("most", "granted"), [(0, 0), (1, 1), (2, 2), (9, 2), (None, 2)])
def test_maxattempts(most: int | None, granted: int) -> None:
    """Additional ones, however they have failed."""
    scene = Scene(S(), S(), S(), max_attempts=most)
    scene.dialer.at_once = True
    call = scene.call()
    assert sum(call.dispatch.retry(GONE) for _ in range(5)) == granted
    scene = Scene(S(), S(), S(), max_attempts=1)
    call = scene.call()
    scene.fail()
    scene.dialer.open()[0].succeed()
    assert not call.dispatch.retry(GONE)


def test_one_that_stands_alone() -> None:
    scene = Scene(S(), balanced=False)
    call = connected(scene)
    assert not call.dispatch.retry(GONE)
    call.dispatch.release(GONE)
    assert scene.in_flight() == [0]


@pytest.mark.parametrize("when", ["dialling", "queued", "released", "cancelled"])
def test_out_of_place(when: str) -> None:
    """Only who has a connection can have lost it."""
    scene = Scene(S(max_connections=1), S(max_connections=1))
    call = scene.call()
    if when == "queued":
        scene.call()
        call = scene.call()
        assert call.dispatch.stage is Stage.QUEUED
    elif when != "dialling":
        scene.dialer.open()[0].succeed()
        call.dispatch.release() if when == "released" else call.dispatch.cancel()
    before = scene.in_flight()
    assert not call.dispatch.retry(GONE)
    assert scene.in_flight() == before


def test_the_budget() -> None:
    """What is repeated is counted until it has ended, once, however it ends."""
    scene = Scene(S(ignore_errors=True), S(ignore_errors=True), S(ignore_errors=True))
    scene.dialer.at_once = True
    budget = scene.pool.budget
    calls = [scene.call() for _ in range(4)]
    for call in calls:
        assert call.dispatch.retry(GONE)
    assert calls[0].dispatch.retry(GONE)
    assert (budget.repeated, budget.granted) == (5, 5)
    assert calls[0].dispatch.repeats == 2
    calls[0].dispatch.release()
    calls[0].dispatch.cancel()
    assert budget.repeated == 3
    calls[1].dispatch.cancel()
    calls[1].dispatch.cancel()
    assert budget.repeated == 2
    scene.dialer.at_once = False
    assert calls[2].dispatch.retry(GONE)
    scene.fail()
    assert calls[2].error is not None
    assert budget.repeated == 1
    calls[3].dispatch.release(GONE)
    assert budget.repeated == 0


def test_the_budget_runs_out() -> None:
    scene = Scene(S(ignore_errors=True), S(ignore_errors=True))
    scene.dialer.at_once = True
    granted = []
    for _ in range(50):
        call = scene.call()
        granted.append(call.dispatch.retry(GONE))
        call.dispatch.release()
    assert granted == [True] * 30 + [False] * 20
    scene.clock.advance(1)
    granted = []
    for _ in range(5):
        call = scene.call()
        granted.append(call.dispatch.retry(GONE))
        call.dispatch.release()
    assert granted.count(True) == RATE


def test_a_refused_connection_costs_nothing() -> None:
    scene = Scene(S(retry=0.0), S())
    for _ in range(100):
        scene.call()
        if scene.where() == "a":
            scene.fail()
        scene.dialer.open()[0].succeed()
    assert (scene.pool.budget.granted, scene.pool.budget.denied) == (0, 0)


def test_the_queue() -> None:
    """The next member may be full: then it waits, and its own place is another's."""
    scene = Scene(S(max_connections=1, ignore_errors=True), S(max_connections=1, acquire=5.0))
    scene.dialer.at_once = True
    call, other = scene.call(), scene.call()
    waiting = scene.call()
    assert call.dispatch.retry(GONE)
    assert call.dispatch.stage is Stage.QUEUED
    assert waiting.backend is scene.backends[0]
    other.dispatch.release()
    assert call.backend is scene.backends[1]
    assert call.told == 2


def test_the_queue_has_an_end() -> None:
    scene = Scene(S(), S(max_connections=1, acquire=1.0))
    scene.dialer.at_once = True
    call, _ = scene.call(), scene.call()
    assert call.dispatch.retry(GONE)
    scene.clock.advance(2)
    assert isinstance(call.error, Unavailable)
    assert [type(reason) for reason in call.error.reasons] == [TruncatedResponse, QueueTimeout]
    assert str(call.error).startswith(
        "unix:/a|scgi://a: it closed (phase=head sent=0); no connection to balancer://app"
    )
    assert scene.pool.budget.repeated == 0


def test_leaving_after_it() -> None:
    scene = Scene(S(), S())
    call = connected(scene)
    assert call.dispatch.retry(GONE)
    call.dispatch.cancel()
    assert scene.dialer.dials[-1].stopped
    assert scene.in_flight() == [0, 0]
    assert scene.pool.budget.repeated == 0
    assert call.told == 1


# -- who is next -------------------------------------------------------------------------------


def test_members_in_error_when_all_are() -> None:
    scene = Scene(S(), S())
    scene.backends[1].fail(GONE)
    call = connected(scene)
    assert call.dispatch.retry(GONE)
    assert scene.where() == "b"


def test_members_in_error_without_force() -> None:
    scene = Scene(S(), S(), force_recovery=False)
    scene.backends[1].fail(GONE)
    assert not connected(scene).dispatch.retry(GONE)


def test_what_does_not_count_brings_nobody_back() -> None:
    """The member stays in use, and so the others stay in error."""
    scene = Scene(S(), S())
    scene.backends[1].fail(GONE)
    assert not connected(scene).dispatch.retry(BackendBusy("x"))


def test_spares_and_standbys() -> None:
    scene = Scene(S(), S(standby=True), S(spare=True))
    call = connected(scene)
    assert call.dispatch.retry(GONE)
    assert scene.where() == "c"
    scene.dialer.open()[0].succeed()
    assert call.dispatch.retry(GONE)
    assert scene.where() == "b"


def test_a_session_moves() -> None:
    scene = Scene(S(route=b"ra", redirect=b"rc"), S(route=b"rb"), S(route=b"rc"), sticky=STICKY)
    call = connected(scene, Request(cookie=b"SID=x.ra"))
    assert call.backend is scene.backends[0]
    assert b"BALANCER_ROUTE_CHANGED" not in call.dispatch.environment()
    assert call.dispatch.retry(GONE)
    assert scene.where() == "c"
    scene.dialer.open()[0].succeed()
    variables = call.dispatch.environment()
    assert variables[b"BALANCER_WORKER_ROUTE"] == b"rc"
    assert variables[b"BALANCER_SESSION_ROUTE"] == b"ra"
    assert variables[b"BALANCER_ROUTE_CHANGED"] == b"1"


def test_a_session_that_may_not_move() -> None:
    scene = Scene(S(route=b"ra"), S(route=b"rb"), sticky=STICKY, no_failover=True)
    call = connected(scene, Request(cookie=b"SID=x.ra"))
    assert not call.dispatch.retry(GONE)
    assert connected(scene, Request(cookie=b"SID=x.zz")).dispatch.retry(GONE)


def test_a_session_that_may_not_move_does_not_wait() -> None:
    """For its own member, whatever the balancer's timeout is: neither the request that finds out,
    nor the next one."""
    scene = Scene(S(route=b"ra"), S(route=b"rb"), sticky=STICKY, no_failover=True, wait=9.0)
    first = scene.call(Request(cookie=b"SID=x.ra"))
    assert scene.fail() == "a"
    assert isinstance(first.error, Unavailable)
    second = scene.call(Request(cookie=b"SID=x.ra"))
    assert isinstance(second.error, Unavailable)
    assert "bound to route ra (nofailover)" in str(second.error)


def test_a_member_that_was_only_busy_is_asked_again() -> None:
    """Patiently, when nobody else is left."""
    scene = Scene(S(), S())
    call = scene.call()
    assert scene.fail(BackendBusy("full")) == "a"
    assert scene.where() == "b"
    scene.dialer.open()[0].succeed()
    assert call.dispatch.retry(GONE)
    assert scene.where() == "a"
    assert scene.dialer.dials[-1].options["wait_for_backlog"] is True
    scene.fail(ConnectFailed("its listen queue stayed full"))
    assert isinstance(call.error, Unavailable)
    assert len(call.error.reasons) == 3


def test_a_member_that_was_only_busy_when_the_others_refuse() -> None:
    """Not a 503, since it can be used."""
    scene = Scene(S(), S(), S())
    call = scene.call()
    assert [scene.fail(BackendBusy("full")), scene.fail(), scene.fail()] == ["a", "b", "c"]
    assert scene.where() == "a"
    assert scene.dialer.dials[-1].options["wait_for_backlog"] is True
    scene.dialer.open()[0].succeed()
    assert (call.told, call.error, scene.in_flight()) == (1, None, [1, 0, 0])


def test_a_member_that_was_only_busy_is_asked_again_once() -> None:
    scene = Scene(S(), S())
    call = scene.call()
    scene.fail(BackendBusy("full"))
    scene.fail(ConnectFailed("refused"))
    scene.fail(BackendBusy("full"))
    assert isinstance(call.error, Unavailable)
    assert len(scene.dialer.dials) == 3
    assert scene.in_flight() == [0, 0]


@pytest.mark.parametrize(
    ("most", "ends"),
    [
        *((0, "r"), (1, "rr"), (1, "brr"), (1, "bbrr"), (1, "bbbrr"), (2, "brrr")),
        *((None, "rrr"), (None, "brrr"), (None, "bbrrr"), (None, "bbbrrr")),
    ],
)
def test_busy_is_no_attempt(most: int | None, ends: str) -> None:
    """``b`` is busy, ``r`` refuses, until the request fails. The second time nobody is busy."""
    scene = Scene(S(), S(), S(), max_attempts=most)
    call = scene.call()
    dialled = ""
    for end in ends:
        assert call.error is None
        dialled += scene.fail(BackendBusy("full") if end == "b" else None)
    assert call.error is not None
    assert "abc".startswith(dialled[:3])
    assert set(dialled[3:]) <= {name for name, end in zip(dialled, ends, strict=True) if end == "b"}
    assert len(set(dialled[3:])) == len(dialled[3:])


def test_a_member_that_is_gone_does_not_use_up_the_attempts() -> None:
    """Discovery may exchange the members while a request is on its way to one of them."""
    scene = Scene(S(), S())
    call = scene.call()
    assert scene.where() == "a"
    scene.pool.set_backends(scene.backends[1:])
    scene.fail()
    assert scene.where() == "b"
    scene.dialer.open()[0].succeed()
    assert call.error is None


def test_when_all_have_failed_none_is_brought_back_for_nobody() -> None:
    scene = Scene(S(), S())
    scene.call()
    scene.fail()
    scene.fail()
    assert [member.state(0.0) for member in scene.backends] == ["in error for 60 s more"] * 2


def test_a_choice_is_accounted_for_each_attempt() -> None:
    """So who has failed pays for what it was given."""
    scene = Scene(S(ignore_errors=True), S(ignore_errors=True), method=ByRequests())
    scene.dialer.at_once = True
    call = scene.call()
    call.dispatch.retry(GONE)
    assert [member.elected for member in scene.backends] == [1, 1]
    assert [member.load for member in scene.backends] == [-100, 100]
