"""Every case as a reader sees it: however the bytes are cut, it is the same."""

from __future__ import annotations

import pytest

from tests.smuggling.case import LAST, Case
from tests.smuggling.cases import CASES
from tests.smuggling.outcome import read_pieces


def stream(case: Case) -> bytes:
    return case.data + (LAST if case.stays_open and not case.waits else b"")


@pytest.mark.parametrize("name", CASES)
def test_byte_by_byte(name: str) -> None:
    data = stream(CASES[name])
    whole = read_pieces([data])
    assert read_pieces(data[i : i + 1] for i in range(len(data))).essence == whole.essence


@pytest.mark.parametrize("name", CASES)
def test_cut_in_two(name: str) -> None:
    """At every point; in the long ones, at those around the ends of lines and of the stream."""
    data = stream(CASES[name])
    whole = read_pieces([data]).essence
    cuts = set(range(1, len(data)))
    if len(data) > 1500:
        cuts &= {at + by for at in (0, 1000, 2048, len(data)) for by in range(-150, 150)}
    for cut in sorted(cuts):
        assert read_pieces([data[:cut], data[cut:]]).essence == whole, data[max(cut - 30, 0) : cut]
