"""Framing, bad requests, limits."""

from __future__ import annotations

from tests.e2e.scripted import AwaitEnd, ReadHead, Reset, Send
from tests.parity.case import PROXY, Case, Differs, get, plain, post
from tests.parity.cases.known import CLOSED, KEPT_OPEN, reason

_TOO_LARGE = reason("Request Entity Too Large", "Content Too Large")

_CHUNKED = "Transfer-Encoding: chunked"


def _bad(name: str, request: bytes, differs: Differs | tuple[Differs, ...] = ()) -> Case:
    return Case(name=f"bad-{name}", request=request, own_page=True, differs=differs)


def _limited(name: str, request: bytes, differs: Differs | tuple[Differs, ...] = ()) -> Case:
    return Case(
        name=f"limit-{name}",
        request=request,
        config="",
        server="limits",
        own_page=True,
        differs=differs,
    )


CASES = (
    Case(
        name="chunked-upload",
        request=get("/x", _CHUNKED, method="POST") + b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n",
        differs=Differs(
            "chunked-upload",
            apache={"status": 411, "asked": 0},
            gateway={
                "status": 200,
                "asked": 1,
                "told.0.CONTENT_LENGTH": "5",
                "told.0.body": b"abcde",
                "told.0.HTTP_TRANSFER_ENCODING": None,
            },
            only_these=False,
        ),
    ),
    Case(
        name="chunked-upload-empty",
        request=get("/x", _CHUNKED, method="POST") + b"0\r\n\r\n",
        differs=Differs(
            "chunked-upload",
            apache={"status": 411, "asked": 0},
            gateway={"status": 200, "told.0.CONTENT_LENGTH": "0", "told.0.body": b""},
            only_these=False,
        ),
    ),
    _bad(
        "chunked-other-coding",
        get("/x", "Transfer-Encoding: gzip, chunked", method="POST") + b"0\r\n\r\n",
        Differs(
            "allow-with-501", apache={"header:allow": ("TRACE",)}, gateway={"header:allow": None}
        ),
    ),
    _bad("coding-not-chunked", get("/x", "Transfer-Encoding: gzip", method="POST")),
    _bad("length-empty", get("/x", "Content-Length:", method="POST")),
    _bad("length-negative", get("/x", "Content-Length: -1", method="POST")),
    _bad("length-signed", get("/x", "Content-Length: +1", method="POST") + b"a"),
    _bad("length-letters", get("/x", "Content-Length: 123abc", method="POST")),
    _bad("length-huge", get("/x", "Content-Length: 99999999999999999999999", method="POST")),
    _bad("length-twice", get("/x", "Content-Length: 1", "Content-Length: 1", method="POST") + b"a"),
    _bad("length-list", get("/x", "Content-Length: 1, 1", method="POST") + b"a"),
    _bad("expectation", get("/x", "Expect: a-miracle"), CLOSED),
    _bad("no-host", plain("GET /x HTTP/1.1")),
    _bad("two-hosts", plain("GET /x HTTP/1.1", "Host: a", "Host: a")),
    _bad("empty-host", plain("GET /x HTTP/1.1", "Host:")),
    _bad("host-with-blank", plain("GET /x HTTP/1.1", "Host: a b")),
    _bad("header-without-colon", get("/x", "X-A")),
    _bad("blank-before-colon", get("/x", "X-A : b")),
    _bad("leading-blank", plain("GET /x HTTP/1.1", " X-A: b", "Host: a")),
    _bad("name-with-control", get("/x", "X\x01A: b")),
    _bad("value-with-nul", get("/x", "X-A: a\0b")),
    _bad("value-with-control", get("/x", "X-A: a\x01b")),
    _bad("empty-name", get("/x", ": b")),
    _bad(
        "two-blanks",
        plain("GET  /x HTTP/1.1", "Host: a"),
        Differs(
            "two-blanks",
            apache={"status": 400, "reason": "Bad Request", "close": True},
            gateway={"status": 404, "reason": "Not Found", "close": False},
        ),
    ),
    _bad(
        "rtsp",
        plain("GET /x RTSP/1.0", "Host: a"),
        Differs(
            "http-versions",
            apache={"status": 400, "reason": "Bad Request"},
            gateway={"status": 404, "reason": "Not Found"},
        ),
    ),
    _bad("tab-in-line", plain("GET\t/x HTTP/1.1", "Host: a")),
    _bad("nul-in-line", plain("GET /\0x HTTP/1.1", "Host: a")),
    _bad("version", plain("GET /x HTTP/x.1", "Host: a")),
    _bad("version-lower-case", plain("GET /x http/1.1", "Host: a")),
    _bad("method-with-control", plain("GE\x01T /x HTTP/1.1", "Host: a")),
    _bad("no-path", plain("GET x HTTP/1.1", "Host: a")),
    _bad("at-sign", plain("GET @localhost/foobar.html HTTP/1.1", "Host: a")),
    _bad("unix-url", plain("GET unix:/var/run/x|http://a/ HTTP/1.1", "Host: a")),
    _limited("line", get("/" + "x" * 300), reason("Request-URI Too Long", "URI Too Long")),
    _limited("line-fits", get("/" + "x" * 100)),
    _limited("fields-fit", get("/x", *(f"X-{n}: a" for n in range(9)))),
    _limited(
        "fields",
        get("/x", *(f"X-{n}: a" for n in range(20))),
        Differs(
            "header-limit-status",
            apache={"status": 400, "reason": "Bad Request"},
            gateway={"status": 431, "reason": "Request Header Fields Too Large"},
        ),
    ),
    _limited(
        "field-size",
        get("/x", "X-A: " + "a" * 400),
        Differs(
            "header-limit-status",
            apache={"status": 400, "reason": "Bad Request"},
            gateway={"status": 431, "reason": "Request Header Fields Too Large"},
        ),
    ),
    _limited(
        "merged-field-size",
        get("/x", "X-A: " + "a" * 200, "X-A: " + "a" * 200),
        Differs(
            "header-limit-status",
            apache={"status": 400, "reason": "Bad Request"},
            gateway={"status": 431, "reason": "Request Header Fields Too Large"},
        ),
    ),
    _limited("body", post("/x", b"a" * 1001), _TOO_LARGE),
    Case(name="limit-body-fits", request=post("/x", b"a" * 1000), config="", server="limits"),
    Case(
        name="limit-body-location",
        request=post("/small/x", b"a" * 11),
        config="<Location /small/>\nLimitRequestBody 10\n</Location>\n" + PROXY,
        own_page=True,
        differs=_TOO_LARGE,
    ),
    Case(
        name="expect-continue-dead",
        request=post("/x", b"a", "Expect: 100-continue"),
        config="ProxyPass / scgi://${DEAD}/",
        own_page=True,
        differs=KEPT_OPEN,
    ),
    Case(
        name="backend-silent",
        request=get("/x"),
        scripts=((ReadHead(),),),
        own_page=True,
        differs=Differs(
            "bad-gateway",
            apache={"status": 500, "reason": "Internal Server Error", "close": True},
            gateway={"status": 502, "reason": "Bad Gateway", "close": False},
        ),
    ),
    Case(
        name="backend-resets",
        request=get("/x"),
        scripts=((ReadHead(), Reset()),),
        own_page=True,
        differs=Differs(
            "bad-gateway",
            apache={"status": 500, "reason": "Internal Server Error", "close": True},
            gateway={"status": 502, "reason": "Bad Gateway", "close": False},
        ),
    ),
    Case(
        name="backend-too-slow",
        request=get("/x"),
        config=PROXY + " timeout=1",
        scripts=((ReadHead(), AwaitEnd()),),
        own_page=True,
    ),
    Case(
        name="backend-too-slow-within-head",
        request=get("/x"),
        config="ProxyTimeout 1\n" + PROXY,
        scripts=((ReadHead(), Send(b"Status: 200 OK\r\n"), AwaitEnd()),),
        own_page=True,
    ),
)
