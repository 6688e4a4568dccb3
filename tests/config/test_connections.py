"""Numbers of connections and waits for clients: what is wrong is told with what was expected."""

from __future__ import annotations

import pytest

from tests.config.loading import errors_of


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("header=20,Foo=3", "header=20,Foo=3: expected MinRate=RATE behind the comma, got 'Foo=3'"),
        ("header=20,", "header=20,: expected MinRate=RATE behind the comma, got ''"),
        ("header=20,MinRate=x", "header=20,MinRate=x: expected a number from 1 to "),
        ("head=20", "'head' is no stage; expected one of handshake, header, body"),
        ("20", "expected handshake=, header=, body= and seconds, got '20'"),
        ("header=40-20,MinRate=1", "the most seconds are to be more than the first ones, 40"),
    ],
)
def test_a_stage_that_is_none(line: str, told: str) -> None:
    (error,) = errors_of(f"RequestReadTimeout {line}")
    assert error.startswith("f:1: RequestReadTimeout: ")
    assert told in error
