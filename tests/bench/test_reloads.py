"""The measurement of reloads and upgrades, with few of them."""

from __future__ import annotations

import shutil

import pytest

from tests.bench.loads import Outcome
from tests.bench.reloads import Phase, measure


def outcome(status: str = "200", **errors: int) -> Outcome:
    return Outcome(1.0, 100, 1000, 1, 100, 200, {status: 100}, errors)


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        (Phase("reloads", {"kept": outcome()}, [0.1]), []),
        (Phase("reloads", {"kept": outcome(closed=1), "new": outcome()}, [0.1]), ["'closed': 1"]),
        (Phase("reloads", {"kept": outcome("503")}, [0.1]), ["'503': 100"]),
        (Phase("reloads", {"kept": outcome()}, [0.1], within=False), ["before the last change"]),
    ],
)
def test_what_is_wrong(phase: Phase, said: list[str]) -> None:
    found = phase.wrong()
    assert len(found) == len(said)
    assert all(part in line for part, line in zip(said, found, strict=True))


@pytest.mark.e2e
@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_fails(workers: int) -> None:
    """How quick anything is says nothing here, nor for how long the load went on."""
    phases = list(measure(workers, 0.5, 2, 1, (0.5, 1.0)))
    assert [len(one.changes) for one in phases] == [0, 2, 1]
    for one in phases:
        assert set(one.outcomes) == {"kept", "new"}
        assert not [line for line in one.wrong() if "the load had ended" not in line]
        assert len(list(one.told())) == (3 if one.changes else 2)
