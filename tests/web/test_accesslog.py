"""Access logs."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from scgiproxy.web.accesslog import AccessLogFile, escape, format_log_time
from tests.conftest import LoggedErrors

STARTED = 784111777.75  # Sun, 06 Nov 1994 08:49:37 GMT


@dataclass
class Answered:
    """A request that has been answered."""

    remote_addr: bytes = b"192.0.2.1"
    user: bytes | None = None
    started: float = STARTED
    original_method: bytes = b"GET"
    uri: bytes = b"/a?b"
    protocol: bytes = b"HTTP/1.1"
    status_sent: int = 200
    body_sent: int = 1234
    headers: dict[bytes, bytes] = field(default_factory=dict)

    def header(self, name: bytes) -> bytes | None:
        return self.headers.get(name)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Local time is what the test says, in POSIX form."""
    monkeypatch.setenv("TZ", getattr(request, "param", "UTC0"))
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC0", b"[06/Nov/1994:08:49:37 +0000]"),
        ("CET-1", b"[06/Nov/1994:09:49:37 +0100]"),
        ("XXX3:30", b"[06/Nov/1994:05:19:37 -0330]"),
        ("XXX-5:45", b"[06/Nov/1994:14:34:37 +0545]"),
    ],
    indirect=["zone"],
)
def test_the_time_is_local(zone: None, text: bytes) -> None:
    assert format_log_time(STARTED) == text


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        (b"plain /a?b=%20 ~", b"plain /a?b=%20 ~"),
        (b'"quoted" \\', rb"\"quoted\" \\"),
        (b"a\r\nb\tc\bd\ve", rb"a\r\nb\tc\bd\ve"),
        (b"\x00\x1b[31m\x7f", rb"\x00\x1b[31m\x7f"),
        ("é".encode(), rb"\xc3\xa9"),
    ],
)
def test_escaping_as_apache_does(value: bytes, escaped: bytes) -> None:
    """Its ap_escape_logitem."""
    assert escape(value) == escaped


@given(st.binary())
def test_nothing_ends_a_line_or_a_quoted_field(value: bytes) -> None:
    """And what was written can be told from the log."""
    escaped = escape(value)
    assert re.fullmatch(rb'(?:[ !#-\[\]-~]|\\["\\bnrtv]|\\x[0-9a-f]{2})*', escaped)
    assert escaped.decode("unicode_escape").encode("latin-1") == value


class Log:
    """A log in a folder of its own, and what is in the file."""

    def __init__(self, path: Path, style: str = "combined") -> None:
        self.path = path
        self.clock = Clock()
        self.file = AccessLogFile(str(path), style, self.clock)  # type: ignore[arg-type]

    def lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines(keepends=True)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path / "access.log")
    made.file.open()
    yield made
    made.file.close()
    assert made.clock.getDelayedCalls() == []


COMMON = b'192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] "GET /a?b HTTP/1.1" 200 1234'


@pytest.mark.parametrize(
    ("answered", "line"),
    [
        (Answered(), COMMON),
        (Answered(remote_addr=b""), COMMON.replace(b"192.0.2.1", b"-")),
        (Answered(user=b"al ice"), COMMON.replace(b"- -", b"- al ice")),
        (Answered(user=b'"\n'), COMMON.replace(b"- -", rb"- \"\n")),
        (Answered(user=b""), COMMON.replace(b"- -", b'- ""')),
        (Answered(body_sent=0), COMMON.replace(b"1234", b"-")),
        (Answered(uri=b'/"\xff'), COMMON.replace(b"/a?b", rb"/\"\xff")),
        (
            Answered(original_method=b"-", uri=b"", status_sent=400),
            COMMON.replace(b"GET /a?b HTTP/1.1", b"-").replace(b"200", b"400"),
        ),
        (
            Answered(status_sent=0, body_sent=0),
            COMMON.replace(b"200 1234", b"499 -"),
        ),
    ],
)
def test_the_common_format(tmp_path: Path, zone: None, answered: Answered, line: bytes) -> None:
    log = Log(tmp_path / "access.log", "common")
    assert log.file.line(answered) == line + b"\n"
    log.file.close()


