"""Answering a request with a file: conditions, ranges, validators, media type.

`send_file` is what X-Sendfile (`web.sendfile`) and static files (`web.static`) share.
"""

from __future__ import annotations

import mimetypes
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scgiproxy.interfaces import IGatewayRequest
from scgiproxy.message.conditions import (
    Precondition,
    Validators,
    evaluate_conditions,
    format_http_date,
    if_range_holds,
    parse_etag,
    parse_http_date,
)
from scgiproxy.message.headers import HeaderList
from scgiproxy.message.ranges import ByteRange, content_range, multipart_byteranges, parse_range
from scgiproxy.web.errorpage import answer_page
from scgiproxy.web.filecontent import FileContent
from scgiproxy.web.filesender import send_content
from scgiproxy.web.openfile import OpenedFile

_AT_ONCE = 16 * 1024
"""Bytes; a body up to this size leaves together with the head, without a producer."""

_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
_PART = frozenset((b"content-range",))
_TYPE = frozenset((b"content-type",))
_REPRESENTATION = _FRAMING | {
    *(b"accept-ranges", b"content-disposition", b"content-encoding", b"content-language"),
    *(b"content-range", b"content-type"),
}
"""Headers that describe a body; a 304 has none of it (RFC 9110 section 15.4.5)."""
_OF_THE_FILE = _REPRESENTATION | {b"cache-control", b"etag", b"expires", b"last-modified"}
"""Headers that an error page instead of the file does not have."""

_ENCODED_TYPES = {
    "gzip": "application/gzip",
    "compress": "application/x-compress",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
}

Refuse = Callable[[Any, int, HeaderList], None]
"""How a status is answered that is no file: with the page for it, and these headers besides.

It gets the request that it was passed with.
"""


def content_type(path: str, default: bytes | None = None) -> bytes:
    """The media type that the extension of `path` stands for, by the system's table.

    What is compressed is served as what it is, not as what is in it; no or an unknown extension is
    `default`, or else ``application/octet-stream``, so that no browser guesses a page out of an
    upload.
    """
    kind, encoding = _types().guess_type("/" + path.rpartition("/")[2], strict=False)
    if encoding is not None:
        kind, default = _ENCODED_TYPES.get(encoding), None
    return kind.encode("ascii") if kind is not None else default or b"application/octet-stream"


@cache
def _types() -> mimetypes.MimeTypes:
    return mimetypes.MimeTypes([name for name in mimetypes.knownfiles if Path(name).is_file()])


def send_file(
    request: IGatewayRequest,
    opened: OpenedFile,
    *,
    headers: HeaderList,
    status: int = 200,
    reason: bytes | None = None,
    default_type: bytes | None = None,
    refuse: Refuse = answer_page,
    now: Callable[[], float] = time.time,
) -> None:
    """Answer with a file, and close it, whatever happens.

    `headers` are kept; the Content-Type, ETag, Last-Modified and Accept-Ranges among them stand
    for those of the file, in conditions too. Ranges and conditions count for GET and HEAD with
    status 200 only; any other status sends the whole file. `default_type` is the Content-Type of a
    file whose extension says none (see `content_type`). `refuse` answers a 412 or 416. `now` is
    the wall clock. A file that shrinks while it is sent ends in `request.abort`. If the client
    leaves, the file is closed in that turn. Raises `GatewayError`, before anything is sent, if a
    small file cannot be read.
    """
    try:
        headers = _without(headers, _FRAMING)
        if not any(name.lower() == b"content-type" for name, _ in headers):
            headers.append((b"Content-Type", content_type(opened.path, default_type)))
        answer = _prepare(request, opened, headers, status, reason, now())
        if answer.refused:
            opened.close()
            refuse(request, answer.status, answer.headers)
            return
        bodiless = request.method == b"HEAD" or answer.length is None
        body = FileContent(opened.fd, opened.path, () if bodiless else answer.pieces)
        at_once = body.read_all() if body.length <= _AT_ONCE else None
        request.send_head(answer.status, answer.reason, answer.headers, answer.length)
    except BaseException:
        opened.close()
        raise
    if at_once is None:
        send_content(request, body, opened.close)
        return
    opened.close()
    if at_once:
        request.write(at_once)
    request.finish()


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    reason: bytes | None
    headers: HeaderList
    pieces: Sequence[bytes | ByteRange] = ()
    refused: bool = False

    @property
    def length(self) -> int | None:
        """Of the body as announced; a 204 or 304 announces none."""
        if self.status in (204, 304):
            return None
        return sum(
            len(piece) if isinstance(piece, bytes) else piece.length for piece in self.pieces
        )


