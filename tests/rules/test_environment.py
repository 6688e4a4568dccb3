"""Tests for `scgiproxy.rules.environment`."""

from __future__ import annotations

import re

import pytest

from scgiproxy.rules.environment import (
    Assignment,
    EnvironmentRule,
    SetVariable,
    SetVariableIf,
    UnsetVariable,
    apply_rules,
    effective_rules,
    parse_assignment,
)
from scgiproxy.rules.settings import Settings
from tests.rules.plain_facts import PlainFacts


def set_if(attribute: str, pattern: str, *words: str, flags: int = 0) -> SetVariableIf:
    """What a SetEnvIf line with these words means."""
    return SetVariableIf(
        attribute.encode(),
        re.compile(pattern.encode(), flags),
        tuple(parse_assignment(word) for word in words),
    )


def environment(*rules: EnvironmentRule, facts: PlainFacts | None = None) -> dict[bytes, bytes]:
    """The variables after `rules`."""
    facts = facts or PlainFacts()
    apply_rules(rules, facts)
    return facts.environment


@pytest.mark.parametrize(
    ("word", "assignment"),
    [
        ("VAR", Assignment(b"VAR", b"1")),
        ("VAR=", Assignment(b"VAR", b"1")),
        ("VAR=value", Assignment(b"VAR", b"value")),
        ("VAR=a=b", Assignment(b"VAR", b"a=b")),
        ("!VAR", Assignment(b"VAR", None)),
        ("proxy-scgi-pathinfo", Assignment(b"proxy-scgi-pathinfo", b"1")),
        ("VAR=é", Assignment(b"VAR", "é".encode())),
    ],
)
def test_assignment_is_read(word: str, assignment: Assignment) -> None:
    """Every form of a word after the expression."""
    assert parse_assignment(word) == assignment


@pytest.mark.parametrize("word", ["", "!", "=value", "="])
def test_assignment_without_a_name_is_refused(word: str) -> None:
    """The message says what was expected."""
    with pytest.raises(ValueError, match="expected NAME, NAME=value or !NAME"):
        parse_assignment(word)


@pytest.mark.parametrize(
    ("name", "expected"),
    [(b"SET", b"value"), (b"EMPTY", b""), (b"GONE", None), (b"NEVER", None)],
)
def test_mod_env(name: bytes, expected: bytes | None) -> None:
    """env.t: set, set to nothing, unset again, never mentioned."""
    settings = Settings(
        set_env=(
            SetVariable(b"SET", b"value"),
            SetVariable(b"EMPTY", b""),
            SetVariable(b"GONE", b"x"),
            UnsetVariable(b"GONE"),
        )
    )
    assert environment(*settings.set_env).get(name) == expected


def test_unset_acts_on_earlier_lines_only() -> None:
    """A SetEnv after the UnsetEnv counts."""
    rules = (SetVariable(b"A", b"1"), UnsetVariable(b"A"), SetVariable(b"A", b"2"))
    assert effective_rules(rules) == (SetVariable(b"A", b"2"),)


def test_unset_leaves_what_others_set() -> None:
    """UnsetEnv takes back SetEnv, and so a variable of SetEnvIf shows again."""
    rules = effective_rules((SetVariable(b"A", b"inner"), UnsetVariable(b"A")))
    assert environment(set_if("Request_Method", "GET", "A=outer"), *rules) == {b"A": b"outer"}
    assert environment(SetVariable(b"A", b"1"), UnsetVariable(b"A")) == {b"A": b"1"}


@pytest.mark.parametrize(
    ("attribute", "pattern", "expected"),
    [
        ("Remote_Host", "192", True),
        ("remote_addr", r"^192\.0\.2\.1$", True),
        ("Remote_Addr", "^10", False),
        ("SERVER_ADDR", r"^198\.51", True),
        ("Request_Method", "^POST$", True),
        ("Request_Method", "^post$", False),
        ("Request_Protocol", r"^HTTP/1\.1$", True),
        ("Request_URI", "^/a b/", True),
        ("request_uri", r"\.gif$", False),
        ("X-Token", "secret", True),
        ("x-token", "secret", True),
        ("X-Missing", "^$", True),
        ("X-Missing", ".", False),
        ("^X-To.*", "secret", True),
        ("^x-to.*", "secret", True),
        ("^X-No.*", "secret", False),
        ("^X-No.*", "^$", True),
        ("EARLIER", "^yes$", True),
        ("earlier", "^yes$", False),
    ],
)
def test_attributes(attribute: str, pattern: str, expected: bool) -> None:
    """Every attribute that SetEnvIf knows; a missing one is an empty text."""
    facts = PlainFacts(
        method=b"POST",
        decoded_path=b"/a b/c",
        headers={b"x-token": b"my secret"},
        environment={b"EARLIER": b"yes"},
    )
    variables = environment(set_if(attribute, pattern, "HIT"), facts=facts)
    assert (b"HIT" in variables) is expected


def test_header_comes_before_a_variable_of_that_name() -> None:
    """The variable is asked only if there is no such header, even an empty one."""
    rule = set_if("Flag", "(.*)", "SEEN=$1")
    variables = {b"Flag": b"variable"}
    facts = PlainFacts(headers={b"flag": b"header"}, environment=dict(variables))
    assert environment(rule, facts=facts)[b"SEEN"] == b"header"
    facts = PlainFacts(headers={b"flag": b""}, environment=dict(variables))
    assert environment(rule, facts=facts)[b"SEEN"] == b""
    facts = PlainFacts(environment=dict(variables))
    assert environment(rule, facts=facts)[b"SEEN"] == b"variable"


def test_last_matching_header_name_counts() -> None:
    """With an expression for names, as in Apache."""
    facts = PlainFacts(headers={b"x-a": b"1", b"other": b"9", b"x-b": b"2"})
    assert environment(set_if("^X-.", "(.*)", "SEEN=$1"), facts=facts)[b"SEEN"] == b"2"


def test_bad_header_name_expression_is_refused() -> None:
    """When it is made, not at the first request."""
    with pytest.raises(ValueError, match="is no expression for header names"):
        set_if("X-(", ".", "A")


def test_groups_are_replaced() -> None:
    """$0 to $9; what took no part is empty; a backslash keeps the dollar."""
    facts = PlainFacts(decoded_path=b"/one/two")
    rule = set_if("Request_URI", "^/(one)/(x)?", "A=$0-$1-$2-$9", r"B=\$1", "C=$12")
    assert environment(rule, facts=facts) == {b"A": b"/one/-one--", b"B": b"$1", b"C": b"one2"}


def test_several_assignments_in_order() -> None:
    """Set and unset on one line; later lines see earlier ones."""
    variables = environment(
        set_if("Request_Method", "GET", "A", "B=x", "!C"),
        set_if("B", "x", "!A", "D=$0"),
        set_if("A", "1", "E"),
        facts=PlainFacts(environment={b"C": b"gone"}),
    )
    assert variables == {b"B": b"x", b"D": b"x"}


def test_without_regard_to_case() -> None:
    """SetEnvIfNoCase is the flag of its expression."""
    facts = PlainFacts(headers={b"user-agent": b"MOZILLA"})
    assert not environment(set_if("User-Agent", "mozilla", "A"), facts=facts)
    assert environment(set_if("User-Agent", "mozilla", "A", flags=re.IGNORECASE), facts=facts)
