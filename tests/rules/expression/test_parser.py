"""Tests for `scgiproxy.rules.expression.parser`."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.config.expressions import compile_expression
from scgiproxy.rules.expression import Vocabulary, parse_condition, parse_text
from scgiproxy.rules.expression.lexer import MAX_DEPTH
from scgiproxy.rules.expression.tree import (
    All,
    AnyOf,
    BackReference,
    Check,
    Comparison,
    Concatenation,
    Constant,
    Conversion,
    Function,
    Literal,
    Match,
    Membership,
    Node,
    Not,
    Variable,
)
from tests.rules.expression.answers import VOCABULARY, Answers, condition

T, F = Constant(True), Constant(False)
A, B, C = Literal("a"), Literal("b"), Literal("c")
STATUS = Variable("REQUEST_STATUS")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("true", T),
        ("((false))", F),
        ("true || false && true", AnyOf((T, All((F, T))))),
        ("(true || false) && true", All((AnyOf((T, F)), T))),
        ("true or false and true", AnyOf((T, All((F, T))))),
        ("true || false || true", AnyOf((T, F, T))),
        ("!true && false", All((Not(T), F))),
        ("not not ! true", Not(T)),
        ("!!true", T),
        ("! 'a' == 'b'", Not(Comparison("==", A, B))),
        ("'a'=='b'", Comparison("==", A, B)),
        ("'a' . 'b' = 'c'", Comparison("=", Literal("ab"), C)),
        ("'a' lt 'b'", Comparison("-lt", A, B)),
        ("-5 -ge '5'", Comparison("-ge", Literal("-5"), Literal("5"))),
        ("'a' in {'b'}", Membership(A, (B,))),
        ("'a' -in { 'b' , 'c' }", Membership(A, (B, C))),
        ("-n 'a' . $1", Check("-n", Concatenation((A, BackReference(1))))),
        ("'' == \"\"", Comparison("==", Literal(""), Literal(""))),
        ("%{Request_Status} == 'a'", Comparison("==", STATUS, A)),
        ("%{req:a} == HTTP('a')", Comparison("==", Function("req", A), Function("req", A))),
        ("-z toLower('a' . 'b')", Check("-z", Conversion("tolower", Literal("ab")))),
        ("-z %{toupper:%{hc:b}}", Check("-z", Conversion("toupper", Function("hc", B)))),
        (
            "'a%{REQUEST_STATUS}b$1' == 'c'",
            Comparison("==", Concatenation((A, STATUS, B, BackReference(1))), C),
        ),
        ("'a' =~ /b$/", Match(A, re.compile(rb"b\Z", re.DOTALL), False)),
        ("'a' !~ m#b#i", Match(A, re.compile(rb"b", re.DOTALL | re.IGNORECASE), True)),
    ],
)
def test_tree(text: str, tree: Node[bool]) -> None:
    """What binds tighter is deeper; constants are put together, names put in one spelling."""
    parsed = condition(text)
    assert parsed.root == tree
    assert parsed.source == text


COMPARISONS = "== = != < <= > >= -eq -ne -lt -le -gt -ge =~ !~ -in -strmatch -strcmatch -fnmatch"
COMPARISON = f"expected a comparison ({COMPARISONS})"
WORD = "expected a word (a string, a number, a variable, a function)"
JUNCTION = "expected &&, || or"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: expected a condition, got the end"),
        ("true &&", "8: expected a condition, got the end"),
        ("&& true", "1: expected a condition, got &&"),
        ("!", "2: expected a condition, got the end"),
        ("true true", f"6: {JUNCTION} the end, got true"),
        ("true)", f"5: {JUNCTION} the end, got )"),
        ("true AND true", f"6: {JUNCTION} the end, got AND"),
        ("'a' == 'b' == 'c'", f"12: {JUNCTION} the end, got =="),
        ("'a' == 'b' /c/", f"12: {JUNCTION} the end, got a regular expression"),
        ("(true", f"6: {JUNCTION} ), got the end"),
        ("()", "2: expected a condition, got )"),
        ("'a'", f"4: {COMPARISON}, got the end"),
        ("%{REQUEST_URI}", f"15: {COMPARISON}, got the end"),
        ("('a') == 'a'", f"5: {COMPARISON}, got )"),
        ("'a' 'b' == 'c'", f"5: {COMPARISON}, got 'b'"),
        ("'a' -EQ 1", f"5: {COMPARISON}, got -EQ"),
        ("'a' -ipmatch '::1'", f"5: {COMPARISON}, got -ipmatch"),
        ("'a' in_", f"5: {COMPARISON}, got in_"),
        ("-R '127.0.0.1'", "1: expected a condition, such as one of -n -z -T and a word, got -R"),
        ("-t 'a'", "1: expected a condition, such as one of -n -z -T and a word, got -t"),
        ("-eq 'a'", "1: expected a condition, such as one of -n -z -T and a word, got -eq"),
        ("'a' ==", f"7: {WORD}, got the end"),
        ("'a' == true", f"8: {WORD}, got true"),
        ("'a' == ('b')", f"8: {WORD}, got ("),
        ("-n -n 'a'", f"4: {WORD}, got -n"),
        ("'a' . == 'b'", "7: expected a word after the dot, got =="),
        ("'a' in {}", f"9: {WORD}, got }}"),
        ("'a' in {'b',}", f"13: {WORD}, got }}"),
        ("'a' in {'b' 'c'}", "13: expected a comma or }, got 'c'"),
        ("'a' in 'b'", "8: expected { and the words of a list, got 'b'"),
        ("'a' in list('b')", "8: expected { and the words of a list, got list"),
        ("'a' =~ 'b'", "8: expected a regular expression, such as /.../ or m#...#, got 'b'"),
        ("'a' =~ m(b)", "8: expected a regular expression, such as /.../ or m#...#, got m"),
        ("/a/ == 'a'", "1: expected a condition, got a regular expression"),
        (
            "'a' =~ /b(/",
            (
                "8: the expression 'b(' does not compile: missing ), unterminated subpattern"
                " at character 2"
            ),
        ),
        ("foo == 'a'", "5: expected a parenthesis after the name foo, got =="),
        ("req() == 'a'", f"5: {WORD}, got )"),
        ("req('a', 'b') == 'a'", "8: expected a dot or ), got ,"),
        ("nope('a') == 'b'", "1: unknown function nope; expected hc, req, tolower or toupper"),
        ("-n '%{nope:a}'", "7: unknown function nope; expected hc, req, tolower or toupper"),
        (
            "-n %{NOPE}",
            (
                "6: unknown variable NOPE;"
                " expected HTTP_REFERER, OCTETS, REQUEST_STATUS or REQUEST_URI"
            ),
        ),
        (
            "'a' -strmatch %{OCTETS}",
            "15: expected a shell pattern without variables after -strmatch",
        ),
        ("'a' -fnmatch /b/", "14: expected a shell pattern, got a regular expression"),
        ("'a' == '" + "b" * 90 + "' 'c'", f"101: {JUNCTION} the end, got 'c'"),
        ("'a' '" + "b" * 90 + "'", f"5: {COMPARISON}, got '{'b' * 39}..."),
        ("f" * 90 + "('a') == ''", f"1: unknown function {'f' * 40}...; expected hc, req,"),
    ],
)
def test_errors(text: str, message: str) -> None:
    """Told with the column, what was expected, and what is there."""
    with pytest.raises(ValueError) as caught:
        condition(text)
    assert str(caught.value).startswith(f"at character {message}")


def test_vocabulary() -> None:
    """Names are those of the context, beside the functions that need none."""
    empty = Vocabulary()
    assert parse_text("%{tolower:A}", empty).root == Conversion("tolower", Literal("A"))
    with pytest.raises(ValueError, match="unknown function http; expected tolower or toupper"):
        parse_text("%{http:A}", empty)
    with pytest.raises(ValueError, match="unknown variable A; expected a function, which has an"):
        parse_text("%{A}", empty)
    with pytest.raises(ValueError, match="unknown variable B; expected A"):
        parse_text("%{B}", Vocabulary(frozenset("A")))


def test_text() -> None:
    """Quotes and operators are nothing special there."""
    assert parse_text("", VOCABULARY).root == Literal("")
    assert parse_text("it's 'a' . \"b\" == c", VOCABULARY).root == Literal("it's 'a' . \"b\" == c")
    assert parse_text("a%{REQUEST_STATUS}", VOCABULARY).root == Concatenation((A, STATUS))
    with pytest.raises(ValueError, match="at character 4: unknown variable B; expected"):
        parse_text("a%{B}", VOCABULARY)


def test_an_expression_can_be_compared_and_kept_in_a_set() -> None:
    """As everything that a configuration consists of."""
    assert condition("'a' =~ /b/") == condition("'a' =~ /b/")
    assert len({condition("true"), condition("true"), condition("false")}) == 2


@pytest.mark.parametrize("opening", ["(", "(!", "(true && (false || !"])
def test_depth_of_parentheses(opening: str) -> None:
    """The limit is told where it is passed; those beside each other do not add up."""
    levels = MAX_DEPTH // opening.count("(")
    nested = opening * levels + "true" + ")" * levels * opening.count("(")
    assert condition(f"{nested} || {nested}").evaluate(Answers()) in (True, False)
    deeper = "(" + nested + ")"
    with pytest.raises(ValueError, match="expected at most 50 parentheses in each other"):
        condition(deeper)


def test_depth_of_functions() -> None:
    def nested(depth: int) -> str:
        return "-z " + "tolower(" * depth + "'a'" + ")" * depth

    assert not condition(nested(MAX_DEPTH)).evaluate(Answers())
    with pytest.raises(ValueError, match="at character 411: expected at most 50 parentheses"):
        condition(nested(MAX_DEPTH + 1))


def test_what_is_only_long_is_no_matter() -> None:
    """Chains are flat, however long."""
    condition(" && ".join(["true"] * 1000))
    condition(" || ".join(["!true"] * 900))
    condition("!" * 8001 + "true")
    condition("-n " + ".".join(["$1"] * 2000))


PIECES = r"""
    true && || ! ( ) { } , . == =~ -eq eq -n -in in 'a' "$1" %{OCTETS} %{req:a} req tolower 1 /a/
    m#(# -strmatch $0 and not [ ~ \ %{ '
"""
pieces = st.sampled_from(PIECES.split())


@given(st.lists(pieces, max_size=12).map(" ".join))
def test_only_value_errors(text: str) -> None:
    """Nothing else is raised, and each message has its column."""
    with suppress(ValueError):
        parse_text(text, VOCABULARY)
    try:
        parse_condition(text, VOCABULARY, compile_expression)
    except ValueError as error:
        column = re.match("at character ([0-9]+): ", str(error))
        assert column is not None
        assert 1 <= int(column[1]) <= len(text) + 1
