"""Content-Length: one number, of digits, or nothing is read any further."""

from __future__ import annotations

from tests.smuggling.case import ADMIN, Case, refused, served, unfinished

POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
TWO = "two servers that choose differently do not agree where the next request begins"
NUMBER = "what one reads as a number, another takes for 0, or for another number"


def _length(value: bytes) -> bytes:
    return POST + b"Content-Length:" + value + b"\r\n\r\nhello"


CASES = [
    refused("length-two-equal", POST + b"Content-Length: 5\r\n" * 2 + b"\r\nhello", TWO),
    refused(
        "length-two-different",
        POST + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
        TWO + " (Twisted, CVE-2020-10108)",
    ),
    refused(
        "length-two-different-turned",
        POST + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
        TWO + " (Twisted, CVE-2020-10108)",
    ),
    refused(
        "length-two-far-apart",
        POST + b"Content-Length: 5\r\nX: y\r\ncontent-LENGTH: 6\r\n\r\nhello",
        TWO,
    ),
    refused(
        "length-and-chunked",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        TWO + " (CVE-2020-10109)",
    ),
    refused(
        "chunked-and-length",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        TWO + " (CVE-2020-10109)",
    ),
    refused(
        "chunked-and-length-0",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
        TWO,
    ),
    refused(
        "chunked-and-length-of-all",
        POST + b"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        TWO,
    ),
    refused(
        "length-and-identity",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello",
        TWO,
    ),
    refused("length-list-equal", _length(b" 5, 5"), TWO),
    refused("length-list-different", _length(b" 5, 0"), TWO),
    refused("length-list-empty", _length(b" 5,"), NUMBER),
    refused("length-plus", _length(b" +5"), NUMBER + " (CVE-2022-24801)"),
    refused("length-minus", _length(b" -5"), NUMBER + " (CVE-2022-24801)"),
    refused("length-minus-0", _length(b" -0"), NUMBER),
    refused("length-hexadecimal", _length(b" 0x5"), NUMBER),
    refused("length-letters", _length(b" five"), NUMBER),
    refused("length-digits-and-letters", _length(b" 5a"), NUMBER),
    refused("length-fraction", _length(b" 5.0"), NUMBER),
    refused("length-exponent", _length(b" 5e0"), NUMBER),
    refused("length-underscore", _length(b" 5_0"), "Python's int() reads 50"),
    refused("length-blank-inside", _length(b" 5 0"), NUMBER),
    refused("length-tab-inside", _length(b" 5\t0"), NUMBER),
    refused("length-quoted", _length(b' "5"'), NUMBER),
    refused("length-empty", _length(b""), NUMBER),
    refused("length-blank", _length(b"   "), NUMBER),
    refused("length-vertical-tab", _length(b" \x0b5"), "str.strip() trims it (CVE-2022-24801)"),
    refused("length-form-feed", _length(b" 5\x0c"), "str.strip() trims it (CVE-2022-24801)"),
    refused("length-no-break-space", _length(b" \xa05"), "str.strip() trims it"),
    refused("length-next-line", _length(b" 5\x85"), "str.strip() trims it"),
    refused("length-other-digits", _length(b" \xd9\xa5"), "int() reads the digits of all scripts"),
    refused("length-nul", _length(b" 5\x00"), NUMBER),
    refused("length-huge", _length(b" 99999999999999999999"), "it overflows, and is small then"),
    refused("length-2-64", _length(b" 18446744073709551616"), "it overflows, and is 0 then"),
    refused("length-2-64-and-5", _length(b" 18446744073709551621"), "it overflows, and is 5"),
    refused("length-2-63", _length(b" 9223372036854775808"), "it overflows, and is negative then"),
    refused("length-500-digits", _length(b" " + b"5" * 500), "quadratic time, or an overflow"),
    refused("length-500-zeros", _length(b" " + b"0" * 500 + b"5"), "a buffer for digits runs over"),
    refused("length-largest", _length(b" 9223372036854775807"), "over LimitRequestBody: 413", 413),
    refused(
        "length-name-with-a-blank",
        POST + b"Content-Length : 5\r\n\r\nhello",
        "another name, or the length",
    ),
    refused(
        "length-name-with-a-tab",
        POST + b"Content-Length\t: 5\r\n\r\nhello",
        "another name, or the length",
    ),
    refused("length-name-in-quotes", POST + b'"Content-Length": 5\r\n\r\nhello', "no name"),
    served("length-blanks-around", _length(b" \t 5 \t "), "POST /x", "OWS is no part", b"hello"),
    served("length-zeros-before", _length(b" 0005"), "POST /x", "1*DIGIT", b"hello"),
    served("length-no-blank", _length(b"5"), "POST /x", "OWS may be missing", b"hello"),
    served(
        "length-0", POST + b"Content-Length: 0\r\n\r\n", "POST /x", "the next one follows at once"
    ),
    served(
        "length-none", POST + b"\r\n", "POST /x", "without a length there is no body (RFC 9112 6.3)"
    ),
    served(
        "length-of-a-get",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(ADMIN) + ADMIN,
        "GET /x",
        "the body of a GET is a body, not a request",
        ADMIN,
    ),
    served(
        "length-of-a-head",
        b"DELETE /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(ADMIN) + ADMIN,
        "DELETE /x",
        "the body of any method is a body, not a request",
        ADMIN,
    ),
    served(
        "length-with-a-dash-for-a-line",
        POST + b"Content_Length: 3\r\nContent-Length: 5\r\n\r\nhello",
        "POST /x",
        "it is another field, and none that becomes CONTENT_LENGTH",
        b"hello",
        {"CONTENT_LENGTH": "5", "HTTP_CONTENT_LENGTH": None},
    ),
    served(
        "length-inside-a-value",
        POST + b"X: Content-Length: 9\r\nContent-Length: 5\r\n\r\nhello",
        "POST /x",
        "a value is a value",
        b"hello",
    ),
    Case(
        "length-over-what-comes",
        POST + b"Content-Length: %d\r\n\r\n" % (len(ADMIN) + 1) + ADMIN,
        (),
        ("POST /x",),
        "the request behind it is its body, and one byte is still to come",
        open=True,
        waits=True,
    ),
    refused(
        "length-over-the-limit",
        POST + b"Content-Length: 100001\r\n\r\n" + b"x" * 2000,
        "a body that is not read must not be read as requests (an early 413)",
        413,
    ),
    unfinished("length-without-an-end", POST + b"Content-Length: 5", "the number may go on"),
]
