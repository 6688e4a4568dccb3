"""ProxyPassReverse, ProxyPassReverseCookieDomain, ProxyPassReverseCookiePath."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from scgiproxy.message.headers import HeaderList

LOCATION_FIELDS = frozenset((b"location", b"content-location", b"uri", b"destination"))
"""Lower-case names of the headers that ProxyPassReverse is for."""

_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://")
_BLANKS = b" \t"
_NO_ATTRIBUTE_VALUE = re.compile(rb"[\x00-\x1f\x7f;]")


@dataclass(frozen=True, slots=True)
class ReverseRule:
    """A backend URL prefix (or a path) in Location and kin becomes `local`, a path of ours.

    A `remote` that begins with a slash is compared with the path of the value, whatever its host.
    """

    local: bytes
    remote: bytes
    _folded: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_folded", self.remote.lower())

    def rewrite(self, value: bytes) -> bytes | None:
        """`value` with the prefix replaced, or None if it does not begin with it."""
        folded = self._folded
        if folded.startswith(b"/"):
            value = _path_of(value)
        if not folded or not value.lower().startswith(folded):
            return None
        return self.local + value[len(folded) :]


@dataclass(frozen=True, slots=True)
class CookieRule:
    """`internal` (what the backend says) becomes `external` in Set-Cookie.

    Raises ValueError with a sentence if `external` would end the attribute.
    """

    internal: bytes
    external: bytes
    _folded: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if _NO_ATTRIBUTE_VALUE.search(self.external):
            shown = self.external.decode("utf-8", "backslashreplace")
            raise ValueError(f"{shown!r} cannot be an attribute of a cookie")
        object.__setattr__(self, "_folded", self.internal.lower())

    def matches_path(self, path: bytes) -> bool:
        return path.startswith(self.internal)

    def matches_domain(self, domain: bytes) -> bool:
        return domain.lower().startswith(self._folded)


def rewrite_location(rules: Sequence[ReverseRule], value: bytes, origin: bytes) -> bytes:
    """What a Location header, or another of `LOCATION_FIELDS`, says to a client.

    The first rule whose prefix `value` begins with (without regard to case) replaces it. The
    result is made absolute with `origin` (``http://name:port``, no slash at the end) unless it is
    already. Without such a rule `value` is unchanged. (ProxyPassReverse.)
    """
    for rule in rules:
        rewritten = rule.rewrite(value)
        if rewritten is None:
            continue
        if _ABSOLUTE.match(rewritten):
            return rewritten
        return origin + (rewritten if rewritten.startswith(b"/") else b"/" + rewritten)
    return value


def rewrite_cookie(
    value: bytes, domains: Sequence[CookieRule], paths: Sequence[CookieRule]
) -> bytes:
    """A Set-Cookie header's value with its Domain and Path attributes replaced.

    The first rule whose `internal` the attribute begins with replaces the whole attribute; Path
    is compared case-sensitively, Domain not. The cookie's name and value (all up to the first
    ``;``) are never touched, nor are other attributes, nor the blanks around. (RFC 6265 section
    5.2; ProxyPassReverseCookieDomain, ProxyPassReverseCookiePath.)
    """
    if not (domains or paths):
        return value
    pair, *attributes = value.split(b";")
    for index, attribute in enumerate(attributes):
        name, equals, text = attribute.partition(b"=")
        stripped = text.strip(_BLANKS)
        match name.strip(_BLANKS).lower():
            case b"domain" if equals:
                matching = (rule for rule in domains if rule.matches_domain(stripped))
            case b"path" if equals:
                matching = (rule for rule in paths if rule.matches_path(stripped))
            case _:
                continue
        rule = next(matching, None)
        if rule is not None:
            front = text[: len(text) - len(text.lstrip(_BLANKS))]
            back = text[len(front) + len(stripped) :]
            attributes[index] = name + equals + front + rule.external + back
    return b";".join((pair, *attributes))


def rewrite_headers(
    headers: HeaderList,
    origin: bytes,
    rules: Sequence[ReverseRule],
    domains: Sequence[CookieRule],
    paths: Sequence[CookieRule],
) -> HeaderList:
    """`headers` with every field rewritten that one of these is for."""
    rewritten: HeaderList = []
    for name, value in headers:
        lower = name.lower()
        if lower in LOCATION_FIELDS and rules:
            value = rewrite_location(rules, value, origin)
        elif lower == b"set-cookie":
            value = rewrite_cookie(value, domains, paths)
        rewritten.append((name, value))
    return rewritten


def _path_of(value: bytes) -> bytes:
    """The path of a URL and what follows it; `value` itself if it is no URL or has no path."""
    absolute = _ABSOLUTE.match(value)
    if absolute is None:
        return value
    slash = value.find(b"/", absolute.end())
    return value if slash < 0 else value[slash:]
