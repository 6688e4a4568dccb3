"""The request target: parsed once, into the one normal form that everything else uses.

Routing, access rules and PATH_INFO all look at `Target.path`. What is refused here is never seen by
any of them. (RFC 9112 section 3.2, RFC 3986 section 5.2.4; AllowEncodedSlashes.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from scgiproxy.errors import BadRequest, NotFound, quoted
from scgiproxy.message.headers import parse_host

# Possessive, so that no target makes them go back. The plain one has nothing to decode or to
# normalise: no `%`, no empty segment but the last, no segment that begins with a dot.
_PLAIN: Final = re.compile(
    rb"((?:/[^\x00-\x20\x7f#%?/.][^\x00-\x20\x7f#%?/]*+)++/?|/)(?:\?([^\x00-\x20\x7f#]*+))?"
)
_FORBIDDEN: Final = re.compile(rb"[\x00-\x20\x7f#]")
_ABSOLUTE = re.compile(rb"https?://([^/?]*+)(.*)", re.IGNORECASE | re.DOTALL)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH = re.compile(rb"%2f", re.IGNORECASE)
_ENCODED_DOT = re.compile(rb"%2e", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_LEADING_SLASHES = re.compile(rb"/+")

MOST_TARGETS: Final = 1024
"""Targets that are remembered."""

LONGEST_TARGET: Final = 100
"""Bytes of a target that is remembered, at most."""

_LITERAL = "/~$-_.+!*'(),;:@&="


@dataclass(slots=True)
class Target:
    """A request target. (No tuple: this is quicker to make, and its attributes to read.)

    - `raw`: as on the request line.
    - `path`: decoded and normalised: begins with ``/``, no dot segments, no empty segments, no
      control bytes. ``*`` for ``OPTIONS *``.
    - `query`: as sent, without the question mark; `has_query` tells an empty one from none.
    - `authority`: as sent, in absolute form; it stands in for Host (RFC 9112 section 3.2.2).
    """

    raw: bytes
    path: bytes
    query: bytes
    authority: bytes | None
    has_query: bool

    # Written out: compiled, it is much quicker than what a dataclass makes.
    def __init__(
        self, raw: bytes, path: bytes, query: bytes, authority: bytes | None, has_query: bool
    ) -> None:
        self.raw = raw
        self.path = path
        self.query = query
        self.authority = authority
        self.has_query = has_query


# Those seen lately that mean the same with every method and in every virtual host: most requests are
# for few targets. Nobody changes a target.
_plain_targets: Final[dict[bytes, Target]] = {}


def parse_target(raw: bytes, method: bytes, encoded_slashes: str = "off") -> Target:
    """Parse the target of a request line.

    `encoded_slashes` is AllowEncodedSlashes: with "off" a ``%2F`` raises NotFound, with "on" it is
    a slash like any other, with "nodecode" it stays as it was sent. Raises BadRequest for a form
    that no server serves here, a malformed escape, a fragment, a blank, a control byte (sent, or
    after decoding) and for dot segments that lead above the root.
    """
    if method == b"CONNECT":
        raise BadRequest("CONNECT is for forward proxies, and this is none")
    target = _plain_targets.get(raw)
    if target is not None:
        return target
    plain = _PLAIN.fullmatch(raw)
    if plain is None:
        return _parse(raw, method, encoded_slashes)
    path, query = plain.groups()
    target = Target(raw, path, query or b"", None, query is not None)
    if len(raw) <= LONGEST_TARGET:
        if len(_plain_targets) >= MOST_TARGETS:
            _plain_targets.clear()
        _plain_targets[raw] = target
    return target


def _parse(raw: bytes, method: bytes, encoded_slashes: str) -> Target:
    forbidden = _FORBIDDEN.search(raw)
    if forbidden is not None:
        raise BadRequest(f"a request target cannot hold {quoted(forbidden[0])}: {quoted(raw)}")
    if raw == b"*":
        if method != b"OPTIONS":
            raise BadRequest("the target * is for OPTIONS only")
        return Target(raw, b"*", b"", None, False)
    authority = None
    rest = raw
    if not raw.startswith(b"/"):
        absolute = _ABSOLUTE.fullmatch(raw)
        if absolute is None:
            raise BadRequest(f"expected a path or an http URL, got {quoted(raw)}")
        authority, rest = absolute.groups()
        parse_host(authority)
        if not rest and method == b"OPTIONS":
            return Target(raw, b"*", b"", authority, False)
    path, question, query = rest.partition(b"?")
    return Target(raw, _normalise(path or b"/", encoded_slashes), query, authority, bool(question))


def _normalise(path: bytes, encoded_slashes: str) -> bytes:
    if b"%" in path:
        if encoded_slashes == "on" and _ENCODED_SLASH.search(path):
            # Dot segments as sent, before a decoded slash makes two segments of one: what they
            # lead to is Apache's. Then those that only decoding has brought about.
            path = _resolve(_ENCODED_DOT.sub(b".", path))
        path = _decode(path, encoded_slashes)
    return _resolve(path)


def _resolve(path: bytes) -> bytes:
    """Without dot segments and empty ones. Raises BadRequest if it leads above the root."""
    segments: list[bytes] = []
    parts = path.split(b"/")
    for segment in parts:
        if segment == b"..":
            if not segments:
                raise BadRequest(f"the path leads above the root: {quoted(path)}")
            segments.pop()
        elif segment not in (b"", b"."):
            segments.append(segment)
    if not segments:
        return b"/"
    ends_open = parts[-1] in (b"", b".", b"..")
    return b"/%b%b" % (b"/".join(segments), b"/" if ends_open else b"")


def _decode(path: bytes, encoded_slashes: str) -> bytes:
    bad = _BAD_ESCAPE.search(path)
    if bad is not None:
        shown = quoted(path[bad.start() : bad.start() + 3])
        raise BadRequest(f"expected two hexadecimal digits after the percent sign of {shown}")
    if encoded_slashes != "on" and _ENCODED_SLASH.search(path):
        if encoded_slashes == "off":
            raise NotFound(f"an encoded slash in the path (AllowEncodedSlashes): {quoted(path)}")
        path = _ENCODED_SLASH.sub(lambda match: b"%25" + match[0][1:], path)
    path = unquote_to_bytes(path)
    control = _CONTROL.search(path)
    if control is not None:
        raise BadRequest(
            f"the path decodes to the control byte {quoted(control[0])}: {quoted(path)}"
        )
    return path


def encode_path(path: bytes) -> bytes:
    """Percent-encode a decoded path as mod_proxy_scgi does when it canonicalises.

    Kept are letters, digits and ``/~$-_.+!*'(),;:@&=``.
    """
    return quote_from_bytes(path, _LITERAL).encode("ascii")


def parse_local_reference(value: bytes) -> bytes:
    """The raw target, for `parse_target`, of an internal redirect to `value`.

    Leading slashes are made one, so that no other host can be meant; a fragment is dropped; blanks
    and control bytes are encoded. Raises ValueError if `value` does not begin with a slash.
    (ProxySCGIInternalRedirect; RFC 3875 section 6.2.2.)
    """
    if not value.startswith(b"/"):
        raise ValueError(f"a local reference begins with a slash, unlike {quoted(value)}")
    target = _LEADING_SLASHES.sub(b"/", value.partition(b"#")[0], count=1)
    return _FORBIDDEN.sub(lambda match: b"%%%02X" % ord(match[0]), target)
