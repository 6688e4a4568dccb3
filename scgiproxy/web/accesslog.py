"""Access logs: Apache's common and combined formats, written in the background (CustomLog)."""

from __future__ import annotations

import re
import time
from typing import Literal, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from scgiproxy.errors import ClientGone
from scgiproxy.log.file import LogFile
from scgiproxy.message.conditions import MONTHS

_FLUSH_SIZE = 64 * 1024
_FLUSH_DELAY = 1.0

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

    Lines are kept until there are 64 KiB of them, or for a second, and then appended to a
    `LogFile`: one that is moved away is made anew, so log rotation needs no signal. (SIGUSR1 is
    twistd's own: it rotates twistd's log.) A file that cannot be written (a full disk) is told once
    in Twisted's log; its lines are lost, requests go on. `file` is that file.
    """

    def __init__(self, path: str, format: LogFormat, reactor: IReactorTime) -> None:  # noqa: A002
        self.path = path
        self._combined = format == "combined"
        self._reactor = reactor
        self.file = LogFile(path, "access log")
        self._lines: list[bytes] = []
        self._size = 0
        self._flushing: IDelayedCall | None = None
        self._closed = False
        self._second = -1
        self._time = b""

    def open(self) -> None:
        """Open the file; without this, when it is first written to. Undoes `close`.

        Raises OSError.
        """
        self.file.open()
        self._closed = False

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
        self.file.append(data)

    def close(self) -> None:
        """Write what is kept, and close. Again is harmless."""
        self.flush()
        self.file.close()
        self._closed = True
