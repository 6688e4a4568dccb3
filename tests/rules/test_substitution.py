"""Tests for `scgiproxy.rules.substitution`."""

from __future__ import annotations

import re

import pytest

from scgiproxy.rules.substitution import Template


@pytest.mark.parametrize(
    ("text", "expanded", "has_references"),
    [
        (b"", b"", False),
        (b"plain", b"plain", False),
        (b"$0", b"/a/b", True),
        (b"<$1|$2>", b"<a|b>", True),
        (b"$1$1", b"aa", True),
        (b"$12", b"a2", True),
        (b"[$3]", b"[]", True),
        (b"[$9]", b"[]", True),
        (rb"\$1", b"$1", False),
        (rb"\\$1", rb"\a", True),
        (rb"a\b", b"ab", False),
        (b"end\\", b"end\\", False),
        (b"$", b"$", False),
        (b"$x$", b"$x$", False),
    ],
)
def test_template(text: bytes, expanded: bytes, has_references: bool) -> None:
    """References, escapes, groups that are not there or took no part."""
    match = re.search(rb"/(\w)/(\w)(x)?", b"/a/b")
    assert match is not None
    template = Template(text)
    assert template.expand(match) == expanded
    assert template.has_references is has_references


def test_references() -> None:
    """Which groups are meant; an escaped one is none."""
    assert Template(rb"/$1/$0$1\$3$a").references == {0, 1}
    assert Template(b"/").references == frozenset()
