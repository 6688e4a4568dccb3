"""The request line, the ends of lines, and the fields' own grammar."""

from __future__ import annotations

from tests.smuggling.case import ADMIN, Case, refused, served, unfinished

H = b"GET /x HTTP/1.1\r\nHost: a\r\n"
LINE = "what ends a line for one, is within it for another"
NAME = "one drops the line, another reads a field of that name"


def _line(line: bytes) -> bytes:
    return line + b"\r\nHost: a\r\n\r\n"


CASES = [
    refused("line-lf-alone", b"GET /x HTTP/1.1\nHost: a\n\n", LINE),
    refused("line-lf-behind-the-request-line", b"GET /x HTTP/1.1\nHost: a\r\n\r\n", LINE),
    refused("line-lf-behind-a-field", b"GET /x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", LINE),
    refused("line-lf-ends-the-head", b"GET /x HTTP/1.1\r\nHost: a\r\n\n", LINE),
    refused("line-lf-hides-a-request", H + b"X: y\n\nGET /admin HTTP/1.1\r\n\r\n", LINE),
    refused("line-cr-alone", b"GET /x HTTP/1.1\rHost: a\r\r", LINE),
    refused("line-cr-behind-the-request-line", b"GET /x HTTP/1.1\rHost: a\r\n\r\n", LINE),
    refused("line-cr-within-a-value", H + b"X: y\rZ: z\r\n\r\n", LINE),
    refused("line-cr-hides-the-end", H + b"X: y\r\rGET /admin HTTP/1.1\r\n\r\n", LINE),
    refused("line-cr-cr-lf", H + b"X: y\r\r\n\r\n", LINE),
    refused("line-cr-ends-the-head", H + b"\rGET /admin HTTP/1.1\r\nHost: a\r\n\r\n", LINE),
    refused(
        "fold-with-a-blank", H + b"X: y\r\n z\r\n\r\n", "one folds (obs-fold), another sees a field"
    ),
    refused("fold-with-a-tab", H + b"X: y\r\n\tz\r\n\r\n", "obs-fold"),
    refused("fold-of-the-first-field", b"GET /x HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n", "obs-fold"),
    refused("fold-of-the-host", b"GET /x HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "obs-fold"),
    refused("fold-empty", H + b"X: y\r\n \r\n\r\n", "a line of blanks looks like the end"),
    refused("field-blank-before-the-colon", H + b"X : y\r\n\r\n", NAME),
    refused("field-tab-before-the-colon", H + b"X\t: y\r\n\r\n", NAME),
    refused("field-blank-within", H + b"X Y: z\r\n\r\n", NAME),
    refused("field-no-name", H + b": y\r\n\r\n", NAME),
    refused("field-no-colon", H + b"X\r\n\r\n", NAME),
    refused("field-nul-in-the-name", H + b"X\x00: y\r\n\r\n", NAME),
    refused("field-control-in-the-name", H + b"X\x02: y\r\n\r\n", NAME),
    refused("field-delete-in-the-name", H + b"X\x7f: y\r\n\r\n", NAME),
    refused("field-high-byte-in-the-name", H + b"X\xe9: y\r\n\r\n", NAME),
    refused("field-bracket-in-the-name", H + b"coo: foo\r\n</kie>: x-bar\r\n\r\n", NAME),
    refused(
        "field-nul-in-the-value", H + b"X: a\x00b\r\n\r\n", "it would split the block of variables"
    ),
    refused(
        "field-escape-in-the-value", H + b"X: \x1b[2J\r\n\r\n", "it would reach a log's terminal"
    ),
    refused("field-delete-in-the-value", H + b"X: \x7f\r\n\r\n", "no field content"),
    refused("field-name-is-a-request-line", H + b"GET /admin HTTP/1.1: x\r\n\r\n", NAME),
    refused("fields-101", H + b"X: y\r\n" * 100 + b"\r\n", "over LimitRequestFields", 431),
    refused(
        "field-of-9000-bytes",
        H + b"X: " + b"y" * 9000 + b"\r\n\r\n",
        "over LimitRequestFieldSize",
        431,
    ),
    refused(
        "field-name-of-9000-bytes",
        H + b"X" * 9000 + b": y\r\n\r\n",
        "over LimitRequestFieldSize",
        431,
    ),
    refused(
        "field-repeated-over-the-size",
        H + (b"X: " + b"y" * 900 + b"\r\n") * 20 + b"\r\n",
        "joined they are one field",
        431,
    ),
    refused(
        "cookie-crumbs",
        H + b"Cookie: a\r\n" * 100 + b"\r\n",
        "a field for each crumb (CVE-2026-49975)",
        431,
    ),
    refused(
        "line-of-9000-bytes",
        _line(b"GET /" + b"x" * 9000 + b" HTTP/1.1"),
        "over LimitRequestLine",
        414,
    ),
    served("line-two-blanks", _line(b"GET  /x HTTP/1.1"), "GET /x", "they count as one"),
    served("line-two-blanks-behind", _line(b"GET /x  HTTP/1.1"), "GET /x", "they count as one"),
    refused("line-three-words", _line(b"GET /x /admin HTTP/1.1"), "which word is the target"),
    refused("line-tab", _line(b"GET\t/x\tHTTP/1.1"), "which word is the target", (400, 501)),
    refused("line-form-feed", _line(b"GET /x\x0cHTTP/1.1"), "which word is the target"),
    refused("line-no-method", _line(b"/x HTTP/1.1"), "which word is the target", (400, 501)),
    refused("line-blank-first", _line(b" GET /x HTTP/1.1"), "which word is the target"),
    refused("line-blank-last", _line(b"GET /x HTTP/1.1 "), "another version"),
    refused(
        "line-http-0-9",
        b"GET /x\r\n",
        "no head at all follows; the next line is another request",
        (400, 501, 505),
    ),
    refused("line-http-2", _line(b"GET /x HTTP/2.0"), "another protocol", (400, 501, 505)),
    refused("line-http-1-10", _line(b"GET /x HTTP/1.10"), "another version"),
    refused("line-http-1-2", _line(b"GET /x HTTP/1.2"), "another version", (400, 505)),
    refused("line-http-01-1", _line(b"GET /x HTTP/01.1"), "another version"),
    refused("line-http-in-lower-case", _line(b"GET /x http/1.1"), "another protocol"),
    refused("line-icy", _line(b"GET /x ICE/1.0"), "llhttp knows ICE", (400, 501)),
    Case(
        "line-rtsp-get",
        _line(b"GET /x RTSP/1.0") + ADMIN,
        (200,),
        ("GET /x",),
        "it is read as HTTP/1.0, which has the same framing; nothing is read behind it",
        open=False,
    ),
    refused("line-rtsp", _line(b"DESCRIBE /x RTSP/1.0"), "llhttp knows RTSP", (400, 501)),
    refused("line-method-in-lower-case", _line(b"get /x HTTP/1.1"), "one takes it for GET", 501),
    refused("line-method-unknown", _line(b"SMUGGLE /x HTTP/1.1"), "not implemented", 501),
    refused(
        "line-method-longer",
        _line(b"GETX /x HTTP/1.1"),
        "a comparison of 3 bytes finds it",
        (400, 501),
    ),
    refused("line-method-quoted", _line(b'"GET" /x HTTP/1.1'), "no token"),
    refused(
        "line-connect", _line(b"CONNECT a:80 HTTP/1.1"), "a tunnel behind which anything may come"
    ),
    refused("line-connect-with-a-path", _line(b"CONNECT /x HTTP/1.1"), "a tunnel"),
    refused(
        "line-trace-with-a-body",
        b"TRACE /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "TRACE has no body",
    ),
    refused("expectation-unknown", H + b"Expect: admin\r\n\r\n", "RFC 9110 10.1.1", 417),
    served(
        "expectation-of-no-body",
        H + b"Expect: 100-continue\r\n\r\n",
        "GET /x",
        "there is nothing to wait for",
    ),
    Case(
        "line-empty-ones-before",
        b"\r\n\r\n" + H + b"\r\n" + ADMIN,
        (200, 200),
        ("GET /x", "GET /admin"),
        "RFC 9112 2.2: an empty line before a request is ignored",
    ),
    Case(
        "line-empty-ones-behind-a-body",
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\r\n" + ADMIN,
        (200, 200),
        ("POST /x", "GET /admin"),
        "old browsers send CR LF behind a body; it is in no body",
        bodies=(b"hello", b""),
    ),
    unfinished("line-empty-ones-for-ever", b"\r\n" * 5000, "they are no request"),
    unfinished("head-without-its-empty-line", H, "another field may follow"),
    unfinished("head-that-ends-in-cr", H + b"\r", "a LF must follow"),
]
