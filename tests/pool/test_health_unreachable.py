"""Members without a health check that cannot be connected to are looked for."""

from __future__ import annotations

import pytest

from scgiproxy.errors import BackendBusy, BadResponse
from scgiproxy.pool.condition import Condition
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.health import CheckMethod, ProbeResult
from tests.pool.probing import GONE, Probed, lose, member, put_in_error


def test_it_is_looked_for(probed: Probed, told: list[str]) -> None:
    """After 1, 2, 4 and then every 8 seconds, until its retry time; that is no news."""
    checks = probed(BackendSettings(retry=40.0))
    lose(checks)
    waits = []
    for _ in range(6):
        waits.append(round(checks.until_probe()))
        checks.dial().fail(GONE)
    assert waits == [1, 2, 4, 8, 8, 8]
    checks.advance(100)
    assert checks.open == []
    assert [line for line in told if not line.startswith("debug: ")] == told[:1]


def test_it_is_back(probed: Probed, told: list[str]) -> None:
    """The next request finds out; then it is up, which is logged."""
    checks = probed(BackendSettings(retry=60.0), BackendSettings(), force_recovery=False)
    one = lose(checks)
    checks.probe(False)
    checks.probe(True)
    assert one.condition is Condition.DOWN
    assert one.usable(checks.clock.seconds())
    assert one.last_probe == ProbeResult(checks.clock.seconds(), True, "connected")
    assert {checks.scene.serve() for _ in range(2)} == {"a", "b"}
    assert one.condition.value == "up"
    checks.advance(100)
    assert checks.open == []
    assert told[-1].startswith("info: backend.up: unix:/a|scgi://a of balancer://app is up again")


def test_it_goes_again(probed: Probed) -> None:
    """Each time from one second on."""
    checks = probed(BackendSettings(retry=60.0))
    for _ in range(2):
        one = lose(checks)
        assert round(checks.until_probe()) == 1
        checks.dial().fail(GONE)
        assert round(checks.until_probe()) == 2
        checks.dial().succeed()
        one.take()
        one.answered()
        one.give_back(None)


def test_the_request_that_finds_out_fails(probed: Probed) -> None:
    """It is looked for anew."""
    checks = probed(BackendSettings(retry=60.0))
    lose(checks)
    checks.probe(True)
    lose(checks)
    assert round(checks.until_probe()) == 1


def test_more_requests_fail_meanwhile(probed: Probed) -> None:
    """They change nothing."""
    checks = probed(BackendSettings(retry=60.0))
    one = checks.members[0]
    old = [one.take() for _ in range(3)]
    lose(checks)
    checks.advance(0.5)
    one.give_back(GONE, old[0])
    assert checks.until_probe() == pytest.approx(0.5, abs=0.2)
    one.give_back(GONE, old[1])
    checks.dial().fail(GONE)
    one.give_back(GONE, old[2])
    assert round(checks.until_probe()) == 2


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (BackendSettings(retry=0.0), GONE),
        (BackendSettings(retry=1.0), GONE),
        (BackendSettings(retry=60.0), BadResponse("x")),
        (BackendSettings(retry=60.0), BackendBusy("x")),
        (BackendSettings(retry=60.0, ignore_errors=True), GONE),
    ],
)
def test_who_is_not_looked_for(probed: Probed, settings: BackendSettings, fault: Exception) -> None:
    """Who is tried again soon anyway, and who can be connected to."""
    checks = probed(settings)
    lose(checks, fault)
    checks.advance(100)
    assert checks.dialer.dials == []


def test_a_checked_member_is_not_looked_for(probed: Probed) -> None:
    """Its check finds out."""
    checks = probed(member(interval=30.0, retry=60.0), random=1.0)
    checks.probe(True)
    lose(checks)
    checks.advance(25)
    assert checks.open == []


def test_its_turn_comes_too_late(probed: Probed) -> None:
    """Its retry time has come meanwhile: the next request finds out anyway."""
    checks = probed(BackendSettings(retry=5.0), member(CheckMethod.GET, timeout=20.0), at_once=1)
    checks.until_probe()
    lose(checks)
    checks.advance(10)
    assert checks.open == ["b"]
    checks.dial().fail(GONE)
    assert checks.open == []


@pytest.mark.parametrize("change", ["disabled", "stopped", "recover", "answered"])
def test_no_more_reason(probed: Probed, change: str) -> None:
    checks = probed(BackendSettings(retry=60.0))
    one = lose(checks)
    if change == "recover":
        one.recover()
    elif change == "answered":
        one.recover()
        one.take()
        one.answered()
    else:
        setattr(one, change, True)
    checks.advance(100)
    assert checks.dialer.dials == []


def test_no_more_reason_while_it_is_probed(probed: Probed) -> None:
    checks = probed(BackendSettings(retry=60.0))
    one = lose(checks)
    checks.until_probe()
    one.recover()
    one.take()
    one.answered()
    checks.dial().fail(GONE)
    checks.advance(100)
    assert len(checks.dialer.dials) == 1
    lose(checks)
    assert round(checks.until_probe()) == 1


def test_it_is_looked_for_from_the_start(probed: Probed) -> None:
    """Also if it was lost before."""
    checks = probed(BackendSettings(retry=60.0))
    checks.checks.stop()
    lose(checks)
    checks.advance(10)
    assert checks.dialer.dials == []
    checks.checks.start()
    assert round(checks.until_probe()) == 1


def test_who_waits_for_one_that_is_back(probed: Probed) -> None:
    """A request that waits for any member is the one that finds out."""
    checks = probed(BackendSettings(retry=60.0), wait=30.0, force_recovery=False)
    lose(checks)
    call = checks.scene.call()
    assert call.told == 0
    checks.probe(True)
    checks.dial().succeed()
    assert call.backend is checks.members[0]
    call.dispatch.release()
    assert checks.members[0].condition is Condition.UP


def test_a_member_that_has_gone_is_not_heard(probed: Probed) -> None:
    checks = probed(BackendSettings(retry=60.0), BackendSettings())
    gone = lose(checks)
    checks.scene.pool.set_backends(checks.members[1:])
    checks.checks.update()
    put_in_error(gone, GONE)
    checks.advance(100)
    assert checks.dialer.dials == []
