"""When members are checked, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest

from scgiproxy.errors import BackendBusy, BadResponse
from scgiproxy.message.backend_url import UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.condition import Condition
from scgiproxy.pool.health import LONGEST_CHECK
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.health import CheckMethod, ProbeResult
from tests.pool.probing import GONE, OK, UNAVAILABLE, MemberEnd, Probed, member, put_in_error

TCP = CheckMethod.TCP
GET = CheckMethod.GET


# -- when --------------------------------------------------------------------------------------


def test_the_first_check_comes_soon(probed: Probed) -> None:
    """Within a second; those of several gateways are spread."""
    for random, expected in ((0.0, 0.125), (0.5, 0.625), (1.0, 1.125)):
        assert probed(member(), random=random).until_probe() == expected


def test_the_first_check_with_a_short_interval(probed: Probed) -> None:
    assert probed(member(interval=0.25), random=1.0).until_probe() == 0.375


def test_the_second_check_is_anywhere_in_the_interval(probed: Probed) -> None:
    checks = probed(member(interval=20.0), random=0.25)
    checks.probe(True)
    assert checks.until_probe() == pytest.approx(5, abs=0.2)


@pytest.mark.parametrize(("random", "expected"), [(0.0, 18.0), (0.5, 20.0), (1.0, 22.0)])
def test_later_checks(probed: Probed, random: float, expected: float) -> None:
    """An interval after the end of the one before, more or less."""
    checks = probed(member(interval=20.0))
    checks.probe(True)
    checks.until_probe()
    checks.random = random
    checks.advance(3)
    checks.dial().succeed()
    assert checks.until_probe() == pytest.approx(expected, abs=0.2)


def test_one_at_a_time(probed: Probed) -> None:
    """A member that does not answer is not asked again before its time is over."""
    checks = probed(member(GET, interval=5.0))
    checks.until_probe()
    checks.answer(b"")
    checks.advance(4.5)
    assert len(checks.dialer.dials) == 1
    checks.advance(10)
    assert len(checks.dialer.dials) == 2


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (member(GET, interval=5.0), 5),
        (member(GET, interval=5.0, timeout=2.0), 2),
        (member(GET, interval=5.0, timeout=9.0), 5),
        (member(GET, interval=3600.0), LONGEST_CHECK),
    ],
)
def test_how_long(probed: Probed, settings: BackendSettings, expected: float) -> None:
    checks = probed(settings)
    checks.until_probe()
    checks.advance(expected - 0.25)
    assert checks.members[0].last_probe is None
    checks.advance(0.5)
    result = checks.members[0].last_probe
    assert result is not None
    assert (result.passed, result.told) == (False, f"no connection within {expected:g} s")


@pytest.mark.parametrize(
    ("settings", "is_checked"),
    [
        ({"disabled": True}, True),
        ({"draining": True}, True),
        ({"standby": True}, True),
        ({"stopped": True}, False),
        ({"max_connections": 1}, True),
    ],
)
def test_who_is_checked(probed: Probed, settings: dict[str, Any], is_checked: bool) -> None:
    checks = probed(member(interval=5.0, **settings))
    checks.advance(20)
    assert bool(checks.open) is is_checked


def test_flags_may_change(probed: Probed) -> None:
    checks = probed(member(interval=5.0, stopped=True))
    checks.advance(20)
    checks.members[0].stopped = False
    checks.until_probe(6)
    checks.dial().succeed()
    checks.members[0].stopped = True
    checks.advance(20)
    assert checks.open == []


def test_a_full_member_is_checked_all_the_same(probed: Probed) -> None:
    """The probe takes no place of `max`: that it hangs is to be found out."""
    checks = probed(member(max_connections=1))
    checks.scene.call()
    (request,) = checks.dialer.open()
    checks.advance(2)
    probe = checks.dialer.open()[1]
    assert checks.scene.in_flight() == [1]
    probe.succeed()
    request.succeed()


def test_a_backend_that_stands_alone_is_not_checked(probed: Probed) -> None:
    checks = probed(member(interval=5.0), balanced=False)
    checks.advance(20)
    assert checks.dialer.dials == []


# -- what becomes of them ----------------------------------------------------------------------


def test_one_failure(probed: Probed, told: list[str]) -> None:
    """Out of use, until one check passes; each is logged once, and requests go elsewhere."""
    checks = probed(member(interval=5.0), BackendSettings())
    one = checks.members[0]
    for _ in range(3):
        checks.probe(False)
        assert one.check_failed
    assert one.state(checks.clock.seconds()) == "failed by its health check"
    assert [checks.scene.serve() for _ in range(2)] == ["b", "b"]
    for _ in range(3):
        checks.probe(True)
        assert not one.check_failed
    assert "a" in {checks.scene.serve() for _ in range(2)}
    label = "unix:/a|scgi://a of balancer://app"
    assert [line for line in told if not line.startswith("debug: ")] == [
        (
            f"warn: backend.check: {label} has failed its health check, and is not used until it"
            " passes: nobody there"
        ),
        f"info: backend.check: {label} has passed its health check, and is used again",
    ]
    assert len(told) == 4


@pytest.mark.parametrize(
    ("fails", "checks_passed", "expected"),
    [
        (0, "-", "C"),
        (1, "-", "C"),
        (2, "--", ".C"),
        (3, "---", "..C"),
        (2, "-+-+--", ".....C"),
        (3, "--+---", ".....C"),
    ],
)
def test_failures_in_a_row(probed: Probed, fails: int, checks_passed: str, expected: str) -> None:
    """One that passes begins the count anew (not so in Apache)."""
    checks = probed(member(interval=5.0, fails=fails))
    seen = ""
    for sign in checks_passed:
        checks.probe(sign == "+")
        seen += "C" if checks.members[0].check_failed else "."
    assert seen == expected


@pytest.mark.parametrize(
    ("passes", "checks_passed", "expected"),
    [
        (0, "-+", "C."),
        (1, "-+", "C."),
        (2, "-++", "CC."),
        (2, "-+-++", "CCCC."),
        (3, "-++-+++", "CCCCCC."),
    ],
)
def test_passes_in_a_row(probed: Probed, passes: int, checks_passed: str, expected: str) -> None:
    checks = probed(member(interval=5.0, passes=passes))
    seen = ""
    for sign in checks_passed:
        checks.probe(sign == "+")
        seen += "C" if checks.members[0].check_failed else "."
    assert seen == expected


def test_it_may_fail_again(probed: Probed) -> None:
    """The counts begin anew with each change."""
    checks = probed(member(interval=5.0, passes=2, fails=2))
    seen = ""
    for sign in "--++--++":
        checks.probe(sign == "+")
        seen += "C" if checks.members[0].check_failed else "."
    assert seen == ".CC..CC."


@pytest.mark.parametrize("state", ["down", "probation", "recovering"])
def test_a_good_answer_ends_an_error(probed: Probed, told: list[str], state: str) -> None:
    """Before its retry time has come."""
    checks = probed(member(GET, interval=5.0, retry=60.0))
    one = checks.members[0]
    put_in_error(one, BadResponse("x"))
    if state == "recovering":
        one.recover()
    if state == "probation":
        one.due()
        one.take()
    checks.ask(OK)
    assert one.condition is Condition.UP
    assert [line for line in told if line.startswith("info: ")] == [
        "info: backend.up: unix:/a|scgi://a of balancer://app is up again; it was in error for 1 s"
    ]


def test_a_connection_lets_requests_find_out(probed: Probed, told: list[str]) -> None:
    """All of them; if they fail, that is no news."""
    checks = probed(member(TCP, interval=5.0, retry=60.0), force_recovery=False)
    one = checks.members[0]
    put_in_error(one, BadResponse("x"))
    checks.probe(True)
    assert one.condition is Condition.RECOVERING
    assert one.usable(checks.clock.seconds())
    put_in_error(one, BadResponse("x"))
    assert not one.usable(checks.clock.seconds())
    checks.probe(True)
    one.take()
    one.answered()
    assert one.condition.value == "up"
    levels = [line.partition(":")[0] for line in told if "backend.check" not in line]
    assert levels == ["warn", "debug", "info"]


def test_both_flags_at_once(probed: Probed) -> None:
    """C and E, after as many passes as it needs."""
    checks = probed(member(GET, interval=5.0, retry=600.0, passes=2))
    one = checks.members[0]
    put_in_error(one, BadResponse("x"))
    checks.ask(UNAVAILABLE)
    assert (one.check_failed, one.condition) == (True, Condition.DOWN)
    checks.ask(OK)
    assert (one.check_failed, one.condition) == (True, Condition.DOWN)
    checks.ask(OK)
    assert (one.check_failed, one.condition) == (False, Condition.UP)


def test_an_error_does_not_hide_failed_checks(probed: Probed) -> None:
    """One that is in error fails its checks too: its retry time alone does not bring it back."""
    checks = probed(member(GET, interval=5.0, retry=20.0, fails=2))
    one = checks.members[0]
    put_in_error(one, BadResponse("x"))
    checks.ask(UNAVAILABLE)
    checks.ask(UNAVAILABLE)
    assert one.check_failed
    checks.advance(0.125)
    assert not one.usable(1000.0)


def test_what_says_nothing_is_not_counted(probed: Probed, told: list[str]) -> None:
    """Neither for the member nor against it."""
    checks = probed(member(interval=5.0, fails=2, passes=2))
    one = checks.members[0]
    checks.probe(False)
    checks.until_probe()
    checks.dial().fail(BackendBusy("its queue is full"))
    assert one.last_probe == ProbeResult(checks.clock.seconds(), None, "its queue is full")
    assert not one.check_failed
    checks.probe(False)
    assert one.check_failed
    checks.probe(True)
    checks.until_probe()
    checks.dial().fail(BackendBusy("its queue is full"))
    checks.probe(True)
    assert not one.check_failed


def test_a_flag_that_somebody_has_set(probed: Probed) -> None:
    """By status=C, or on the balancer-manager: the next good check takes it away."""
    checks = probed(member(interval=5.0))
    checks.members[0].check_failed = True
    checks.probe(False)
    assert checks.members[0].check_failed
    checks.probe(True)
    assert not checks.members[0].check_failed


def test_a_flag_that_somebody_has_taken_away(probed: Probed) -> None:
    """It needs as many failures again."""
    checks = probed(member(interval=5.0, fails=2))
    one = checks.members[0]
    checks.probe(False)
    checks.probe(False)
    one.check_failed = False
    checks.probe(False)
    assert not one.check_failed
    checks.probe(False)
    assert one.check_failed


def test_the_last_probe(probed: Probed) -> None:
    checks = probed(member(GET, interval=5.0))
    one = checks.members[0]
    assert one.last_probe is None
    checks.until_probe()
    checks.advance(1)
    checks.answer(UNAVAILABLE)
    assert one.last_probe == ProbeResult(checks.clock.seconds(), False, "status 503")
    checks.ask(OK)
    assert one.last_probe == ProbeResult(checks.clock.seconds(), True, "status 200")


def test_what_is_asked(probed: Probed) -> None:
    checks = probed(member(CheckMethod.OPTIONS11, uri=b"/health?x"))
    checks.until_probe()
    variables = checks.answer().variables
    assert variables["REQUEST_METHOD"] == "OPTIONS"
    assert variables["REQUEST_URI"] == "/health?x"
    assert variables["SERVER_SOFTWARE"] == "gateway/1"


def test_who_waits_is_served_when_it_is_back(probed: Probed) -> None:
    """Requests that wait for any member, and have no other."""
    checks = probed(member(interval=5.0), wait=60.0)
    checks.probe(False)
    call = checks.scene.call()
    assert (call.told, checks.open) == (0, [])
    checks.until_probe()
    assert checks.open == ["a"]
    checks.dial().succeed()
    checks.dial().succeed()
    assert call.backend is checks.members[0]
    call.dispatch.release()


# -- start, stop, change -----------------------------------------------------------------------


def test_nothing_happens_before_the_start(probed: Probed) -> None:
    checks = probed(member(interval=5.0), BackendSettings(retry=60.0))
    checks.checks.stop()
    checks.checks.stop()
    checks.checks.update()
    checks.members[1].give_back(GONE, checks.members[1].take())
    checks.advance(100)
    assert checks.dialer.dials == []


def test_stopping_breaks_probes_off(probed: Probed) -> None:
    """Those that wait for their turn as well; nobody is judged by that."""
    checks = probed(*[member(GET)] * 4, at_once=2)
    checks.advance(2)
    first, second = checks.dialer.open()
    end = MemberEnd(first.succeed(), checks.clock)
    checks.checks.stop()
    assert end.closed == "aborted"
    assert second.stopped
    checks.advance(100)
    assert len(checks.dialer.dials) == 2
    assert [one.last_probe for one in checks.members] == [None] * 4


def test_starting_twice(probed: Probed) -> None:
    checks = probed(member(interval=5.0))
    checks.checks.start()
    checks.advance(2)
    assert checks.open == ["a"]


def test_starting_again(probed: Probed) -> None:
    """Members are as they were."""
    checks = probed(member(interval=5.0))
    checks.probe(False)
    checks.checks.stop()
    checks.checks.start()
    assert checks.members[0].check_failed
    checks.probe(True)
    assert not checks.members[0].check_failed


def test_a_member_that_goes_while_it_waits_for_its_turn(probed: Probed) -> None:
    checks = probed(member(), member(), at_once=1)
    checks.advance(2)
    (staying,) = [one for one in checks.members if one.label[-1] in checks.open]
    checks.scene.pool.set_backends([staying])
    checks.checks.update()
    checks.dial().succeed()
    assert checks.open == []


def test_members_come_and_go(probed: Probed) -> None:
    """Who stays goes on as before; who has gone is not probed any more, and gives its turn up."""
    checks = probed(member(), member(), member(), at_once=1)
    checks.advance(2)
    before = checks.open
    (gone,) = [one for one in checks.members if one.label[-1] in before]
    new = Backend(
        "scgi://new",
        UnixAddress("/new"),
        b"/",
        member(),
        clock=checks.clock,
        balancer="app",
    )
    staying = [one for one in checks.members if one is not gone]
    checks.scene.pool.set_backends([*staying, new])
    checks.checks.update()
    assert len(checks.open) == 1
    assert checks.open != before
    checks.dial().succeed()
    checks.dial().succeed()
    checks.advance(2)
    assert checks.open == ["new"]
    checks.dial().succeed()
    assert gone.last_probe is None
