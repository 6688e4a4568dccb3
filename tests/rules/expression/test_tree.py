"""Tests for `scgiproxy.rules.expression.tree`. The tables are what Apache httpd 2.4 says."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import GatewayError
from scgiproxy.rules.expression.tree import (
    MAX_TEXT,
    BackReference,
    Concatenation,
    Evaluation,
    Literal,
    Match,
)
from tests.rules.expression.answers import Answers, condition, expanded, holds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("!true", False),
        ("not not true", True),
        ("!false && false", False),
        ("true || true && false", True),
        ("(true || true) && false", False),
        ("false && false || true", True),
        ("! 'a' == 'b'", True),
        ("not 'a' == 'a' or true", True),
    ],
)
def test_logic(text: str, value: bool) -> None:
    assert holds(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'a' = 'a'", True),
        ("'a' != 'a'", False),
        ("'a' < 'b'", True),
        ("'B' < 'a'", True),
        ("'10' < '9'", True),
        ("'a' <= 'a'", True),
        ("'a' > 'a'", False),
        ("'b' >= 'a'", True),
        ("05 == '5'", False),
        # By bytes: U+1F600 begins with 0xF0.
        ("'é' < '\\377'", True),
        ("'\U0001f600' < '\\377'", True),
        ("'\\303\\251' == 'é'", True),
        ("%{OCTETS} == '\\377é'", True),
    ],
)
def test_comparisons_of_texts(text: str, value: bool) -> None:
    assert holds(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'10' -lt '9'", False),
        ("10 gt 9", True),
        ("'10' eq 10", True),
        ("-5 -lt 3", True),
        ("1 -ge 2", False),
        ("1 le 1", True),
        ("'a' -ne 1", True),
        ("'abc' -eq 0", True),
        ("'' -eq 0", True),
        ("' 12x' -eq 12", True),
        ("'+7' -eq 7", True),
        ("'- 5' -eq 0", True),
        ("'3.5' -eq 3", True),
        ("'0x10' -eq 0", True),
        ("'1_000' -eq 1", True),
        ("'-0' -eq 0", True),
        ("'99999999999999999999' -eq 9223372036854775807", True),
        ("'9223372036854775808' -eq 9223372036854775807", True),
        ("'-9223372036854775809' -eq '-9223372036854775808'", True),
        ("'-99999999999999999999' -lt '-9223372036854775807'", True),
        ("'000000000000000000000000000012' -eq 12", True),
        ("'٣' -eq 0", True),
    ],
)
def test_comparisons_of_integers(text: str, value: bool) -> None:
    assert holds(text) is value


def test_a_number_of_any_length() -> None:
    """Also one over the digits that Python converts."""
    assert holds("req('long') -gt 5", Answers(functions={("req", "long"): "9" * 100_000}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-z ''", True),
        ("-n ''", False),
        ("-z 'x'", False),
        ("-n 'x'", True),
        ("-z %{HTTP_REFERER}", True),
        ("-T ''", False),
        ("-T '0'", False),
        ("-T 'off'", False),
        ("-T 'Off'", False),
        ("-T 'nO'", False),
        ("-T 'FALSE'", False),
        ("-T '00'", True),
        ("-T 'yes'", True),
        ("-T 'o'", True),
        ("-T 'nope'", True),
        ("'a' in {'a','b'}", True),
        ("'a' in {'b', 'c'}", False),
        ("'a' . 'b' in {'c', 'a' . 'b'}", True),
        ("'1' in {1, 2}", True),
        ("%{REQUEST_STATUS} -in {'200', '204'}", True),
    ],
)
def test_checks_and_lists(text: str, value: bool) -> None:
    assert holds(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("%{REQUEST_URI} =~ m#^/a/#", True),
        ("%{REQUEST_URI} =~ /B\\.TXT$/i", True),
        ("%{REQUEST_URI} =~ /B\\.TXT$/", False),
        ("%{REQUEST_URI} !~ /B\\.TXT$/", True),
        ("'a' =~ //", True),
        ("'a' =~ /%{REQUEST_URI}/", False),
        ("'a\\nb' =~ /a.b/", True),
        ("%{OCTETS} =~ /^\\xff/", True),
        ("'a/b' -strmatch 'a*'", True),
        ("'a/b' -fnmatch 'a*'", False),
        ("'a/b' -fnmatch 'a/*'", True),
        ("'A' -strmatch 'a*'", False),
        ("'A' -strcmatch 'a*'", True),
        ("'a' -StrCMatch 'A'", True),
        ("'a' -strcmatch '[!A]'", False),
        ("'a' -strmatch '[b-c]'", False),
        ("'ab' -strmatch 'a'", False),
        ("'a*' -strmatch 'a\\\\*'", True),
        ("'ab' -strmatch 'a\\\\*'", False),
        ("hc('body') -strcmatch '*well*'", True),
        ("'é' -strcmatch 'É'", False),
    ],
)
def test_patterns(text: str, value: bool) -> None:
    assert holds(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-z $0", True),
        ("'ab' =~ /(a)(b)/ && $0 == 'ab' && $2 . $1 == 'ba'", True),
        ("'ab' =~ /(a)(b)/ && \"$2$1$3\" == 'ba'", True),
        ("'ab' =~ /(a)(b)/ && \"$10\" == 'a0'", True),
        ("'ab' =~ /(A)/i && %{toupper:$1} == 'A'", True),
        ("'ab' =~ /(a)(x)?b/ && -z $2", True),
        ("%{OCTETS} =~ /(.)/ && $1 == '\\377'", True),
        # Without groups nothing changes; without a match they are empty.
        ("'a' =~ /a/ && -z $0", True),
        ("'ab' =~ /(a)/ && 'c' =~ /c/ && $1 == 'a'", True),
        ("'ab' =~ /(a)/ && 'c' -strmatch 'c' && $1 == 'a'", True),
        ("'ab' =~ /(a)/ && 'c' !~ /(d)/ && -z $1", True),
        ("'ab' !~ /(a)/ || $1 == 'a'", True),
        # What was not evaluated was not matched.
        ("(true || 'ab' =~ /(a)/) && -z $1", True),
    ],
)
def test_back_references(text: str, value: bool) -> None:
    assert holds(text) is value


def test_nothing_is_left_of_an_earlier_evaluation() -> None:
    parsed = condition("-z $1 && 'ab' =~ /(a)/")
    assert parsed.evaluate(Answers())
    assert parsed.evaluate(Answers())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("req('Foo') == 'Bar baz'", True),
        ("http('F' . 'oo') == 'Bar baz'", True),
        ("%{HTTP:Foo} == 'Bar baz'", True),
        ("%{req:%{req:x}Foo} == 'Bar baz'", True),
        ("tolower(req('Foo')) == 'bar baz'", True),
        ("toupper('é' . 'a') == 'éA'", True),
        ("req('x') == ''", True),
        ("req('Number') -eq 42", True),
        ("1.2 == '12'", True),
    ],
)
def test_values(text: str, value: bool) -> None:
    assert holds(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("a%{REQUEST_URI}b", "a/a/b.txtb"),
        ("$1", ""),
        ("tolower('A') 100% it's", "tolower('A') 100% it's"),
        ("%{tolower:A%{req:Foo}}", "abar baz"),
        (r"\%{X} \101", "%{X} A"),
    ],
)
def test_texts(text: str, value: str) -> None:
    assert expanded(text) == value


def test_a_health_check() -> None:
    """The expressions of ProxyHCExpr's manual."""
    ok4 = "%{REQUEST_STATUS} =~ /^[234]/"
    gdown = "%{REQUEST_STATUS} =~ /^[5]/"
    in_maint = "hc('body') !~ /Under maintenance/"
    assert [holds(text) for text in (ok4, gdown, in_maint)] == [True, False, True]
    ill = Answers({"REQUEST_STATUS": "503"}, {("hc", "body"): "Under maintenance"})
    assert [holds(text, ill) for text in (ok4, gdown, in_maint)] == [False, True, False]


