"""Opening beneath a root."""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scgiproxy.errors import Forbidden, GatewayError, NotFound, OutOfDescriptors
from scgiproxy.web.openfile import IsDirectory, LeadsOutside, OpenedFile, open_beneath

TEXT = b"0123456789" * 100


def open_files() -> list[int]:
    """The descriptors of files and folders; those of the reactor are of other kinds."""
    found = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208
        try:
            mode = os.fstat(int(name)).st_mode
        except OSError:
            continue  # that of the listing itself
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            found.append(int(name))
    return found


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = open_files()
    yield
    assert open_files() == before


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder to send from, and a secret beside it."""
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file.txt").write_bytes(TEXT)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root-too").mkdir()
    (tmp_path / "root-too" / "secret").write_bytes(b"secret")
    return folder


def read(opened: OpenedFile) -> bytes:
    try:
        return os.pread(opened.fd, opened.size, 0)
    finally:
        opened.close()


def refused(roots: list[Path], path: Path | str | bytes) -> type[Exception]:
    """The class of what `open_beneath` raises."""
    name = path if isinstance(path, bytes) else str(path)
    with pytest.raises((Forbidden, NotFound, GatewayError)) as caught:
        open_beneath([str(one) for one in roots], name).close()
    return caught.type


def test_a_file_beneath_the_root(root: Path) -> None:
    opened = open_beneath([str(root)], bytes(root / "sub" / "file.txt"))
    assert opened.size == 1000
    assert opened.path == str(root / "sub" / "file.txt")
    assert not os.get_inheritable(opened.fd)
    assert read(opened) == TEXT


def test_closing_again_is_harmless(root: Path) -> None:
    opened = open_beneath([str(root)], str(root / "sub" / "file.txt"))
    opened.close()
    opened.close()
    assert opened.fd == -1


def test_any_of_several_roots(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "root-too"
    assert read(open_beneath([str(root), str(other)], str(other / "secret"))) == b"secret"


@pytest.mark.parametrize("suffix", ["", "/"])
def test_a_root_with_or_without_its_slash(root: Path, suffix: str) -> None:
    assert read(open_beneath([f"{root}{suffix}"], f"{root}/sub//./file.txt")) == TEXT


def test_a_root_that_is_the_file_itself(root: Path) -> None:
    """An Alias may be for one file."""
    path = root / "sub" / "file.txt"
    assert read(open_beneath([str(path)], str(path))) == TEXT


def test_the_whole_file_system(root: Path) -> None:
    assert read(open_beneath(["/"], str(root / "sub" / "file.txt"))) == TEXT
    assert refused([Path("/")], "/") is IsDirectory


def test_names_of_any_bytes(root: Path) -> None:
    name = bytes(root) + b"/\xff\xe9"
    Path(os.fsdecode(name)).write_bytes(b"x")
    assert read(open_beneath([str(root)], name)) == b"x"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "sub/file.txt",
        "./sub/file.txt",
        "{root}/../secret",
        "{root}/sub/../sub/file.txt",
        "{root}/sub/..",
        "{root}/sub/file.txt\0",
        "\0",
        "/etc/passwd",
        "/etc/no-such-file",
        "//{root}/sub/file.txt",
        "{root}-too/secret",
        "{root}-too/no-such-file",
        "{root}/sub",
        "{root}/sub/",
        "{root}",
        "{root}/",
        "/",
    ],
)
def test_forbidden(root: Path, path: str) -> None:
    assert issubclass(refused([root], path.format(root=root)), Forbidden)


@pytest.mark.parametrize(
    "path",
    [
        "{root}/none",
        "{root}/none/file.txt",
        "{root}/sub/file.txt/more",
        "{root}/sub/file.txt/",
        "{root}/sub/FILE.TXT",
        "{root}/%2e%2e/secret",
        "{root}/sub/file.txt ",
        "{root}/sub/file.txt, {root}/sub/file.txt",
        "{root}/" + "a" * 300,
    ],
)
def test_not_found(root: Path, path: str) -> None:
    """Names are taken as they are: nothing is decoded, trimmed or split."""
    assert refused([root], path.format(root=root)) is NotFound


def test_a_root_that_is_missing(root: Path) -> None:
    assert refused([root / "none"], root / "none" / "file") is NotFound


def test_no_roots(root: Path) -> None:
    assert refused([], root / "sub" / "file.txt") is Forbidden


def test_symlinks_that_stay_inside_are_followed(root: Path) -> None:
    (root / "link").symlink_to("sub")
    (root / "again").symlink_to(root / "link" / "file.txt")
    opened = open_beneath([str(root)], str(root / "again"))
    assert opened.path == str(root / "again")
    assert read(opened) == TEXT


def test_symlinks_that_lead_out_are_not(root: Path, tmp_path: Path) -> None:
    (root / "file").symlink_to("../secret")
    (root / "folder").symlink_to(tmp_path)
    (root / "dangling").symlink_to(tmp_path / "none")
    assert refused([root], root / "file") is LeadsOutside
    assert refused([root], root / "folder" / "secret") is LeadsOutside
    assert refused([root], root / "dangling") is LeadsOutside


def test_symlinks_that_lead_to_themselves(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    assert issubclass(refused([root], root / "loop"), Forbidden | NotFound)


def test_a_root_that_is_a_symlink(root: Path, tmp_path: Path) -> None:
    """By either name, through either."""
    (tmp_path / "current").symlink_to("root")
    for base in (root, tmp_path / "current"):
        for start in (root, tmp_path / "current"):
            assert read(open_beneath([str(base)], str(start / "sub" / "file.txt"))) == TEXT


@pytest.mark.parametrize("swapped", ["sub", "sub/file.txt"])
def test_a_symlink_put_there_after_the_check(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    """The race between resolving and opening is lost by the attacker."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file.txt").write_bytes(b"secret")
    path = str(root / "sub" / "file.txt")
    place = root / swapped
    place.rename(tmp_path / "away")
    place.symlink_to(outside if swapped == "sub" else outside / "file.txt")
    asked: list[str] = []
    monkeypatch.setattr(os.path, "realpath", lambda name: asked.append(name) or name)
    assert issubclass(refused([root], path), Forbidden | NotFound)
    assert path in asked


