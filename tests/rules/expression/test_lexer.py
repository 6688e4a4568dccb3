"""Tests for `scgiproxy.rules.expression.lexer`."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.rules.expression.lexer import (
    MAX_DEPTH,
    MAX_LENGTH,
    Kind,
    Named,
    Piece,
    Reference,
    Token,
    pieces_of,
    tokens_of,
)


def kinds(text: str) -> str:
    """The tokens without END, each as its kind and its text."""
    *tokens, end = tokens_of(text)
    assert end == Token(Kind.END, "", len(text) + 1)
    return " ".join(f"{token.kind.name[0]}({token.text})" for token in tokens)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a1 b", "W(a1) W(b)"),
        (" \t\n", ""),
        ("true and not_", "W(true) W(and) W(not_)"),
        ("12 -5 05", "N(12) N(-5) N(05)"),
        ("1-eq1", "N(1) O(-eq1)"),
        ("1 -eq-1", "N(1) O(-eq) N(-1)"),
        ("1.2", "N(1) O(.) N(2)"),
        ("-n'x'", "O(-n) V('x')"),
        ("== = != < <= > >= =~ !~", "O(==) O(=) O(!=) O(<) O(<=) O(>) O(>=) O(=~) O(!~)"),
        ("!!a&&b||(c)", "O(!) O(!) W(a) O(&&) W(b) O(||) O(() W(c) O())"),
        ("in{a,b}", "W(in) O({) W(a) O(,) W(b) O(})"),
        ("$1$2", "V($1) V($2)"),
        ("%{A}%{b:c}", "V(%{A}) V(%{b:c})"),
        ("m#a/b#", "R(a/b)"),
        ("/a#b/", "R(a#b)"),
        ("//", "R()"),
        ("/a/and", "R(a) W(and)"),
        ("/a/i", "R(a)"),
        ("/a/ior", "R(a) W(or)"),
        (r"/a\\/", r"R(a\\)"),
        (r"m#a\/b#", r"R(a\/b)"),
        ("m_a_ mx m", "W(m_a_) W(mx) W(m)"),
    ],
)
def test_tokens(text: str, expected: str) -> None:
    assert kinds(text) == expected


@pytest.mark.parametrize("separator", "/#$%^|?!'\",;:.-")
def test_separators_of_a_regex(separator: str) -> None:
    token, _ = tokens_of(f"m{separator}(a){separator}i")
    assert token == Token(Kind.REGEX, "(a)", 1, ignore_case=True)


def test_columns() -> None:
    """Of each token, and of the names in a string."""
    text = " 'a' == tolower( \"%{B}x%{c:%{D}}\" ) =~ /e/ "
    tokens = tokens_of(text)
    assert [token.column for token in tokens] == [2, 6, 9, 16, 18, 35, 37, 40, 44]
    first, x, second = tokens[4].pieces
    assert (first, x) == (Named("B", 21, None), "x")
    assert second == Named("c", 26, (Named("D", 30, None),))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", ()),
        ('plain text, it\'s "so" {}', ('plain text, it\'s "so" {}',)),
        ("$1a$20$", (Reference(1), "a", Reference(2), "0$")),
        ("100% $x %x", ("100% $x %x",)),
        (r"\$1 \%{A} \' \q \\", (r"$1 %{A} ' q " + "\\",)),
        (r"\n\r\t\b\f", ("\n\r\t\b\f",)),
        (r"\101\7\41z", ("A\x07!z",)),
        (r"\303\251", ("é",)),
        (r"\377\303", (b"\xff\xc3".decode("utf-8", "surrogateescape"),)),
        ("%{A}", (Named("A", 3, None),)),
        (
            "x%{a:b %{C}$1'\\}}y",
            ("x", Named("a", 4, ("b ", Named("C", 10, None), Reference(1), "'}")), "y"),
        ),
    ],
)
def test_pieces(text: str, pieces: tuple[Piece, ...]) -> None:
    assert pieces_of(text) == pieces


def test_quotes() -> None:
    """A string ends at the quote that it began with, and can have it after a backslash."""
    first, second, third, _ = tokens_of(r""" 'a"b' "a'b" 'a\'b' """)
    assert [token.pieces for token in (first, second, third)] == [('a"b',), ("a'b",), ("a'b",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'a' ~ 'b'", "at character 5: expected a word or an operator, got '~'"),
        ("$a", "at character 1: expected a word or an operator, got '$'"),
        ("- 5", "at character 1: expected a word or an operator, got '-'"),
        (
            "'a' == 'b",
            "at character 8: the string that begins here does not end; expected '",
        ),
        ('"a\\"', 'at character 1: the string that begins here does not end; expected "'),
        (
            "'%{a:b'",
            "at character 2: the argument that begins here does not end; expected }",
        ),
        ("%{", "at character 3: expected the name of a variable or a function after %{"),
        ("%{:a:}", "at character 3: expected the name of a variable or a function after %{"),
        ("%{A B}", "at character 4: expected } or a colon after the name A, got ' '"),
        ("%{A", "at character 4: expected } or a colon after the name A, got the end"),
        ("%{a:}", "at character 5: expected an argument of a after the colon"),
        (r"'\9'", "at character 2: expected an octal number from 1 to 377 after \\, got 9"),
        (r"'\1234'", "at character 2: expected an octal number from 1 to 377 after \\, got 1234"),
        (r"'\400'", "at character 2: expected an octal number from 1 to 377 after \\, got 400"),
        (r"'\0'", "at character 2: expected an octal number from 1 to 377 after \\, got 0"),
        ("'\\", "at character 2: expected a character after the backslash"),
        ("/a", "at character 1: the regular expression that begins here does not end; expected /"),
        (
            "m#a",
            "at character 1: the regular expression that begins here does not end; expected #",
        ),
        ("/a/x", "at character 4: expected i or no flag of the regular expression, got x"),
        ("/a/ii", "at character 4: expected i or no flag of the regular expression, got ii"),
        ("/a/m", "at character 4: expected i or no flag of the regular expression, got m"),
        (
            r"/a\/b/",
            (
                "at character 4: a backslash does not take / into the regular expression;"
                " expected other characters around it, such as m#...#"
            ),
        ),
        ("a\x00", "at character 2: expected no NUL"),
        ("a" * 100 + "~", "at character 101: expected a word or an operator, got '~'"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        tokens_of(text)
    assert str(caught.value) == message


def test_what_is_shown_is_short() -> None:
    with pytest.raises(ValueError, match=re.escape(f"got {'x' * 40}...")):
        tokens_of("/a/" + "x" * 5000)


def test_length() -> None:
    assert len(tokens_of("a" * MAX_LENGTH)) == 2
    with pytest.raises(ValueError, match="8193 characters; expected at most 8192"):
        tokens_of("a" * (MAX_LENGTH + 1))


def test_depth() -> None:
    """Of variables in arguments; those beside each other do not add up."""

    def nested(depth: int) -> str:
        return "%{a:" * depth + "b" + "}" * depth

    assert len(pieces_of(nested(MAX_DEPTH) * 20)) == 20
    with pytest.raises(ValueError, match="at character 201: expected at most 50 variables in each"):
        pieces_of(nested(MAX_DEPTH + 1))


any_text = st.text("aim/#'\"%{}:$\\17!=~&|<>-.,() é\n", max_size=40)


@given(any_text | st.text(max_size=40))
def test_only_value_errors(text: str) -> None:
    """Nothing else is raised, and every token is in the text where it says."""
    with suppress(ValueError):
        pieces_of(text)
    with suppress(ValueError):
        for token in tokens_of(text):
            start = token.column - 1
            if token.kind is not Kind.REGEX:
                assert text[start : start + len(token.text)] == token.text


characters = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])


@given(st.text(characters, max_size=100))
def test_any_text_can_be_quoted(text: str) -> None:
    escaped = re.sub(r"([^A-Za-z0-9 ])", r"\\\1", text, flags=re.DOTALL)
    token, _ = tokens_of(f"'{escaped}'")
    assert "".join(map(str, token.pieces)) == text
    assert "".join(map(str, pieces_of(escaped))) == text
