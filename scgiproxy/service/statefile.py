"""A file that is replaced as a whole: after a crash at any moment it is the old one or the new one."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

MAX_SIZE = 16 << 20
"""Bytes; what is longer is not read."""


class StateFile:
    """The file at `path`, for its owner alone (mode 0600), and beside it ``.new``, which becomes
    it, ``.lock``, which is locked while it is in use, and ``.bad``, which could not be used.

    Whoever calls `lock` first, of this and other processes, has it until `unlock` or its end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._new = path.with_name(path.name + ".new")
        self._lock: int | None = None

    def lock(self) -> bool:
        """False if somebody else has it. Raises OSError if nothing can be written there."""
        if self._lock is not None:
            return True
        name = self.path.with_name(self.path.name + ".lock")
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except OSError:
            # A file system without locks: there is nothing to go by.
            pass
        self._lock = file
        return True

    def unlock(self) -> None:
        """Harmless if it is not locked."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self) -> bytes | None:
        """What is in it; None if there is no file. Raises ValueError for what cannot be such a
        file, OSError if it cannot be read."""
        try:
            # Opening a pipe would wait for its other end.
            file = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with open(file, "rb") as opened:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise ValueError("it is no plain file")
            data = opened.read(MAX_SIZE + 1)
        if len(data) > MAX_SIZE:
            raise ValueError(f"it is longer than {MAX_SIZE} bytes")
        return data

    def write(self, data: bytes) -> None:
        """Replace it. Blocks until the disk has it. Raises OSError, and then it is as it was,
        unless only the name has not got to the disk."""
        with suppress(FileNotFoundError):
            self._new.unlink()
        try:
            self._write_new(data)
            self._new.replace(self.path)
        except OSError:
            with suppress(OSError):
                self._new.unlink()
            raise
        self._sync_names()

    def set_aside(self) -> Path:
        """Rename it to ``.bad``; the name. Raises OSError."""
        return self.path.replace(self.path.with_name(self.path.name + ".bad"))

    def _write_new(self, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(self._new, flags, 0o600)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        finally:
            os.close(file)

    def _sync_names(self) -> None:
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
