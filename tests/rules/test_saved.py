"""The text of what survives a restart."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.rules.saved import (
    COUNTERS,
    SavedBalancer,
    SavedMember,
    decode_saved,
    encode_saved,
)

NAMES = st.text(st.characters())
FIELDS = st.dictionaries(NAMES, NAMES)
MEMBERS = st.builds(
    SavedMember,
    FIELDS,
    FIELDS,
    st.dictionaries(st.sampled_from(sorted(COUNTERS)), st.integers(0, 1 << 62)),
)
BALANCERS = st.builds(
    SavedBalancer,
    FIELDS,
    FIELDS,
    st.lists(NAMES).map(tuple),
    st.dictionaries(NAMES, MEMBERS, max_size=3),
)


def whole(**changes: Any) -> bytes:
    plain = json.loads(encode_saved("o", {"b": SavedBalancer(members={"m": SavedMember()})}))
    balancer = plain["balancers"]["b"]
    member = balancer["members"]["m"]
    for key, value in changes.items():
        for place in (plain, balancer, member):
            if key in place:
                place[key] = value
    return json.dumps(plain).encode()


@given(NAMES, st.dictionaries(NAMES, BALANCERS, max_size=3))
def test_it_is_read_as_it_was_written(owner: str, balancers: dict[str, SavedBalancer]) -> None:
    assert decode_saved(encode_saved(owner, balancers), owner) == balancers


@given(st.data())
def test_half_of_it_is_refused(data: st.DataObject) -> None:
    """Wherever it ends; but for the newline, which is no part of it."""
    text = whole()
    end = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(ValueError, match="it is no JSON"):
        decode_saved(text[:end], "o")


@given(st.binary())
def test_anything_else_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode_saved(data, "o")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda one: (
            st.lists(one)
            | st.dictionaries(
                st.sampled_from(
                    ["balancers", "b", "added", "members", "counters", "changed", "configured"]
                ),
                one,
            )
        ),
    )
)
def test_other_values_are_refused_or_understood(value: Any) -> None:
    for key in ("balancers", "members", "counters", "changed", "configured", "added"):
        with contextlib.suppress(ValueError):
            decode_saved(whole(**{key: value}), "o")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (b"9" * 10_000, "it is no JSON"),
        (b"[]", "it is another kind of file"),
        (b"{}", "it is another kind of file"),
        (whole(version=2), "it is of version 2; expected 1"),
        (whole(configuration="/etc/x"), "it belongs to the configuration '/etc/x'; expected 'o'"),
        (whole(balancers=[]), "'balancers' is no object of objects"),
        (whole(members={"m": 1}), "'members' is no object of objects"),
        (whole(changed={"w_lf": 1}), "'changed' is no object of strings"),
        (whole(added="x"), "'added' is no list of strings"),
        (whole(counters={"elected": -1}), "'counters' is no object of numbers"),
        (whole(counters={"elected": True}), "'counters' is no object of numbers"),
        (whole(counters={"elected": 1e3}), "'counters' is no object of numbers"),
        (whole(counters={"elected": 1 << 63}), "'counters' is no object of numbers"),
        (whole(counters={"disabled": 1}), "'counters' is no object of numbers"),
    ],
)
def test_what_is_wrong_is_told(text: bytes, problem: str) -> None:
    with pytest.raises(ValueError) as raised:
        decode_saved(text, "o")
    assert str(raised.value).startswith(problem)


def test_a_load_may_be_below_zero() -> None:
    assert decode_saved(whole(counters={"load": -5}), "o")["b"].members["m"].counters == {
        "load": -5
    }
