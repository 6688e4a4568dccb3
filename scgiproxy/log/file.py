"""A file that lines are appended to, and that may be moved away at any time (log rotation)."""

from __future__ import annotations

import os

from twisted.logger import Logger

# Not blocking: a FIFO without a reader is an error, and no reason to stand still.
_OPEN = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


class LogFile:
    """One file, opened by its first `append` unless `open` came before.

    Before each `append` it is seen whether the name still leads to the open file; if not, the file
    of that name is opened, or made. So rotation needs no signal and no restart: move the file away.
    Where that cannot be done (the process may no longer write to the folder), the moved file is
    written on.

    What cannot be written (a full disk) is told once in Twisted's log, and lost; it is tried again
    with each `append`. `kind` is what messages call the file.
    """

    _log = Logger()

    def __init__(self, path: str, kind: str) -> None:
        self.path = path
        self._kind = kind
        self._fd = -1
        self._identity = (0, 0)
        self._current = False
        self._failing = False
        self._torn = False

    def open(self) -> None:
        """Open the file, if it is not open. Raises OSError."""
        if self._fd < 0:
            self._open()

    def adopt(self, fd: int) -> None:
        """Write to `fd`, which another process has opened by this name, and close it in the end."""
        self.close()
        os.set_inheritable(fd, False)
        self._use(fd)

    def descriptor(self) -> int:
        """What the next `append` would write to, for another process; -1 if there is nothing."""
        self._is_writable()
        return self._fd

    def append(self, data: bytes) -> None:
        """Write whole lines, now. Those of several processes that write to it stay whole."""
        if self._is_writable():
            self._write(data)

    def _is_writable(self) -> bool:
        """Whether there is an open file: the one of that name, if it can be had."""
        self._current = self._is_current()
        if not self._current:
            try:
                self._open()
                self._current = True
            except OSError as error:
                if self._fd < 0:
                    self._tell("cannot be written", "lines are lost until it can", error)
                    return False
                self._tell("was moved, and cannot be made anew", "the moved one is used", error)
        return True

    def close(self) -> None:
        """Close the file; a later `append` opens it again."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
            self._torn = False

    def _is_current(self) -> bool:
        if self._fd < 0:
            return False
        try:
            found = os.stat(self.path)  # noqa: PTH116
        except FileNotFoundError:
            return False
        except OSError:
            # Not to be seen (the folder was root's): it is as good as it was.
            return True
        return (found.st_dev, found.st_ino) == self._identity

    def _open(self) -> None:
        fd = os.open(self.path, _OPEN, 0o644)
        self.close()
        self._use(fd)

    def _use(self, fd: int) -> None:
        self._fd = fd
        found = os.fstat(fd)
        self._identity = (found.st_dev, found.st_ino)

    def _write(self, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            written = len(data) - len(view)
            if written:
                self._torn = data[written - 1] != 0x0A
            self._tell("cannot be written", "lines are lost until it can", error)
        else:
            self._torn = False
            if self._failing and self._current:
                self._failing = False
                self._log.info("{kind} {path} is written again", kind=self._kind, path=self.path)

    def _tell(self, what: str, consequence: str, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            self._log.error(
                "{kind} {path} {what}: {reason}; {consequence}",
                kind=self._kind,
                path=self.path,
                what=what,
                reason=error.strerror,
                consequence=consequence,
            )
