"""A parser of requests that is slow and easy to check: RFC 9112, section by section.

It is for counting: whoever sees more requests in a stream than it does has been smuggled one. It
wants the whole stream at once, has no limits, and takes of what a recipient may do only what the
gateway says it does (blanks of a request line count as one; CR and LF before it are skipped; RTSP
and ICE are read as HTTP).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_EMPTY_LINES = re.compile(rb"[\r\n]*")
_LINE = re.compile(rb"([^\r\n]*)\r\n")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([!-~]+) +(?:HTTP|RTSP|ICE)/(1\.[01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t -~\x80-\xff]*?)[\t ]*")
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)(?:;[\t -~\x80-\xff]*)?")


@dataclass
class Request:
    """One request. `body` as far as it is there; `complete` says whether that is all of it."""

    method: bytes
    target: bytes
    body: bytes = b""
    complete: bool = False


@dataclass
class Stream:
    """What is in a stream: its requests in order, the last of them maybe cut short.

    - `malformed`: behind them is what is no request.
    - `rest`: behind them is what may become one.
    - `longest`: bytes of the longest line of a chunk's size.
    """

    requests: list[Request]
    malformed: bool = False
    rest: bool = False
    longest: int = 0


class _Malformed(Exception):
    pass


class _Cut(Exception):
    """The stream ends within what is being read."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.stream = Stream([])

    def line(self) -> bytes:
        found = _LINE.match(self.data, self.at)
        if found is not None:
            self.at = found.end()
            return found[1]
        rest = self.data[self.at :]
        if b"\n" in rest or b"\r" in rest[:-1]:
            raise _Malformed
        raise _Cut

    def take(self, size: int) -> bytes:
        taken = self.data[self.at : self.at + size]
        self.at += len(taken)
        return taken

    def fields(self) -> dict[bytes, list[bytes]]:
        found: dict[bytes, list[bytes]] = {}
        while line := self.line():
            field = _FIELD.fullmatch(line)
            if field is None:
                raise _Malformed
            found.setdefault(field[1].lower(), []).append(field[2])
        return found

    def request(self) -> bool:
        """Read one; whether another may follow."""
        request_line = _REQUEST_LINE.fullmatch(self.line())
        if request_line is None:
            raise _Malformed
        method, target, version = request_line.groups()
        fields = self.fields()
        hosts = fields.get(b"host", [])
        if len(hosts) > 1 or (not hosts and version == b"1.1"):
            raise _Malformed
        codings = fields.get(b"transfer-encoding")
        lengths = fields.get(b"content-length")
        if codings is not None and (
            version == b"1.0" or lengths is not None or [c.lower() for c in codings] != [b"chunked"]
        ):
            raise _Malformed
        if lengths is not None and (len(lengths) > 1 or not re.fullmatch(rb"[0-9]+", lengths[0])):
            raise _Malformed
        request = Request(method, target)
        self.stream.requests.append(request)
        if codings is not None:
            self.chunks(request)
        elif lengths is not None:
            # As good as any larger one; int() takes no more than some thousand digits.
            size = int(lengths[0].lstrip(b"0")[:40] or b"0")
            request.body = self.take(size)
            if len(request.body) < size:
                raise _Cut
        request.complete = True
        options = b",".join(fields.get(b"connection", [])).lower().split(b",")
        words = [option.strip(b"\t ") for option in options]
        return b"close" not in words and (version == b"1.1" or b"keep-alive" in words)

    def chunks(self, request: Request) -> None:
        while True:
            start = self.at
            try:
                line = self.line()
            finally:
                self.stream.longest = max(
                    self.stream.longest, len(self.data[start:].split(b"\n")[0])
                )
            chunk = _CHUNK.fullmatch(line)
            if chunk is None:
                raise _Malformed
            size = int(chunk[1], 16)
            if not size:
                self.fields()
                return
            data = self.take(size)
            request.body += data
            if len(data) < size:
                raise _Cut
            end = self.take(2)
            if end != b"\r\n":
                raise _Cut if b"\r\n".startswith(end) else _Malformed


def parse(data: bytes) -> Stream:
    """What is in `data`, the whole of a stream so far."""
    reader = _Reader(data)
    stream = reader.stream
    try:
        while True:
            skipped = _EMPTY_LINES.match(data, reader.at)
            assert skipped is not None
            reader.at = skipped.end()
            if reader.at == len(data) or not reader.request():
                return stream
    except _Malformed:
        stream.malformed = True
    except _Cut:
        stream.rest = True
    return stream
