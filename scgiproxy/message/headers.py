"""Header fields: what a name or a value may hold, which fields end here, their CGI names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from scgiproxy.errors import BadRequest, quoted

HeaderList = list[tuple[bytes, bytes]]
"""Names and values in order, names in any case."""

HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Fields for one connection only (RFC 9110 section 7.6.1), lower-case."""

# RFC 3875 section 4.1.18: fields that concern the client's connection make no variable. Those with
# a variable of their own (Content-Length) or answered here (Expect) neither. Proxy would become
# HTTP_PROXY, which HTTP client libraries obey. Proxy-Authorization is CGIPassAuth's affair.
_NO_VARIABLE = (HOP_BY_HOP - {b"proxy-authorization"}) | {b"content-length", b"expect", b"proxy"}

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(rb"(?:[!-~\x80-\xff]+(?:[\t ]+(?=[!-~\x80-\xff]))?)*+")
_PORTABLE_NAME = re.compile(rb"[0-9A-Za-z-]+")
_HOST_NAME = re.compile(rb"[0-9a-z_-]+(?:\.[0-9a-z_-]+)*+")
_PORT = re.compile(rb"[0-9]{1,5}")


def is_token(name: bytes) -> bool:
    """True if `name` can be a field name (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(name) is not None


def is_field_value(value: bytes) -> bool:
    """True if `value` can be a field's value (RFC 9110 section 5.5), without blanks around."""
    return _FIELD_VALUE.fullmatch(value) is not None


def connection_tokens(headers: HeaderList) -> frozenset[bytes]:
    """The options of every Connection field, lower-case (RFC 9110 section 7.6.1)."""
    tokens: set[bytes] = set()
    for name, value in headers:
        if name.lower() == b"connection":
            tokens.update(list_tokens(value))
    return frozenset(tokens)


def list_tokens(value: bytes) -> list[bytes]:
    """The elements of a comma-separated list, lower-case, empty ones left out."""
    return [stripped for part in value.lower().split(b",") if (stripped := part.strip(b" \t"))]


def end_to_end(headers: HeaderList) -> HeaderList:
    """`headers` without the hop-by-hop fields and those that Connection names.

    The same list comes back if there is none.
    """
    names = [name.lower() for name, _ in headers]
    if HOP_BY_HOP.isdisjoint(names):
        return headers
    dropped = HOP_BY_HOP | connection_tokens(headers)
    return [field for name, field in zip(names, headers, strict=True) if name not in dropped]


def take_field(headers: HeaderList, name: bytes) -> tuple[bytes | None, HeaderList]:
    """The value of the field with that lower-case name (repeated ones joined, None if absent), and
    `headers` without it."""
    values = [value for key, value in headers if key.lower() == name]
    if not values:
        return None, headers
    return b", ".join(values), [field for field in headers if field[0].lower() != name]


def combine(name: bytes, values: Iterable[bytes]) -> bytes:
    """The one value of a repeated field: joined by ``, ``, or ``; `` for Cookie.

    (RFC 9110 section 5.2, RFC 6265 section 5.4.)
    """
    return (b"; " if name.lower() == b"cookie" else b", ").join(values)


_MOST_NAMES = 1024
_LONGEST_NAME = 64


class _CgiNames(dict[bytes, bytes | None]):
    """The CGI names of the spellings seen so far; bounded, since clients choose the spellings."""

    def __missing__(self, name: bytes) -> bytes | None:
        variable = _cgi_name(name)
        if len(name) <= _LONGEST_NAME:
            if len(self) >= _MOST_NAMES:
                self.clear()
            self[name] = variable
        return variable


def _cgi_name(name: bytes) -> bytes | None:
    lower = name.lower()
    if lower in _NO_VARIABLE or not _PORTABLE_NAME.fullmatch(name):
        return None
    if lower == b"content-type":
        return b"CONTENT_TYPE"
    return b"HTTP_" + lower.upper().replace(b"-", b"_")


CGI_NAMES: Final = _CgiNames()
"""`cgi_name` as a mapping, for the one loop where a call for each field would show."""


def cgi_name(name: bytes) -> bytes | None:
    """The meta-variable of a request header field, or None if it makes none.

    ``HTTP_`` and the name in capitals with ``_`` for ``-``; CONTENT_TYPE for Content-Type. None for
    Content-Length (which has its own way), Proxy, Expect, the fields of the client's connection,
    and a name with anything but letters, digits and ``-``: ``X_User`` and ``X-User`` would be one
    variable. (RFC 3875 section 4.1.18.)
    """
    return CGI_NAMES[name]


@lru_cache(maxsize=1024)
def parse_host(value: bytes) -> tuple[bytes, int | None]:
    """Split ``host[:port]``: the host in lower case without a last dot, and the port if it is there.

    An IPv6 address keeps its brackets. An empty port (``host:``) is none. Raises BadRequest for
    anything that is neither a host name nor an address, or a port outside 1 to 65535.
    (RFC 9110 section 7.2.)
    """
    if len(value) > 270:
        raise BadRequest(f"a Host of {len(value)} bytes, {quoted(value)}")
    lower = value.lower()
    if lower.startswith(b"["):
        host, bracket, rest = lower.partition(b"]")
        try:
            IPv6Address(host[1:].decode("latin-1"))
        except AddressValueError:
            raise _bad_host(value) from None
        if b"%" in host or not bracket or (rest and not rest.startswith(b":")):
            raise _bad_host(value)
        host += bracket
        port = rest[1:]
    else:
        host, _, port = lower.partition(b":")
        host = host.removesuffix(b".")
        if not _HOST_NAME.fullmatch(host):
            raise _bad_host(value)
    if not port:
        return host, None
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise _bad_host(value)
    return host, int(port)


def _bad_host(value: bytes) -> BadRequest:
    return BadRequest(f"expected a host name or address and maybe a port, got {quoted(value)}")