@pytest.mark.parametrize(
    ("headers", "tail"),
    [
        ({}, b' "-" "-"'),
        ({b"referer": b"http://a/", b"user-agent": b"curl/8"}, b' "http://a/" "curl/8"'),
        ({b"user-agent": b'x" 200 1\r\n'}, rb' "-" "x\" 200 1\r\n"'),
    ],
)
def test_the_combined_format(
    log: Log, zone: None, headers: dict[bytes, bytes], tail: bytes
) -> None:
    assert log.file.line(Answered(headers=headers)) == COMMON + tail + b"\n"


def test_the_time_follows_the_requests(log: Log, zone: None) -> None:
    """It is formatted once a second, and never stale."""
    moments = (STARTED, STARTED + 0.2, STARTED + 1, STARTED)
    lines = [log.file.line(Answered(started=moment)) for moment in moments]
    assert [line[line.index(b"[") :][19:21] for line in lines] == [b"37", b"37", b"38", b"37"]


def test_lines_are_written_within_a_second(log: Log) -> None:
    log.file.log(Answered())
    log.file.log(Answered(status_sent=404))
    assert log.lines() == []
    assert len(log.clock.getDelayedCalls()) == 1
    log.clock.advance(1)
    assert [line.split()[8] for line in log.lines()] == [b"200", b"404"]
    log.clock.advance(10)
    assert log.clock.getDelayedCalls() == []


def test_many_lines_are_written_at_once(log: Log) -> None:
    line = b"x" * 1023 + b"\n"
    for _ in range(64):
        log.file.write(line)
    assert log.lines() == [line] * 64
    assert log.clock.getDelayedCalls() == []


def test_it_appends(log: Log) -> None:
    log.path.write_bytes(b"old\n")
    log.file.write(b"new\n")
    log.file.flush()
    assert log.lines() == [b"old\n", b"new\n"]


def test_closing_writes_what_is_left(log: Log) -> None:
    log.file.write(b"last\n")
    log.file.close()
    log.file.write(b"too late\n")
    log.file.close()
    assert log.lines() == [b"last\n"]
    log.file.open()
    log.file.write(b"opened again\n")
    log.file.close()
    assert log.lines() == [b"last\n", b"opened again\n"]


def test_rotation(log: Log) -> None:
    """A file that was moved away is made anew with the next lines, without being told to."""
    log.file.write(b"before\n")
    log.file.flush()
    moved = log.path.rename(log.path.with_suffix(".1"))
    log.file.write(b"after\n")
    log.file.flush()
    assert moved.read_bytes() == b"before\n"
    assert log.lines() == [b"after\n"]


class TestTrouble:
    def test_a_file_that_cannot_be_opened(
        self, tmp_path: Path, logged_errors: LoggedErrors
    ) -> None:
        """One error that names it; it is written to as soon as that is possible."""
        log = Log(tmp_path / "none" / "access.log")
        for _ in range(3):
            log.file.write(b"lost\n")
            log.file.flush()
        (event,) = logged_errors.flush()
        assert event["path"] == str(log.path)
        assert event["reason"] == "No such file or directory"
        log.path.parent.mkdir()
        log.file.write(b"kept\n")
        log.file.flush()
        assert log.lines() == [b"kept\n"]
        log.path.unlink()
        log.path.parent.rmdir()
        log.file.write(b"into the file without a name\n")
        log.file.flush()
        assert len(logged_errors.flush()) == 1
        log.file.close()

    def test_a_full_disk(
        self, log: Log, logged_errors: LoggedErrors, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A line that was cut is ended before the next one begins."""
        real = os.write
        free = [4, 1]

        def limited(fd: int, data: memoryview) -> int:
            if not free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(fd, data[: free.pop(0)])

        monkeypatch.setattr(os, "write", limited)
        for line in (b"first line\n", b"lost\n"):
            log.file.write(line)
            log.file.flush()
        (event,) = logged_errors.flush()
        assert event["reason"] == "No space left on device"
        monkeypatch.undo()
        log.file.write(b"next line\n")
        log.file.flush()
        assert log.lines() == [b"first\n", b"next line\n"]

    def test_a_fifo_that_nobody_reads(self, tmp_path: Path, logged_errors: LoggedErrors) -> None:
        """It does not stop the server."""
        os.mkfifo(tmp_path / "fifo")
        log = AccessLogFile(str(tmp_path / "fifo"), "common", Clock())
        with pytest.raises(OSError, match="No such device"):
            log.open()
        log.write(b"lost\n")
        log.flush()
        assert len(logged_errors.flush()) == 1
        log.close()
