"""Request facts to CGI meta-variables (RFC 3875 section 4.1), as mod_proxy_scgi exports them.

Who wins when a name has several values: what the gateway computes, then the request's header
fields, then what the operator set (SetEnv and kin). A client cannot set what it should not, because
header fields only ever become CONTENT_TYPE and ``HTTP_*``.
"""

from __future__ import annotations

from collections.abc import Mapping

from scgiproxy.errors import BadRequest, quoted
from scgiproxy.message.headers import CGI_NAMES, HeaderList, combine

WITHHELD_NAMES = frozenset(
    (
        b"CONTENT_LENGTH",
        b"SCGI",
        b"GATEWAY_INTERFACE",
        b"ap_trust_cgilike_cl",
        b"dont-vary",
        b"downgrade-1.0",
        b"force-no-vary",
        b"force-response-1.0",
        b"gzip-only-text/html",
        b"no-brotli",
        b"no-cache",
        b"no-etag",
        b"no-gzip",
        b"no-proxy",
        b"nokeepalive",
        b"redirect-carefully",
        b"suppress-error-charset",
    )
)
"""Never taken from the operator's environment: the framing's own names, and the variables that
steer the gateway (with every ``proxy-*``)."""

_ALWAYS_COMPUTED = frozenset(
    (
        b"QUERY_STRING",
        b"REMOTE_ADDR",
        b"REQUEST_METHOD",
        b"REQUEST_URI",
        b"SCRIPT_NAME",
        b"SERVER_ADDR",
        b"SERVER_NAME",
        b"SERVER_PORT",
        b"SERVER_PROTOCOL",
    )
)
_SOMETIMES_COMPUTED = frozenset(
    (
        b"AUTH_TYPE",
        b"CONTENT_TYPE",
        b"PATH_INFO",
        b"PATH_TRANSLATED",
        b"REMOTE_PORT",
        b"REMOTE_USER",
    )
)
_NEVER_STATIC = WITHHELD_NAMES | _ALWAYS_COMPUTED | _SOMETIMES_COMPUTED
_NEVER_SET = WITHHELD_NAMES | _ALWAYS_COMPUTED

_REDIRECT = b"REDIRECT_"
_REDIRECT_TWICE = b"REDIRECT_REDIRECT_"


class StaticEnviron:
    """The variables that are the same for every request of a virtual host and a listener.

    Such as SERVER_SOFTWARE, SERVER_ADMIN, SERVER_SIGNATURE, DOCUMENT_ROOT, CONTEXT_DOCUMENT_ROOT,
    CONTEXT_PREFIX, REQUEST_SCHEME, HTTPS. Raises ValueError for a name that is computed for each
    request or is never sent, for an empty name and for a NUL.
    """

    __slots__ = ("encoded", "names")

    def __init__(self, variables: Mapping[bytes, bytes]) -> None:
        for name, value in variables.items():
            if not name or b"\x00" in name or b"\x00" in value:
                raise ValueError(f"variable {quoted(name)} has no name, or a NUL")
            if name in _NEVER_STATIC or name.startswith(b"HTTP_"):
                raise ValueError(f"variable {quoted(name)} cannot be the same for every request")
        self.names = frozenset(variables)
        self.encoded = b"".join(b"%b\x00%b\x00" % item for item in variables.items())

    def __repr__(self) -> str:
        return f"<StaticEnviron {sorted(self.names)}>"


