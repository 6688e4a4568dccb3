"""Where spooled bodies are kept, and how much of memory and of the disk they take."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from io import BytesIO, FileIO

from scgiproxy.errors import BodyTooLarge, DiskFull, SpoolError, SpoolFull

_NAMELESS = getattr(os, "O_TMPFILE", 0)
_FLAGS = os.O_RDWR | os.O_EXCL | os.O_CLOEXEC
# What kernels and file systems say that have no nameless files (open(2)).
_HAS_NO_NAMELESS = frozenset((errno.EISDIR, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOENT))
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_MODE = 0o600


class SpoolSpace:
    """What all spools of a process share.

    - `directory`: the folder of their files (SpoolDirectory); None is the system's temporary one.
    - `most`: bytes that may be in files at a time (SpoolMaxTotal); 0 is no limit.
    - `bodies`, `memory`, `disk`: how many there are now, and their bytes in memory and in files.
    """

    __slots__ = ("bodies", "directory", "disk", "memory", "most")

    def __init__(self, directory: str | None = None, most: int = 0) -> None:
        self.directory = directory
        self.most = most
        self.bodies = 0
        self.memory = 0
        self.disk = 0

    @property
    def bytes(self) -> int:
        """In memory and in files."""
        return self.memory + self.disk

    @property
    def place(self) -> str:
        """The folder, for messages."""
        with suppress(OSError):
            return self.directory or tempfile.gettempdir()
        return "the system's temporary folder"

    def open_file(self) -> int:
        """A new file that no name leads to, readable by this user alone: its descriptor.

        It is gone when it is closed, however the process ends. Raises OSError.
        """
        directory = self.directory or tempfile.gettempdir()
        fd = -1
        if _NAMELESS:
            try:
                fd = os.open(directory, _FLAGS | _NAMELESS, _MODE)
            except OSError as error:
                if error.errno not in _HAS_NO_NAMELESS:
                    raise
        if fd < 0:
            fd, name = tempfile.mkstemp(prefix="scgiproxy-", dir=directory)
            os.unlink(name)  # noqa: PTH108  a name as mkstemp gives it
        try:
            os.fchmod(fd, _MODE)  # a umask may have left less of it
        except OSError:
            os.close(fd)
            raise
        return fd

    def not_kept(self, error: OSError) -> SpoolError:
        """The error to report for one of the folder or its disk."""
        kind = DiskFull if error.errno in _FULL else SpoolError
        return kind(f"the body could not be spooled in {self.place}: {error.strerror or error}")


class SpoolShare:
    """What one body takes of a `space`, until `give_back`."""

    __slots__ = ("_disk", "_given_back", "_memory", "space")

    def __init__(self, space: SpoolSpace) -> None:
        self.space = space
        self._memory = self._disk = 0
        self._given_back = False
        space.bodies += 1

    def take_memory(self, size: int) -> None:
        """`size` more bytes of it are in memory."""
        self._memory += size
        self.space.memory += size

    def take_disk(self, size: int) -> None:
        """`size` more bytes of it are to be in a file. Raises SpoolFull when there is no room beside
        the others, BodyTooLarge when there would be none without them."""
        space = self.space
        if space.most and space.disk + size > space.most:
            if self._disk + size > space.most:
                raise BodyTooLarge(f"the body is over SpoolMaxTotal ({space.most} bytes)")
            raise SpoolFull(
                f"the body could not be spooled in {space.place}: all bodies there have"
                f" {space.disk} bytes, and may have {space.most} (SpoolMaxTotal)"
            )
        self._disk += size
        space.disk += size

    def leave_memory(self) -> None:
        """None of it is in memory any more."""
        self.space.memory -= self._memory
        self._memory = 0

    def give_back(self) -> None:
        """Nothing of it is kept any more. Harmless when repeated."""
        if self._given_back:
            return
        self._given_back = True
        self.leave_memory()
        self.space.bodies -= 1
        self.space.disk -= self._disk


class SpoolMemory(BytesIO):
    """A spooled body, or its beginning, in memory."""

    def __init__(self, share: SpoolShare) -> None:
        super().__init__()
        self._share: SpoolShare | None = share

    def leave(self) -> None:
        """It is somewhere else now: close it, and give nothing back."""
        self._share = None
        self.close()

    def close(self) -> None:
        if self._share is not None:
            self._share.give_back()
        super().close()


class SpoolFile(FileIO):
    """A spooled body in the open file `fd`."""

    def __init__(self, share: SpoolShare, fd: int) -> None:
        self._share = share
        super().__init__(fd, "r+b")

    def write_all(self, data: bytes | memoryview) -> None:
        """Write `data` to the last byte. Raises OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[self.write(rest) :]

    def close(self) -> None:
        self._share.give_back()
        super().close()
