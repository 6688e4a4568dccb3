"""Files that are named: what is accepted, and what stays of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bench import files


@pytest.mark.parametrize("device", ["/dev/full", "/dev/zero"])
def test_a_device_is_neither_read_nor_written(device: str) -> None:
    """They have no end."""
    for look in (files.text_of, files.expect_writable):
        with pytest.raises(ValueError, match=rf"{device}: expected a regular file.* a device"):
            look(Path(device))


def test_a_folder_or_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match=r"expected a regular file, and this is a"):
            files.expect_writable(path)


@pytest.mark.parametrize("name", ["missing/new", "file/new", "x" * 300])
def test_a_file_that_cannot_be_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"expected a regular file that can be written, or a new"):
        files.expect_writable(tmp_path / name)


def test_looking_at_a_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    files.expect_writable(tmp_path / "old")
    files.expect_writable(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"


def test_bytes_that_are_no_text_are_told_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\x7fELF\xff\xfe")
    with pytest.raises(ValueError, match=r"binary: expected text in UTF-8"):
        files.text_of(tmp_path / "binary")


def test_a_file_is_replaced_with_its_mode_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a longer text")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    files.write(tmp_path / "link", "µ")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"\xc2\xb5"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        files.write(tmp_path / "file", "new \ud800")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"
