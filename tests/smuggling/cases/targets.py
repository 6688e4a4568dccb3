"""Targets: one normal form, for the mapping, for the rules of access and for the backend."""

from __future__ import annotations

from tests.smuggling.case import ADMIN, Case, refused, served

DENIED = "it is /admin, whatever it is written as"
ABOVE = "it leads above the root"


def _get(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def _denied(name: str, target: bytes, status: int | tuple[int, ...] = 403) -> Case:
    """To a site that denies /admin to everybody. What is behind it is denied as well."""
    return Case(
        f"access-{name}", _get(target) + ADMIN, (status, 403), (), DENIED, open=True, site="access"
    )


def _bad(name: str, target: bytes, why: str, site: str = "plain") -> Case:
    return refused(f"target-{name}", _get(target), why, site=site)


def _seen(name: str, target: bytes, path: str, why: str, site: str = "plain") -> Case:
    """Mounted at the root, the decoded path is the backend's SCRIPT_NAME."""
    seen = f"GET {target.decode('latin-1')}"
    return served(
        f"target-{name}", _get(target), seen, why, variables={"SCRIPT_NAME": path}, site=site
    )


CASES = [
    _denied("plain", b"/admin"),
    _denied("below", b"/admin/x"),
    _denied("slash", b"/admin/"),
    _denied("slashes", b"//admin"),
    _denied("slashes-inside", b"/a//../admin"),
    _denied("dot", b"/./admin"),
    _denied("dots", b"/a/../admin"),
    _denied("encoded-letter", b"/%61dmin"),
    _denied("encoded-letters", b"/%61%64%6D%69%6e"),
    _denied("encoded-dot", b"/%2e/admin"),
    _denied("encoded-dots", b"/a/%2e%2e/admin"),
    _denied("half-encoded-dots", b"/a/.%2E/admin"),
    _denied("dots-behind", b"/admin/x/.."),
    _denied("query", b"/admin?x=/open"),
    _denied("empty-query", b"/admin?"),
    _denied("absolute", b"http://a/admin"),
    _denied("absolute-dots", b"http://a/x/../admin"),
    _denied("absolute-encoded", b"HTTP://A/%61dmin"),
    _denied("encoded-slash", b"/a%2f../admin", (403, 404)),
    _denied("encoded-slash-behind-dots", b"/a/..%2fadmin", 404),
    _denied("encoded-slash-before", b"/%2fadmin", 404),
    _denied("encoded-slash-inside", b"/admin%2fx", 404),
    Case(
        "access-parameter",
        _get(b"/a/;/admin") + ADMIN,
        (200, 403),
        ("GET /a/;/admin",),
        "a `;` is a byte of a segment: this is /a/;/admin",
        open=True,
        site="access",
        variables={"SCRIPT_NAME": "/a/;/admin"},
    ),
    Case(
        "access-parameter-of-dots",
        _get(b"/a/..;/admin") + ADMIN,
        (200, 403),
        ("GET /a/..;/admin",),
        "`..;` is no dot segment here; the backend is told what was judged",
        open=True,
        site="access",
        variables={"SCRIPT_NAME": "/a/..;/admin"},
    ),
    Case(
        "access-backslash",
        _get(b"/a/..%5Cadmin") + ADMIN,
        (200, 403),
        ("GET /a/..%5Cadmin",),
        "a backslash is no slash; the backend is told what was judged",
        open=True,
        site="access",
        variables={"SCRIPT_NAME": "/a/..\\admin"},
    ),
    Case(
        "access-overlong-slash",
        _get(b"/a/..%c0%afadmin") + ADMIN,
        (200, 403),
        ("GET /a/..%c0%afadmin",),
        "overlong UTF-8 is not decoded",
        open=True,
        site="access",
        variables={"SCRIPT_NAME": "/a/..\xc0\xafadmin"},
    ),
    Case(
        "access-overlong-dots",
        _get(b"/a/%c0%ae%c0%ae/admin") + ADMIN,
        (200, 403),
        ("GET /a/%c0%ae%c0%ae/admin",),
        "overlong UTF-8 is not decoded",
        open=True,
        site="access",
        variables={"SCRIPT_NAME": "/a/\xc0\xae\xc0\xae/admin"},
    ),
    Case(
        "access-overlong-letter",
        _get(b"/%c1%a1dmin") + ADMIN,
        (200, 403),
        ("GET /%c1%a1dmin",),
        "overlong UTF-8 is not decoded",
        open=True,
        site="access",
        variables={"SCRIPT_NAME": "/\xc1\xa1dmin"},
    ),
    Case(
        "access-full-width",
        _get(b"/%ef%bd%81dmin") + ADMIN,
        (200, 403),
        ("GET /%ef%bd%81dmin",),
        "no compatibility forms are made one",
        open=True,
        site="access",
    ),
    Case(
        "access-decoded-twice",
        _get(b"/%2561dmin") + ADMIN,
        (200, 403),
        ("GET /%2561dmin",),
        "it is decoded once: this is /%61dmin",
        open=True,
        site="access",
        variables={"SCRIPT_NAME": "/%61dmin"},
    ),
    Case(
        "access-dots-decoded-twice",
        _get(b"/a/%252e%252e/admin") + ADMIN,
        (200, 403),
        ("GET /a/%252e%252e/admin",),
        "it is decoded once",
        open=True,
        site="access",
        variables={"SCRIPT_NAME": "/a/%2e%2e/admin"},
    ),
    Case(
        "access-other-case",
        _get(b"/ADMIN") + ADMIN,
        (200, 403),
        ("GET /ADMIN",),
        "paths have a case",
        open=True,
        site="access",
        variables={"SCRIPT_NAME": "/ADMIN"},
    ),
    Case(
        "access-slashes-on",
        _get(b"/x/..%2fadmin") + ADMIN,
        (403, 403),
        (),
        "AllowEncodedSlashes On: it is a slash, for the rules too",
        open=True,
        site="slashes-on",
    ),
    Case(
        "access-slashes-nodecode",
        _get(b"/x/..%2fadmin") + ADMIN,
        (200, 403),
        ("GET /x/..%2fadmin",),
        "AllowEncodedSlashes NoDecode: it stays as it is, for all",
        open=True,
        site="slashes-nodecode",
        variables={"SCRIPT_NAME": "/x/..%2fadmin"},
    ),
    _bad("above", b"/..", ABOVE),
    _bad("above-later", b"/a/../../etc/passwd", ABOVE),
    _bad("above-encoded", b"/%2e%2e/etc/passwd", ABOVE),
    _bad("above-half-encoded", b"/.%2e/%2e./etc/passwd", ABOVE),
    _bad("above-absolute", b"http://a/../x", ABOVE),
    _bad("above-slashes-on", b"/x%2f..%2f..%2f..%2fy", ABOVE, "slashes-on"),
    _bad("nul", b"/a%00b", "it would end a string of C, and split the block"),
    _bad("lf", b"/a%0ab", "it would begin a line, in a log or for a backend"),
    _bad("cr-lf", b"/a%0d%0aX:%20y", "response splitting (CVE-2023-25690)"),
    _bad("escape", b"/a%1b%5b2J", "it would reach a log's terminal"),
    _bad("delete", b"/a%7f", "a control byte"),
    _bad("percent", b"/a%", "http_uri.t: no escape"),
    _bad("percent-one-digit", b"/a%1", "http_uri.t: no escape"),
    _bad("percent-no-digits", b"/a%zz", "no escape"),
    _bad("percent-u", b"/%u0061dmin", "no escape, but of one server"),
    _bad("fragment", b"/a#b", "no part of a target"),
    _bad("fragment-path", b"/a#/../admin", "no part of a target"),
    _bad("relative", b"admin", "no path"),
    _bad("star", b"*", "for OPTIONS alone"),
    _bad("raw-nul", b"/a\x00b", "a control byte"),
    _bad("raw-high-byte", b"/\xe9", "not ASCII"),
    _bad("php-lf", b"/index%0a.php/x", "where a path is split at .php (CVE-2019-11043)"),
    _seen("blank", b"/a%20b", "/a b", "decoded for SCRIPT_NAME, raw in REQUEST_URI"),
    _seen("percent-percent", b"/a%25b", "/a%b", "decoded once"),
    _seen("question-mark", b"/a%3fb", "/a?b", "it begins no query"),
    _seen("utf-8", b"/%c8%bashell.php", "/\xc8\xbashell.php", "bytes stay bytes (CVE-2026-27590)"),
    _seen("slashes", b"//a///b", "/a/b", "made one, as Apache does"),
    _seen("dots", b"/a/./b/../c", "/a/c", "resolved"),
    _seen("colon", b"/a:80/b", "/a:80/b", "no authority"),
    _seen("two-slashes-and-host", b"//b/c", "/b/c", "no authority, but a path"),
    served(
        "query-cr-lf",
        _get(b"/x?a=%0d%0aX:%20y"),
        "GET /x?a=%0d%0aX:%20y",
        "a query is never decoded",
        variables={"QUERY_STRING": "a=%0d%0aX:%20y"},
    ),
    served(
        "query-unix",
        _get(b"/x?unix:" + b"A" * 6000 + b"|http://127.0.0.1/"),
        "GET /x?unix:" + "A" * 6000 + "|http://127.0.0.1/",
        "an address out of a request (CVE-2021-40438)",
    ),
    served("query-dots", _get(b"/x?/../../admin"), "GET /x?/../../admin", "no path"),
    Case(
        "path-unix",
        _get(b"/unix:/run/admin.sock|scgi://b/x") + ADMIN,
        (200, 200),
        ("GET /unix:/run/admin.sock|scgi://b/x", "GET /admin"),
        "an address out of a request (CVE-2021-40438)",
    ),
    Case(
        "options-star",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + ADMIN,
        (200, 200),
        ("GET /admin",),
        "for the server itself, and no mount's",
    ),
    Case("static-file", _get(b"/static/a.txt"), (200,), (), "it is there", site="static"),
    Case(
        "static-dots",
        _get(b"/static../secret.txt"),
        (404,),
        (),
        "an alias ends at a slash (CVE-2018-19052)",
        site="static",
    ),
    Case(
        "static-dots-below",
        _get(b"/static/../secret.txt"),
        (404,),
        (),
        "it is /secret.txt, which is not there",
        site="static",
    ),
    Case(
        "static-encoded-dots",
        _get(b"/static/%2e%2e/secret.txt"),
        (404,),
        (),
        "the same",
        site="static",
    ),
    Case(
        "static-encoded-slash",
        _get(b"/static/..%2fsecret.txt"),
        (404,),
        (),
        "AllowEncodedSlashes is off",
        site="static",
    ),
    Case(
        "static-backslash",
        _get(b"/static/..%5csecret.txt"),
        (404,),
        (),
        "a byte of a name",
        site="static",
    ),
    Case("static-link-name", _get(b"/staticsecret.txt"), (404,), (), "another name", site="static"),
    Case(
        "static-unc",
        _get(b"//server/share/a.txt"),
        (404,),
        (),
        "no path of another machine",
        site="static",
    ),
]
