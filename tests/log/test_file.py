"""A file that lines are appended to. How it fails is in the tests of the access log, too."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from scgiproxy.log.file import LogFile
from tests.conftest import LoggedErrors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


@pytest.fixture
def file(path: Path) -> Iterator[LogFile]:
    made = LogFile(str(path), "error log")
    yield made
    made.close()


def test_nothing_is_opened_before_it_is_wanted(file: LogFile, path: Path) -> None:
    assert not path.exists()
    file.open()
    assert path.read_bytes() == b""


def test_appending_opens_it(file: LogFile, path: Path) -> None:
    path.write_bytes(b"old\n")
    file.append(b"new\n")
    assert path.read_bytes() == b"old\nnew\n"


def test_lines_are_there_at_once(file: LogFile, path: Path) -> None:
    file.open()
    for number in range(3):
        file.append(b"%d\n" % number)
        assert path.read_bytes().count(b"\n") == number + 1


def test_opening_again_does_nothing(file: LogFile, path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    file.open()
    file.open()
    assert len(os.listdir("/proc/self/fd")) == before + 1  # noqa: PTH208
    file.close()
    file.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_it_is_not_for_everybody_to_write_to(file: LogFile, path: Path) -> None:
    file.open()
    assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_rotation(how: str, file: LogFile, path: Path) -> None:
    """However the name has ceased to lead to the file, the next line is where the name leads."""
    file.append(b"before\n")
    old = path.with_suffix(".1")
    if how == "removed":
        path.unlink()
    else:
        path.rename(old)
    if how == "replaced":
        path.write_bytes(b"made by somebody else\n")
    file.append(b"after\n")
    assert path.read_bytes().splitlines()[-1] == b"after"
    assert how == "removed" or old.read_bytes() == b"before\n"


def test_a_file_that_cannot_be_made_anew(
    file: LogFile, path: Path, logged_errors: LoggedErrors
) -> None:
    """The moved one is written on, which is told once; as soon as it can be made, it is."""
    file.append(b"before\n")
    moved = path.parent.rename(path.parent.with_name("elsewhere")) / path.name
    for number in range(3):
        file.append(b"%d\n" % number)
    assert moved.read_bytes() == b"before\n0\n1\n2\n"
    (event,) = logged_errors.flush()
    assert event["what"] == "was moved, and cannot be made anew"
    assert event["reason"] == "No such file or directory"
    path.parent.mkdir()
    file.append(b"after\n")
    assert path.read_bytes() == b"after\n"


def test_a_folder_that_cannot_be_looked_into(
    file: LogFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when rights were given up after the file was opened: it is written on."""
    file.append(b"before\n")

    def refuse(name: str) -> os.stat_result:
        raise PermissionError(13, "Permission denied", name)

    with monkeypatch.context() as patch:
        patch.setattr("scgiproxy.log.file.os.stat", refuse)
        file.append(b"after\n")
    assert path.read_bytes() == b"before\nafter\n"


def test_opening_says_why_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        LogFile(str(tmp_path), "error log").open()
