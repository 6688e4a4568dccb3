"""What follows a request on its connection: pipelines, other protocols, answers that come early."""

from __future__ import annotations

from tests.smuggling.case import ADMIN, Case, refused, served

POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TUNNEL = "taken for the beginning of a tunnel, what follows is checked no more"


def _get(target: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    return b"\r\n".join([b"GET " + target + b" HTTP/" + version, b"Host: a", *fields, b"", b""])


CASES = [
    served(
        "upgrade-h2c",
        _get(b"/x", H2C.rstrip()),
        "GET /x",
        TUNNEL,
        variables={"HTTP_UPGRADE": None, "HTTP_CONNECTION": None, "HTTP_HTTP2_SETTINGS": None},
    ),
    served(
        "upgrade-websocket",
        _get(b"/x", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        "GET /x",
        "it is not spoken here; " + TUNNEL,
        variables={"HTTP_UPGRADE": None},
    ),
    served(
        "upgrade-with-a-length",
        POST + H2C + b"Content-Length: %d\r\n\r\n" % len(ADMIN) + ADMIN,
        "POST /x",
        TUNNEL,
        ADMIN,
    ),
    served(
        "upgrade-with-chunks",
        POST
        + H2C
        + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(ADMIN)
        + ADMIN
        + b"\r\n0\r\n\r\n",
        "POST /x",
        TUNNEL,
        ADMIN,
    ),
    refused(
        "upgrade-with-both-lengths",
        POST + H2C + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        TUNNEL,
    ),
    Case(
        "upgrade-and-preface",
        _get(b"/x", H2C.rstrip()) + PREFACE + ADMIN,
        (200, 400),
        ("GET /x",),
        "HTTP/2 is not spoken, behind an Upgrade neither",
        open=False,
    ),
    refused("preface", PREFACE, "HTTP/2 is not spoken here"),
    refused("preface-and-settings", PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "the same"),
    refused(
        "tls",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32) + b"\r\n\r\n",
        "a handshake where plain HTTP is spoken",
    ),
    refused(
        "scgi", b"24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,", "a request of SCGI itself", (400, 501)
    ),
    refused(
        "proxy-protocol",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + _get(b"/x"),
        "an address that nobody has asked for",
        (400, 501),
    ),
    refused(
        "proxy-protocol-2",
        b"\r\n\r\n\x00\r\nQUIT\n" + bytes(16),
        "an address that nobody has asked for",
        (400, 501),
    ),
    refused("garbage", bytes(range(1, 256)), "no request", (400, 501)),
    Case(
        "pipeline-in-order",
        _get(b"/slow") + _get(b"/fast"),
        (200, 200),
        ("GET /slow", "GET /fast"),
        "a quick answer must not overtake (CVE-2023-46137, CVE-2024-41671)",
    ),
    Case(
        "pipeline-of-bodies",
        b"".join(
            b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (n, n * 7)
            + b"GET / H" * n
            for n in range(5)
        ),
        (200,) * 5,
        tuple(f"POST /{n}" for n in range(5)),
        "no body reaches the next request",
        bodies=tuple(b"GET / H" * n for n in range(5)),
    ),
    Case(
        "pipeline-slow-with-a-body",
        POST.replace(b"/x", b"/slow") + b"Content-Length: 5\r\n\r\nhello" + ADMIN,
        (200, 200),
        ("POST /slow", "GET /admin"),
        "the same",
        bodies=(b"hello", b""),
    ),
    Case(
        "pipeline-head-and-get",
        b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" + ADMIN,
        (200, 200),
        ("HEAD /x", "GET /admin"),
        "an answer to HEAD has no body, whatever its length says",
    ),
    Case(
        "pipeline-after-a-refusal",
        _get(b"/x") + b"GET /y HTTP/1.1\r\n\r\n" + ADMIN,
        (200, 400),
        ("GET /x",),
        "the good one is answered, the bad one is the last",
        open=False,
    ),
    Case(
        "pipeline-after-an-error-of-the-backend",
        _get(b"/fail") + ADMIN,
        (502, 200),
        ("GET /fail", "GET /admin"),
        "what a backend does wrong is not the next request's",
        open=True,
    ),
    Case(
        "pipeline-after-not-found",
        _get(b"/nowhere") + _get(b"/nowhere"),
        (404, 404),
        (),
        "an answer of the gateway's own",
        site="static",
    ),
    Case(
        "not-found-with-a-body",
        b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(ADMIN) + ADMIN,
        ((404, 405),),
        (),
        "a body that nobody wants is a body",
        open=None,
        site="static",
    ),
    Case(
        "denied-with-a-body",
        b"POST /admin HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(ADMIN) + ADMIN,
        (403,),
        (),
        "a body that nobody wants is a body",
        open=False,
        site="access",
    ),
    Case(
        "denied-with-chunks",
        b"POST /admin HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(ADMIN)
        + ADMIN
        + b"\r\n0\r\n\r\n",
        (403,),
        (),
        "a body that nobody wants is a body",
        open=False,
        site="access",
    ),
    Case(
        "denied-with-malformed-chunks",
        b"POST /admin HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n" + ADMIN,
        (403,),
        (),
        "what is wrong with a body that was answered already is not answered again",
        open=False,
        site="access",
    ),
    Case(
        "not-found-with-malformed-chunks",
        b"POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello" + ADMIN,
        ((404, 405),),
        (),
        "the same",
        open=False,
        site="static",
    ),
    Case(
        "close-said",
        _get(b"/x", b"Connection: close") + ADMIN,
        (200,),
        ("GET /x",),
        "nothing is read behind it",
        open=False,
    ),
    Case(
        "close-in-a-list",
        _get(b"/x", b"Connection: keep-alive, CLOSE") + ADMIN,
        (200,),
        ("GET /x",),
        "nothing is read behind it",
        open=False,
    ),
    Case(
        "close-in-a-second-field",
        _get(b"/x", b"Connection: te", b"Connection: close") + ADMIN,
        (200,),
        ("GET /x",),
        "nothing is read behind it",
        open=False,
    ),
    Case(
        "close-of-http-1-0",
        _get(b"/x", version=b"1.0") + ADMIN,
        (200,),
        ("GET /x",),
        "nothing is read behind it",
        open=False,
    ),
    Case(
        "close-of-http-1-0-with-a-body",
        POST.replace(b"1.1", b"1.0") + b"Content-Length: 5\r\n\r\nhello" + ADMIN,
        (200,),
        ("POST /x",),
        "nothing is read behind it",
        bodies=(b"hello",),
        open=False,
    ),
    Case(
        "close-with-chunks",
        POST
        + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        + ADMIN,
        (200,),
        ("POST /x",),
        "nothing is read behind it",
        bodies=(b"hello",),
        open=False,
    ),
    Case(
        "keep-alive-of-http-1-0",
        _get(b"/x", b"Connection: keep-alive", version=b"1.0") + ADMIN,
        (200, 200),
        ("GET /x", "GET /admin"),
        "it was asked for",
    ),
    Case(
        "continue-and-no-waiting",
        POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello" + ADMIN,
        (200, 200),
        ("POST /x", "GET /admin"),
        "a client need not wait",
        bodies=(b"hello", b""),
    ),
    Case(
        "continue-in-capitals",
        POST + b"EXPECT: 100-CONTINUE\r\nContent-Length: 5\r\n\r\nhello" + ADMIN,
        (200, 200),
        ("POST /x", "GET /admin"),
        "case means nothing",
        bodies=(b"hello", b""),
    ),
    refused(
        "continue-and-too-large",
        POST + b"Expect: 100-continue\r\nContent-Length: 100001\r\n\r\n",
        "413 and no `100 Continue`",
        413,
    ),
    refused(
        "continue-and-another",
        POST + b"Expect: 100-continue, admin\r\nContent-Length: 5\r\n\r\nhello",
        "RFC 9110 10.1.1",
        417,
    ),
    Case(
        "early-answer",
        b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n" + ADMIN * 10,
        ((200, 502),),
        ("POST /early",),
        "the answer came before the body did: the rest is no request",
        open=False,
    ),
]