def test_what_is_no_regular_file(root: Path) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "s"))
        assert refused([root], root / "s") is Forbidden
    assert refused([root], root / "fifo") is Forbidden
    assert refused([Path("/dev")], "/dev/null") is Forbidden
    assert refused([root], root / "sub") is IsDirectory


def test_a_fifo_is_not_opened(root: Path) -> None:
    """To open one for reading would let a writer go on."""
    os.mkfifo(root / "fifo")
    assert refused([root], root / "fifo") is Forbidden
    with pytest.raises(OSError) as caught:
        os.open(root / "fifo", os.O_WRONLY | os.O_NONBLOCK)
    assert caught.value.errno == errno.ENXIO


@pytest.fixture
def nobody() -> Iterator[None]:
    """The superuser may read everything, so it must be somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may look into, with a file that nobody may read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part, mode in (("locked", 0), ("unlisted", 0o711), ("open", 0o755)):
            (folder / part).mkdir()
            (folder / part / "file").write_bytes(b"x")
            (folder / part).chmod(mode)
        (folder / "open" / "file").chmod(0)
        yield folder
        (folder / "locked").chmod(0o700)


@pytest.mark.parametrize("name", ["locked/file", "open/file", "locked"])
def test_no_permission(public: Path, nobody: None, name: str) -> None:
    assert issubclass(refused([public], public / name), Forbidden)


def test_a_folder_need_not_be_listed_to_open_what_is_in_it(public: Path, nobody: None) -> None:
    assert read(open_beneath([str(public)], str(public / "unlisted" / "file"))) == b"x"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, Forbidden),
        (errno.ELOOP, Forbidden),
        (errno.ENOENT, NotFound),
        (errno.EMFILE, OutOfDescriptors),
        (errno.ENFILE, OutOfDescriptors),
        (errno.EIO, GatewayError),
    ],
)
def test_what_the_system_says(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    """The system's own words are in the message, and no descriptor is lost."""
    real = os.open

    def failing(path: str, *arguments: Any, **named: Any) -> int:
        if path == "file.txt":
            raise OSError(number, os.strerror(number))
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", failing)
    assert refused([root], root / "sub" / "file.txt") is kind
