"""The life of a backend: what puts it in error, and what brings it back."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from scgiproxy.errors import (
    BackendBusy,
    BadResponse,
    ClientGone,
    ConnectFailed,
    GatewayError,
    HeadTimeout,
    NameNotFound,
    OutOfSockets,
    QueueTimeout,
)
from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.condition import Condition
from scgiproxy.rules.backend import BackendSettings


@pytest.fixture
def clock() -> Clock:
    return Clock()


def backend(clock: Clock, *, balancer: str | None = "app", **settings: object) -> Backend:
    return Backend(
        "scgi://h:1",
        TcpAddress("h", 1),
        b"/",
        BackendSettings(**settings),  # type: ignore[arg-type]
        clock=clock,
        balancer=balancer,
    )


def request(one: Backend, fault: Exception | None = None) -> None:
    probing = one.take()
    one.give_back(fault, probing=probing)


@pytest.mark.parametrize("fault", [ConnectFailed("x"), BadResponse("x"), HeadTimeout("x")])
def test_faults_count(clock: Clock, fault: Exception) -> None:
    one = backend(clock)
    request(one, fault)
    assert one.condition is Condition.DOWN
    assert one.errors == 1
    assert not one.usable(clock.seconds())


@pytest.mark.parametrize(
    "reason",
    [
        None,
        ClientGone("x"),
        GatewayError("x"),
        QueueTimeout("x"),
        BackendBusy("x"),
        OutOfSockets("x"),
        NameNotFound("x"),
    ],
)
def test_what_is_not_the_backends_fault_does_not(clock: Clock, reason: Exception | None) -> None:
    one = backend(clock)
    request(one, reason)
    assert one.condition is Condition.UP
    assert (one.errors, one.elected, one.in_flight) == (0, 1, 0)


def test_a_backend_that_stands_alone_is_never_in_error(clock: Clock) -> None:
    one = backend(clock, balancer=None)
    request(one, ConnectFailed("x"))
    assert one.usable(clock.seconds())
    assert one.errors == 1


def test_one_request_probes_after_the_retry_time(clock: Clock) -> None:
    one = backend(clock, retry=10.0)
    request(one, ConnectFailed("x"))
    clock.advance(9.9)
    assert not one.usable(clock.seconds())
    clock.advance(0.1)
    assert one.usable(clock.seconds())
    assert one.take() is True
    assert one.condition is Condition.PROBATION
    assert not one.usable(clock.seconds())
    one.answered()
    assert one.condition is Condition.UP
    assert one.take() is False


def test_a_failed_probe_starts_the_time_anew(clock: Clock) -> None:
    one = backend(clock, retry=10.0)
    request(one, ConnectFailed("x"))
    clock.advance(15)
    request(one, ConnectFailed("x"))
    assert one.condition is Condition.DOWN
    assert not one.usable(24.9)
    assert one.usable(25)


def test_a_probe_that_is_broken_off_leaves_it_to_the_next_request(clock: Clock) -> None:
    one = backend(clock, retry=10.0)
    request(one, ConnectFailed("x"))
    clock.advance(10)
    request(one, ClientGone("x"))
    assert one.condition is Condition.DOWN
    assert one.usable(clock.seconds())


def test_an_old_request_neither_ends_the_wait_nor_the_probe(clock: Clock) -> None:
    one = backend(clock, retry=10.0)
    assert one.take() is False
    request(one, ConnectFailed("x"))
    one.answered()
    assert one.condition is Condition.DOWN
    clock.advance(10)
    one.take()
    one.give_back(None)
    assert one.condition is Condition.PROBATION


def test_recovery_by_force(clock: Clock) -> None:
    """It takes every request at once, and is up when one of them is answered."""
    one = backend(clock)
    request(one, ConnectFailed("x"))
    one.recover()
    assert one.usable(clock.seconds())
    assert one.take() is True
    one.recover()
    assert one.usable(clock.seconds())
    assert one.take() is True
    one.give_back(None, probing=True)
    assert one.condition is Condition.RECOVERING
    one.answered()
    assert one.condition is Condition.UP
    one.recover()
    assert one.condition is Condition.UP
    assert one.take() is False


def test_recovery_by_force_fails(clock: Clock) -> None:
    one = backend(clock, retry=10.0)
    request(one, ConnectFailed("x"))
    one.recover()
    clock.advance(5)
    request(one, ConnectFailed("x"))
    assert one.condition is Condition.DOWN
    assert not one.usable(14.9)
    assert one.usable(15)


def test_recovery_by_force_during_a_probe(clock: Clock) -> None:
    one = backend(clock, retry=0.0)
    request(one, ConnectFailed("x"))
    assert one.take() is True
    assert not one.usable(clock.seconds())
    one.recover()
    assert one.usable(clock.seconds())
    one.answered()
    assert one.condition is Condition.UP


@pytest.mark.parametrize("state", ["down", "probation", "recovering", "up"])
def test_a_good_check_brings_it_back(clock: Clock, told: list[str], state: str) -> None:
    """From every state, and the fault of a request that is still going on counts again."""
    one = backend(clock, retry=10.0)
    if state != "up":
        request(one, ConnectFailed("x"))
        clock.advance(10)
    if state == "probation":
        one.take()
    if state == "recovering":
        one.recover()
    told.clear()
    one.proved()
    assert one.condition is Condition.UP
    assert len(told) == (state != "up")
    request(one, ConnectFailed("x"))
    assert one.condition is Condition.DOWN


def test_who_cannot_be_reached_is_told(clock: Clock) -> None:
    """Each time it is in error for that, and for nothing else."""
    one = backend(clock, retry=10.0)
    lost: list[Backend] = []
    one.on_unreachable = lost.append
    request(one, BackendBusy("x"))
    request(one, BadResponse("x"))
    assert lost == []
    clock.advance(10)
    request(one, ConnectFailed("x"))
    assert lost == [one]


def test_retry_zero_is_at_once(clock: Clock) -> None:
    one = backend(clock, retry=0.0)
    request(one, ConnectFailed("x"))
    assert one.usable(clock.seconds())


def test_disabled_is_never_usable(clock: Clock) -> None:
    assert not backend(clock, disabled=True).usable(0.0)


def test_full(clock: Clock) -> None:
    one = backend(clock, max_connections=1)
    assert not one.full()
    one.take()
    assert one.full()
    assert not backend(clock).full()


def test_repr_shows_the_state(clock: Clock) -> None:
    one = backend(clock, retry=10.0, max_connections=5)
    assert repr(one) == "<Backend scgi://h:1 usable, 0 of 5 in flight, 0 elected, 0 errors>"
    request(one, ConnectFailed("x"))
    clock.advance(3)
    assert "in error for 7 s more," in repr(one)
    clock.advance(7)
    assert "in error, due for a retry," in repr(one)
    one.take()
    assert "being probed, 1 of 5 in flight, 2 elected, 1 errors" in repr(one)
    assert "disabled, 0 in flight" in repr(backend(clock, disabled=True))


# -- what the log says -------------------------------------------------------------------------


DOWN = (
    "warn: backend.connect: scgi://h:1 of balancer://app is in error, and tried again after 10 s:"
    " nobody there"
)
GONE = ConnectFailed("nobody there")


def test_a_change_is_logged_once(clock: Clock, told: list[str]) -> None:
    """Not again for each request that fails, nor for each that is answered."""
    one = backend(clock, retry=10.0)
    old = [one.take() for _ in range(3)]
    request(one)
    assert told == []
    for probing in old:
        one.give_back(GONE, probing=probing)
    assert told.pop(0) == DOWN
    assert (
        told
        == ["debug: backend.connect: scgi://h:1 of balancer://app is still in error: nobody there"]
        * 2
    )
    told.clear()
    clock.advance(11)
    assert told == []
    one.take()
    one.answered()
    one.give_back(None, probing=True)
    assert told == [
        "info: backend.up: scgi://h:1 of balancer://app is up again; it was in error for 11 s"
    ]
    request(one)
    assert len(told) == 1
    request(one, GONE)
    assert told[1:] == [DOWN]


def test_it_says_what_the_fault_was(clock: Clock, told: list[str]) -> None:
    request(backend(clock, balancer="other", retry=0.25), HeadTimeout("no {head} in time"))
    (line,) = told
    assert line == (
        "warn: backend.head_timeout: scgi://h:1 of balancer://other is in error, and tried again"
        " after 0.25 s: no {head} in time"
    )


@pytest.mark.parametrize("forced", [False, True])
def test_being_tried_again_is_no_news(clock: Clock, told: list[str], forced: bool) -> None:
    """While it stays in error, whether its time had come or all the others are in error too."""
    one = backend(clock, retry=10.0)
    for _ in range(3):
        request(one, GONE)
        if forced:
            one.recover()
        else:
            clock.advance(10)
    request(one, ClientGone("x"))
    assert [line for line in told if not line.startswith("debug: ")] == [DOWN]
    clock.advance(10)
    one.take()
    one.answered()
    assert told[-1].startswith("info: backend.up: ")


@pytest.mark.parametrize("fault", [ClientGone("x"), BackendBusy("x"), NameNotFound("x"), None])
def test_what_is_no_fault_is_not_logged(
    clock: Clock, told: list[str], fault: Exception | None
) -> None:
    request(backend(clock), fault)
    assert told == []


def test_a_backend_that_stands_alone_is_not_logged(clock: Clock, told: list[str]) -> None:
    """Each of its failures is that of a request, which is logged."""
    request(backend(clock, balancer=None), GONE)
    assert told == []


@pytest.mark.parametrize("own", Condition)
@pytest.mark.parametrize("told", Condition)
@pytest.mark.parametrize("fault", [None, ConnectFailed("refused")])
def test_it_follows_what_another_process_has_found(
    clock: Clock, own: Condition, told: Condition, fault: ConnectFailed | None
) -> None:
    """From wherever it is, and tells nobody of it; what it finds out itself goes on from there."""
    one = backend(clock)
    one.follow(own, ConnectFailed("first"), 1.0)
    assert one.condition is own

    class Sharing:
        told = 0

        def judged(self) -> None:
            self.told += 1

        def taken(self) -> None:
            pass

        given_back = taken

    sharing = one.sharing = Sharing()
    one.follow(told, fault, 2.0)
    assert one.condition is told
    assert sharing.told == 0
    one.fail(ConnectFailed("refused"))
    assert one.condition is Condition.DOWN
    assert sharing.told
