"""The table of phases and faults, in memory, before each kind of backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.directives.conftest import configured  # noqa: F401  a fixture
from tests.directives.gateway import Configured
from tests.faults.memory import KINDS, Kind, Play, certificates
from tests.faults.table import (
    CONNECTING,
    FAULTS,
    GET,
    LEAVES,
    OTHER,
    PHASES,
    STAYS,
    TIMEOUT,
    Acts,
    Phase,
    outcome,
)
from tests.web.answers import Log, parse_answers
from tests.web.harness import Client

WAYS = ("backend.failover", "backend.repeated")
"""What is told of a request that somebody else has answered."""


@pytest.fixture
def play(configured: Configured, tmp_path: Path) -> Callable[[Kind], Play]:  # noqa: F811
    certificates(tmp_path)
    return lambda kind: Play(configured(kind.text.format(files=tmp_path)), kind)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_what_comes_of_it(play: Callable[[Kind], Play], phase: Phase, fault: str) -> None:
    """The right status or an abort, its line in the log; nothing is held, and the next is served."""
    # One test for all kinds: what is around a test takes longer than this does.
    for kind in KINDS:
        with _named(kind):
            _check_kind(play(kind), kind, phase, fault)


@contextmanager
def _named(kind: Kind) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"with a backend of the kind: {kind.name}")
        raise


def _check_kind(played: Play, kind: Kind, phase: Phase, fault: str) -> None:
    gateway = played.gateway
    acts = FAULTS[fault](phase)
    with Log() as log:
        client, side = played.come_to(phase)
        waiting = gateway.client().send(GET) if kind.most else None
        gateway.settle()
        if side is None:
            _connect(played, acts)
        else:
            # As long as the client is to send, a backend is not waited for.
            is_slow = acts.dribbles or (not acts.pieces and acts.ends == STAYS)
            if is_slow:
                _send_rest(played, client, phase)
            played.act(side, acts)
            if not is_slow:
                _send_rest(played, client, phase)
        played.let_others_answer()
        gateway.advance(TIMEOUT + 2, 1)
        played.let_others_answer()
    _check(client, phase, fault, kind, log)
    gateway.advance(6, 1)
    played.assert_released()
    _is_served(played, waiting)
    next_one = gateway.client().send(GET)
    gateway.settle()
    _is_served(played, next_one)
    gateway.advance(6, 1)
    played.assert_released()
    played.end()


def _send_rest(played: Play, client: Client, phase: Phase) -> None:
    if phase.rest and not client.closed:
        client.send(phase.rest)
        played.gateway.settle()


def _connect(played: Play, acts: Acts) -> None:
    """The backend takes the connection late, if at all, and then goes wrong."""
    attempt = played.open_attempts()[-1]
    if not acts.pieces:
        if acts.ends in LEAVES:
            attempt.refuse()
        else:
            played.gateway.advance(TIMEOUT + 1, 1)
        return
    side = played.accept(attempt, tls=False)
    assert side is not None
    played.act(side, acts)


def _check(client: Client, phase: Phase, fault: str, kind: Kind, log: Log) -> None:
    expected = outcome(phase, fault, has_another=kind.has_another, repeats=kind.ready, tls=kind.tls)
    ended = client.closed == "closed" or client.half_closed
    (answer,) = parse_answers(client.received, closed=ended)
    assert answer.status == expected.status
    assert answer.whole == expected.whole
    assert expected.body in (None, answer.body)
    assert (client.closed == "aborted") is not expected.whole
    # What is told of a member has no request.
    lines = [event["log_key"] for event in log.events if "elapsed" in event]
    told = [key for key in lines if key not in WAYS]
    assert len(told) == bool(expected.keys), told
    assert not told or told[0] in expected.keys


def _is_served(played: Play, client: Client | None) -> None:
    if client is None:
        return
    played.let_others_answer()
    assert (client.answer.status, client.answer.body) == (200, OTHER)


def test_nothing_is_left_out() -> None:
    """Phases and faults have names of their own, and each is told from each other one."""
    assert len({phase.name for phase in PHASES}) == len(PHASES) == 16
    assert len(FAULTS) == 9
    assert len(KINDS) == 5
    assert CONNECTING is PHASES[0]
    outcomes = {outcome(phase, fault).status for phase in PHASES for fault in FAULTS}
    assert outcomes == {200, 502, 503, 504}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_is_held_is_found(play: Callable[[Kind], Play], kind: Kind) -> None:
    """While an exchange is under way."""
    for phase in PHASES[:10]:
        played = play(kind)
        client, _ = played.come_to(phase)
        with pytest.raises(AssertionError):
            played.assert_released()
        client.leave()
        played.gateway.advance(6, 1)
        played.end()
