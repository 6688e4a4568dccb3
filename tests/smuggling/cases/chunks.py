"""The framing of chunks: sizes in hexadecimal digits, CR LF, and nothing of what is beside data."""

from __future__ import annotations

from tests.smuggling.case import ADMIN, Case, refused, served, unfinished

CHUNKED = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
SIZE = "what one reads as a size, another takes for another size"
LINE = "what ends a line for one, is within it for another"


def _chunk(size: bytes) -> bytes:
    return CHUNKED + size + b"\r\nhello\r\n" + END


CASES = [
    refused("chunk-0x", _chunk(b"0x5"), SIZE + " (CVE-2022-24801)"),
    refused("chunk-plus", _chunk(b"+5"), SIZE + " (CVE-2022-24801)"),
    refused("chunk-minus", _chunk(b"-5"), SIZE + " (CVE-2022-24801)"),
    refused("chunk-minus-0", CHUNKED + b"-0\r\n\r\n", SIZE),
    refused("chunk-underscore", _chunk(b"0_5"), "Python's int() reads 5"),
    refused("chunk-empty", _chunk(b""), SIZE),
    refused("chunk-extension-alone", _chunk(b";a=b"), SIZE),
    refused("chunk-letters", _chunk(b"g"), SIZE),
    refused("chunk-blank-before", _chunk(b" 5"), SIZE),
    refused("chunk-blank-behind", _chunk(b"5 "), SIZE),
    refused("chunk-tab-before", _chunk(b"\t5"), SIZE),
    refused("chunk-tab-behind", _chunk(b"5\t"), SIZE),
    refused("chunk-vertical-tab", _chunk(b"\x0b5"), SIZE),
    refused("chunk-nul", _chunk(b"5\x00"), SIZE),
    refused("chunk-comma", _chunk(b"5,5"), SIZE),
    refused("chunk-17-digits", _chunk(b"10000000000000005"), "it overflows, and is 5 then"),
    unfinished("chunk-16-digits", _chunk(b"FFFFFFFFFFFFFFFF") + ADMIN, "-1 as a signed number"),
    unfinished("chunk-of-2-31", _chunk(b"7fffffff") + ADMIN, "what follows is its data"),
    refused(
        "chunks-over-the-limit",
        CHUNKED + (b"4000\r\n" + ADMIN.ljust(0x4000) + b"\r\n") * 7,
        "what of the body is not read is no request",
        (400, 413),
    ),
    refused("chunk-lf", CHUNKED + b"5\nhello\r\n" + END, LINE + " (nginx 1.29.4)"),
    refused("chunk-lf-behind-the-data", CHUNKED + b"5\r\nhello\n" + END, LINE),
    refused("chunk-cr", CHUNKED + b"5\rhello\r\n" + END, LINE),
    refused("chunk-cr-cr-lf", CHUNKED + b"5\r\r\nhello\r\n" + END, LINE),
    refused("chunk-lf-cr", CHUNKED + b"5\n\rhello\r\n" + END, LINE),
    refused("chunk-no-end-of-the-data", CHUNKED + b"5\r\nhello" + END, LINE),
    refused("chunk-two-bytes-for-the-end", CHUNKED + b"5\r\nhelloXX" + END, "not all look at them"),
    refused("chunk-shorter-than-its-data", CHUNKED + b"3\r\nhello\r\n" + END, LINE),
    refused("chunk-longer-than-its-data", CHUNKED + b"7\r\nhello\r\n" + END, LINE),
    refused("chunk-last-with-lf", CHUNKED + b"0\n\n", LINE),
    refused("chunk-last-and-lf", CHUNKED + b"0\r\n\n", LINE),
    refused("chunk-last-and-cr", CHUNKED + b"0\r\n\rX", LINE),
    refused(
        "chunk-extension-with-lf",
        CHUNKED + b"5;a\nX: y\r\nhello\r\n" + END,
        LINE + " (bad chunk extensions, CVE-2022-24801)",
    ),
    refused("chunk-extension-with-cr", CHUNKED + b"5;a\rb\r\nhello\r\n" + END, LINE),
    refused("chunk-extension-with-nul", CHUNKED + b"5;a\x00b\r\nhello\r\n" + END, LINE),
    refused("chunk-extension-quoted-lf", CHUNKED + b'5;a="\n"\r\nhello\r\n' + END, LINE),
    refused("chunk-extension-quoted-cr-lf", CHUNKED + b'5;a="\r\n"\r\nhello\r\n' + END, LINE),
    refused(
        "chunk-extension-of-5000-bytes",
        CHUNKED + b"5;" + b"a" * 5000 + b"\r\nhello\r\n" + END,
        "endless lines (twisted#10137)",
    ),
    refused("chunk-5000-zeros", CHUNKED + b"0" * 5000 + b"5\r\nhello\r\n" + END, "endless lines"),
    refused("trailer-with-lf", CHUNKED + b"0\r\nX: y\n\r\n", LINE),
    refused("trailer-folded", CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n", LINE),
    refused("trailer-blank-before-the-colon", CHUNKED + b"0\r\nX : y\r\n\r\n", LINE),
    refused(
        "trailer-without-a-colon",
        CHUNKED + b"0\r\nGET /admin HTTP/1.1\r\n\r\n",
        "a request taken for a trailer, or the other way round",
    ),
    refused(
        "trailer-of-9000-bytes",
        CHUNKED + b"0\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
        "no limit of a head holds for trailers",
        431,
    ),
    refused(
        "trailers-of-200-fields",
        CHUNKED + b"0\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        "no limit of a head holds for trailers",
        431,
    ),
    served(
        "chunk-digits",
        CHUNKED + b"00005\r\nhello\r\nA\r\n0123456789\r\n" + END,
        "POST /x",
        "1*HEXDIG of both cases",
        b"hello0123456789",
    ),
    served(
        "chunk-letters-of-both-cases",
        CHUNKED + b"a\r\n0123456789\r\nA\r\n0123456789\r\n" + END,
        "POST /x",
        "1*HEXDIG of both cases",
        b"0123456789" * 2,
    ),
    served("chunk-zeros-are-the-last", CHUNKED + b"000\r\n\r\n", "POST /x", '1*"0" ends the body'),
    served(
        "chunk-extensions",
        CHUNKED + b'5;a;b=c;d="e f"\r\nhello\r\n0;last\r\n\r\n',
        "POST /x",
        "what is not known is dropped (RFC 9112 7.1.1)",
        b"hello",
    ),
    served(
        "trailers-are-dropped",
        CHUNKED + b"5\r\nhello\r\n0\r\nAuthorization: x\r\nX-Role: admin\r\nCookie: a=b\r\n\r\n",
        "POST /x",
        "merged into the head, they are believed (lighttpd, CVE-2025-12642)",
        b"hello",
        {"HTTP_AUTHORIZATION": None, "HTTP_X_ROLE": None, "HTTP_COOKIE": None},
    ),
    served(
        "trailers-about-the-request",
        CHUNKED + b"5\r\nhello\r\n0\r\nHost: b\r\nX-Forwarded-For: 127.0.0.1\r\nExpect: x\r\n\r\n",
        "POST /x",
        "nothing of them is believed",
        b"hello",
        {"CONTENT_LENGTH": "5", "HTTP_HOST": "a", "HTTP_X_FORWARDED_FOR": None},
    ),
    refused("trailer-length", CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", "two lengths, one late"),
    refused("trailer-coding", CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n", "no trailer"),
    served(
        "trailers-with-an-upgrade",
        CHUNKED + b"0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "POST /x",
        "a trailer begins no tunnel",
    ),
    Case(
        "trailers-with-connection-close",
        CHUNKED + b"0\r\nConnection: close\r\n\r\n" + ADMIN,
        (200, 400),
        ("POST /x",),
        "whoever takes it for a field of the head reads no further: nor does the gateway",
        open=False,
    ),
    Case(
        "chunk-data-that-looks-like-the-end",
        CHUNKED + b"%x\r\n" % (len(ADMIN) + 7) + b"\r\n0\r\n\r\n" + ADMIN + b"\r\n" + END,
        (200,),
        ("POST /x",),
        "data is counted, not searched",
        bodies=(b"\r\n0\r\n\r\n" + ADMIN,),
    ),
    unfinished(
        "chunk-last-without-its-empty-line",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        "`0 CR LF` alone is not the end (h2o)",
    ),
    unfinished("chunk-size-without-an-end", CHUNKED + b"5", "more digits may follow"),
    unfinished("chunk-cut", CHUNKED + b"5\r\nhel", "the rest of the chunk is still to come"),
]
