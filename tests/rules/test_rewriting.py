"""Tests for `scgiproxy.rules.rewriting`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.rules.rewriting import (
    CookieRule,
    ReverseRule,
    rewrite_cookie,
    rewrite_headers,
    rewrite_location,
)

ORIGIN = b"http://www.example.com:8080"
RULES = (
    ReverseRule(b"/app/", b"http://backend.local/"),
    ReverseRule(b"/second/", b"http://backend.local/deep/"),
    ReverseRule(b"/scgi/", b"scgi://127.0.0.1:4000/"),
    ReverseRule(b"/mirror", b"/internal"),
    ReverseRule(b"https://cdn.example.com/", b"http://files.local/"),
    ReverseRule(b"bare", b"http://bare.local/"),
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"http://backend.local/x?q#f", ORIGIN + b"/app/x?q#f"),
        (b"HTTP://Backend.LOCAL/X", ORIGIN + b"/app/X"),
        (b"http://backend.local/", ORIGIN + b"/app/"),
        (b"http://backend.local", b"http://backend.local"),
        # The first rule wins, not the longest.
        (b"http://backend.local/deep/x", ORIGIN + b"/app/deep/x"),
        (b"scgi://127.0.0.1:4000/y", ORIGIN + b"/scgi/y"),
        (b"/internal/z", ORIGIN + b"/mirror/z"),
        (b"http://any.host:1/internal/z", ORIGIN + b"/mirror/z"),
        (b"http://any.host", b"http://any.host"),
        (b"http://files.local/a.js", b"https://cdn.example.com/a.js"),
        (b"http://bare.local/x", ORIGIN + b"/barex"),
        (b"http://other.local/x", b"http://other.local/x"),
        (b"/elsewhere", b"/elsewhere"),
        (b"relative", b"relative"),
        (b"", b""),
    ],
)
def test_location(value: bytes, expected: bytes) -> None:
    """Prefixes without regard to case, first rule, absolute result; else unchanged."""
    assert rewrite_location(RULES, value, ORIGIN) == expected


def test_empty_remote_matches_nothing() -> None:
    """An empty prefix would rewrite every location."""
    assert rewrite_location([ReverseRule(b"/a", b"")], b"/x", ORIGIN) == b"/x"


@given(st.binary())
def test_location_never_fails(value: bytes) -> None:
    """Any bytes give bytes, and a value that no rule knows comes back as it is."""
    assert rewrite_location(RULES[:3], b"x" + value, ORIGIN) == b"x" + value
    assert isinstance(rewrite_location(RULES, value, ORIGIN), bytes)


DOMAINS = (CookieRule(b"local", b"remote"), CookieRule(b"second", b"other"))
PATHS = (CookieRule(b"/local", b"/remote"), CookieRule(b"/", b"/rest"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # The cases of proxy.t: a cookie's own name and value look like attributes.
        (b"fakedomain=local;domain=local", b"fakedomain=local;domain=remote"),
        (b"fakepath=/local;path=/local", b"fakepath=/local;path=/remote"),
        (b"domain=local;path=/local;foo=bar", b"domain=local;path=/remote;foo=bar"),
        (b"path=/local", b"path=/local"),
        (b"a=b; Domain=LOCAL; Path=/local", b"a=b; Domain=remote; Path=/remote"),
        (b"a=b; path=/LOCAL", b"a=b; path=/rest"),
        (b"a=b; path=/local/deep", b"a=b; path=/remote"),
        (b"a=b; domain=localhost", b"a=b; domain=remote"),
        (b"a=b; domain=notlocal", b"a=b; domain=notlocal"),
        (b"a=b; domain=.local", b"a=b; domain=.local"),
        (b"a=b; domain=second.example", b"a=b; domain=other"),
        (b"a=b; Domain = local ; Secure", b"a=b; Domain = remote ; Secure"),
        (b"a=b; domain=local; domain=local", b"a=b; domain=remote; domain=remote"),
        (b"a=b; domain", b"a=b; domain"),
        (b"a=b; xpath=/local; path-x=/local", b"a=b; xpath=/local; path-x=/local"),
        (b"a=b; Path=", b"a=b; Path="),
        (b"a=b;;; ;", b"a=b;;; ;"),
        (b"", b""),
    ],
)
def test_cookie(value: bytes, expected: bytes) -> None:
    """Only real attributes, the first rule that fits, the whole attribute."""
    assert rewrite_cookie(value, DOMAINS, PATHS) == expected


def test_cookie_domain_and_path_together() -> None:
    """The third case of proxy.t: both attributes of one cookie."""
    value = b"foo=bar;domain=local;path=/local;foo=bar"
    assert rewrite_cookie(value, DOMAINS, PATHS) == b"foo=bar;domain=remote;path=/remote;foo=bar"
    assert rewrite_cookie(value, DOMAINS, ()) == b"foo=bar;domain=remote;path=/local;foo=bar"
    assert rewrite_cookie(value, (), PATHS) == b"foo=bar;domain=local;path=/remote;foo=bar"
    assert rewrite_cookie(value, (), ()) == value


@pytest.mark.parametrize("external", [b"a;Secure", b"a\r\nX: y", b"\x00"])
def test_rule_that_would_end_the_attribute_is_refused(external: bytes) -> None:
    """Such a replacement would make another attribute, or another header."""
    with pytest.raises(ValueError, match="cannot be an attribute of a cookie"):
        CookieRule(b"a", external)


COOKIE_PIECES = st.sampled_from(
    [b"domain", b"path", b"=", b";", b" ", b"\t", b"local", b"/local", b"Secure", b'"', b"\xff"]
)


@given(st.lists(COOKIE_PIECES).map(b"".join) | st.binary())
def test_cookie_never_fails_and_keeps_name_and_value(value: bytes) -> None:
    """Any bytes give bytes: all up to the first semicolon, and the number of attributes, stay."""
    rewritten = rewrite_cookie(value, DOMAINS, PATHS)
    assert rewritten.partition(b";")[0] == value.partition(b";")[0]
    before, after = value.split(b";"), rewritten.split(b";")
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        if old != new:
            assert old.partition(b"=")[0].strip(b" \t").lower() in (b"domain", b"path")


def test_headers_that_somebody_is_responsible_for() -> None:
    """All of one name; others stay, whatever they look like."""
    location, cookie = b"http://backend.local/x", b"a=b;path=/local"
    headers = [
        (b"Location", location),
        (b"DESTINATION", location),
        (b"X-Location", location),
        (b"Set-Cookie", cookie),
        (b"set-cookie", cookie),
        (b"Cookie", cookie),
    ]
    there, path = ORIGIN + b"/app/x", b"a=b;path=/remote"
    rewritten = rewrite_headers(headers, ORIGIN, RULES, DOMAINS, PATHS)
    assert [value for _, value in rewritten] == [there, there, location, path, path, cookie]
    assert [name for name, _ in rewritten] == [name for name, _ in headers]
    assert rewrite_headers(headers, ORIGIN, (), (), ()) == headers
