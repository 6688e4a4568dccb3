"""Requests out of a byte stream: llhttp, and the limits that it leaves to others.

llhttp is strict about the grammar. Here are the sizes (of lines, fields, trailers, and of what
has no end yet), the checks of a whole head, and that an ``Upgrade`` is ignored, body and all. A body
with a length is counted here behind its head: it has no grammar, and llhttp would copy it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from scgiproxy.errors import BadRequest, ClientError, HeadersTooLarge, TargetTooLong
from scgiproxy.message.framing import BodyKind, RequestFraming, check_request_head
from scgiproxy.message.headers import HeaderList
from scgiproxy.web.malformed import meaning_of

if TYPE_CHECKING:
    from scgiproxy.web.limits import ConnectionLimits

CHUNK_LINE: Final = 1 << 10
"""Bytes of a chunk's size and extensions that are always read; four times as many never are."""

# llhttp does not tell of a line in a chunked body before data follows. So what it is given at once
# bounds what a line can have within; most heads come in one such piece all the same.
_PIECE: Final = 1 << 11
_CHUNKED_PIECE: Final = CHUNK_LINE

_LINE_ENDS: Final = 5
"""Of what has no end yet: that of the line before it, its own, and the byte that shows it."""

_PROTOCOLS: Final = {"1.1": b"HTTP/1.1", "1.0": b"HTTP/1.0", "2.0": b"HTTP/2.0", "0.9": b"HTTP/0.9"}


class _LastRequest(Exception):
    """Stops llhttp behind the last request that is read."""


class RequestEvents(Protocol):
    """Whom a `RequestReader` tells. An exception of theirs comes out of `RequestReader.feed`."""

    def head_begun(self, size: int) -> None:
        """A head does not come in one piece; `size` bytes of it are there. Told once for each."""

    def head_read(self, protocol: bytes, framing: RequestFraming) -> None:
        """A head is complete and right; it is in the reader's attributes until the next begins."""

    def body_read(self, data: bytes) -> None:
        """The next bytes of its body."""

    def body_ended(self) -> None:
        """The body is complete. Not called for a request without one."""