def request_block(
    static: StaticEnviron,
    method: bytes,
    request_uri: bytes,
    protocol: bytes,
    headers: HeaderList,
    environment: Mapping[bytes, bytes],
    *,
    query: bytes,
    script_name: bytes,
    path_info: bytes | None,
    server_name: bytes,
    server_port: bytes,
    server_addr: bytes,
    remote_addr: bytes,
    remote_port: bytes,
    user: bytes | None = None,
    auth_type: bytes | None = None,
    pass_authorization: bool = False,
    document_root: bytes | None = None,
) -> bytes:
    """The encoded variables of one request, without CONTENT_LENGTH and SCGI, every name once.

    A call with more keywords than those after `environment` would cost six times as much: CPython
    makes a dict of them.

    - `environment`: what SetEnv, SetEnvIf and kin have set; it fills in what is not computed.
    - `request_uri`: the target as on the client's request line; `query` without question mark.
    - `path_info`: decoded; None sends none, and then the environment may.
    - `document_root`: for PATH_TRANSLATED, which needs a PATH_INFO too.
    - `remote_port`: decimal; empty (a UNIX socket) sends none.
    - `pass_authorization`: CGIPassAuth.

    Raises BadRequest if a value, from wherever, has a NUL: it would split the block.
    """
    variables = _header_variables(headers)
    if not pass_authorization:
        if b"HTTP_AUTHORIZATION" in variables:
            del variables[b"HTTP_AUTHORIZATION"]
        if b"HTTP_PROXY_AUTHORIZATION" in variables:
            del variables[b"HTTP_PROXY_AUTHORIZATION"]
    if environment:
        variables = {**_operator_variables(environment, static.names), **variables}
    if remote_port:
        variables[b"REMOTE_PORT"] = remote_port
    if user is not None:
        variables[b"REMOTE_USER"] = user
    if auth_type is not None:
        variables[b"AUTH_TYPE"] = auth_type
    if path_info is not None:
        variables[b"PATH_INFO"] = path_info
        if path_info and document_root is not None:
            variables[b"PATH_TRANSLATED"] = document_root.rstrip(b"/") + path_info
    # One list to be joined: a third of what filling the dict with these would cost.
    fields = [
        b"SERVER_NAME",
        server_name,
        b"SERVER_ADDR",
        server_addr,
        b"SERVER_PORT",
        server_port,
        b"REMOTE_ADDR",
        remote_addr,
        b"SERVER_PROTOCOL",
        protocol,
        b"REQUEST_METHOD",
        method,
        b"QUERY_STRING",
        query,
        b"REQUEST_URI",
        request_uri,
        b"SCRIPT_NAME",
        script_name,
    ]
    for variable in variables.items():
        fields += variable
    fields.append(b"")
    encoded = b"\x00".join(fields)
    # As many separators as there must be: then no name and no value has one inside.
    if encoded.count(b"\x00") != len(fields) - 1:
        raise _nul_inside(fields)
    return static.encoded + encoded


def _header_variables(headers: HeaderList) -> dict[bytes, bytes]:
    variables: dict[bytes, bytes] = {}
    names = CGI_NAMES
    for name, value in headers:
        variable = names[name]
        if variable is None:
            continue
        if variable in variables:
            value = combine(name, (variables[variable], value))
        variables[variable] = value
    return variables


def _operator_variables(
    environment: Mapping[bytes, bytes], static_names: frozenset[bytes]
) -> dict[bytes, bytes]:
    return {
        name: value
        for name, value in environment.items()
        if name
        and name not in static_names
        and name not in _NEVER_SET
        and not name.startswith(b"proxy-")
    }


def _nul_inside(fields: list[bytes]) -> BadRequest:
    name, value = next(
        pair for pair in zip(fields[::2], fields[1::2], strict=False) if b"\x00" in b"".join(pair)
    )
    return BadRequest(f"a NUL in variable {quoted(name)}: {quoted(value)}")


def block_variables(block: bytes) -> dict[bytes, bytes]:
    """The variables of a block that `request_block` made."""
    fields = block.split(b"\x00")
    return dict(zip(fields[:-1:2], fields[1::2], strict=True))


def redirect_variables(
    previous: Mapping[bytes, bytes], *, status: int, url: bytes, query: bytes
) -> dict[bytes, bytes]:
    """What an internal redirect adds to the environment of the next pass.

    Each variable of the `previous` pass again as ``REDIRECT_NAME``, and those that were
    ``REDIRECT_NAME`` there once more; not deeper, so that a chain of redirects cannot fill the
    block. REDIRECT_STATUS, REDIRECT_URL (`url`: the previous path, decoded) and
    REDIRECT_QUERY_STRING are of the previous pass. (ErrorDocument, ProxySCGIInternalRedirect.)
    """
    variables = {
        _REDIRECT + name: value
        for name, value in previous.items()
        if not name.startswith(_REDIRECT_TWICE)
    }
    variables[b"REDIRECT_STATUS"] = b"%d" % status
    variables[b"REDIRECT_URL"] = url
    variables[b"REDIRECT_QUERY_STRING"] = query
    return variables


_DEFAULT_PORTS = {b"http": 80, b"https": 443}


def server_identity(
    *,
    canonical: bool,
    server_name: bytes,
    server_name_port: int | None,
    host: tuple[bytes, int | None] | None,
    listening_port: int | None,
    server_addr: bytes = b"",
    scheme: bytes = b"http",
) -> tuple[bytes, bytes]:
    """SERVER_NAME and SERVER_PORT (UseCanonicalName).

    - `canonical`: UseCanonicalName On: ServerName is preferred to what the client said.
    - `server_name`, `server_name_port`: the ServerName directive, maybe empty.
    - `host`: of the request, from the target or Host, as `parse_host` returns it.
    - `listening_port`: None on a UNIX socket; then the scheme's port stands in.
    - `server_addr`: stands in when there is no name at all.
    """
    if host is None or (canonical and server_name):
        name, port = server_name or server_addr or b"localhost", None
    else:
        name, port = host
        if canonical:
            port = None
    port = port or server_name_port or listening_port or _DEFAULT_PORTS[scheme]
    return name, b"%d" % port
