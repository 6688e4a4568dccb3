"""Response heads and bodies of the backend."""

from __future__ import annotations

from tests.e2e.scripted import HalfClose, Pause, ReadBody, ReadHead, Reset, Send, answer
from tests.parity.case import Case, Differs, get
from tests.parity.cases.known import KEPT_OPEN, as_they_came, hop_by_hop

_BAD_GATEWAY = Differs(
    "bad-gateway",
    apache={"status": 500, "reason": "Internal Server Error", "close": True},
    gateway={"status": 502, "reason": "Bad Gateway"},
    only_these=False,
)
_TEXT = b"Content-Type: text/plain\r\n"


def _head(
    name: str, head: bytes, differs: Differs | tuple[Differs, ...] = (), *, exact: str = ""
) -> Case:
    """A response with this head and a short body."""
    return Case(
        name=f"head-{name}",
        request=get("/x"),
        scripts=(answer(head + b"\r\nbody\n"),),
        exact=frozenset(exact.split()),
        differs=differs,
    )


def _bad(
    name: str,
    *pieces: bytes,
    differs: Differs = _BAD_GATEWAY,
    by_chance: frozenset[str] = frozenset(),
) -> Case:
    """A response that is none."""
    return Case(
        name=f"malformed-{name}",
        request=get("/x"),
        scripts=(answer(*pieces),),
        own_page=True,
        by_chance=by_chance,
        differs=differs,
    )


# Apache says a length that is too large for its error page when it finds the fault while sending.
_LENGTH = frozenset({"complete"})

