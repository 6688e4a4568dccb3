"""What an exchange says of its member: by its status, its time, its end."""

from __future__ import annotations

from typing import Any

import pytest
from zope.interface import implementer

from scgiproxy.errors import (
    BackendBusy,
    BackendError,
    BadResponse,
    BodyTimeout,
    ConnectFailed,
    HeadTimeout,
    TruncatedResponse,
)
from scgiproxy.interfaces import IResponseTimes
from scgiproxy.pool.condition import Condition
from scgiproxy.pool.methods.apache import ByRequests
from scgiproxy.rules.backend import BackendSettings
from tests.pool.fakes import Call, Scene

S = BackendSettings
STATUSES = frozenset((503, 418))
GONE = TruncatedResponse("gone")


def scene(*members: BackendSettings, **options: Any) -> Scene:
    """One whose members accept at once."""
    made = Scene(*(members or (S(), S())), **options)
    made.dialer.at_once = True
    return made


def down(of: Scene) -> str:
    """The names of those that are in error."""
    return "".join(one.label[-1] for one in of.backends if one.condition is Condition.DOWN)


# -- failonstatus ------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "is_down"), [(503, "a"), (418, "a"), (500, ""), (200, "")])
def test_a_status_that_counts(status: int, is_down: str) -> None:
    """From the head on, while the answer is still under way."""
    of = scene(fail_on_status=STATUSES)
    call = of.call()
    call.dispatch.answered(status)
    assert down(of) == is_down
    assert of.serve() == "b"
    assert of.serve() == ("b" if is_down else "a")
    call.dispatch.release()
    assert down(of) == is_down
    assert of.backends[0].errors == len(is_down)
    assert of.in_flight() == [0, 0]


def test_without_it_no_status_counts() -> None:
    of = scene()
    of.call().dispatch.answered(503)
    assert down(of) == ""


def test_a_status_says_why(told: list[str]) -> None:
    of = scene(S(retry=2.0), S(), fail_on_status=STATUSES)
    of.call().dispatch.answered(503)
    (line,) = told
    assert line == (
        "warn: backend.status: unix:/a|scgi://a of balancer://app is in error, and tried again"
        " after 2 s: it answered with status 503"
    )


@pytest.mark.parametrize("end", [None, GONE, HeadTimeout("slow"), "cancel"])
def test_one_exchange_counts_once(end: Any) -> None:
    """However it ends after such a status."""
    of = scene(fail_on_status=STATUSES)
    call = of.call()
    call.dispatch.answered(503)
    call.dispatch.cancel() if end == "cancel" else call.dispatch.release(end)
    assert of.backends[0].errors == 1
    assert down(of) == "a"
    assert of.in_flight() == [0, 0]


def test_a_status_on_probation() -> None:
    of = scene(S(retry=1.0), S(), fail_on_status=STATUSES)
    of.call().dispatch.release(GONE)
    of.clock.advance(1)
    calls = [of.call() for _ in range(2)]
    (probe,) = [call for call in calls if call.backend is of.backends[0]]
    probe.dispatch.answered(503)
    assert down(of) == "a"
    probe.dispatch.release()
    assert down(of) == "a"
    assert not of.backends[0].usable(of.clock.seconds())


def test_who_waits_learns_of_the_new_retry_time() -> None:
    """At the head, not at the end of an answer that may go on for hours."""
    of = scene(S(retry=2.0), fail_on_status=STATUSES, force_recovery=False, wait=60.0)
    of.call().dispatch.release(GONE)
    of.clock.advance(2)
    probe, waiting = of.call(), of.call()
    assert (probe.told, waiting.told) == (1, 0)
    probe.dispatch.answered(503)
    of.clock.advance(2.2)
    assert waiting.told == 1


def test_a_status_that_counts_against_the_rate_once() -> None:
    """Half of the exchanges, and not a third since each counts as a good one too."""
    of = scene(S(eject_rate=0.5), fail_on_status=STATUSES)
    for status in [200, 503] * 5:
        call = of.call()
        call.dispatch.answered(status)
        call.dispatch.release()
    assert down(of) == "a"


# -- failontimeout -----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [HeadTimeout("slow"), BodyTimeout("slow")])
@pytest.mark.parametrize("counts", [True, False])
def test_a_timeout(fault: BackendError, counts: bool) -> None:
    of = scene(fail_on_timeout=counts)
    of.call().dispatch.release(fault)
    assert down(of) == ("a" if counts else "")
    assert of.backends[0].errors == int(counts)


@pytest.mark.parametrize(("status", "is_down"), [(504, "a"), (503, "")])
def test_a_timeout_whose_status_counts(status: int, is_down: str) -> None:
    """The status that the client gets is the gateway's own here."""
    of = scene(fail_on_status=frozenset({status}))
    of.call().dispatch.release(HeadTimeout("slow"))
    assert down(of) == is_down


@pytest.mark.parametrize("counts", [True, False])
def test_a_timeout_on_probation(counts: bool) -> None:
    """It has not shown that it works: the next request finds out."""
    of = scene(S(retry=1.0), fail_on_timeout=counts, force_recovery=False)
    of.call().dispatch.release(GONE)
    of.clock.advance(1)
    of.call().dispatch.release(HeadTimeout("slow"))
    assert down(of) == "a"
    assert of.backends[0].usable(of.clock.seconds()) is not counts


