"""Variables: what a client may say becomes ``HTTP_*``, under one spelling, and nothing else."""

from __future__ import annotations

from tests.smuggling.case import Case, served

SAFE = "no spelling of a client reaches a variable that the gateway or the operator sets"


def _fields(
    name: str, *fields: bytes, why: str, site: str = "plain", **variables: str | None
) -> Case:
    data = b"\r\n".join([b"GET /x HTTP/1.1", b"Host: a", *fields, b"", b""])
    return served(f"variable-{name}", data, "GET /x", why, variables=variables, site=site)


CASES = [
    _fields("proxy", b"Proxy: http://evil/", why="httpoxy (CVE-2016-5385)", HTTP_PROXY=None),
    _fields("proxy-lower", b"proxy: http://evil/", why="httpoxy", HTTP_PROXY=None),
    _fields("proxy-capitals", b"PROXY: http://evil/", why="httpoxy", HTTP_PROXY=None),
    _fields("proxy-twice", b"Proxy: x", b"proxy: y", why="httpoxy", HTTP_PROXY=None),
    _fields(
        "user-underscore",
        b"Remote_User: evil",
        why="an alias (CVE-2026-52845)",
        REMOTE_USER=None,
        HTTP_REMOTE_USER=None,
    ),
    _fields(
        "user-dot",
        b"Remote.User: evil",
        why="an alias (GHSA-49wc-4hcv-v58q)",
        REMOTE_USER=None,
        HTTP_REMOTE_USER=None,
    ),
    _fields(
        "user-plus", b"Remote+User: evil", why="an alias", REMOTE_USER=None, HTTP_REMOTE_USER=None
    ),
    _fields(
        "user-both",
        b"X_User: evil",
        b"X-User: me",
        why="an alias does not meet the real one",
        HTTP_X_USER="me",
    ),
    _fields(
        "user-both-turned", b"X-User: me", b"X_User: evil", why="in either order", HTTP_X_USER="me"
    ),
    _fields(
        "user-case", b"X-USER: a", b"x-user: b", why="one name, joined in order", HTTP_X_USER="a, b"
    ),
    _fields(
        "user",
        b"Remote-User: evil",
        why="a header is HTTP_*, and REMOTE_USER is the gateway's",
        REMOTE_USER=None,
        HTTP_REMOTE_USER="evil",
    ),
    _fields(
        "http-user",
        b"HTTP-REMOTE-USER: evil",
        why="HTTP_ is put before all",
        REMOTE_USER=None,
        HTTP_REMOTE_USER=None,
    ),
    _fields(
        "http-user-underscore",
        b"HTTP_REMOTE_USER: evil",
        why="it is dropped",
        REMOTE_USER=None,
        HTTP_REMOTE_USER=None,
        HTTP_HTTP_REMOTE_USER=None,
    ),
    _fields(
        "authorization",
        b"Authorization: Basic eA==",
        why="not without CGIPassAuth",
        HTTP_AUTHORIZATION=None,
    ),
    _fields(
        "proxy-authorization",
        b"Proxy-Authorization: Basic eA==",
        why="not without CGIPassAuth",
        HTTP_PROXY_AUTHORIZATION=None,
    ),
    _fields("scgi", b"SCGI: 2", why=SAFE, SCGI="1", HTTP_SCGI="2"),
    _fields(
        "length",
        b"Content_Length: 500",
        b"HTTP_CONTENT_LENGTH: 500",
        why=SAFE,
        CONTENT_LENGTH="0",
        HTTP_CONTENT_LENGTH=None,
    ),
    _fields(
        "method",
        b"Request-Method: DELETE",
        b"REQUEST_METHOD: DELETE",
        why=SAFE,
        REQUEST_METHOD="GET",
    ),
    _fields(
        "address",
        b"Remote-Addr: 10.0.0.1",
        b"REMOTE_ADDR: 10.0.0.1",
        why=SAFE,
        REMOTE_ADDR="127.0.0.1",
    ),
    _fields(
        "forwarded",
        b"X-Forwarded-For: 10.0.0.1",
        b"Forwarded: for=10.0.0.1",
        b"X-Real-IP: 10.0.0.1",
        why="nobody is believed that no one has named",
        REMOTE_ADDR="127.0.0.1",
    ),
    _fields(
        "https",
        b"HTTPS: on",
        b"X-Forwarded-Proto: https",
        b"Front-End-Https: on",
        why=SAFE,
        HTTPS=None,
        REQUEST_SCHEME="http",
    ),
    _fields(
        "script-name",
        b"Script-Name: /admin",
        b"SCRIPT_NAME: /admin",
        b"Path-Info: /admin",
        why=SAFE,
        SCRIPT_NAME="/x",
        PATH_INFO=None,
    ),
    _fields(
        "document-root", b"Document-Root: /", b"DOCUMENT_ROOT: /etc", why=SAFE, SCRIPT_FILENAME=None
    ),
    _fields(
        "rewritten",
        b"X-Original-URL: /admin",
        b"X-Rewrite-URL: /admin",
        why="no header is a target",
        SCRIPT_NAME="/x",
        REQUEST_URI="/x",
    ),
    _fields(
        "method-override",
        b"X-HTTP-Method-Override: DELETE",
        why="no header is a method",
        REQUEST_METHOD="GET",
    ),
    _fields(
        "trust-of-rtorrent",
        b"Untrusted-Connection: 0",
        b"UNTRUSTED_CONNECTION: 0",
        b"UNTRUSTED.CONNECTION: 0",
        why=SAFE,
        site="trust",
        UNTRUSTED_CONNECTION="1",
    ),
    _fields(
        "secret",
        b"Gateway-Secret: evil",
        b"GATEWAY_SECRET: evil",
        b"HTTP-GATEWAY-SECRET: evil",
        why=SAFE,
        site="trust",
        GATEWAY_SECRET="the secret",
    ),
    _fields(
        "secret-of-the-query",
        b"Cookie: GATEWAY_SECRET=evil",
        why=SAFE,
        site="trust",
        GATEWAY_SECRET="the secret",
    ),
    _fields(
        "control-variable",
        b"proxy-nokeepalive: 1",
        b"no-gzip: 1",
        b"proxy-scgi-pathinfo: 1",
        why="what steers the gateway is the operator's",
        PATH_INFO=None,
    ),
    _fields(
        "connection-names-it",
        b"Connection: x-user, content-type, cookie",
        b"X-User: me",
        b"Cookie: a=b",
        why="hop by hop, if the client says so",
        HTTP_X_USER=None,
        HTTP_COOKIE=None,
    ),
    _fields(
        "connection-names-the-operators",
        b"Connection: gateway-secret, untrusted-connection, x-set",
        why="a client cannot take away what the operator sets",
        site="trust",
        GATEWAY_SECRET="the secret",
        UNTRUSTED_CONNECTION="1",
        HTTP_X_SET="by the operator",
    ),
    _fields(
        "operators-header",
        b"X-Set: evil",
        b"x-SET: evil",
        b"X_Set: evil",
        why="set, not added to",
        site="trust",
        HTTP_X_SET="by the operator",
    ),
    _fields(
        "operators-unset-header",
        b"X-Role: admin",
        b"X_Role: admin",
        b"x-role: admin",
        why="taken away under each spelling (CVE-2026-30851)",
        site="trust",
        HTTP_X_ROLE=None,
    ),
    _fields(
        "true-user",
        b"Authorization: Basic YWRhOmVuZ2luZQ==",
        b"Remote_User: evil",
        b"Remote-User: evil",
        why="the one whose password was right",
        site="users",
        REMOTE_USER="ada",
        AUTH_TYPE="Basic",
    ),
    _fields(
        "cookies",
        b"Cookie: a=1",
        b"Cookie: b=2",
        why="joined as RFC 6265 has it",
        HTTP_COOKIE="a=1; b=2",
    ),
    _fields(
        "hop-by-hop",
        b"Keep-Alive: 5",
        b"TE: trailers",
        b"Trailer: X",
        b"Upgrade: websocket",
        b"HTTP2-Settings: x",
        b"Proxy-Connection: x",
        why="they are of this connection",
        HTTP_KEEP_ALIVE=None,
        HTTP_TE=None,
        HTTP_TRAILER=None,
        HTTP_UPGRADE=None,
        HTTP_HTTP2_SETTINGS=None,
        HTTP_PROXY_CONNECTION=None,
    ),
]
