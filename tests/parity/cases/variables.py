"""The variables of RFC 3875, from request headers and from the connection."""

from __future__ import annotations

from tests.parity.case import PROXY, Case, Differs, get, plain, post
from tests.parity.cases.known import STRICT_TARGET, hop_by_hop

_UNKNOWN_METHOD = Differs(
    "unknown-methods",
    apache={"status": 200, "asked": 1},
    gateway={"status": 501, "asked": 0},
    only_these=False,
)
_HTTPS = Differs("https-of-name", apache={"told.0.HTTPS": None}, gateway={"told.0.HTTPS": "on"})

CASES = (
    Case(name="var-get", request=get("/a%20b/c?x=1&y=%20", "User-Agent: test", "Accept: */*")),
    Case(
        name="var-post",
        request=post("/form", b"a=1", "Content-Type: application/x-www-form-urlencoded"),
    ),
    Case(name="var-post-without-type", request=post("/form", b"a=1")),
    Case(name="var-get-with-body", request=post("/x", b"body", method="GET")),
    Case(name="var-delete-with-body", request=post("/x", b"body", method="DELETE")),
    Case(name="var-post-empty", request=post("/x", b"")),
    Case(name="var-length-zeros", request=get("/x", "Content-Length: 0000", method="POST")),
    Case(name="var-unknown-method", request=get("/x", method="BREW"), differs=_UNKNOWN_METHOD),
    Case(name="var-lower-case-method", request=get("/x", method="get"), differs=_UNKNOWN_METHOD),
    Case(name="var-options", request=get("/x", method="OPTIONS")),
    Case(name="var-trace", request=get("/x", method="TRACE")),
    Case(name="var-http-1-0", request=get("/x", version="1.0")),
    Case(
        name="var-http-1-0-without-host",
        request=plain("GET /x HTTP/1.0"),
        config="",
        server="names",
    ),
    Case(name="var-empty-header", request=get("/x", "X-Empty:")),
    Case(name="var-blanks", request=get("/x", "X-A:World", "X-B:  World \t ", "X-C: a  b")),
    Case(name="var-repeated", request=get("/x", "X-A: 1", "X-B: 2", "x-a: 3")),
    Case(name="var-repeated-empty", request=get("/x", "X-A:", "X-A: 3")),
    Case(
        name="var-cookies",
        request=get("/x", "Cookie: a=1", "Cookie: b=2"),
        differs=Differs(
            "cookie-separator",
            apache={"told.0.HTTP_COOKIE": "a=1, b=2"},
            gateway={"told.0.HTTP_COOKIE": "a=1; b=2"},
        ),
    ),
    Case(name="var-underscore", request=get("/x", "X_Foo: 1", "X-Foo: 2")),
    Case(name="var-dot", request=get("/x", "X.Foo: 1")),
    Case(name="var-punctuation", request=get("/x", "X!Foo: 1", "X~: 2", "X1: 3")),
    Case(name="var-proxy", request=get("/x", "Proxy: http://evil.test/")),
    Case(
        name="var-authorization",
        request=get("/x", "Authorization: Basic YTpi", "Proxy-Authorization: Basic YTpi"),
    ),
    Case(
        name="var-authorization-passed",
        request=get("/x", "Authorization: Basic YTpi"),
        config="<Location />\nCGIPassAuth On\n</Location>\n" + PROXY,
    ),
    Case(
        name="var-hop-by-hop",
        request=get(
            "/x",
            "TE: trailers",
            "Keep-Alive: 300",
            "Connection: close, X-A",
            "X-A: 1",
            "Upgrade: h2c",
        ),
        differs=hop_by_hop(
            CONNECTION="close, X-A", KEEP_ALIVE="300", TE="trailers", UPGRADE="h2c", X_A="1"
        ),
    ),
    Case(name="var-high-bytes", request=get("/x", "X-A: caf\xe9")),
    Case(
        name="var-high-bytes-in-path", request=get("/caf\xe9"), own_page=True, differs=STRICT_TARGET
    ),
    Case(name="var-tab", request=get("/x", "X-A: a\tb")),
    Case(name="var-content-type-case", request=post("/x", b"a", "CONTENT-TYPE: Text/Plain;A=B")),
    Case(
        name="var-expect",
        request=post("/x", b"a", "Expect: 100-continue"),
        differs=hop_by_hop(EXPECT="100-continue"),
    ),
    Case(name="var-host-port", request=plain("GET /x HTTP/1.1", "Host: @HOST@:123")),
    Case(
        name="var-host-upper-case",
        request=plain("GET /x HTTP/1.1", "Host: VAR-HOST-UPPER-CASE.test"),
    ),
    Case(
        name="var-port-of-nameless",
        request=get("/x"),
        config="ServerName var-port-of-nameless.test\n" + PROXY,
        differs=Differs(
            "server-port",
            apache={"told.0.SERVER_PORT": "80"},
            gateway={"told.0.SERVER_PORT": "PORT"},
        ),
    ),
    Case(
        name="var-scheme-of-name",
        request=get("/x"),
        config="ServerName https://var-scheme-of-name.test\n" + PROXY,
        differs=_HTTPS,
    ),
    Case(
        name="var-scheme-and-port-of-name",
        request=get("/x"),
        config="ServerName https://var-scheme-and-port-of-name.test:8443\n" + PROXY,
        differs=_HTTPS,
    ),
    Case(
        name="var-canonical-name",
        request=plain("GET /x HTTP/1.1", "Host: alias.var-canonical-name.test:99"),
        config="ServerAlias alias.var-canonical-name.test\nUseCanonicalName On\n" + PROXY,
    ),
    Case(
        name="var-alias",
        request=plain("GET /x HTTP/1.1", "Host: Alias.var-alias.test"),
        config="ServerAlias alias.var-alias.test\n" + PROXY,
    ),
    Case(
        name="var-admin",
        request=get("/x"),
        config="ServerAdmin me@here.test\n" + PROXY,
    ),
    Case(name="var-fragment", request=get("/x#frag"), own_page=True),
    Case(name="var-encoded-query", request=get("/x?%41=%2F+%00&a[]=%e9")),
    Case(name="var-high-bytes-in-query", request=get("/x?a=\xe9"), differs=STRICT_TARGET),
    Case(name="var-long-query", request=get("/x?" + "q" * 4000)),
    Case(
        name="var-max-forwards",
        request=get("/x", "Max-Forwards: 5"),
        differs=Differs(
            "max-forwards",
            apache={"told.0.HTTP_MAX_FORWARDS": "4"},
            gateway={"told.0.HTTP_MAX_FORWARDS": "5"},
        ),
    ),
    Case(
        name="var-x-forwarded",
        request=get("/x", "X-Forwarded-For: 1.2.3.4", "Via: 1.0 a", "Forwarded: for=a"),
    ),
    Case(name="var-range", request=get("/x", "Range: bytes=0-1", 'If-Range: "a"')),
)
