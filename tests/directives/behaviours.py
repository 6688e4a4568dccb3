"""Which directives a test is about."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

NAMED: dict[str, set[str]] = {}
"""The names given to `behaviour`, each with the tests that they were given to."""

Test = Callable[..., Any]


def behaviour(*names: str) -> Callable[[Test], Test]:
    """Say that a test shows what these directives (or ``key=`` parameters) do.

    The configuration that it loads must have each of them in it: see conftest.
    """

    def name(test: Test) -> Test:
        for each in names:
            NAMED.setdefault(each, set()).add(f"{test.__module__}.{test.__qualname__}")
        test.__dict__["behaviour_of"] = names
        return test

    return name


def names_in(text: str) -> set[str]:
    """The directives, sections and ``key=`` parameters in a text, in lower case."""
    words: set[str] = set()
    for line in text.replace("\\\n", "").splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith(("#", "</")):
            words.add(re.split(r"[\s>]", stripped.lstrip("<"), maxsplit=1)[0].lower())
            words |= {f"{key.lower()}=" for key in re.findall(r"\s([A-Za-z]+)=", line)}
    return words
