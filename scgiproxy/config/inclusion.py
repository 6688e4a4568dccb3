"""The files that an Include means, and their text."""

from __future__ import annotations

import errno
import glob
import os
import stat
from pathlib import Path

MAX_DEPTH = 128
"""Folders inside each other, below an included one."""


def find_files(pattern: Path) -> list[Path]:
    """The files of a path, of a pattern with wildcards in any part, or of a whole folder.

    Sorted by name, folders with everything below them (as Apache); empty when nothing is there.
    """
    text = str(pattern)
    # `Path.glob` would take hidden files too, which Apache leaves out.
    if glob.has_magic(text) and not pattern.exists():
        matches = [Path(match) for match in sorted(glob.glob(text))]  # noqa: PTH207
    else:
        matches = [pattern] if pattern.exists() else []
    return [path for match in matches for path in _below(match, ())]


def _below(path: Path, outer: tuple[Path, ...]) -> list[Path]:
    """`outer` are the folders around it, links resolved: a link to one of them has no end."""
    if not path.is_dir():
        return [path]
    real = path.resolve()
    if real in outer or len(outer) >= MAX_DEPTH:
        return []
    inside = (*outer, real)
    return [found for entry in sorted(path.iterdir()) for found in _below(entry, inside)]


def read_text_file(path: Path) -> str:
    """The text of a regular file (or /dev/null); bytes that are not UTF-8 survive as surrogates.

    Raises OSError, for another kind of file as well: a pipe or a device may never end.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode) and str(path) != os.devnull:
        raise OSError(errno.EINVAL, "it is not a regular file")
    return path.read_bytes().decode("utf-8", "surrogateescape")