class RequestReader:
    """Reads requests and tells those that `begin` names of them.

    A connection needs it within a request only, and llhttp is larger than all the rest of an idle
    connection. So whoever is `between_requests` calls `end` and can be given to another one.

    - `method`, `target`, `headers`: of the head being read, or read last, as far as they are known
      (names in lower case); the method is ``-`` until the head is complete.
    - `in_head`: a head has begun and is not complete; `in_body` likewise.
    - `between_requests`: all that was fed is read, and another request may follow.
    - `has_more`: while it tells of a request: much more was fed than that.
    """

    __deletable__ = ["_events", "_parser"]

    _limits: ConnectionLimits
    _events: RequestEvents

    def __init__(self) -> None:
        self._parser = HttpRequestParser(self)
        self._stopped = False
        self._priming = False
        self._framing: RequestFraming | None = None
        self._upgrade_body = False
        self._head_size = 0
        self._line_size = 0
        self._line_ended = False
        # Bytes of a chunked body since it last told something, and the most that may be.
        self._unheard = 0
        self._most_unheard = CHUNK_LINE
        self._left = 0
        self._counting = False
        self._body: list[bytes] = []
        self._trailers = 0
        self._heads = 0
        self._fed = 0  # at least as much as the head being read has had so far
        self._most_fields = 0
        self.method = b"-"
        self.target = b""
        self.headers: HeaderList = []
        self.in_head = False
        self.in_body = False
        self.between_requests = True
        self.has_more = False

    def begin(self, limits: ConnectionLimits, events: RequestEvents) -> None:
        """Read for a connection. Only what is new, or has been told to `end`."""
        self._limits = limits
        self._events = events
        self._most_fields = limits.fields or sys.maxsize

    def end(self) -> None:
        """Forget the connection, and all that was read of it. Only `between_requests`."""
        del self._events
        self._stopped = False
        self._framing = None
        self.method = b"-"
        self.target = b""
        self.headers = []

    def discard(self) -> None:
        """It is not used again: free it at once (llhttp's callbacks are its own methods)."""
        del self._parser

    def stop(self) -> None:
        """Read no further request; what follows is ignored. A body that has begun is still read."""
        self._stopped = True

    def feed(self, data: bytes) -> None:
        """Read the next bytes. Raises ClientError for what is no request, or too large."""
        if len(data) <= _CHUNKED_PIECE and not self._counting:
            self._parse(data)
        else:
            start = 0
            while start < len(data) and not (self._stopped and not self.in_body):
                if self._counting:
                    data = self._count(data[start:] if start else data)
                    start = 0
                    continue
                size = _CHUNKED_PIECE if self.in_body else _PIECE
                self.has_more = start + size < len(data)
                self._parse(data[start : start + size])
                start += size
            self.has_more = False
        if self.in_body:
            self._pass_on()

    def _parse(self, data: bytes) -> None:
        """Have llhttp read a piece that is not too long."""
        in_body = self.in_body
        if in_body:
            self._unheard += len(data)
        self._fed = self._fed + len(data) if self.in_head else len(data)
        heads = self._heads
        rest = data
        while rest:
            try:
                self._parser.feed_data(rest)
            except HttpParserUpgrade as upgrade:
                # llhttp takes `Upgrade: h2c` and the like for the beginning of a tunnel.
                self.between_requests = False
                rest = rest[upgrade.args[0] :]
                self._resume_after_upgrade()
                continue
            except HttpParserError as error:
                if self._stopped and not self.in_body:
                    return
                raise meaning_of(error, data) from None
            break
        if self.in_head:
            # What else is in the same piece belongs to earlier requests.
            alone = not in_body and heads == self._heads
            self._check_head_growth(data if alone else b"")
        elif self.in_body:
            if self._left > 0:
                self._pass_on()
                self._counting = True
            elif self._unheard > self._most_unheard + _LINE_ENDS:
                raise self._unheard_too_long()

    def _pass_on(self) -> None:
        """Tell of the chunks that came in one piece as one."""
        if self._body:
            data = b"".join(self._body)
            self._body.clear()
            self._events.body_read(data)

    def _count(self, data: bytes) -> bytes:
        """Pass on what of `data` belongs to the body whose length is known; the rest."""
        left = self._left
        self._left = max(left - len(data), 0)
        if self._left:
            self._events.body_read(data)
            return b""
        self._counting = False
        self._events.body_read(data if len(data) == left else data[:left])
        self.between_requests = self._parser.should_keep_alive()
        # The old one still waits for the body.
        self._parser = HttpRequestParser(self)
        self.in_body = False
        self._events.body_ended()
        return data[left:]

    # -- llhttp's callbacks --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._priming:
            return
        self.between_requests = False
        if self._stopped:
            raise _LastRequest
        self.method = b"-"
        self.target = b""
        self.headers = []
        self.in_head = True
        self._head_size = -1
        self._line_ended = False

    def on_url(self, part: bytes) -> None:
        if self._priming:
            return
        self.target = self.target + part if self.target else part
        if len(self.target) > self._limits.line:
            raise self._line_too_long()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:
            headers = self.headers
            headers.append((name.lower(), value.rstrip(b" \t")))
            if self._fed > self._limits.field_size:
                self._check_field(*headers[-1])
            if len(headers) > self._most_fields:
                raise HeadersTooLarge(f"over {self._most_fields} header fields")
        elif not self._priming:
            # Trailers are dropped, but counted: they must not run on for ever.
            self._check_field(name, value.rstrip(b" \t"))
            self._trailers += 1
            self._unheard = 0
            if self._trailers > self._most_fields:
                raise HeadersTooLarge(f"over {self._most_fields} trailer fields")

    def on_headers_complete(self) -> None:
        if self._priming:
            self._priming = False
            return
        self.in_head = False
        self._heads += 1
        parser = self._parser
        headers = self.headers
        self.method = method = parser.get_method()
        protocol = _PROTOCOLS.get(parser.get_http_version()) or b"HTTP/other"
        if len(method) + len(self.target) + len(protocol) + 2 > self._limits.line:
            raise self._line_too_long()
        if self._fed > self._limits.field_size:
            self._check_repeated(headers)
        framing = check_request_head(method, protocol, headers)
        if framing.kind is not BodyKind.NONE:
            self.in_body = True
            self._framing = framing
            self._unheard = 0
            self._most_unheard = CHUNK_LINE
            self._left = framing.length or 0
            self._body.clear()
            self._trailers = 0
            self._upgrade_body = parser.should_upgrade()
        self._events.head_read(protocol, framing)

    def on_chunk_header(self) -> None:
        # Trailers may follow, each of them a field; if it is data, `on_body` comes next.
        self._unheard = 0
        self._most_unheard = self._limits.field_size

    def on_body(self, data: bytes) -> None:
        if self.in_body:
            self._unheard = 0
            self._most_unheard = CHUNK_LINE
            self._left -= len(data)
            self._body.append(data)

    def on_message_complete(self) -> None:
        # It reads nothing more behind what it takes for the last request.
        self.between_requests = self._parser.should_keep_alive()
        if self.in_body and not self._upgrade_body:
            self._pass_on()
            self.in_body = False
            self._events.body_ended()

    # -- what llhttp does not do ---------------------------------------------------------------

    def _resume_after_upgrade(self) -> None:
        """Take llhttp out of its tunnel; if a body was declared, put it in front of that body."""
        if not self._upgrade_body:
            return
        assert self._framing is not None
        self._upgrade_body = False
        length = self._framing.length
        declared = (
            b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
        )
        self._parser = HttpRequestParser(self)
        self._priming = True
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + declared + b"\r\n\r\n")

    def _check_head_growth(self, data: bytes) -> None:
        """Bound a head that is not complete: the line that has not ended, and the whole.

        `data` is what is known to belong to it of what has just come.
        """
        limits = self._limits
        if self._head_size < 0:
            self._head_size = 0
            self._line_size = 0
            self._events.head_begun(len(data))
            data = data.lstrip(b"\r\n")
        self._head_size += len(data)
        end = data.rfind(b"\n")
        if end >= 0:
            self._line_ended = True
            self._line_size = len(data) - end - 1
        else:
            self._line_size += len(data)
        # One more, for the CR of a line's end.
        if not self._line_ended:
            if self._line_size > limits.line + 1:
                raise self._line_too_long()
        elif self._line_size > limits.field_size + 1:
            raise self._field_too_long()
        elif self._head_size > limits.line + (limits.fields or 1000) * limits.field_size:
            raise HeadersTooLarge("the header fields are too large together")

    def _check_field(self, name: bytes, value: bytes) -> None:
        if len(name) + len(value) + 2 > self._limits.field_size:
            raise self._field_too_long()

    def _check_repeated(self, headers: HeaderList) -> None:
        """Repeated fields become one: it is bounded as if it had come as one."""
        sizes: dict[bytes, int] = {}
        for name, value in headers:
            sizes[name] = sizes.get(name, len(name)) + len(value) + 2
        if max(sizes.values(), default=0) > self._limits.field_size:
            raise HeadersTooLarge(
                f"a repeated header field is over {self._limits.field_size} bytes in all"
            )

    def _unheard_too_long(self) -> ClientError:
        if self._most_unheard == CHUNK_LINE:
            return BadRequest(f"the line of a chunk's size is over {CHUNK_LINE} bytes")
        return self._field_too_long()

    def _line_too_long(self) -> TargetTooLong:
        return TargetTooLong(f"the request line is over {self._limits.line} bytes")

    def _field_too_long(self) -> HeadersTooLarge:
        return HeadersTooLarge(f"a header field is over {self._limits.field_size} bytes")
