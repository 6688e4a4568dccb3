"""Which resource a request is for: the variables that name a path, put together.

Gateways disagree about them, so the rules are, in this order:

- SCRIPT_NAME and PATH_INFO say where the request goes; REQUEST_URI may be older, since an internal
  redirect keeps the client's. PATH_INFO is what the resource tree is asked for.
- Without PATH_INFO (Apache's default, nginx) nobody has said where the application is mounted: the
  server's own `mount` is taken off the whole path.
- Without either of them the path of REQUEST_URI is used.
- If REQUEST_URI spells the same path, its encoding is kept: only there ``a%2Fb`` is one segment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes

from scgiproxy.errors import BadRequest, NotFound, quoted

PATH_SAFE = "/~!$&'()*+,;=:@"
QUERY_SAFE = PATH_SAFE + '?%[]{}|\\^`"<>'


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes.

    `prepath` (the mount) and `postpath` (what the resource tree has to find) are decoded segments;
    `path` and `query` are encoded, in ASCII.
    """

    prepath: list[bytes]
    postpath: list[bytes]
    path: bytes
    query: bytes

    @property
    def uri(self) -> bytes:
        """The path, and the query if there is one."""
        return self.path + b"?" + self.query if self.query else self.path


def read_target(variables: Mapping[bytes, bytes], mount: bytes = b"") -> Target:
    """The target of a request with these CGI variables (RFC 3875 sections 4.1.5 and 4.1.13).

    `mount` is the decoded path of the application, used when PATH_INFO is absent. Raises BadRequest
    for a path that does not begin with a slash, NotFound for one that is not under `mount`.
    """
    raw_path, _, raw_query = _origin_form(variables.get(b"REQUEST_URI", b"")).partition(b"?")
    query = variables.get(b"QUERY_STRING", raw_query)
    script_name = variables.get(b"SCRIPT_NAME", b"")
    path_info = variables.get(b"PATH_INFO")
    _check_slash(b"SCRIPT_NAME", script_name)
    _check_slash(b"PATH_INFO", path_info or b"")
    decoded = script_name + (path_info or b"") or unquote_to_bytes(raw_path) or b"/"
    if raw_path.isascii() and unquote_to_bytes(raw_path) == decoded:
        path = raw_path
    else:
        path = quote_from_bytes(decoded, PATH_SAFE).encode("ascii")
    if not query.isascii():
        query = quote_from_bytes(query, QUERY_SAFE).encode("ascii")
    prefix = mount if path_info is None else script_name
    segments = [unquote_to_bytes(segment) for segment in path[1:].split(b"/")]
    count = _count_segments(segments, prefix.rstrip(b"/"))
    if count is None:
        raise NotFound(
            f"the path {quoted(path)} is not under {quoted(prefix)}, where the application is"
        )
    return Target(segments[:count], segments[count:], path, query)


def _origin_form(uri: bytes) -> bytes:
    """REQUEST_URI without the scheme and authority that an absolute-form request line has."""
    if uri.startswith(b"/") or b"://" not in uri.partition(b"?")[0]:
        return uri
    authority, slash, rest = uri.partition(b"://")[2].partition(b"/")
    return slash + rest or b"/" + authority[len(authority.partition(b"?")[0]) :]


def _check_slash(name: bytes, value: bytes) -> None:
    if value and not value.startswith(b"/"):
        raise BadRequest(f"{name.decode()} {quoted(value)} does not begin with a slash")


def _count_segments(segments: list[bytes], prefix: bytes) -> int | None:
    """How many of the segments make up `prefix`; None if it does not end between two of them."""
    joined = b""
    for count, segment in enumerate(segments):
        if joined == prefix:
            return count
        joined += b"/" + segment
        if len(joined) > len(prefix):
            return None
    return len(segments) if joined == prefix else None
