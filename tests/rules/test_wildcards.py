"""Tests for `scgiproxy.rules.wildcards`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.rules.wildcards import translate_wildcard


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (b"/lg*", b"/lgg", True),
        (b"/lg*", b"/lg", True),
        (b"/lg*", b"/lg/x", False),
        (b"/lg*", b"/xlg", False),
        (b"/*/x", b"/a/x", True),
        (b"/*/x", b"/a/b/x", False),
        (b"/*/x", b"//x", True),
        (b"/a?c", b"/abc", True),
        (b"/a?c", b"/a/c", False),
        (b"/a?c", b"/ac", False),
        (b"/[ab]", b"/a", True),
        (b"/[ab]", b"/c", False),
        (b"/[a-c]x", b"/bx", True),
        (b"/[!a-c]x", b"/bx", False),
        (b"/[^a-c]x", b"/dx", True),
        (b"/[!a]x", b"//x", False),
        (b"/[]x]", b"/]", True),
        (b"/[!]x]", b"/]", False),
        (b"/[a-]", b"/-", True),
        (b"/[a\\-c]", b"/b", False),
        (b"/[a\\-c]", b"/-", True),
        (b"/[\\]]", b"/]", True),
        (b"/[c-a]", b"/b", False),
        (b"/[ab", b"/[ab", True),
        (b"/\\*", b"/*", True),
        (b"/\\*", b"/x", False),
        (b"/a\\", b"/a\\", True),
        (b"/a.c", b"/abc", False),
        (b"/a", b"/a\n", False),
        (b"/*", b"/a\nb", True),
        (b"/A", b"/a", False),
        (b"**a**", b"bab", True),
        (b"", b"", True),
        (b"", b"a", False),
    ],
)
def test_wildcard(pattern: bytes, text: bytes, matches: bool) -> None:
    """Every element of a pattern; the whole text has to match."""
    assert bool(translate_wildcard(pattern).search(text)) is matches


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (b"*", b"scgi://h:4000/a/b", True),
        (b"scgi://*/a", b"scgi://h/x/a", True),
        (b"scgi://h/?", b"scgi://h/\n", True),
        (b"scgi:[/]/h", b"scgi://h", True),
        (b"http:*", b"scgi://h", False),
    ],
)
def test_slash_is_not_special_in_proxy_sections(pattern, text, matches) -> None:
    """``<Proxy "*">`` matches every URL."""
    assert bool(translate_wildcard(pattern, slash_is_special=False).search(text)) is matches


def naive(pattern: bytes, text: bytes, slash_is_special: bool) -> bool:
    """The definition, by trying everything."""
    if not pattern:
        return not text
    if pattern[:1] == b"*":
        if naive(pattern[1:], text, slash_is_special):
            return True
        return (
            bool(text)
            and not (slash_is_special and text[:1] == b"/")
            and naive(pattern, text[1:], slash_is_special)
        )
    if not text:
        return False
    if pattern[:1] == b"?":
        fits = not (slash_is_special and text[:1] == b"/")
    else:
        fits = pattern[:1] == text[:1]
    return fits and naive(pattern[1:], text[1:], slash_is_special)


@given(
    st.text("ab/*?", max_size=9).map(str.encode),
    st.text("ab/", max_size=12).map(str.encode),
    st.booleans(),
)
def test_wildcard_agrees_with_its_definition(pattern: bytes, text: bytes, special: bool) -> None:
    """Taking each star once loses no match."""
    expression = translate_wildcard(pattern, slash_is_special=special)
    assert bool(expression.search(text)) is naive(pattern, text, special)


@given(st.binary(max_size=20), st.booleans())
def test_any_bytes_make_a_pattern(pattern: bytes, special: bool) -> None:
    """Nothing a user writes fails to compile."""
    translate_wildcard(pattern, slash_is_special=special).search(b"/x")


def test_many_stars_do_not_explode() -> None:
    """A pattern that would backtrack for ever in a plain translation; the test's limit tells."""
    expression = translate_wildcard(b"/" + b"*a" * 40 + b"b")
    assert not expression.search(b"/" + b"a" * 8000)
