"""How bodies are delimited: the answer's, and the request's with what llhttp leaves unchecked."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from scgiproxy.errors import BadRequest, ExpectationFailed, NotImplementedHere, quoted
from scgiproxy.message.headers import HeaderList, list_tokens, parse_host

MAX_LENGTH = (1 << 63) - 1


class ResponseFraming(Enum):
    NO_BODY = "no body"
    LENGTH = "Content-Length"
    CHUNKED = "chunked"
    CLOSE = "close"
    """The end of the connection ends the body; the connection cannot persist."""


# An attribute of an Enum class costs as much as a call.
_NO_BODY: Final = ResponseFraming.NO_BODY
_LENGTH: Final = ResponseFraming.LENGTH
_CHUNKED: Final = ResponseFraming.CHUNKED
_CLOSE: Final = ResponseFraming.CLOSE


def response_framing(
    method: bytes, status: int, length: int | None, is_http11: bool
) -> ResponseFraming:
    """How the body of an answer is delimited (RFC 9112 section 6.3, the server's side).

    `length` is the body's in bytes, None if it is not known. Whether the connection persists does
    not matter: chunks also show a client that reads until the close where the end should be.
    """
    # 1. No body whatever the header fields say: HEAD, 204, 304 (1xx is never a final answer).
    if method == b"HEAD" or status in (204, 304):
        return _NO_BODY
    # 2. CONNECT is not served. 3. Never both fields: one of the cases below is chosen.
    # 4. Length unknown, and the client knows chunks.
    if length is None and is_http11:
        return _CHUNKED
    # 5. (An invalid length was refused when it was read.) 6. Length known.
    if length is not None:
        return _LENGTH
    # 7. is about requests. 8. Whatever comes before the close.
    return _CLOSE


LAST_CHUNK: Final = b"0\r\n\r\n"
"""Ends a chunked body, without trailers."""


def chunk(data: bytes) -> tuple[bytes, ...]:
    """`data` as one chunk, in pieces for ``writeSequence`` so that nothing is copied.

    Nothing for empty `data`: a chunk of no bytes would end the body. (RFC 9112 section 7.1.)
    """
    if not data:
        return ()
    return (b"%x\r\n" % len(data), data, b"\r\n")


class BodyKind(Enum):
    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"


class RequestFraming(NamedTuple):
    """What a request's head says of its body and its connection.

    - `length`: bytes of the body; 0 for NONE, None for CHUNKED.
    - `keep_alive`: the client wants the connection to persist.
    - `expects_continue`: the client waits for ``100 Continue`` before it sends the body.
    - `hop_by_hop`: the fields of the head that Connection names, lower-case: no backend's concern.
    """

    kind: BodyKind
    length: int | None
    keep_alive: bool
    expects_continue: bool
    hop_by_hop: frozenset[bytes] = frozenset()


_NO_REQUEST_BODY: Final = BodyKind.NONE
_DIGITS: Final = re.compile(rb"[0-9]{1,19}")
# Only of RTSP does llhttp take them; what it does not tell is which protocol the line has named.
_METHODS_OF_RTSP: Final = frozenset(
    (
        b"ANNOUNCE",
        b"DESCRIBE",
        b"FLUSH",
        b"GET_PARAMETER",
        b"PAUSE",
        b"PLAY",
        b"RECORD",
        b"REDIRECT",
        b"SETUP",
        b"SET_PARAMETER",
        b"TEARDOWN",
    )
)
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]|RTSP")
_CHECKED: Final = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"connection", b"expect")
)
# What the framing itself needs cannot be named away.
_NOT_NAMED: Final = frozenset((b"content-length", b"host", b"transfer-encoding"))
_PLAIN_11: Final = RequestFraming(_NO_REQUEST_BODY, 0, True, False)
_KEEP_ALIVE: Final = {b"connection": [b"keep-alive"]}


def check_request_head(method: bytes, protocol: bytes, headers: HeaderList) -> RequestFraming:
    """Check what llhttp leaves unchecked, and say how the body is delimited.

    `protocol` is ``HTTP/1.1`` or ``HTTP/1.0``. (RFC 9112 sections 3.2, 6.3 and 9.3; RFC 9110
    section 10.1.1.)

    - NotImplementedHere: another HTTP version, a method of RTSP, a transfer coding other than
      chunked.
    - ExpectationFailed: an Expect that is not ``100-continue``.
    - BadRequest: everything else that two servers could read in two ways.
    """
    is_http11 = protocol == b"HTTP/1.1"
    if (not is_http11 and protocol != b"HTTP/1.0") or method in _METHODS_OF_RTSP:
        raise _bad_version(b"RTSP" if method in _METHODS_OF_RTSP else protocol)
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in _CHECKED:
            if lower in found:
                found[lower].append(value)
            else:
                found[lower] = [value]
    hosts = found.pop(b"host", None)
    if hosts is None:
        if is_http11:
            raise BadRequest("HTTP/1.1 needs a Host field")
    elif len(hosts) > 1:
        raise BadRequest(f"{len(hosts)} Host fields")
    else:
        parse_host(hosts[0])
    if is_http11 and (not found or found == _KEEP_ALIVE):
        # Nearly every request.
        return _PLAIN_11
    codings = found.get(b"transfer-encoding")
    lengths = found.get(b"content-length")
    if codings is not None:
        _check_codings(codings, lengths, is_http11)
        kind, length = BodyKind.CHUNKED, None
    elif lengths is not None:
        length = _content_length(lengths)
        kind = BodyKind.LENGTH if length else _NO_REQUEST_BODY
    else:
        kind, length = _NO_REQUEST_BODY, 0
    if kind is not _NO_REQUEST_BODY and method == b"TRACE":
        raise BadRequest("a TRACE request has no body")
    options = list_tokens(b",".join(found.get(b"connection", ())))
    keep_alive = b"close" not in options and (is_http11 or b"keep-alive" in options)
    # An HTTP/1.0 client cannot wait for a 100, whatever it says.
    expects = is_http11 and _expects_continue(found.get(b"expect", ()))
    named = frozenset(options).intersection(name.lower() for name, _ in headers) - _NOT_NAMED
    expects = expects and kind is not _NO_REQUEST_BODY
    return RequestFraming(kind, length, keep_alive, expects, named)


def _bad_version(protocol: bytes) -> BadRequest | NotImplementedHere:
    if _VERSION.fullmatch(protocol):
        return NotImplementedHere(f"{protocol.decode('ascii')} is not spoken here")
    return BadRequest(f"expected HTTP/1.1 or HTTP/1.0, got {quoted(protocol)}")


def _check_codings(codings: list[bytes], lengths: list[bytes] | None, is_http11: bool) -> None:
    """Only ``Transfer-Encoding: chunked``, once, alone, on HTTP/1.1."""
    if lengths is not None:
        raise BadRequest("both Transfer-Encoding and Content-Length")
    if not is_http11:
        raise BadRequest("Transfer-Encoding in an HTTP/1.0 request")
    # No list of it and nothing, either: other servers do not take ",chunked" for it.
    if len(codings) == 1 and codings[0].strip(b" \t").lower() == b"chunked":
        return
    names = list_tokens(b",".join(codings))
    shown = quoted(b", ".join(codings))
    others = names[:-1]
    if len(codings) > 1 or not others or b"chunked" in others or names[-1] != b"chunked":
        raise BadRequest(f"expected Transfer-Encoding: chunked, got {shown}")
    raise NotImplementedHere(f"only the transfer coding chunked is known here, not {shown}")


def _content_length(lengths: list[bytes]) -> int:
    value = lengths[0]
    if len(lengths) > 1:
        raise BadRequest(f"{len(lengths)} Content-Length fields")
    if not _DIGITS.fullmatch(value) or int(value) > MAX_LENGTH:
        raise BadRequest(f"expected a number as Content-Length, got {quoted(value)}")
    return int(value)


def _expects_continue(values: list[bytes] | tuple[()]) -> bool:
    expectations = list_tokens(b",".join(values))
    for expectation in expectations:
        if expectation != b"100-continue":
            raise ExpectationFailed(f"expectation {quoted(expectation)} is not known here")
    return bool(expectations)