def _prepare(
    request: IGatewayRequest,
    opened: OpenedFile,
    headers: HeaderList,
    status: int,
    reason: bytes | None,
    now: float,
) -> _Answer:
    """Which answer it is to be: the conditions, then the ranges."""
    size = opened.size
    whole = (ByteRange(0, size),) if size else ()
    given = {name.lower(): value for name, value in headers}
    kind = given[b"content-type"]
    if status != 200 or request.method not in (b"GET", b"HEAD"):
        return _Answer(status, reason, headers, whole)

    headers = _without(headers, _PART)
    validators = _add_validators(headers, given, opened.status, now)
    ranges_refused = given.get(b"accept-ranges", b"").strip().lower() == b"none"
    if b"accept-ranges" not in given:
        headers.append((b"Accept-Ranges", b"bytes"))

    outcome = evaluate_conditions(request.method, request.header, validators)
    if outcome is Precondition.NOT_MODIFIED:
        return _Answer(304, None, _without(headers, _REPRESENTATION))
    if outcome is Precondition.FAILED:
        return _Answer(412, None, _without(headers, _OF_THE_FILE), refused=True)

    wanted = request.header(b"range") if request.method == b"GET" else None
    if (
        wanted is None
        or ranges_refused
        or not if_range_holds(request.header(b"if-range"), validators)
    ):
        return _Answer(status, reason, headers, whole)
    ranges = parse_range(wanted, size)
    if ranges is None:
        return _Answer(status, reason, headers, whole)
    if not ranges:
        headers = _without(headers, _OF_THE_FILE)
        headers.append((b"Content-Range", content_range(None, size)))
        return _Answer(416, None, headers, refused=True)
    if len(ranges) == 1:
        headers.append((b"Content-Range", content_range(ranges[0], size)))
        return _Answer(206, None, headers, ranges)
    boundary = secrets.token_hex(16).encode("ascii")
    headers = _without(headers, _TYPE)
    headers.append((b"Content-Type", b"multipart/byteranges; boundary=" + boundary))
    return _Answer(206, None, headers, multipart_byteranges(ranges, size, kind, boundary))


def _add_validators(
    headers: HeaderList, given: dict[bytes, bytes], status: os.stat_result, now: float
) -> Validators:
    """What the backend says of the file, and what it does not say, added to `headers`."""
    etag: bytes | None
    if (value := given.get(b"etag")) is not None:
        etag = parse_etag(value)
    else:
        # Apache's default, FileETag MTime Size. A file written to within the last second can be
        # written to again without its time showing it, so the tag is weak until then.
        etag = b'"%x-%x"' % (status.st_size, status.st_mtime_ns)
        if now - status.st_mtime < 1:
            etag = b"W/" + etag
        headers.append((b"ETag", etag))
    modified: int | None
    if (value := given.get(b"last-modified")) is not None:
        modified = parse_http_date(value)
    else:
        # Never in the future (RFC 9110 section 8.8.2.1).
        modified = int(max(0, min(status.st_mtime, now)))
        headers.append((b"Last-Modified", format_http_date(modified)))
    return Validators(etag, modified)


def _without(headers: HeaderList, names: frozenset[bytes]) -> HeaderList:
    return [item for item in headers if item[0].lower() not in names]
