"""Apache's form fields and the changes that they say."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.rules.backend import BackendSettings, Flag
from scgiproxy.rules.balancer import BalancerSettings, Sticky
from scgiproxy.rules.changes import (
    BalancerChange,
    MemberChange,
    balancer_change,
    balancer_fields,
    checked_url,
    described_balancer,
    described_member,
    member_change,
    member_fields,
)
from scgiproxy.rules.health import CheckMethod, HealthCheck

MEMBER_FIELDS = [*["lf", "ls", "wr", "rr", "max", "hm", "hi", "hp", "hf", "hu", "he"]]
NAMES = [
    *(f"w_{name}" for name in MEMBER_FIELDS),
    *(flag.form_field for flag in Flag),
    *["b_lbm", "b_tmo", "b_max", "b_sforce", "b_ss", "b", "w", "nonce", "w_x", "b_nwrkr", "b_wyes"],
]
WORDS = st.one_of(
    st.text(),
    st.text(st.characters()),
    st.sampled_from(["", "-", "0", "1", "12.5", "100", "GET", "tcp", "a|b", "|b", "-|-", "/x%20"]),
    st.integers(0, 20000).map(str),
    st.floats(0, 8000).map(lambda number: f"{number:.3f}"),
)


@pytest.mark.parametrize(
    ("field", "word", "change"),
    [
        ("w_lf", "1", MemberChange(load_factor=1.0)),
        ("w_lf", "12.50", MemberChange(load_factor=12.5)),
        ("w_ls", "99", MemberChange(lbset=99)),
        ("w_wr", "r1", MemberChange(route=b"r1")),
        ("w_wr", "", MemberChange(route=b"")),
        ("w_rr", "r\u00e9", MemberChange(redirect="r\u00e9".encode())),
        ("w_max", "0", MemberChange(limit=0)),
        ("w_hm", "options", MemberChange(check_method=CheckMethod.OPTIONS)),
        ("w_hi", "1500", MemberChange(check_interval=1.5)),
        ("w_hp", "2", MemberChange(check_passes=2)),
        ("w_hf", "3", MemberChange(check_fails=3)),
        ("w_hu", "/up?x", MemberChange(check_uri=b"/up?x")),
        ("w_hu", "", MemberChange(check_uri=b"")),
        ("w_he", "ok", MemberChange(check_condition="ok")),
        ("w_he", "", MemberChange(check_condition="")),
        ("w_status_D", "1", MemberChange(flags={Flag.DISABLED: True})),
        ("w_status_N", "0", MemberChange(flags={Flag.DRAINING: False})),
    ],
)
def test_a_field_of_a_member(field: str, word: str, change: MemberChange) -> None:
    assert member_change({field: word, "b": "x", "w": "y", "nonce": "z"}) == change


@pytest.mark.parametrize(
    ("field", "word", "change"),
    [
        ("b_lbm", "leasttime", BalancerChange(method="leasttime")),
        ("b_tmo", "7200", BalancerChange(wait=7200.0)),
        ("b_tmo", "0.5", BalancerChange(wait=0.5)),
        ("b_max", "0", BalancerChange(max_attempts=0)),
        ("b_max", "", BalancerChange(default_attempts=True)),
        ("b_sforce", "1", BalancerChange(no_failover=True)),
        ("b_ss", "SID", BalancerChange(sticky_names=(b"SID", b"SID"))),
        ("b_ss", "SID|sid", BalancerChange(sticky_names=(b"SID", b"sid"))),
        ("b_ss", "-", BalancerChange(clear_sticky=True)),
        ("b_ss", "", BalancerChange(clear_sticky=True)),
        ("b_nwrkr", "scgi://h", BalancerChange()),
    ],
)
def test_a_field_of_a_balancer(field: str, word: str, change: BalancerChange) -> None:
    assert balancer_change({field: word}) == change


@pytest.mark.parametrize(
    ("read", "field", "word", "problem"),
    [
        (member_change, "w_lf", "0", "w_lf: expected a number from 1 to 100, got '0'"),
        (member_change, "w_lf", "0.99", "w_lf: expected a number from 1 to 100, got '0.99'"),
        (member_change, "w_lf", "100.01", "w_lf: expected a number from 1 to 100"),
        (member_change, "w_lf", "nan", "w_lf: expected a number from 1 to 100"),
        (member_change, "w_ls", "100", "w_ls: expected a number from 0 to 99, got 100"),
        (member_change, "w_wr", "r" * 64, "w_wr: expected at most 63 bytes"),
        (member_change, "w_wr", "r\r\nX: y", "w_wr: expected no control characters"),
        (member_change, "w_rr", "r\0", "w_rr: expected no control characters"),
        (member_change, "w_wr", "\ud800", "w_wr: expected text, got '\\ud800'"),
        (member_change, "w_max", "-1", "w_max: expected a number of 0 or more, got '-1'"),
        (member_change, "w_hm", "PUT", "w_hm: expected one of NONE, TCP"),
        (member_change, "w_hi", "99", "w_hi: expected a number from 100 to"),
        (member_change, "w_hu", "/a b", "w_hu: expected a path as it stands in a URL"),
        (member_change, "w_he", "a b", "w_he: expected a name of at most 100 characters"),
        (member_change, "w_status_D", "on", "w_status_D: expected 0 or 1, got 'on'"),
        (member_change, "w_status_E", "0", "'w_status_E': there is no such field"),
        (member_change, "w_ld", "1", "'w_ld': there is no such field; did you mean"),
        (balancer_change, "b_tmo", "7201", "b_tmo: expected a number of seconds from 0 to 7200"),
        (balancer_change, "b_max", "100", "b_max: expected a number from 0 to 99, got 100"),
        (balancer_change, "b_sforce", "yes", "b_sforce: expected 0 or 1, got 'yes'"),
        (balancer_change, "b_ss", "a;b", "b_ss: expected names of at most 63 bytes"),
        (balancer_change, "b_ss", "|", "b_ss: expected COOKIE or COOKIE|PARAMETER, got '|'"),
        (balancer_change, "b_lbm", "", "b_lbm: expected a name of at most 100 characters"),
    ],
)
def test_what_is_refused(
    read: Callable[[dict[str, str]], object], field: str, word: str, problem: str
) -> None:
    with pytest.raises(ValueError) as raised:
        read({field: word})
    assert str(raised.value).startswith(problem)


def test_every_problem_is_told() -> None:
    with pytest.raises(ValueError) as raised:
        member_change({"w_lf": "0", "w_ls": "1", "w_hp": "x"})
    assert str(raised.value) == (
        "w_lf: expected a number from 1 to 100, got '0';"
        " w_hp: expected a number of 0 or more, got 'x'"
    )


@given(st.dictionaries(st.sampled_from(NAMES), WORDS))
def test_any_fields_are_refused_or_stored_and_read_as_the_same(fields: dict[str, str]) -> None:
    with contextlib.suppress(ValueError):
        member = member_change(fields)
        stored = member_fields(member)
        assert _read_again(member_change, stored) == member
    with contextlib.suppress(ValueError):
        balancer = balancer_change(fields)
        stored = balancer_fields(balancer)
        assert _read_again(balancer_change, stored) == balancer


def _read_again(read: Callable[[dict[str, str]], object], stored: dict[str, str]) -> object:
    try:
        return read(stored)
    except ValueError as error:
        return error


@given(st.dictionaries(st.text(), st.text()))
def test_any_names(fields: dict[str, str]) -> None:
    """Names that nobody has thought of are refused when they are meant for a change."""
    for read, prefix in ((member_change, "w_"), (balancer_change, "b_")):
        unknown = any(name.startswith(prefix) and name not in NAMES for name in fields)
        try:
            read(fields)
        except ValueError:
            continue
        assert not unknown


def test_what_leads_to_a_member() -> None:
    """Every field is there, so that nothing that was set before is left."""
    settings = BackendSettings(
        load_factor=2.5,
        lbset=3,
        route=b"r",
        max_connections=4,
        disabled=True,
        health=HealthCheck(CheckMethod.GET, 0.25, 2, 3, b"/up"),
    )
    fields = described_member(settings)
    assert fields == {
        "w_lf": "2.5",
        "w_ls": "3",
        "w_wr": "r",
        "w_rr": "",
        "w_max": "4",
        "w_hm": "GET",
        "w_hi": "250",
        "w_hp": "2",
        "w_hf": "3",
        "w_hu": "/up",
        "w_he": "",
        **{f"w_status_{letter}": "0" for letter in "INSHRC"},
        "w_status_D": "1",
    }
    member_change(fields)


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        (
            BalancerSettings(),
            {"b_lbm": "byrequests", "b_tmo": "0", "b_max": "", "b_sforce": "0", "b_ss": "-"},
        ),
        (
            BalancerSettings("bytraffic", Sticky(b"", b"sid"), True, 2.5, 3),
            {"b_lbm": "bytraffic", "b_tmo": "2.5", "b_max": "3", "b_sforce": "1", "b_ss": "|sid"},
        ),
    ],
)
def test_what_leads_to_a_balancer(settings: BalancerSettings, fields: dict[str, str]) -> None:
    assert described_balancer(settings) == fields
    balancer_change(fields)


def test_no_attribute_is_forgotten() -> None:
    """Of a change that has everything, every attribute survives."""
    change = member_change(
        {
            **{name: "1" for name in NAMES if name.startswith("w_") and name != "w_x"},
            "w_hm": "GET",
            "w_hi": "1000",
            "w_he": "a",
        }
    )
    for each in dataclasses.fields(MemberChange):
        assert getattr(change, each.name) is not None
    assert set(change.flags) == set(Flag)


@pytest.mark.parametrize("url", ["scgi://h\r\nx", "scgi://h/\x1b[2J", "scgi://h/" + "x" * 500])
def test_a_url_that_is_no_label(url: str) -> None:
    with pytest.raises(ValueError, match="expected a URL"):
        checked_url(url)