CASES = (
    _head("plain", _TEXT),
    _head("status", b"Status: 404 Nope\r\n" + _TEXT),
    _head("status-bare", b"Status: 404\r\n" + _TEXT),
    _head("status-server-error", b"Status: 503 Busy\r\n" + _TEXT, KEPT_OPEN),
    _head(
        "status-glued",
        b"Status: 404Foo\r\n" + _TEXT,
        Differs("bad-status", {"status": 404}, {"status": 502}, only_these=False),
    ),
    _head("status-unknown-bare", b"Status: 299\r\n" + _TEXT),
    _head("status-case", b"sTATUS: 201 Made\r\n" + _TEXT),
    _head("status-not-first", _TEXT + b"Status: 201 Made\r\n"),
    _head("status-teapot", b"Status: 418 Short and stout\r\n" + _TEXT),
    _head("status-204", b"Status: 204 No Content\r\n" + _TEXT),
    _head("status-304", b'Status: 304 Not Modified\r\nETag: "a"\r\n' + _TEXT),
    _head("status-206", b"Status: 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\n" + _TEXT),
    _head("status-401", b"Status: 401 Who\r\nWWW-Authenticate: Basic realm=x\r\n" + _TEXT),
    _head("lines-lf", b"Status: 201 Made\nContent-Type: text/plain\nX-A: b\n"),
    _head("empty", b""),
    _head("value-blanks", b"X-A:   b\r\n" + _TEXT),
    _head("value-none", b"X-A:\r\n" + _TEXT),
    _head("value-tab", b"X-A: b\tc\r\n" + _TEXT),
    _head("value-high-bytes", b"X-A: caf\xe9\r\n" + _TEXT),
    _head("repeated", b"X-A: 1\r\nX-A: 2\r\n" + _TEXT, as_they_came("x-a", "1, 2", "1", "2")),
    _head(
        "repeated-challenge",
        b"WWW-Authenticate: A\r\nWWW-Authenticate: B\r\n" + _TEXT,
        as_they_came("www-authenticate", "A, B", "A", "B"),
    ),
    _head("cookies", b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n" + _TEXT),
    _head(
        "vary",
        b"Vary: Accept\r\nVary: Cookie\r\n" + _TEXT,
        as_they_came("vary", "Accept,Cookie", "Accept", "Cookie"),
    ),
    _head(
        "type-case",
        b"Content-Type: Text/HTML; Charset=UTF-8\r\n",
        Differs(
            "type-case",
            {"header:content-type": ("text/html; Charset=UTF-8",)},
            {"header:content-type": ("Text/HTML; Charset=UTF-8",)},
        ),
    ),
    _head("type-twice", b"Content-Type: text/html\r\nContent-Type: text/plain\r\n"),
    _head(
        "date-and-server",
        b"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: mine\r\n" + _TEXT,
        exact="date server",
    ),
    _head("last-modified", b"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n" + _TEXT),
    _head("etag", b'ETag: "abc"\r\n' + _TEXT, exact="etag"),
    _head(
        "location-with-status", b"Status: 302 Found\r\nLocation: http://there.test/a\r\n" + _TEXT
    ),
    _head("location-path-with-status", b"Status: 303 See Other\r\nLocation: /there\r\n" + _TEXT),
    _head(
        "location-absolute",
        b"Location: http://there.test/a\r\n" + _TEXT,
        Differs(
            "location-without-status",
            apache={"status": 200, "reason": "OK"},
            gateway={"status": 302, "reason": "Found"},
        ),
    ),
    _head("caching", b"Cache-Control: no-store\r\nExpires: 0\r\nPragma: no-cache\r\n" + _TEXT),
    _head("long-line", b"X-A: " + b"a" * 8000 + b"\r\n" + _TEXT),
    _head(
        "keep-alive",
        b"Keep-Alive: timeout=99\r\nTrailer: X-B\r\nUpgrade: h2c\r\n" + _TEXT,
        Differs(
            "hop-by-hop",
            apache={
                "header:keep-alive": ("timeout=99",),
                "header:trailer": ("X-B",),
                "header:upgrade": ("h2c",),
            },
            gateway={"header:keep-alive": None, "header:trailer": None, "header:upgrade": None},
        ),
        exact="keep-alive",
    ),
    _head(
        "length",
        b"Content-Length: 5\r\n" + _TEXT,
    ),
    Case(
        name="length-of-a-stream",
        request=get("/x"),
        scripts=(
            (
                ReadHead(),
                Send(b"Content-Length: 4\r\n" + _TEXT + b"\r\nab"),
                Pause(0.2),
                Send(b"cd"),
            ),
        ),
        exact=frozenset({"content-length", "transfer-encoding"}),
        differs=Differs(
            "content-length",
            apache={"header:content-length": None, "header:transfer-encoding": ("chunked",)},
            gateway={"header:content-length": ("4",), "header:transfer-encoding": None},
        ),
    ),
    Case(
        name="length-too-large",
        request=get("/x"),
        scripts=(answer(b"Content-Length: 9\r\n" + _TEXT + b"\r\nabcd"),),
        differs=Differs("short-body", apache={"complete": True}, gateway={"complete": False}),
    ),
    Case(
        name="length-too-small",
        request=get("/x"),
        scripts=(answer(b"Content-Length: 2\r\n" + _TEXT + b"\r\nabcd"),),
        differs=Differs("content-length", apache={"body": b"abcd"}, gateway={"body": b"ab"}),
    ),
    Case(
        name="reset-within-body",
        request=get("/x"),
        scripts=((ReadHead(), ReadBody(), Send(_TEXT + b"\r\nab"), Pause(0.2), Reset()),),
    ),
    Case(
        name="drip",
        request=get("/x"),
        scripts=(
            (
                ReadHead(),
                *(
                    action
                    for c in (b"Content-Ty", b"pe: text/plain\r", b"\n\r", b"\nab", b"cd", b"ef")
                    for action in (Send(c), Pause(0.02))
                ),
            ),
        ),
    ),
    Case(
        name="half-close",
        request=get("/x"),
        scripts=((ReadHead(), Send(_TEXT + b"\r\nabc"), HalfClose(), Pause(0.1)),),
    ),
    Case(
        name="head-of-get", request=get("/x", method="HEAD"), scripts=(answer(_TEXT + b"\r\nbody"),)
    ),
    Case(
        name="head-without-body",
        request=get("/x", method="HEAD"),
        scripts=(answer(_TEXT + b"\r\n"),),
    ),
    Case(name="body-to-http-1-0", request=get("/x", version="1.0")),
    Case(
        name="body-to-http-1-0-keep-alive",
        request=get("/x", "Connection: keep-alive", version="1.0"),
        # With a length that Apache has found in time, or without.
        by_chance=frozenset({"close"}),
        differs=hop_by_hop(CONNECTION="keep-alive"),
    ),
    Case(
        name="body-and-close",
        request=get("/x", "Connection: close"),
        differs=hop_by_hop(CONNECTION="close"),
    ),
    Case(name="body-empty", request=get("/x"), scripts=(answer(_TEXT + b"\r\n"),)),
    Case(
        name="body-binary",
        request=get("/x"),
        scripts=(answer(_TEXT + b"\r\n" + bytes(range(256)) * 300),),
    ),
    Case(
        name="extension-of-a-dynamic-page",
        request=get("/page.html"),
        scripts=(answer(b"X-A: b\r\n\r\nbody"),),
        differs=Differs(
            "type-from-extension",
            apache={"header:content-type": ("text/html",)},
            gateway={"header:content-type": None},
        ),
    ),
    *(
        Case(
            name=f"conditional-{name}",
            request=get("/x", field),
            scripts=(answer(validator + _TEXT + b"\r\nbody\n"),),
            exact=frozenset({"etag"}),
        )
        for name, field, validator in (
            ("none-match", 'If-None-Match: "x"', b'ETag: "x"\r\n'),
            ("none-match-weak", 'If-None-Match: W/"x"', b'ETag: "x"\r\n'),
            ("none-match-other", 'If-None-Match: "y"', b'ETag: "x"\r\n'),
            ("none-match-with-status", 'If-None-Match: "x"', b'Status: 200 OK\r\nETag: "x"\r\n'),
            (
                "modified-since",
                "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT",
                b"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n",
            ),
            (
                "modified-since-older",
                "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT",
                b"Last-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\n",
            ),
        )
    ),
    Case(
        name="conditional-match",
        request=get("/x", 'If-Match: "y"'),
        scripts=(answer(b'ETag: "x"\r\n' + _TEXT + b"\r\nbody\n"),),
        own_page=True,
    ),
    Case(
        name="conditional-not-modified-keeps-its-file-secret",
        request=get("/x", 'If-None-Match: "x"'),
        config="ProxySCGISendfile On\nProxyPass / scgi://${BACKEND}/",
        scripts=(answer(b'ETag: "x"\r\nX-Sendfile: /srv/secret\r\n\r\n'),),
        differs=Differs(
            "leaked-path",
            apache={"status": 304, "header:x-sendfile": ("/srv/secret",)},
            gateway={"header:x-sendfile": None},
            only_these=False,
        ),
    ),
    _bad("nothing-but-a-line", b"Content-Type: text/plain\r\n"),
    _bad("no-newline", b"Content-Type: text/plain"),
    _bad("no-colon", b"Content-Type: text/plain\r\nnonsense\r\n\r\nbody"),
    _bad("folded", b"Content-Type: text/plain\r\n folded\r\n\r\nbody"),
    _bad("empty-name", b": a\r\n\r\nbody", by_chance=_LENGTH),
    _bad("blank-before-colon", b"X-A : b\r\n\r\nbody", by_chance=_LENGTH),
    _bad("name-with-nul", b"X\0A: b\r\n\r\nbody"),
    _bad("name-with-control", b"X\x01A: b\r\n\r\nbody", by_chance=_LENGTH),
    _bad("value-with-control", b"X-A: b\x01c\r\n\r\nbody", by_chance=_LENGTH),
    _bad("html", b"<html>\n<p>Traceback</p>\n</html>\n"),
    _bad(
        "status-line",
        b"HTTP/1.1 201 Made\r\nContent-Type: text/plain\r\n\r\nbody",
        differs=Differs(
            "status-line",
            apache={"status": 500},
            gateway={"status": 201, "reason": "Made"},
            only_these=False,
        ),
    ),
    _bad("line-too-long", b"X-A: " + b"a" * 100_000 + b"\r\n\r\nbody"),
    _bad(
        "too-many-lines",
        b"".join(b"X-%d: a\r\n" % n for n in range(500)) + b"\r\nbody",
        differs=Differs(
            "response-head-limit", apache={"status": 200}, gateway={"status": 502}, only_these=False
        ),
    ),
    *(
        _bad(
            f"status-{name}",
            b"Status: " + value + b"\r\n" + _TEXT + b"\r\nbody",
            differs=Differs(
                "bad-status",
                apache={"status": 500, "body": None},
                gateway={"status": 502},
                only_these=False,
            ),
        )
        for name, value in (
            ("99", b"99 x"),
            ("1000", b"1000 z"),
            ("letters", b"abc"),
            ("negative", b"-1"),
            ("empty", b""),
        )
    ),
    _bad(
        "status-100",
        b"Status: 100 c\r\n" + _TEXT + b"\r\nbody",
        differs=Differs(
            "bad-status",
            apache={"status": None},
            gateway={"status": 502},
            only_these=False,
        ),
    ),
    _bad(
        "status-999",
        b"Status: 999 x\r\n" + _TEXT + b"\r\nbody",
        differs=Differs(
            "bad-status", apache={"status": 999}, gateway={"status": 502}, only_these=False
        ),
    ),
    *(
        _bad(
            f"length-{name}",
            lines + _TEXT + b"\r\nbody",
            differs=Differs(
                "bad-length", apache={"status": 200}, gateway={"status": 502}, only_these=False
            ),
        )
        for name, lines in (
            ("signed", b"Content-Length: +4\r\n"),
            ("negative", b"Content-Length: -4\r\n"),
            ("letters", b"Content-Length: four\r\n"),
            ("twice", b"Content-Length: 4\r\nContent-Length: 5\r\n"),
            ("repeated", b"Content-Length: 4\r\nContent-Length: 4\r\n"),
        )
    ),
    _bad(
        "transfer-encoding",
        b"Transfer-Encoding: chunked\r\n" + _TEXT + b"\r\n4\r\nbody\r\n0\r\n\r\n",
        differs=Differs(
            "backend-transfer-encoding",
            apache={"status": 200},
            gateway={"status": 502},
            only_these=False,
        ),
    ),
    Case(
        name="status-line-lf",
        request=get("/x"),
        scripts=(answer(b"HTTP/1.0 404 Gone away\nContent-Type: text/plain\n\nbody"),),
        differs=Differs(
            "status-line",
            apache={"status": 500},
            gateway={"status": 404, "reason": "Gone away", "body": b"body"},
            only_these=False,
        ),
    ),
)
