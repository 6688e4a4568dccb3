"""A file that is the old one or the new one, whatever happens."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from scgiproxy.service.statefile import MAX_SIZE, StateFile

STEPS = ("open", "write", "fsync", "close", "replace")


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


class Disk:
    """The system's calls, of which the one with number `fatal` raises `error`."""

    def __init__(self, patch: pytest.MonkeyPatch, fatal: int, error: BaseException) -> None:
        self.calls: list[str] = []
        self._fatal = fatal
        self._error = error
        for name in STEPS:
            patch.setattr(os, name, self._failing(name, getattr(os, name)))

    def _failing(self, name: str, function: Any) -> Any:
        def call(*words: Any, **named: Any) -> Any:
            self.calls.append(name)
            if len(self.calls) - 1 == self._fatal:
                if name == "write":
                    function(words[0], words[1][: len(words[1]) // 2])
                raise self._error
            return function(*words, **named)

        return call


def calls_of_a_write(folder: Path) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, -1, Killed())
        StateFile(folder / "counted").write(b"new")
    return disk.calls


def test_how_it_is_written(tmp_path: Path) -> None:
    """What is in it is on the disk before it gets its name, and the name is then."""
    assert calls_of_a_write(tmp_path) == [
        *("open", "write", "fsync", "close", "replace"),
        *("open", "fsync", "close"),
    ]


@pytest.mark.parametrize("step", range(8))
def test_killed_at_any_step(tmp_path: Path, step: int) -> None:
    """The file is whole, and the next write works, whatever is left lying about."""
    file = StateFile(tmp_path / "state")
    file.write(b"old")
    with pytest.MonkeyPatch.context() as patch:
        Disk(patch, step, Killed())
        with pytest.raises(Killed):
            file.write(b"new")
    assert StateFile(tmp_path / "state").read() == (b"old" if step <= 4 else b"new")
    StateFile(tmp_path / "state").write(b"newer")
    assert StateFile(tmp_path / "state").read() == b"newer"
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_at_any_step(tmp_path: Path, step: int, number: int) -> None:
    """It is told, nothing is left lying about, and the file is whole."""
    file = StateFile(tmp_path / "state")
    file.write(b"old")
    with pytest.MonkeyPatch.context() as patch:
        Disk(patch, step, OSError(number, os.strerror(number)))
        with pytest.raises(OSError, match=os.strerror(number)):
            file.write(b"new")
    assert file.read() == (b"old" if step <= 4 else b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        file = StateFile(tmp_path / "state")
        assert file.lock()
        file.write(b"new")
    finally:
        os.umask(before)
        file.unlock()
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_write_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:1]))
    file = StateFile(tmp_path / "state")
    file.write(b"new")
    assert file.read() == b"new"


@pytest.mark.parametrize("name", ["state", "state.new", "state.lock"])
def test_a_link_is_not_followed(tmp_path: Path, name: str) -> None:
    """Somebody else's file would be read, or written."""
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / name).symlink_to(tmp_path / "theirs")
    file = StateFile(tmp_path / "state")
    if name == "state.lock":
        with pytest.raises(OSError, match="symbolic links"):
            file.lock()
        return
    if name == "state":
        with pytest.raises(OSError, match="symbolic links"):
            file.read()
    file.write(b"ours")
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
    assert file.read() == b"ours"


def test_no_file(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "state").read() is None


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """And it is not waited for."""
    os.mkfifo(tmp_path / "state")
    with pytest.raises(ValueError, match="it is no plain file"):
        StateFile(tmp_path / "state").read()


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "state").open("wb") as opened:
        opened.truncate(MAX_SIZE * 1000)
    with pytest.raises(ValueError, match=f"it is longer than {MAX_SIZE} bytes"):
        StateFile(tmp_path / "state").read()


def test_one_at_a_time(tmp_path: Path) -> None:
    first, second = StateFile(tmp_path / "state"), StateFile(tmp_path / "state")
    assert first.lock()
    assert first.lock()
    assert not second.lock()
    first.unlock()
    first.unlock()
    assert second.lock()
    second.unlock()


def test_set_aside(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    for data in (b"one", b"two"):
        file.write(data)
        assert file.set_aside().read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["state.bad"]
