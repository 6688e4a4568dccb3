"""The words of parameters that may be set in a file and while it runs: what they take and mean.

Each ``parse_...`` takes one word, and raises ValueError with a sentence that says what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from scgiproxy.rules.health import CheckMethod
from scgiproxy.rules.sticky import MAX_ROUTE

MAX_STICKY = 63
"""Bytes of a cookie's or a parameter's name (Apache's PROXY_BALANCER_MAX_STICKY_SIZE)."""

MAX_CHECK_URI = 1000
"""Characters of `hcuri`."""

MAX_LBSET = 99

_LOAD_FACTOR = re.compile(r"[0-9]{1,3}(\.[0-9]{1,2})?")
_STICKY_NAME = re.compile(r"[^\s\x00-\x1f\x7f;,=|]*")
_CHECK_URI = re.compile(r"(?:[!\"$&-~]|%(?!00)[0-9A-Fa-f]{2})+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def as_bytes(text: str) -> bytes:
    """The bytes that stood in the file."""
    return text.encode("utf-8", "surrogateescape")


def as_text(octets: bytes) -> str:
    """What `as_bytes` makes these bytes of."""
    return octets.decode("utf-8", "surrogateescape")


def suggest(word: str, known: Iterable[str], likeness: float = 0.7) -> str:
    """``; did you mean X?`` with the nearest of `known`, or nothing."""
    near = nearest(word, known, likeness)
    return f"; did you mean {near}?" if near else ""


def nearest(word: str, known: Iterable[str], likeness: float = 0.7) -> str:
    """The one of `known` that `word` looks like most, without regard to case, or nothing."""
    folded = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), folded, 1, likeness)
    return folded[near[0]] if near else ""


def parse_integer(word: str, least: int = 0, most: int | None = None) -> int:
    """A decimal number without a sign (18 digits at most)."""
    limits = f"from {least} to {most}" if most is not None else f"of {least} or more"
    if not (word.isascii() and word.isdigit() and len(word) <= 18):
        raise ValueError(f"expected a number {limits}, got {word!r}")
    value = int(word)
    if value < least or (most is not None and value > most):
        raise ValueError(f"expected a number {limits}, got {word}")
    return value


def parse_load_factor(word: str) -> float:
    """`loadfactor`: 1 to 100, with two places at most."""
    if not _LOAD_FACTOR.fullmatch(word) or not 1 <= float(word) <= 100:
        raise ValueError(f"expected a number from 1 to 100, got {word!r}")
    return float(word)


def parse_route(word: str) -> bytes:
    """`route` and `redirect`: they get into variables and cookies."""
    if _CONTROL.search(word):
        raise ValueError(f"expected no control characters, got {word!r}")
    if len(as_bytes(word)) > MAX_ROUTE:
        raise ValueError(f"expected at most {MAX_ROUTE} bytes, got {word!r}")
    return as_bytes(word)


def parse_sticky(word: str) -> tuple[bytes, bytes]:
    """`stickysession`: the names of the cookie and of the parameter; one of them may be empty."""
    cookie, bar, parameter = word.partition("|")
    if not bar:
        parameter = cookie
    for name in (cookie, parameter):
        if not _STICKY_NAME.fullmatch(name) or len(as_bytes(name)) > MAX_STICKY:
            raise ValueError(
                f"expected names of at most {MAX_STICKY} bytes without blanks, as in COOKIE or"
                f" COOKIE|PARAMETER, got {word!r}"
            )
    if not (cookie or parameter):
        raise ValueError(f"expected COOKIE or COOKIE|PARAMETER, got {word!r}")
    return as_bytes(cookie), as_bytes(parameter)


def parse_check_method(word: str) -> CheckMethod:
    """`hcmethod`, in any case."""
    try:
        return CheckMethod(word.upper())
    except ValueError:
        known = [method.value for method in CheckMethod]
        why = " (it is a method of AJP)" if word.upper() == "CPING" else suggest(word, known)
        raise ValueError(f"expected one of {', '.join(known)}, got {word!r}{why}") from None


def parse_check_uri(word: str) -> bytes:
    """`hcuri`: what follows the path of the member's URL."""
    if len(word) > MAX_CHECK_URI:
        raise ValueError(f"expected at most {MAX_CHECK_URI} characters, got {len(word)}")
    if not _CHECK_URI.fullmatch(word):
        raise ValueError(f"expected a path as it stands in a URL (a blank is %20), got {word!r}")
    return as_bytes(word)
