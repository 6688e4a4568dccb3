"""The CGI response (RFC 3875 section 6): bytes in, events out.

An answer is a head, lines of ``Name: value`` up to an empty line, ended by LF or CRLF in any
mixture, and a body. An HTTP status line may come first ("non-parsed header" programs write one).
Every limit and every check of a backend's head is here, those of a single line in `fields`; above,
a head can be believed.

Events are `ResponseHead`, then body pieces as plain `bytes` (an object around each would cost more
than the rest of the body path), then `END`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from scgiproxy.errors import BackendError, BadResponse, TruncatedResponse, quoted
from scgiproxy.scgi.fields import FIELDS, final_status

_EMPTY_LINE: Final = re.compile(rb"\n\r?\n")
# Possessive: no input makes it go back.
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})( [\t\x20-\x7e\x80-\xff]*+)?+\r?\n")
_ABSOLUTE_URL = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*+:")

# Of these there can be only one: the last, as in Apache.
_SINGLE: Final = frozenset(
    (b"content-type", b"location", b"etag", b"last-modified", b"content-range")
)
# What the first line of a head begins with when it is an empty one, or a status line.
_RARE_STARTS: Final = frozenset((b"", b"\r", b"\n", b"H"))

BODILESS_STATUSES: Final = frozenset((204, 304))


@dataclass(slots=True)
class ResponseHead:
    """The head of an answer.

    - `status` is 200 to 599. Without a Status it is 302 if Location is an absolute URL, else 200;
      `explicit_status` tells the two apart.
    - `reason` is the phrase as sent, None if there was none.
    - `headers` in order, names as sent, values without blanks around; Status and Content-Length
      are taken out.
    - `content_length` in bytes, None if it was not said. For a HEAD request, 204 and 304 it is
      only an announcement: no body follows.
    - `names`: of `headers`, in lower case.
    """

    status: int
    reason: bytes | None
    headers: list[tuple[bytes, bytes]]
    content_length: int | None
    explicit_status: bool
    names: set[bytes]

    # Written out: compiled, it is much quicker than what a dataclass makes.
    def __init__(
        self,
        status: int,
        reason: bytes | None,
        headers: list[tuple[bytes, bytes]],
        content_length: int | None,
        explicit_status: bool,
        names: set[bytes],
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.content_length = content_length
        self.explicit_status = explicit_status
        self.names = names


class End(Enum):
    """The one event of this type, `END`, closes a complete answer."""

    END = "end"

    def __repr__(self) -> str:
        return self.name


END: Final = End.END

Event = ResponseHead | bytes | Literal[End.END]


class ResponseState(Enum):
    HEAD = "head"
    BODY_LENGTH = "body of known length"
    BODY_CLOSE = "body until close"
    DONE = "done"
    FAILED = "failed"


# Names of the module, since an attribute of an Enum class costs as much as a method call.
_HEAD: Final = ResponseState.HEAD
_BODY_LENGTH: Final = ResponseState.BODY_LENGTH
_BODY_CLOSE: Final = ResponseState.BODY_CLOSE
_DONE: Final = ResponseState.DONE
_FAILED: Final = ResponseState.FAILED


class ResponseParser:
    """Reads one answer, however it is cut into pieces, in time linear in its bytes.

    - `body_expected`: False for the answer to a HEAD request.
    - `max_head`: limit of the head in bytes, the empty line included; no more than that and one
      piece is ever held.
    - `max_lines`: limit of its lines, the empty one not counted.
    """

    # What most answers never change stays on the class: one parser is made for each request.
    state: ResponseState = _HEAD
    _tail: bytearray | None = None  # an unfinished line
    _head_size = 0  # bytes of the finished ones
    _line_count = 0
    _status: int | None = None
    _reason: bytes | None = None
    _content_length: int | None = None
    _remaining = 0
    _error: BackendError | None = None

    def __init__(
        self, *, body_expected: bool = True, max_head: int = 65536, max_lines: int = 200
    ) -> None:
        self._body_expected = body_expected
        self._max_head = max_head
        self._max_lines = max_lines
        self._headers: list[tuple[bytes, bytes]] = []
        self._names: set[bytes] = set()

    def __repr__(self) -> str:
        return f"<ResponseParser {self.state.value}>"

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes and return what they complete, maybe nothing.

        Bytes after `END` are ignored. Raises BadResponse, and again if fed after that.
        """
        state = self.state
        if state is _HEAD:
            try:
                return self._feed_head(data)
            except BackendError as error:
                self._fail(error)
                raise
        if state is _BODY_LENGTH:
            return self._feed_length(data)
        if state is _BODY_CLOSE:
            return [data] if data else []
        if self._error is not None:
            raise self._error
        return []

    def eof(self) -> list[Event]:
        """The backend has closed: return `END` if that ends the answer.

        Raises TruncatedResponse in the middle of the head, or short of Content-Length.
        """
        if self.state is _BODY_CLOSE:
            self.state = _DONE
            return [END]
        if self.state is _DONE:
            return []
        error = self._error or self._truncated()
        self._fail(error)
        raise error

    def _fail(self, error: BackendError) -> None:
        self.state = _FAILED
        self._error = error
        self._tail = None
        self._headers = []

    def _truncated(self) -> TruncatedResponse:
        length = self._content_length
        if self.state is _BODY_LENGTH and length is not None:
            received = length - self._remaining
            return TruncatedResponse(
                f"the backend closed after {received} of {length} bytes of the body"
            )
        tail = bytes(self._tail or b"")
        if not tail and not self._head_size:
            return TruncatedResponse("the backend closed without an answer")
        unfinished = f", in the line {quoted(tail)}" if tail else ""
        return TruncatedResponse(
            "the backend closed within the response head,"
            f" after {self._head_size + len(tail)} bytes{unfinished}"
        )

    def _feed_length(self, data: bytes) -> list[Event]:
        size = len(data)
        remaining = self._remaining
        if size < remaining:
            self._remaining = remaining - size
            return [data] if size else []
        self.state = _DONE
        return [data if size == remaining else data[:remaining], END]

    def _feed_head(self, data: bytes) -> list[Event]:
        if self._tail is None and not self._head_size and data[:1] not in _RARE_STARTS:
            # Nearly always the first piece has the whole head, within the limits: then there is
            # nothing to remember between pieces.
            empty = _EMPTY_LINE.search(data, 0, self._max_head)
            if empty is not None:
                start, end = empty.span()
                lines = data[:start].split(b"\n")
                if len(lines) <= self._max_lines:
                    self._parse_headers(lines)
                    return self._finish_head(data, end)
        return self._feed_head_piece(data)

    def _feed_head_piece(self, data: bytes) -> list[Event]:
        tail = self._tail
        if tail is not None:
            tail += data
            if b"\n" not in data:
                if self._head_size + len(tail) > self._max_head:
                    raise self._too_long(bytes(tail))
                return []
            data = bytes(tail)
            self._tail = None
        # `data` begins at the start of a line.
        if data.startswith((b"\n", b"\r\n")):
            lines_end, body_start = 0, data.find(b"\n") + 1
        else:
            empty = _EMPTY_LINE.search(data, 0, self._max_head - self._head_size + 3)
            if empty is None:
                lines_end = data.rfind(b"\n") + 1
                self._parse_lines(data, lines_end, len(data))
                if lines_end < len(data):
                    self._tail = bytearray(data[lines_end:])
                return []
            lines_end, body_start = empty.start() + 1, empty.end()
        self._parse_lines(data, lines_end, body_start)
        return self._finish_head(data, body_start)

    def _parse_lines(self, data: bytes, end: int, size: int) -> None:
        """Parse the lines up to `end`; `size` is how much of `data` belongs to the head.

        Lines within the limits come first, so that how the bytes were cut does not choose the error.
        """
        room = self._max_head - self._head_size
        lines_end = end if size <= room else data.rfind(b"\n", 0, room) + 1
        start = 0
        if not self._head_size and lines_end and data.startswith(b"HTTP/"):
            start = self._parse_status_line(data)
            self._line_count = 1
        lines = data[start : lines_end - 1].split(b"\n") if start < lines_end else []
        allowed = self._max_lines - self._line_count
        self._parse_headers(lines[:allowed] if len(lines) > allowed else lines)
        if len(lines) > allowed:
            raise BadResponse(f"the response head has more than {self._max_lines} lines")
        if size > room:
            raise self._too_long(data[lines_end:])
        self._line_count += len(lines)
        self._head_size += end

    def _too_long(self, line: bytes) -> BadResponse:
        return BadResponse(
            f"the response head is over {self._max_head} bytes, at the line {quoted(line)}"
        )

    def _parse_status_line(self, data: bytes) -> int:
        match = _STATUS_LINE.match(data)
        if match is None:
            line = data[: data.find(b"\n")]
            raise BadResponse(f"expected HTTP/1.x, a status and a reason, got {quoted(line)}")
        self._set_status(*final_status(int(match[1]), match[2] or b""))
        return match.end()

    def _parse_headers(self, lines: list[bytes]) -> None:
        headers = self._headers
        names = self._names
        fields = FIELDS
        for line in lines:
            lower, header, number = fields[line]
            if number is not None:
                if lower == b"status":
                    self._set_status(number, header[1])
                elif self._content_length is None:
                    self._content_length = number
                else:
                    raise BadResponse(f"a second Content-Length: {quoted(header[1])}")
            elif lower in names and lower in _SINGLE:
                index = next(i for i, each in enumerate(headers) if each[0].lower() == lower)
                headers[index] = header
            else:
                names.add(lower)
                headers.append(header)

    def _set_status(self, status: int, reason: bytes) -> None:
        if self._status is None:
            self._status = status
            self._reason = reason or None
        elif self._status != status:
            raise BadResponse(f"two statuses, {self._status} and then {status}")

    def _finish_head(self, data: bytes, body_start: int) -> list[Event]:
        status = self._status
        headers = self._headers
        names = self._names
        explicit = status is not None
        if status is None:
            status = 302 if b"location" in names and _redirects(headers) else 200
        length = self._content_length
        head = ResponseHead(status, self._reason, headers, length, explicit, names)
        if not self._body_expected or length == 0 or status in BODILESS_STATUSES:
            self.state = _DONE
            return [head, END]
        rest = data[body_start:]
        if length is None:
            self.state = _BODY_CLOSE
            return [head, rest] if rest else [head]
        if len(rest) == length:
            # A small answer, in one piece.
            self.state = _DONE
            return [head, rest, END]
        self.state = _BODY_LENGTH
        self._remaining = length
        return [head, *self._feed_length(rest)]


def _redirects(headers: list[tuple[bytes, bytes]]) -> bool:
    location = next(value for name, value in headers if name.lower() == b"location")
    return _ABSOLUTE_URL.match(location) is not None