def test_a_timeout_of_the_connection_counts_anyway() -> None:
    of = Scene(S(), S())
    of.call()
    of.fail(ConnectFailed("no connection within 5 s"))
    assert down(of) == "a"


# -- response times ----------------------------------------------------------------------------


@implementer(IResponseTimes)
class Times(ByRequests):
    """A method that writes down what it is told of times."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, float, float, bool]] = []

    def observe(self, member: Any, seconds: float, now: float) -> None:
        self._note("observe", member, seconds, now)

    def failed(self, member: Any, seconds: float, now: float) -> None:
        self._note("failed", member, seconds, now)

    def _note(self, what: str, member: Any, seconds: float, now: float) -> None:
        self.told.append((what, member.label[-1], seconds, now, bool(member.usable(now))))


def timed(*members: BackendSettings, **options: Any) -> tuple[Scene, Times]:
    times = Times()
    return Scene(*(members or (S(), S())), method=times, **options), times


def connect(of: Scene, after: float = 0.0) -> Call:
    call = of.call()
    of.clock.advance(after)
    of.dialer.open()[0].succeed()
    return call


def test_the_first_byte_is_timed_from_the_attempt_on() -> None:
    of, times = timed()
    of.clock.advance(100)
    call = connect(of, after=0.25)
    assert times.told == []
    of.clock.advance(0.5)
    call.dispatch.answered(200)
    assert times.told == [("observe", "a", 0.75, 100.75, True)]
    of.clock.advance(5)
    call.dispatch.release()
    assert len(times.told) == 1


def test_each_attempt_has_its_own_time() -> None:
    of, times = timed()
    call = of.call()
    of.clock.advance(1)
    of.fail(ConnectFailed("refused"))
    of.clock.advance(0.5)
    of.dialer.open()[0].succeed()
    of.clock.advance(0.5)
    call.dispatch.answered(200)
    assert times.told == [("failed", "a", 1.0, 1.0, False), ("observe", "b", 1.0, 2.0, True)]


def test_a_repeated_request_has_two() -> None:
    of, times = timed()
    call = connect(of)
    of.clock.advance(3)
    assert call.dispatch.retry(GONE)
    of.clock.advance(1)
    of.dialer.open()[0].succeed()
    call.dispatch.answered(200)
    assert times.told == [("failed", "a", 3.0, 3.0, False), ("observe", "b", 1.0, 4.0, True)]


@pytest.mark.parametrize("fault", [GONE, BadResponse("x")])
def test_a_fault(fault: BackendError) -> None:
    """It is in error by then."""
    of, times = timed()
    call = connect(of)
    of.clock.advance(2)
    call.dispatch.release(fault)
    assert times.told == [("failed", "a", 2.0, 2.0, False)]


def test_who_stays_in_use_has_failed_as_well() -> None:
    of, times = timed(S(ignore_errors=True))
    connect(of).dispatch.release(GONE)
    assert times.told == [("failed", "a", 0.0, 0.0, True)]


@pytest.mark.parametrize("counts", [True, False])
def test_who_does_not_answer_in_time_has_failed(counts: bool) -> None:
    """Also if it stays in use: it is all the slower."""
    of, times = timed(fail_on_timeout=counts)
    call = connect(of)
    of.clock.advance(60)
    call.dispatch.release(HeadTimeout("slow"))
    assert times.told == [("failed", "a", 60.0, 60.0, not counts)]


def test_a_status_that_counts_is_no_quick_answer() -> None:
    of, times = timed(S(ignore_errors=True), fail_on_status=STATUSES)
    call = connect(of)
    call.dispatch.answered(503)
    call.dispatch.release()
    call = connect(of)
    call.dispatch.answered(200)
    assert [what for what, *_ in times.told] == ["failed", "observe"]


@pytest.mark.parametrize("end", ["cancel", "busy", "refused by us"])
def test_what_is_not_its_fault_is_not_told(end: str) -> None:
    of, times = timed()
    if end == "cancel":
        connect(of).dispatch.cancel()
    else:
        call = of.call()
        of.fail(BackendBusy("full"))
        call.dispatch.cancel()
    assert times.told == []


def test_a_method_that_comes_later_hears_of_what_has_begun() -> None:
    of = Scene(S(), S())
    of.clock.advance(1000)
    calls = [connect(of), connect(of)]
    times = Times()
    of.pool.set_method(times)
    of.clock.advance(2)
    calls[0].dispatch.answered(200)
    calls[1].dispatch.release(GONE)
    assert times.told == [("observe", "a", 2.0, 1002.0, True), ("failed", "b", 2.0, 1002.0, False)]


# -- the end -----------------------------------------------------------------------------------


def test_a_client_that_leaves_a_probe_leaves_it_to_the_next() -> None:
    of = scene(S(retry=1.0), force_recovery=False)
    of.call().dispatch.release(GONE)
    of.clock.advance(1)
    of.call().dispatch.cancel()
    assert of.backends[0].usable(of.clock.seconds())
    assert down(of) == "a"


def test_a_good_end_without_a_word_of_the_head_is_good() -> None:
    """For those who use a pool without `answered`."""
    of = scene(S(retry=1.0), force_recovery=False)
    of.call().dispatch.release(GONE)
    of.clock.advance(1)
    of.call().dispatch.release()
    assert down(of) == ""
