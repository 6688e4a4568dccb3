"""LogLevel, ErrorLog, CustomLog as other servers' files have them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Literal

import pytest

from scgiproxy.rules.settings import AccessLog
from tests.config.loading import errors_of, load, notes_of


def test_levels_of_modules_do_nothing() -> None:
    config = load("LogLevel info ssl:debug rewrite:trace8")
    assert config.log_level == "info"
    assert [note.message for note in config.notes] == [
        "LogLevel: ssl:debug does nothing: there is one level"
    ]
    assert load("LogLevel ssl:debug").log_level == "warn"
    assert "expected a level" in errors_of("LogLevel :debug")[0]


def test_a_level_inside_a_section_does_nothing() -> None:
    text = "<Location />\nLogLevel debug\n</Location>"
    assert "does nothing inside a section" in notes_of(text)[0]
    assert load(text).log_level == "warn"


@pytest.mark.parametrize("word", ["syslog", "syslog:local7", '"|/usr/bin/rotatelogs x 86400"'])
def test_logs_that_are_no_files(word: str) -> None:
    """Accepted with a warning; twistd's own log takes its place."""
    config = load(f"ErrorLog {word}\nCustomLog {word} combined")
    assert config.error_log is None
    assert config.main.server.access_logs == ()
    assert ["is not supported" in note.message for note in config.notes] == [True, True]


def test_a_log_below_server_root(tmp_path: Path) -> None:
    config = load("ErrorLog error.log", server_root=tmp_path)
    assert config.error_log == f"{tmp_path}/error.log"
    assert "is a directory" in errors_of(f"ErrorLog {tmp_path}")[0]


@pytest.mark.parametrize(
    ("definition", "name", "notes"),
    [
        (r'"%h %l %u %t \"%r\" %>s %b"', "common", 0),
        (r'"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""', "combined", 0),
        (r'"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-agent}i\""', "combined", 0),
        ('"%v"', "combined", 1),
    ],
)
def test_formats(
    tmp_path: Path, definition: str, name: Literal["common", "combined"], notes: int
) -> None:
    """A name that stands for one of the two known formats is that one."""
    config = load(f"LogFormat {definition} x\nCustomLog {tmp_path}/l x")
    assert config.main.server.access_logs == (AccessLog(f"{tmp_path}/l", name),)
    assert len(config.notes) == notes


def test_a_condition_of_a_log_does_nothing(tmp_path: Path) -> None:
    (note,) = notes_of(f"CustomLog {tmp_path}/l common env=!quiet")
    assert "every request is logged" in note


def test_a_format_without_a_name() -> None:
    assert "does nothing without a name" in notes_of("LogFormat %h")[0]


def test_logs_in_a_folder_that_may_not_be_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were opened at the start, with more rights than a reload has."""
    files = [tmp_path / "access.log", tmp_path / "error.log"]
    stat = Path.stat

    def denied(self: Path, **options: bool) -> os.stat_result:
        if self in files:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", denied)
    config = load("CustomLog {} common\nErrorLog {}".format(*files))
    assert config.error_log == str(files[1])
