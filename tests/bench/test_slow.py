"""The measurement of slow clients, with few of them and short deadlines."""

from __future__ import annotations

import shutil

import pytest

from tests.bench.loads import Outcome
from tests.bench.slow import Measured, measure

LIMITS = """\
RequestReadTimeout header=2 body=2
ResponseSendTimeout 2
"""


def outcome(p99: int, **errors: int) -> Outcome:
    return Outcome(1.0, 100, 1000, 1, 100, p99, {"200": 100}, errors)


def told(**changed: object) -> dict[str, object]:
    return {"count": 5, "cut": 5, "first": 20.1, "median": 20.2, "last": 20.3} | changed


@pytest.mark.parametrize(
    ("alone", "beside", "slow", "said"),
    [
        (outcome(100), outcome(199), told(), []),
        (outcome(100), outcome(200), told(), ["2.00 times"]),
        (outcome(100), outcome(100, closed=1), told(), ["closed"]),
        (outcome(100), outcome(100), told(cut=4), ["1 slow clients were not cut"]),
        (outcome(100), outcome(100), told(first=10.0), ["after 10.0 to 20.3 s"]),
        (outcome(100), outcome(100), told(last=30.0), ["after 20.1 to 30.0 s"]),
    ],
)
def test_what_is_wrong(
    alone: Outcome, beside: Outcome, slow: dict[str, object], said: list[str]
) -> None:
    found = Measured(alone, beside, slow, 0.0).wrong(20.0)
    assert len(found) == len(said)
    assert all(part in line for part, line in zip(said, found, strict=True))


@pytest.mark.e2e
@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
@pytest.mark.parametrize("kind", ["header", "body", "read"])
def test_slow_clients_are_cut(kind: str) -> None:
    """All of them, and nobody else sees an error. How quick anything is says nothing here."""
    found = measure(50, kind, 0.5, 0.5, 2.0, LIMITS)
    assert found.slow["cut"] == 50
    assert found.slow["first"] >= 1.5
    assert not found.alone.errors
    assert not found.beside.errors
    if kind != "read":
        assert found.slow["statuses"] == ["408"]
