"""PCRE as Apache compiles it, in Python's words."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.config.expressions import compile_expression


@pytest.mark.parametrize(
    ("expression", "yes", "no"),
    [
        ("^/a/(.*)$", [b"/a/", b"/a/b\nc"], [b"/b", b"x/a/"]),
        ("a$", [b"a", b"ba"], [b"a\n", b"ab"]),
        (r"a\$", [b"a$"], [b"a"]),
        ("[$]", [b"$"], [b"a"]),
        (r"(?<name>a)\1", [b"aa"], [b"a"]),
        ("(?<=a)b", [b"ab"], [b"b"]),
        ("(?<!a)b", [b"b"], [b"ab"]),
        (r"a\z", [b"a"], [b"a\n"]),
        (r"a\Z", [b"a", b"a\n"], [b"a\n\n"]),
        (r"^\h+$", [b" \t"], [b"\n"]),
        ("^[[:digit:]a]+$", [b"12a"], [b"b"]),
        (r"^[[:punct:]]+$", [b"[]\\^"], [b"a"]),
        ("^[^]a]$", [b"b"], [b"]", b"a"]),
        ("^[]a]$", [b"]", b"a"], [b"b"]),
        ("^[[a]$", [b"["], [b"b"]),
        (r"^[\]x]$", [b"]", b"x"], [b"\\"]),
        ("^a++b$", [b"aab"], [b"b"]),
        ("^é$", ["é".encode()], [b"\xe9"]),
        (r"\.(gif|jpe?g)$", [b"/x.jpg"], [b"/x.jpg/"]),
    ],
)
def test_matching(expression: str, yes: list[bytes], no: list[bytes]) -> None:
    pattern = compile_expression(expression)
    assert all(pattern.search(text) for text in yes)
    assert not any(pattern.search(text) for text in no)


def test_groups_and_case() -> None:
    found = compile_expression("^/(?<app>A+)/(.*)", ignore_case=True).search(b"/aa/x")
    assert found is not None
    assert found["app"] == b"aa"
    assert found[2] == b"x"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("a(b", "missing ), unterminated subpattern at character 2"),
        ("$$(b", "missing ), unterminated subpattern at character 3"),
        ("éé(b", "missing ), unterminated subpattern at character 3"),
        ("a**", "multiple repeat at character 3"),
        ("[a", "unterminated character set at character 1"),
        ("[[:nothing:]]", "the class [:nothing:] is unknown; expected one of alnum,"),
        (r"\Qa\E", r"bad escape \Q at character 1"),
        ("a{99999999999}", "too large"),
    ],
)
def test_wrong_expressions(expression: str, message: str) -> None:
    """Told with the character, counted in what was written."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        compile_expression(expression)
    assert repr(expression) in str(caught.value) or "class" in message


@given(st.text("ab[]()^$\\.*+?{}|:<>P=!-zhZ1é", max_size=30))
def test_only_value_errors(expression: str) -> None:
    """Nothing else is raised, and no warning: they are errors in these tests."""
    with suppress(ValueError):
        compile_expression(expression)
