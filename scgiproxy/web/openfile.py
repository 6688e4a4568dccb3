"""Opening a file that lies beneath a root, for X-Sendfile, DocumentRoot and Alias.

It is done in the reactor thread: a few system calls.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import NoReturn

from scgiproxy.errors import Forbidden, GatewayError, NotFound, OutOfDescriptors
from scgiproxy.wire.descriptors import EXHAUSTED

# O_PATH needs no more than search permission, which is what a path lookup needs.
_OPEN_ROOT = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_DIRECTORY = _OPEN_ROOT | os.O_NOFOLLOW
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_SYMLINK_MET = frozenset((errno.ELOOP, errno.EMLINK, errno.ENOTDIR))
_MISSING = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG))
_REFUSED = frozenset(
    # EINVAL: of readlink(2), when a symlink has become something else meanwhile.
    (errno.EACCES, errno.EPERM, errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENODEV, errno.EINVAL)
)


class IsDirectory(Forbidden):
    """The path names a directory."""


class LeadsOutside(Forbidden):
    """The path is beneath a root as it is written, and a symlink on its way leaves them all."""


class OpenedFile:
    """A regular file, open for reading. Whoever holds it closes it.

    `path` is the name it was asked for by; `status` is what ``fstat`` said.
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

    It is opened component by component without following symlinks, so that nothing can be swapped
    between check and opening. Where there is a symlink, the path and the roots are resolved first.

    Raises `Forbidden` for what lies elsewhere (existing or not; `LeadsOutside` if that is because
    of a symlink), is relative, has ``..`` or NUL, is not readable or no regular file (`IsDirectory`
    for a directory); `NotFound` for what is missing; `GatewayError` where the system cannot open
    any file now.
    """
    name = os.fsdecode(path)
    shown = ascii(name)
    if "\0" in name or not name.startswith("/") or name.startswith("//"):
        raise Forbidden(f"{shown} is not an absolute path")
    if ".." in name.split("/"):
        raise Forbidden(f"{shown} has '..' in it")
    try:
        opened = _open_as_written(roots, name, shown)
        if opened is None:
            real_roots = [os.path.realpath(root) for root in roots]
            real_name = os.path.realpath(name)
            found = _split(real_roots, real_name)
            if found is None:
                if _split(roots, name) is not None:
                    raise LeadsOutside(
                        f"a symlink leads from {shown} to {real_name!a}, outside the folders"
                        " that files may be sent from"
                    )
                raise Forbidden(f"{shown} is outside the folders that files may be sent from")
            opened = _open_components(*found, shown)
    except OSError as error:
        _refuse(error, shown)
    fd, status = opened
    if name.endswith("/"):
        os.close(fd)
        raise NotFound(f"{shown} is a file, and no directory")
    return OpenedFile(fd, name, status)


def _open_as_written(
    roots: Sequence[str], name: str, shown: str
) -> tuple[int, os.stat_result] | None:
    """Open `name` without resolving anything; None if that is not enough to tell."""
    found = _split(roots, name)
    if found is None:
        return None
    try:
        return _open_components(*found, shown)
    except OSError as error:
        if error.errno in _SYMLINK_MET:
            return None
        raise


def _split(roots: Sequence[str], name: str) -> tuple[str, list[str]] | None:
    """The folder to start from, and the components of `name` from there; None if beneath none."""
    for root in roots:
        beneath = root if root.endswith("/") else root + "/"
        if name.startswith(beneath):
            components = [part for part in name[len(beneath) :].split("/") if part not in ("", ".")]
            return beneath, components or ["."]
        if name + "/" == beneath:
            folder, last = os.path.split(name)
            return folder, [last or "."]
    return None


def _open_components(
    root: str, components: Sequence[str], shown: str
) -> tuple[int, os.stat_result]:
    """Open a regular file by components none of which may be a symlink (ELOOP or ENOTDIR)."""
    directory = os.open(root, _OPEN_ROOT)
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
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "it is a symlink")
    if stat.S_ISDIR(status.st_mode):
        raise IsDirectory(f"{shown} is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise Forbidden(f"{shown} is no regular file")


def _refuse(error: OSError, shown: str) -> NoReturn:
    if error.errno in _MISSING:
        raise NotFound(f"there is no file {shown}") from error
    if error.errno in _REFUSED:
        raise Forbidden(f"{shown} cannot be read: {error.strerror}") from error
    kind = OutOfDescriptors if error.errno in EXHAUSTED else GatewayError
    raise kind(f"{shown} cannot be opened: {error.strerror}") from error
