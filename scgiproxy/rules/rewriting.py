"""ProxyPassReverse, ProxyPassReverseCookieDomain, ProxyPassReverseCookiePath."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReverseRule:
    """A backend URL prefix (or a path) in Location and kin becomes `local`, a path of ours."""

    local: bytes
    remote: bytes


@dataclass(frozen=True, slots=True)
class CookieRule:
    """`internal` (what the backend says) becomes `external` in Set-Cookie."""

    internal: bytes
    external: bytes
