"""Files that somebody names: looked at before there is anything to lose, and replaced as a whole."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

Shape = Callable[[object], bool]
"""Whether a value from a JSON file is what is expected there."""


def text_of(path: Path) -> str:
    """Raises `OSError`, and `ValueError` for what is no regular file (a device may have no end) or
    is not text."""
    _expect_regular(path)
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: expected text in UTF-8") from None


def json_of(path: Path, shape: dict[str, Shape]) -> dict[str, Any] | None:
    """An object with these names, whose values are of these shapes; None for anything else.

    Raises what `text_of` raises.
    """
    text = text_of(path)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.keys() != shape.keys():
        return None
    return found if all(fits(found[name]) for name, fits in shape.items()) else None


def expect_writable(path: Path) -> None:
    """Raises `ValueError` unless `write` can be used; nothing is left behind."""
    expected = "expected a regular file that can be written, or a new name in a folder that can"
    try:
        if path.exists():
            _expect_regular(path)
            if not os.access(path, os.W_OK):
                raise ValueError(f"{path}: expected a file that can be written")
        new = _beside(path)
        new.touch(exist_ok=False)
        new.unlink()
    except OSError as error:
        raise ValueError(f"{path}: {expected} ({error.strerror})") from None


def write(path: Path, text: str) -> None:
    """All of `text` in place of what was there; where that fails, what was there stays.

    Raises `OSError`.
    """
    new = _beside(path)
    try:
        with new.open("x", encoding="utf-8") as file:
            file.write(text)
        if path.exists():
            new.chmod(stat.S_IMODE(path.stat().st_mode))
        new.replace(os.path.realpath(path))
    finally:
        new.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """A new file in the folder of `path`, or of the file that it is a link to."""
    target = Path(os.path.realpath(path))
    return target.with_name(f".{target.name}.{os.getpid()}")


def _expect_regular(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        kind = "a folder" if path.is_dir() else "a device, a pipe or a socket"
        raise ValueError(f"{path}: expected a regular file, and this is {kind}")


def is_text(value: object) -> bool:
    return isinstance(value, str)


def is_number(value: object) -> bool:
    """A finite one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


def by_name(shape: Shape) -> Shape:
    return lambda value: isinstance(value, dict) and all(map(shape, value.values()))


def one_or_more(shape: Shape) -> Shape:
    return lambda value: isinstance(value, list) and bool(value) and all(map(shape, value))
