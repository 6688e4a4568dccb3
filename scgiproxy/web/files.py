"""Files on disk: opening one that lies beneath a root, and answering a request with it.

`open_beneath` and `send_file` are what X-Sendfile (`web.sendfile`) and static files (`web.static`)
share. Opening and reading are done in the reactor thread: both are short, and a read is bounded.
"""

from __future__ import annotations

import errno
import mimetypes
import os
import secrets
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

from scgiproxy.errors import Forbidden, GatewayError, NotFound
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
from scgiproxy.web.filecontent import FileContent, FileContentSender

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

# O_PATH needs no more than search permission, which is what a path lookup needs.
_OPEN_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MISSING = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG))
_REFUSED = frozenset((errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.ENODEV))

_ENCODED_TYPES = {
    "gzip": "application/gzip",
    "compress": "application/x-compress",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
}

Refuse = Callable[[IGatewayRequest, int, HeaderList], None]
"""How a status is answered that is no file: the page for it, with these headers besides."""


class IsDirectory(Forbidden):
    """The path names a directory."""


class OpenedFile:
    """A regular file, open for reading. Whoever holds it closes it.

    `path` is the real path, for the log and the extension; `status` is what ``fstat`` said.
    """

    __slots__ = ("fd", "path", "status")

    def __init__(self, fd: int, path: str, status: os.stat_result) -> None:
        self.fd = fd
        self.path = path
        self.status = status

    @property
    def size(self) -> int:
        """Bytes, when it was opened."""
        return self.status.st_size

    def close(self) -> None:
        """Close it. Again is harmless."""
        if self.fd >= 0:
            # First forgotten, so that nothing ever reads from a number that was given away anew.
            fd, self.fd = self.fd, -1
            os.close(fd)


def open_beneath(roots: Sequence[str], path: bytes | str) -> OpenedFile:
    """Open the regular file at the absolute `path` if it really is, or lies beneath, a root.

    Symlinks are resolved first, in the path and in the roots. Then the result is opened component
    by component without following any, so that nothing can be swapped between check and opening.

    Raises `Forbidden` for what lies elsewhere (existing or not), is relative, has ``..`` or NUL,
    is not readable or no regular file (`IsDirectory` for a directory); `NotFound` for what is
    missing; `GatewayError` where the system cannot open any file now.
    """
    name = os.fsdecode(path)
    shown = ascii(name)
    if "\0" in name or not name.startswith("/") or name.startswith("//"):
        raise Forbidden(f"{shown} is not an absolute path")
    if ".." in name.split("/"):
        raise Forbidden(f"{shown} has '..' in it")
    real = os.path.realpath(name)
    for root in map(os.path.realpath, roots):
        if real == root:
            root, last = os.path.split(real)
            components = [last or "."]
            break
        beneath = root if root.endswith("/") else root + "/"
        if real.startswith(beneath):
            components = real[len(beneath) :].split("/")
            break
    else:
        raise Forbidden(f"{shown} is outside the folders that files may be sent from")
    try:
        fd, status = _open_components(root, components, shown)
    except OSError as error:
        _refuse(error, shown)
    if name.endswith("/"):
        os.close(fd)
        raise NotFound(f"{shown} is a file, and no directory")
    return OpenedFile(fd, real, status)


def _open_components(
    root: str, components: Sequence[str], shown: str
) -> tuple[int, os.stat_result]:
    """Open a regular file by a path that has no symlink in it, and say what was opened."""
    directory = os.open(root, _OPEN_DIRECTORY)
    try:
        for component in components[:-1]:
            inner = os.open(component, _OPEN_DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        last = components[-1]
        # Opening is not harmless for everything: a FIFO wakes its writer, a tape rewinds.
        _check_regular(os.stat(last, dir_fd=directory, follow_symlinks=False), shown)
        fd = os.open(last, _OPEN_FILE, dir_fd=directory)
    finally:
        os.close(directory)
    status = os.fstat(fd)
    try:
        _check_regular(status, shown)
    except BaseException:
        os.close(fd)
        raise
    return fd, status


def _check_regular(status: os.stat_result, shown: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsDirectory(f"{shown} is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise Forbidden(f"{shown} is no regular file")


def _refuse(error: OSError, shown: str) -> NoReturn:
    if error.errno in _MISSING:
        raise NotFound(f"there is no file {shown}") from error
    if error.errno in _REFUSED:
        raise Forbidden(f"{shown} cannot be read: {error.strerror}") from error
    raise GatewayError(f"{shown} cannot be opened: {error.strerror}") from error


def content_type(path: str) -> bytes:
    """The media type that the extension of `path` stands for, by the system's table.

    What is compressed is served as what it is, not as what is in it; an unknown extension is
    ``application/octet-stream``, so that no browser guesses a page out of an upload.
    """
    kind, encoding = _types().guess_type("/" + path.rpartition("/")[2], strict=False)
    if encoding is not None:
        kind = _ENCODED_TYPES.get(encoding)
    return (kind or "application/octet-stream").encode("ascii")


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
    refuse: Refuse = answer_page,
    now: Callable[[], float] = time.time,
) -> None:
    """Answer with a file, and close it, whatever happens.

    `headers` are kept; the Content-Type, ETag, Last-Modified and Accept-Ranges among them stand
    for those of the file, in conditions too. Ranges and conditions count for GET and HEAD with
    status 200 only; any other status sends the whole file. `refuse` answers a 412 or 416. `now` is
    the wall clock. A file that shrinks while it is sent ends in `request.abort`. If the client
    leaves, the file is closed in that turn. Raises `GatewayError`, before anything is sent, if a
    small file cannot be read.
    """
    try:
        answer = _prepare(request, opened, _without(headers, _FRAMING), status, reason, now())
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
        FileContentSender(request, opened.close).send(body)
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
    kind = given.get(b"content-type")
    if kind is None:
        kind = content_type(opened.path)
        headers.append((b"Content-Type", kind))
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
