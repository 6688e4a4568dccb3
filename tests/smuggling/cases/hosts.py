"""Who is meant: Host and the absolute form. (Many of these are of nginx's http_host.t.)"""

from __future__ import annotations

from tests.smuggling.case import Case, refused, served

TWO = "one routes by the first, another by the last"
NONE = "a name that is none ends up in links, logs, caches and SERVER_NAME"


def _host(value: bytes) -> bytes:
    return b"GET /x HTTP/1.1\r\nHost: " + value + b"\r\n\r\n"


def _bad(name: str, value: bytes, why: str = NONE) -> Case:
    return refused(f"host-{name}", _host(value), why)


def _good(name: str, value: bytes, server: str, port: str | None = None) -> Case:
    said = {"SERVER_NAME": server} if port is None else {"SERVER_NAME": server, "SERVER_PORT": port}
    return served(f"host-{name}", _host(value), "GET /x", "it is that name", variables=said)


def _absolute(name: str, target: bytes, host: bytes, why: str, seen: str, **said: str) -> Case:
    data = b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    return served(f"absolute-{name}", data, seen, why, variables=said)


CASES = [
    refused("host-missing", b"GET /x HTTP/1.1\r\n\r\n", "RFC 9112 3.2"),
    refused("host-two-equal", b"GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", TWO),
    refused("host-two-different", b"GET /x HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", TWO),
    refused("host-two-of-http-1-0", b"GET /x HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", TWO),
    _bad("empty", b""),
    _bad("list", b"a, b", TWO),
    _bad("two-words", b"a b", TWO),
    _bad("path", b"a/b"),
    _bad("backslash", b"a\\b"),
    _bad("query", b"a?b"),
    _bad("fragment", b"a#b"),
    _bad("user", b"root@a"),
    _bad("url", b"http://a/"),
    _bad("script", b"<script>alert(1)</script>", "it is echoed (Twisted, CVE-2022-39348)"),
    _bad("quote", b'a"b'),
    _bad("nul", b"a\x00b"),
    _bad("control", b"a\x02"),
    _bad("high-byte", b"a\xff"),
    _bad("percent", b"a%2eb"),
    _bad("star", b"*"),
    _bad("dot", b"."),
    _bad("dots", b"a..b"),
    _bad("dot-first", b".a"),
    _bad("two-dots-last", b"a.."),
    _bad("port-letters", b"a:b"),
    _bad("port-fraction", b"a:1.2"),
    _bad("port-minus", b"a:-1"),
    _bad("port-plus", b"a:+80"),
    _bad("port-0", b"a:0"),
    _bad("port-65536", b"a:65536"),
    _bad("port-huge", b"a:4294967376"),
    _bad("port-two", b"a:9000:80"),
    _bad("port-alone", b":80"),
    _bad("port-blank", b"a: 80"),
    _bad("ipv6-open", b"[::1"),
    _bad("ipv6-closed", b"::1]"),
    _bad("ipv6-bare", b"::1"),
    _bad("ipv6-empty", b"[]"),
    _bad("ipv6-before", b"a[::1]"),
    _bad("ipv6-behind", b"[::1]a"),
    _bad("ipv6-name", b"[localhost]"),
    _bad("ipv6-zone", b"[fe80::1%25eth0]"),
    _bad("ipv6-path", b"[::1/]"),
    _bad("long", b"a" * 5000),
    _good("capitals", b"WWW.Example.COM", "www.example.com"),
    _good("dot-last", b"example.com.", "example.com"),
    _good("colon-last", b"example.com:", "example.com"),
    _good("port", b"example.com:8081", "example.com", "8081"),
    _good("ipv4", b"192.0.2.1:81", "192.0.2.1", "81"),
    _good("ipv6", b"[2001:DB8::1]:81", "[2001:db8::1]", "81"),
    _good("underscore", b"my_host", "my_host"),
    _good("blanks-around", b" \t a \t ", "a"),
    _absolute(
        "wins",
        b"http://b/x",
        b"a",
        "the target's authority stands for Host (RFC 9112 3.2.2), and is what the backend hears",
        "GET http://b/x",
        SERVER_NAME="b",
        HTTP_HOST="b",
    ),
    _absolute("port", b"http://b:82/x", b"a:1", "the same", "GET http://b:82/x", SERVER_PORT="82"),
    _absolute(
        "no-path",
        b"http://b?y",
        b"a",
        "its path is `/`",
        "GET http://b?y",
        QUERY_STRING="y",
        SERVER_NAME="b",
    ),
    _absolute(
        "encoded",
        b"http://b/%78",
        b"a",
        "it is decoded once",
        "GET http://b/%78",
        SCRIPT_NAME="/x",
    ),
    refused("absolute-bad-host", _host(b"a b").replace(b"/x", b"http://b/x"), NONE),
    refused("absolute-two-hosts", b"GET http://b/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", TWO),
    refused("absolute-no-host", b"GET http://b/x HTTP/1.1\r\n\r\n", "RFC 9112 3.2"),
    refused("absolute-empty", b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", NONE),
    refused("absolute-user", b"GET http://a@b/x HTTP/1.1\r\nHost: a\r\n\r\n", NONE),
    refused("absolute-bad-port", b"GET http://b:x/ HTTP/1.1\r\nHost: a\r\n\r\n", NONE),
    refused(
        "absolute-other-scheme",
        b"GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        "an address out of a request",
    ),
    refused(
        "absolute-scgi",
        b"GET scgi://127.0.0.1:4000/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "an address out of a request",
    ),
    refused("absolute-one-slash", b"GET http:/b/x HTTP/1.1\r\nHost: a\r\n\r\n", "no authority"),
    refused(
        "absolute-authority-alone",
        b"GET b:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        "that form is for CONNECT",
    ),
]
