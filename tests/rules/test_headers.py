"""Tests for `scgiproxy.rules.headers`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.message.headers import HeaderList, is_field_value
from scgiproxy.rules.headers import HeaderAction, HeaderEdit, apply_edits
from tests.rules.plain_facts import PlainFacts

SET, ADD, APPEND = HeaderAction.SET, HeaderAction.ADD, HeaderAction.APPEND
MERGE, UNSET, SET_IF_EMPTY = HeaderAction.MERGE, HeaderAction.UNSET, HeaderAction.SET_IF_EMPTY

X1 = (b"X", b"1")
OTHER = (b"Other", b"o")


def edited(
    headers: HeaderList, *edits: HeaderEdit, variables: dict[bytes, bytes] | None = None
) -> HeaderList:
    """`headers` after `edits`."""
    apply_edits(edits, headers, PlainFacts(environment=variables or {}))
    return headers


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        (SET, [], [(b"x", b"v")]),
        (SET, [OTHER, X1, OTHER], [OTHER, (b"X", b"v"), OTHER]),
        (SET, [X1, OTHER, (b"x", b"2")], [(b"X", b"v"), OTHER]),
        (ADD, [], [(b"x", b"v")]),
        (ADD, [X1], [X1, (b"x", b"v")]),
        (APPEND, [], [(b"x", b"v")]),
        (APPEND, [X1, OTHER], [(b"X", b"1, v"), OTHER]),
        (APPEND, [(b"X", b"v")], [(b"X", b"v, v")]),
        (APPEND, [X1, (b"X", b"2")], [(b"X", b"1, v"), (b"X", b"2")]),
        (APPEND, [(b"X", b"")], [(b"X", b"v")]),
        (MERGE, [], [(b"x", b"v")]),
        (MERGE, [X1], [(b"X", b"1, v")]),
        (MERGE, [(b"X", b"1, v")], [(b"X", b"1, v")]),
        (MERGE, [(b"X", b"v,1")], [(b"X", b"v,1")]),
        (MERGE, [(b"X", b" v\t, 1")], [(b"X", b" v\t, 1")]),
        (MERGE, [(b"X", b"V")], [(b"X", b"V, v")]),
        (MERGE, [(b"X", b"vv")], [(b"X", b"vv, v")]),
        (MERGE, [(b"X", b'"a, v"')], [(b"X", b'"a, v", v')]),
        (MERGE, [(b"X", b'"open, v')], [(b"X", b'"open, v, v')]),
        (MERGE, [X1, (b"X", b"v")], [X1, (b"X", b"v")]),
        (SET_IF_EMPTY, [], [(b"x", b"v")]),
        (SET_IF_EMPTY, [X1], [X1]),
        (SET_IF_EMPTY, [(b"X", b"")], [(b"X", b"")]),
        (UNSET, [], []),
        (UNSET, [X1, OTHER, (b"x", b"2")], [OTHER]),
    ],
)
def test_actions(action: HeaderAction, before: HeaderList, after: HeaderList) -> None:
    """Each action on none, one and several headers of that name, in any case."""
    assert edited(list(before), HeaderEdit(action, b"x", b"v")) == after


def test_edits_in_order() -> None:
    """Each edit sees what the ones before it did."""
    headers = edited(
        [(b"A", b"1"), (b"B", b"1"), (b"a", b"2")],
        HeaderEdit(UNSET, b"B"),
        HeaderEdit(SET, b"A", b"3"),
        HeaderEdit(ADD, b"C", b"4"),
        HeaderEdit(APPEND, b"c", b"5"),
        HeaderEdit(UNSET, b"a"),
        HeaderEdit(ADD, b"B", b"6"),
    )
    assert headers == [(b"C", b"4, 5"), (b"B", b"6")]


@pytest.mark.parametrize(
    ("condition", "acts"),
    [
        ((b"YES", True), True),
        ((b"EMPTY", True), True),
        ((b"NO", True), False),
        ((b"YES", False), False),
        ((b"NO", False), True),
    ],
)
def test_condition(condition: tuple[bytes, bool], acts: bool) -> None:
    """``env=VAR`` and ``env=!VAR`` ask whether the variable exists, not what it says."""
    edit = HeaderEdit(SET, b"X", b"v", condition)
    headers = edited([], edit, variables={b"YES": b"1", b"EMPTY": b""})
    assert bool(headers) is acts


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        (b"", b""),
        (b"plain", b"plain"),
        (b"a%%b%%", b"a%b%"),
        (b"100%", b"100%"),
        (b"%{USER}e", b"alice"),
        (b"<%{USER}e|%{NONE}e>", b"<alice|(null)>"),
        (b"%%{USER}e", b"%{USER}e"),
        (b"%t", b"t=1700000000000000"),
        (b"took %D, at %t", b"took D=1234, at t=1700000000000000"),
        (rb"a\tb", b"a\tb"),
        (rb"a\\b", rb"a\b"),
        (rb"a\b", rb"a\b"),
        (b"max-age=63072000; includeSubDomains", b"max-age=63072000; includeSubDomains"),
    ],
)
def test_value_is_expanded(value: bytes, expanded: bytes) -> None:
    """Every form of a value."""
    headers: HeaderList = []
    edit = HeaderEdit(SET, b"X", value)
    facts = PlainFacts(environment={b"USER": b"alice"})
    apply_edits([edit], headers, facts, times=lambda: (1_700_000_000_000_000, 1234))
    assert headers == [(b"X", expanded)]


def test_clock_is_asked_only_when_needed() -> None:
    """A value without %t and %D costs no clock; without a clock they are ``(null)``."""

    def no_clock() -> tuple[int, int]:
        raise AssertionError("the clock was read")

    headers: HeaderList = []
    apply_edits([HeaderEdit(SET, b"X", b"%{A}e")], headers, PlainFacts(), times=no_clock)
    assert edited([], HeaderEdit(SET, b"X", b"%t %D")) == [(b"X", b"(null) (null)")]


@pytest.mark.parametrize(
    "value",
    [b"%x", b"%s", b"%{A}s", b"%{A}t", b"%{}e", b"%{A", b"%{A}", rb"a\nb", rb"\r", b"expr=1"],
)
def test_bad_value_is_refused(value: bytes) -> None:
    """When the edit is made, not at the first request; ``unset`` has no value to check."""
    with pytest.raises(ValueError, match=r"expected|cannot have"):
        HeaderEdit(SET, b"X", value)
    HeaderEdit(UNSET, b"X", value)


@pytest.mark.parametrize("name", [b"", b":", b"X Y", b"X\r\nY", b"X:Y", "É".encode()])
def test_bad_name_is_refused(name: bytes) -> None:
    """A name that could end its line, or is none."""
    with pytest.raises(ValueError, match="cannot be the name of a header"):
        HeaderEdit(SET, name, b"v")


def test_colon_after_the_name_is_dropped() -> None:
    """Apache takes ``Header set X: v``, and many write it."""
    assert edited([], HeaderEdit(SET, b"X:", b"v")) == [(b"X", b"v")]


@pytest.mark.parametrize("action", [APPEND, MERGE])
def test_empty_value_is_not_appended(action: HeaderAction) -> None:
    """It would leave a comma behind, and a blank at the end of the line."""
    assert edited([X1], HeaderEdit(action, b"X", b"%{A}e"), variables={b"A": b""}) == [X1]


def test_variable_cannot_end_the_line() -> None:
    """Line ends and NUL become blanks."""
    edit = HeaderEdit(SET, b"X", b"<%{A}e>")
    headers = edited([], edit, variables={b"A": b"a\r\nSet-Cookie: b\x00c"})
    assert headers == [(b"X", b"<a  Set-Cookie: b c>")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([SET, ADD, APPEND, MERGE, SET_IF_EMPTY]),
            st.sampled_from([b"A", b"a", b"B"]),
            st.sampled_from([b"%{V}e", b" %{V}e ", b"x,%{V}e"]),
        )
    ),
    st.binary(),
)
def test_values_are_always_field_values(edits, variable: bytes) -> None:
    """Whatever a variable holds, a header's value is one."""
    made = [HeaderEdit(*each) for each in edits]
    for _, value in edited([], *made, variables={b"V": variable}):
        assert is_field_value(value)
