"""The share of faulty exchanges that puts a member in error."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from scgiproxy.errors import BadResponse, ClientGone, ConnectFailed, TruncatedResponse
from scgiproxy.message.backend_url import UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.condition import Condition
from scgiproxy.pool.ejection import FEWEST, WINDOW, ErrorRate
from scgiproxy.rules.backend import BackendSettings
from tests.pool.fakes import Scene

BAD = BadResponse("nonsense")


def feed(rate: ErrorRate, now: float, outcomes: str) -> str:
    """``.`` is a good exchange, ``x`` a faulty one; ``!`` in the result is one too many."""
    return "".join("!" if rate.add(now, one == "x") else one for one in outcomes)


def test_few_exchanges_say_nothing() -> None:
    assert feed(ErrorRate(0.1), 0.0, "xxxxxxxxx") == "xxxxxxxxx"


@pytest.mark.parametrize(
    ("limit", "outcomes", "expected"),
    [
        (0.5, ".....xxxxx", ".....xxxx!"),
        (0.5, "......xxxx", "......xxxx"),
        (0.5, "......xxxx.xxx", "......xxxx.xx!"),
        (1.0, "xxxxxxxxxx", "xxxxxxxxx!"),
        (1.0, ".xxxxxxxxxxx", ".xxxxxxxxxxx"),
        (0.2, ".........x.x.x", ".........x.x.!"),
    ],
)
def test_a_share(limit: float, outcomes: str, expected: str) -> None:
    assert feed(ErrorRate(limit), 0.0, outcomes) == expected


def test_a_good_exchange_never_ejects() -> None:
    """Also the tenth, after nine faults."""
    assert feed(ErrorRate(0.5), 0.0, "xxxxxxxxx.") == "xxxxxxxxx."


def test_it_begins_anew_after_an_ejection() -> None:
    assert feed(ErrorRate(0.5), 0.0, "xxxxxxxxxx" * 2) == "xxxxxxxxx!" * 2


def test_what_is_long_ago_does_not_count() -> None:
    rate = ErrorRate(0.5)
    feed(rate, 0.0, "xxxxxxxxx")
    assert feed(rate, WINDOW * 2, "x" * (FEWEST - 1)) == "x" * (FEWEST - 1)


def test_what_was_just_before_does_count() -> None:
    rate = ErrorRate(0.5)
    feed(rate, 0.0, "xxxxx")
    assert feed(rate, WINDOW * 0.6, "xxxxx") == "xxxx!"


def test_the_older_half_goes() -> None:
    """Five seconds at a time."""
    rate = ErrorRate(0.5)
    feed(rate, 0.0, "xxxxx")
    feed(rate, WINDOW * 0.6, "..")
    assert feed(rate, WINDOW * 1.2, "xxxxx") == "xxxxx"


# -- a member ----------------------------------------------------------------------------------


def backend(clock: Clock, rate: float | None = 0.5) -> Backend:
    settings = BackendSettings(eject_rate=rate, retry=5.0)
    return Backend("a", UnixAddress("/a"), b"/", settings, clock=clock, balancer="app")


def is_down(one: Backend) -> bool:
    return one.condition is Condition.DOWN


def exchange(one: Backend, fault: Exception | None, times: int = 1) -> None:
    for _ in range(times):
        probing = one.take()
        if fault is None:
            one.answered()
        one.give_back(fault, probing)


def test_a_member_bears_faults_up_to_its_rate() -> None:
    one = backend(Clock())
    exchange(one, None, 6)
    exchange(one, BAD, 5)
    assert (is_down(one), one.errors) == (False, 5)
    exchange(one, TruncatedResponse("short"))
    assert (is_down(one), one.errors) == (True, 6)


def test_without_a_rate_it_bears_none() -> None:
    one = backend(Clock(), None)
    exchange(one, None, 100)
    exchange(one, BAD)
    assert is_down(one)


def test_who_cannot_be_connected_to_is_down_at_once() -> None:
    one = backend(Clock())
    exchange(one, None, 100)
    exchange(one, ConnectFailed("refused"))
    assert is_down(one)


def test_what_nobody_knows_the_end_of_counts_for_neither_side() -> None:
    one = backend(Clock())
    exchange(one, ClientGone("left"), 100)
    exchange(one, BAD, 9)
    assert not is_down(one)
    exchange(one, BAD)
    assert is_down(one)


def test_a_member_on_probation_bears_none() -> None:
    clock = Clock()
    one = backend(clock)
    exchange(one, BAD, 10)
    clock.advance(5)
    assert one.take()
    assert one.condition is Condition.PROBATION
    one.give_back(BAD, True)
    assert is_down(one)


def test_it_is_counted_by_the_pool() -> None:
    """A client that leaves and an answer that is good, one each, and faults."""
    scene = Scene(BackendSettings(eject_rate=0.5))
    scene.dialer.at_once = True
    for _ in range(20):
        scene.call().dispatch.cancel()
    for _ in range(6):
        call = scene.call()
        call.dispatch.answered(200)
        call.dispatch.release()
    for _ in range(5):
        scene.call().dispatch.release(BAD)
    assert not is_down(scene.backends[0])
    scene.call().dispatch.release(BAD)
    assert is_down(scene.backends[0])
