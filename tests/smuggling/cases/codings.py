"""Transfer-Encoding: exactly ``chunked``, once, of HTTP/1.1, or nothing is read any further."""

from __future__ import annotations

from tests.smuggling.case import ADMIN, Case, refused, served, unfinished

POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
END = b"\r\n0\r\n\r\n"
WHO = "one server takes it for chunked, and another does not"


def _coding(value: bytes) -> bytes:
    return POST + b"Transfer-Encoding:" + value + b"\r\n" + END


CASES = [
    refused("coding-two-lines", POST + b"Transfer-Encoding: chunked\r\n" * 2 + END, WHO),
    refused(
        "coding-two-lines-with-identity",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" + END,
        WHO,
    ),
    refused(
        "coding-two-lines-turned",
        POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n" + END,
        WHO,
    ),
    refused("coding-chunked-twice", _coding(b" chunked, chunked"), WHO),
    refused("coding-chunked-identity", _coding(b" chunked, identity"), WHO),
    refused("coding-identity-chunked", _coding(b" identity, chunked"), WHO, (400, 501)),
    refused("coding-identity", _coding(b" identity"), "RFC 7230 has dropped it; " + WHO),
    refused("coding-empty", _coding(b""), WHO),
    refused("coding-comma", _coding(b" ,"), WHO),
    refused("coding-comma-chunked", _coding(b",chunked"), WHO),
    refused("coding-chunked-comma", _coding(b" chunked,"), WHO),
    refused("coding-xchunked", _coding(b" xchunked"), "a search for the word finds it"),
    refused("coding-chunkedx", _coding(b" chunkedx"), "a comparison of 7 bytes finds it"),
    refused("coding-chunked-parameter", _coding(b" chunked;q=1"), WHO),
    refused("coding-quoted", _coding(b' "chunked"'), WHO),
    refused("coding-in-two-words", _coding(b" chun ked"), WHO),
    refused("coding-vertical-tab", _coding(b" \x0bchunked"), "some trim it (CVE-2022-24801)"),
    refused("coding-form-feed", _coding(b" chunked\x0c"), "some trim it"),
    refused("coding-no-break-space", _coding(b" \xa0chunked"), "some trim it"),
    refused("coding-nul", _coding(b" chunked\x00"), WHO),
    refused("coding-dotless-i", _coding(b" chunke\xc4\xb1"), "case folding of other scripts"),
    refused("coding-gzip", _coding(b" gzip"), "the end of the body is not known"),
    refused("coding-gzip-chunked", _coding(b" gzip, chunked"), "not implemented", 501),
    refused("coding-chunked-gzip", _coding(b" chunked, gzip"), "the end is not known"),
    refused(
        "coding-on-http-1-0",
        b"POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + END,
        "HTTP/1.0 knows no chunks: older servers ignore it",
    ),
    refused(
        "coding-on-http-1-0-with-a-length",
        b"POST /x HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n" + END,
        "HTTP/1.0 knows no chunks: older servers ignore it",
    ),
    refused(
        "coding-on-http-1-0-kept-alive",
        b"POST /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n"
        + END,
        "HTTP/1.0 knows no chunks",
    ),
    refused("coding-name-with-a-blank", POST + b"Transfer-Encoding : chunked\r\n" + END, WHO),
    refused("coding-name-with-a-tab", POST + b"Transfer-Encoding\t: chunked\r\n" + END, WHO),
    refused("coding-name-after-a-blank", POST + b" Transfer-Encoding: chunked\r\n" + END, WHO),
    refused("coding-name-folded", POST + b"Transfer-Encoding\r\n : chunked\r\n" + END, WHO),
    refused("coding-value-folded", POST + b"Transfer-Encoding:\r\n chunked\r\n" + END, WHO),
    refused("coding-hidden-by-cr", POST + b"X: y\rTransfer-Encoding: chunked\r\n" + END, WHO),
    refused("coding-hidden-by-lf", POST + b"X: y\nTransfer-Encoding: chunked\r\n" + END, WHO),
    refused("coding-hidden-by-nul", POST + b"X: y\x00Transfer-Encoding: chunked\r\n" + END, WHO),
    refused("coding-control-in-the-name", POST + b"Transfer\x01-Encoding: chunked\r\n" + END, WHO),
    refused("coding-high-byte-in-the-name", POST + b"Transfer-Encodin\xe7: chunked\r\n" + END, WHO),
    refused(
        "coding-with-a-length-in-another-case",
        POST + b"content-length: 5\r\ntRANSFER-eNCODING: chunked\r\n" + END,
        WHO,
    ),
    served(
        "coding-in-capitals",
        POST + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n1\r\na" + END,
        "POST /x",
        "case means nothing",
        b"a",
    ),
    served(
        "coding-blanks-before",
        POST + b"Transfer-Encoding: \t chunked\r\n\r\n1\r\na" + END,
        "POST /x",
        "OWS is no part of it",
        b"a",
    ),
    refused("coding-blanks-behind", _coding(b" chunked \t"), "not all trim them: better refused"),
    served(
        "coding-is-gone-behind-the-gateway",
        POST + b"Transfer-Encoding: chunked\r\nTE: trailers\r\n\r\n1\r\na" + END,
        "POST /x",
        "the body has a length then, and is not decoded again",
        b"a",
        {"CONTENT_LENGTH": "1", "HTTP_TRANSFER_ENCODING": None, "HTTP_TE": None},
    ),
    served(
        "coding-named-by-connection",
        POST + b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na" + END,
        "POST /x",
        "framing cannot be named away",
        b"a",
    ),
    served(
        "length-named-by-connection",
        POST + b"Connection: content-length\r\nContent-Length: %d\r\n\r\n" % len(ADMIN) + ADMIN,
        "POST /x",
        "framing cannot be named away",
        ADMIN,
    ),
    served(
        "coding-with-an-underscore",
        POST + b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST /x",
        "it is another field, and none that becomes a variable",
        b"0\r\n\r\n",
        {"HTTP_TRANSFER_ENCODING": None},
    ),
    Case(
        "coding-chunked-body-is-a-request",
        POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(ADMIN) + ADMIN + END,
        (200,),
        ("POST /x",),
        "data of a chunk is data",
        bodies=(ADMIN,),
    ),
    unfinished(
        "coding-without-an-end", POST + b"Transfer-Encoding: chunked\r\n", "more may follow"
    ),
]
