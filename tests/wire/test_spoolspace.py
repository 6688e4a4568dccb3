"""The files of spools: who may see them, and what a disk or a folder that fails does."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scgiproxy.errors import DiskFull, SpoolError
from scgiproxy.wire import spoolspace
from scgiproxy.wire.spool import Spool
from scgiproxy.wire.spoolspace import SpoolSpace


@pytest.fixture(params=["nameless", "unlinked"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a file gets to have no name."""
    if request.param == "unlinked":
        monkeypatch.setattr(spoolspace, "_NAMELESS", 0)
    return str(request.param)


@pytest.fixture
def umask() -> Iterator[Callable[[int], object]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("mask", [0, 0o022, 0o777], ids=oct)
def test_file_is_nobody_elses(tmp_path: Path, umask: Callable[[int], object], mask: int) -> None:
    """No name leads to it, and only its owner may open it, whatever the umask is."""
    umask(mask)
    fd = SpoolSpace(str(tmp_path)).open_file()
    status = os.fstat(fd)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert (status.st_nlink, list(tmp_path.iterdir())) == (0, [])
    assert status.st_dev == tmp_path.stat().st_dev
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_file_system_without_nameless_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NFS: then it is unlinked."""
    opened = os.open

    def without(path: str, flags: int, mode: int = 0o777, **options: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return opened(path, flags, mode, **options)

    monkeypatch.setattr(os, "open", without)
    fd = SpoolSpace(str(tmp_path)).open_file()
    assert list(tmp_path.iterdir()) == []
    os.close(fd)


def test_file_system_without_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No descriptor is left of what cannot be made as it should be."""

    def fail(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", fail)
    space = SpoolSpace(str(tmp_path))
    before = sorted(os.listdir("/dev/fd"))  # noqa: PTH208
    with pytest.raises(PermissionError):
        space.open_file()
    assert sorted(os.listdir("/dev/fd")) == before  # noqa: PTH208


@pytest.mark.usefixtures("kind")
def test_folder_that_is_gone(tmp_path: Path) -> None:
    """It fails when it is needed, says which one it is, and works again when it is back."""
    folder = tmp_path / "spool"
    space = SpoolSpace(str(folder))
    spool = Spool(0, memory=1, space=space)
    with pytest.raises(SpoolError, match=f"spooled in {folder}: No such file or dir") as failed:
        spool.write(b"xx")
    assert (failed.value.status, failed.value.log_key) == (503, "gateway.spool")
    spool.close()
    assert (space.bodies, space.memory, space.disk) == (0, 0, 0)
    folder.mkdir()
    spool = Spool(0, memory=1, space=space)
    spool.write(b"xx")
    folder.rmdir()
    spool.write(b"yy")
    assert spool.file().read() == b"xxyy"
    spool.close()


def test_no_temporary_folder_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    spool = Spool(0, memory=1, space=SpoolSpace())
    with pytest.raises(SpoolError, match="temporary folder: No usable temporary directory"):
        spool.write(b"xx")
    spool.close()


@pytest.mark.parametrize(
    ("number", "kind", "status"),
    [
        (errno.ENOSPC, DiskFull, 507),
        (errno.EDQUOT, DiskFull, 507),
        (errno.EFBIG, DiskFull, 507),
        (errno.EROFS, SpoolError, 503),
        (errno.EACCES, SpoolError, 503),
        (errno.EMFILE, SpoolError, 503),
        (errno.EIO, SpoolError, 503),
    ],
    ids=lambda value: errno.errorcode.get(value) if isinstance(value, int) else None,
)
@pytest.mark.parametrize("when", ["made", "written"])
def test_what_the_system_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[SpoolError],
    status: int,
    when: str,
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    space = SpoolSpace(str(tmp_path))
    spool = Spool(0, memory=1, space=space)
    if when == "made":
        monkeypatch.setattr(os, "open", fail)
        monkeypatch.setattr("tempfile.mkstemp", fail)
    else:
        monkeypatch.setattr(spoolspace.SpoolFile, "write", fail)
    with pytest.raises(SpoolError, match=os.strerror(number)) as failed:
        spool.write(b"xx")
    assert (type(failed.value), failed.value.status) == (kind, status)
    spool.close()
    assert (space.bodies, space.memory, space.disk) == (0, 0, 0)


@pytest.mark.parametrize("size", [100, 100_000])
def test_disk_that_takes_a_part(tmp_path: Path, size: int) -> None:
    """The system takes what fits, and fails with the rest: that is told at once, not at the end."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    space = SpoolSpace(str(tmp_path))
    spool = Spool(0, memory=10, space=space)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limit[1]))
    try:
        with pytest.raises(DiskFull, match="File too large"):
            spool.write(b"x" * size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        spool.close()
    assert (space.bodies, space.memory, space.disk) == (0, 0, 0)


FILL = """
import os, sys
from scgiproxy.errors import DiskFull
from scgiproxy.wire.spool import Spool
from scgiproxy.wire.spoolspace import SpoolSpace
space = SpoolSpace(sys.argv[1])
first, second = (Spool(0, memory=1, space=space) for _ in range(2))
try:
    while True:
        first.write(b"x" * 10_000)
except DiskFull as error:
    print(error)
before = os.statvfs(sys.argv[1]).f_bfree
first.close()
second.write(b"x" * 10_000)
print(before, os.statvfs(sys.argv[1]).f_bfree > 0, space.disk)
"""


def test_disk_that_is_full(tmp_path: Path) -> None:
    """A small file system of its own: what did not fit is freed, and the next body is kept."""
    mount = 'mount -t tmpfs -o size=256k none "$0" && exec "$1" -c "$2" "$0"'
    command = ["unshare", "-rm", "sh", "-c", mount, str(tmp_path), sys.executable, FILL]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("there is no unshare(1)")
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert done.stderr == ""
    told, counted = done.stdout.splitlines()
    assert told == f"the body could not be spooled in {tmp_path}: No space left on device"
    assert counted == "0 True 10000"
