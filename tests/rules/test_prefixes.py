"""Tests for `scgiproxy.rules.prefixes`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.rules.prefixes import PrefixIndex, normal_prefix


@pytest.mark.parametrize(
    ("prefix", "path", "matches"),
    [
        (b"/app", b"/app", True),
        (b"/app", b"/app/", True),
        (b"/app", b"/app/x", True),
        (b"/app", b"/appx", False),
        (b"/app", b"/app../x", False),
        (b"/app", b"/ap", False),
        (b"/app", b"/App", False),
        (b"/app", b"/x/app", False),
        (b"/app/", b"/app", False),
        (b"/app/", b"/app/", True),
        (b"/app/", b"/app/x", True),
        (b"/", b"/", True),
        (b"/", b"/x/y", True),
        (b"//a///b", b"/a/b/c", True),
        (b"/a//", b"/a/b", True),
        (b"/a//", b"/a", False),
        (b"/a b/\xc3\xa9", b"/a b/\xc3\xa9/x", True),
        (b"app", b"app", False),
        (b"app", b"/app", False),
        (b"", b"/", False),
        (b"/", b"*", False),
        (b"/", b"", False),
    ],
)
def test_prefix(prefix: bytes, path: bytes, matches: bool) -> None:
    """Whole components, case-sensitively; runs of slashes in the prefix count as one."""
    index = PrefixIndex([(7, prefix)])
    assert index.matching(path) == ([7] if matches else [])
    assert index.first(path) == (7 if matches else None)


def test_all_that_match_and_the_first() -> None:
    """`matching` has every prefix on the way, `first` the lowest number."""
    prefixes = enumerate([b"/a/b/", b"/a", b"/x", b"/", b"/a/b", b"/a"])
    index = PrefixIndex(list(prefixes))
    assert sorted(index.matching(b"/a/b/c")) == [0, 1, 3, 4, 5]
    assert sorted(index.matching(b"/a/b")) == [1, 3, 4, 5]
    assert index.first(b"/a/b/c") == 0
    assert index.first(b"/a/b") == 1
    assert index.first(b"/y") == 3


def matches_by_definition(prefix: bytes, path: bytes) -> bool:
    """alias_match of mod_proxy, written out byte by byte."""
    at = 0
    position = 0
    while position < len(prefix):
        if prefix[position : position + 1] == b"/":
            if path[at : at + 1] != b"/":
                return False
            while prefix[position : position + 1] == b"/":
                position += 1
            while path[at : at + 1] == b"/":
                at += 1
        else:
            if prefix[position : position + 1] != path[at : at + 1]:
                return False
            position += 1
            at += 1
    return prefix.endswith(b"/") or path[at : at + 1] in (b"", b"/")


ROOTED = st.text("ab/", max_size=6).map(lambda text: b"/" + text.encode())


@given(st.lists(ROOTED), ROOTED.map(normal_prefix))
def test_index_agrees_with_a_search(prefixes: list[bytes], path: bytes) -> None:
    """What the look-up finds is what trying each in turn finds."""
    expected = [
        number for number, prefix in enumerate(prefixes) if matches_by_definition(prefix, path)
    ]
    index = PrefixIndex(list(enumerate(prefixes)))
    assert sorted(index.matching(path)) == expected
    assert index.first(path) == (expected[0] if expected else None)