def test_only_what_decides_is_asked() -> None:
    """In order, and each once."""
    answers = Answers()
    holds("%{REQUEST_STATUS} -lt 300 || %{REQUEST_URI} == 'x'", answers)
    holds("%{REQUEST_STATUS} -ge 300 && %{REQUEST_URI} == 'x'", answers)
    holds("req('Foo') in {'x', 'Bar baz', %{REQUEST_URI}}", answers)
    assert answers.asked == ["REQUEST_STATUS", "REQUEST_STATUS", "req:Foo"]


def test_a_text_cannot_grow_without_end() -> None:
    """Each comparison could make one many times as long as the one before."""
    doubling = " && ".join(["'$0$0$0$0$0$0$0$0' =~ /(.*)/"] * 30)
    with pytest.raises(GatewayError, match="an expression makes a text of more than"):
        holds(f"'12345678' =~ /(.*)/ && {doubling}")
    half = Literal("a" * (MAX_TEXT // 2))
    evaluation = Evaluation(Answers())
    assert len(Concatenation((half, half)).evaluate(evaluation)) == MAX_TEXT
    Match(Literal("b"), re.compile(b"(b)"), negated=False).evaluate(evaluation)
    with pytest.raises(GatewayError):
        Concatenation((half, BackReference(1), half)).evaluate(evaluation)


OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">=": operator.ge,
    "-lt": lambda a, b: int(a) < int(b),
    "-eq": lambda a, b: int(a) == int(b),
}
numbers = st.integers(-99, 99).map(str)
comparisons = st.builds(
    lambda left, sign, right, quote: (
        f"{quote}{left}{quote} {sign} '{right}'",
        OPERATORS[sign](left, right),
    ),
    numbers,
    st.sampled_from(sorted(OPERATORS)),
    numbers,
    st.sampled_from(["'", '"', ""]),
)
constants = st.sampled_from([("true", True), ("false", False), ("-n 'a'", True)])


def joined(
    parts: list[tuple[str, bool]], sign: str, combine: Callable[[list[bool]], bool]
) -> tuple[str, bool]:
    return (
        "(" + f" {sign} ".join(text for text, _ in parts) + ")",
        combine([value for _, value in parts]),
    )


conditions = st.recursive(
    comparisons | constants,
    lambda inner: st.one_of(
        st.builds(lambda part: (f"!{part[0]}", not part[1]), inner),
        st.builds(
            joined,
            st.lists(inner, min_size=1, max_size=4),
            st.sampled_from(["&&", "and"]),
            st.just(all),
        ),
        st.builds(
            joined,
            st.lists(inner, min_size=1, max_size=4),
            st.sampled_from(["||", "or"]),
            st.just(any),
        ),
    ),
    max_leaves=10,
)


@given(conditions)
def test_any_condition_is_what_its_parts_make_it(text_and_value: tuple[str, bool]) -> None:
    text, value = text_and_value
    assert holds(text) is value
    assert holds(f"not ({text})") is not value


@given(conditions, conditions, conditions)
def test_precedence(
    first: tuple[str, bool], second: tuple[str, bool], third: tuple[str, bool]
) -> None:
    """Without parentheses ``and`` binds tighter than ``or``."""
    (a, x), (b, y), (c, z) = first, second, third
    assert holds(f"{a} || {b} && {c}") is (x or (y and z))
    assert holds(f"{a} and {b} or {c}") is ((x and y) or z)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)


@given(texts, texts)
def test_whatever_the_context_says(text: str, other: str) -> None:
    """It is compared by its bytes, and nothing in it is taken for a part of the expression."""
    answers = Answers({"REQUEST_URI": text, "OCTETS": other})
    left, right = text.encode(), other.encode()
    assert holds("%{REQUEST_URI} < %{OCTETS}", answers) is (left < right)
    assert holds("'%{REQUEST_URI}' == %{OCTETS}", answers) is (text == other)
    assert holds("'%{REQUEST_URI}%{OCTETS}' =~ /^(.*)$/ && -n $1", answers) is bool(text + other)
    assert not holds("'$1%{REQUEST_URI}' != %{REQUEST_URI}", answers)
