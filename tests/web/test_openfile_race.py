"""Whoever may write in a folder swaps what is in it while files are opened, thousands of times."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scgiproxy.errors import Forbidden, NotFound
from scgiproxy.web.openfile import open_beneath

OPENINGS = 5000

SWAP = """
import os, sys
os.chdir(sys.argv[1])
kind = sys.argv[2]
print("ready", flush=True)
while os.path.exists("go"):
    for _ in range(100):
        if kind == "link":  # one that points inside, and then outside
            os.symlink("inner", "new"); os.replace("new", "place")
            os.symlink("../outside", "new"); os.replace("new", "place")
        elif kind == "folder":  # a real folder, and then a link
            os.rename("real", "place"); os.rename("place", "real")
            os.symlink("../outside", "place"); os.unlink("place")
        else:  # a file, a link to another, a FIFO
            os.link("inner/file.txt", "new"); os.replace("new", "place")
            os.symlink("../outside/file.txt", "new"); os.replace("new", "place")
            os.mkfifo("new"); os.replace("new", "place")
"""


@contextmanager
def _swapping(root: Path, kind: str) -> Iterator[None]:
    go = root / "go"
    go.touch()
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", SWAP, str(root), kind], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        go.unlink()
        assert process.wait(30) == 0
        if process.stdout is not None:
            process.stdout.close()


def _open(root: Path, name: str) -> str:
    try:
        opened = open_beneath([str(root)], str(root / name))
    except (Forbidden, NotFound) as error:
        return type(error).__name__
    try:
        return os.pread(opened.fd, 100, 0).decode()
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("kind", "name"), [("link", "place/file.txt"), ("folder", "place/file.txt"), ("file", "place")]
)
def test_nothing_from_outside_is_ever_opened(tmp_path: Path, kind: str, name: str) -> None:
    """What is opened is what lies inside, and a FIFO holds nobody up."""
    root = tmp_path / "root"
    for folder, text in (("root/inner", "inside"), ("root/real", "inside"), ("outside", "secret")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file.txt").write_text(text)
    seen: Counter[str] = Counter()
    with _swapping(root, kind):
        # With one core, all of them may be done before it is the other's turn.
        for _ in range(20):
            seen.update(_open(root, name) for _ in range(OPENINGS))
            if len(seen) > 1 and seen["inside"]:
                break
    assert seen["secret"] == 0
    assert seen["inside"] > 0
    assert sum(seen.values()) > seen["inside"]
