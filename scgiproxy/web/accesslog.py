"""Access logs: Apache's common and combined formats, written in the background (CustomLog)."""

from __future__ import annotations

import os
import re
import time
from typing import Literal, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from scgiproxy.errors import ClientGone
from scgiproxy.message.conditions import MONTHS

_FLUSH_SIZE = 64 * 1024
_FLUSH_DELAY = 1.0

# Not blocking: a FIFO without a reader is an error, and no reason to stand still.
_OPEN = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK

_UNSAFE = re.compile(rb"[^ !#-\[\]-~]")
_ESCAPES = {bytes((code,)): b"\\x%02x" % code for code in range(256)} | {
    b"\b": rb"\b",
    b"\n": rb"\n",
    b"\r": rb"\r",
    b"\t": rb"\t",
    b"\v": rb"\v",
    b'"': rb"\"",
    b"\\": rb"\\",
}

LogFormat = Literal["common", "combined"]


class AnsweredRequest(Protocol):
    """What is logged of a request; `web.request.GatewayRequest` is one."""

    @property
    def remote_addr(self) -> bytes:
        """Empty on a UNIX socket."""

    @property
    def user(self) -> bytes | None: ...

    @property
    def started(self) -> float:
        """Seconds since the epoch."""

    @property
    def original_method(self) -> bytes:
        """As the client sent it; ``-`` for a request that could not be parsed."""

    @property
    def uri(self) -> bytes: ...

    @property
    def protocol(self) -> bytes: ...

    @property
    def status_sent(self) -> int:
        """0 if the client left before there was one."""

    @property
    def body_sent(self) -> int: ...

    def header(self, name: bytes) -> bytes | None: ...


def escape(value: bytes) -> bytes:
    """As Apache escapes log items: quotes, backslashes, controls and what is not ASCII.

    Nothing that a client sends can end a line or a quoted field.
    """
    if _UNSAFE.search(value) is None:
        return value
    return _UNSAFE.sub(lambda match: _ESCAPES[match[0]], value)


def format_log_time(seconds: float) -> bytes:
    """``[06/Nov/1994:09:49:37 +0100]``, in local time (%t)."""
    moment = time.localtime(seconds // 1)
    offset = moment.tm_gmtoff // 60
    hours, minutes = divmod(abs(offset), 60)
    return b"[%02d/%s/%04d:%02d:%02d:%02d %s%02d%02d]" % (
        *(moment.tm_mday, MONTHS[moment.tm_mon - 1], moment.tm_year),
        *(moment.tm_hour, moment.tm_min, moment.tm_sec),
        *(b"-" if offset < 0 else b"+", hours, minutes),
    )


class AccessLogFile:
    """One access log.

    Lines are kept until there are 64 KiB of them, or for a second. A file that cannot be opened
    or written to (a full disk) is told once in the error log; its lines are lost, requests go on,
    and it is tried again with each flush.
    """

    _log = Logger()

    def __init__(self, path: str, format: LogFormat, reactor: IReactorTime) -> None:  # noqa: A002
        self.path = path
        self._combined = format == "combined"
        self._reactor = reactor
        self._lines: list[bytes] = []
        self._size = 0
        self._flushing: IDelayedCall | None = None
        self._fd = -1
        self._failing = False
        self._torn = False
        self._closed = False
        self._second = -1
        self._time = b""
        self._open()

    def log(self, request: AnsweredRequest) -> None:
        """Write one line about a request that has been answered, or given up."""
        self.write(self.line(request))

    def line(self, request: AnsweredRequest) -> bytes:
        """The line: ``%h %l %u %t "%r" %>s %b``, and for combined the Referer and User-Agent."""
        second = int(request.started)
        if second != self._second:
            self._second = second
            self._time = format_log_time(second)
        method, user, sent = request.original_method, request.user, request.body_sent
        called = (
            b"-"
            if method == b"-"
            else escape(b"%s %s %s" % (method, request.uri, request.protocol))
        )
        line = b'%s - %s %s "%s" %d %s' % (
            request.remote_addr or b"-",
            b"-" if user is None else escape(user) or b'""',
            self._time,
            called,
            request.status_sent or ClientGone.status,
            b"%d" % sent if sent else b"-",
        )
        if not self._combined:
            return line + b"\n"
        return b'%s "%s" "%s"\n' % (
            line,
            escape(request.header(b"referer") or b"-"),
            escape(request.header(b"user-agent") or b"-"),
        )

    def write(self, line: bytes) -> None:
        """Take a line (with its line end) to be written soon; after `close` it is dropped."""
        if self._closed:
            return
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _FLUSH_SIZE:
            self.flush()
        elif self._flushing is None:
            self._flushing = self._reactor.callLater(_FLUSH_DELAY, self.flush)

    def flush(self) -> None:
        """Write what is kept, now."""
        if self._flushing is not None:
            flushing, self._flushing = self._flushing, None
            if flushing.active():
                flushing.cancel()
        if not self._lines:
            return
        data = b"".join(self._lines)
        self._lines.clear()
        self._size = 0
        if self._fd >= 0 or self._open():
            self._write(data)

    def reopen(self) -> None:
        """Open the file anew, by its name: it has been moved away (log rotation)."""
        self.flush()
        self._close_file()
        if not self._closed:
            self._open()

    def close(self) -> None:
        """Write what is kept, and close. Again is harmless."""
        self.flush()
        self._close_file()
        self._closed = True

    def _open(self) -> bool:
        try:
            self._fd = os.open(self.path, _OPEN, 0o644)
        except OSError as error:
            self._tell(error)
            return False
        return True

    def _write(self, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            written = len(data) - len(view)
            if written:
                self._torn = data[written - 1] != 0x0A
            self._tell(error)
        else:
            self._torn = False
            if self._failing:
                self._failing = False
                self._log.info("access log {path} is written again", path=self.path)

    def _tell(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            self._log.error(
                "access log {path} cannot be written: {reason}; lines are lost until it can",
                path=self.path,
                reason=error.strerror,
            )

    def _close_file(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
            self._torn = False
