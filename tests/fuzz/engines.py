"""What makes the inputs: atheris, which sees where the code goes; or chance, without it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from tests.fuzz.changes import Changes
from tests.fuzz.frame import CORPUS, LONGEST, Target

MOST_KEPT = 300
"""Inputs of a corpus, at most: a run adds the shortest ones of what it has found."""

LONGEST_KEPT = 600


def by_chance(target: Target, seconds: float, seed: int) -> int:
    """Check changes of the seeds for so long; how many there were. A failure is written down."""
    changes = Changes([*target.seeds(), *target.kept().values()], target.words, seed)
    end = time.monotonic() + seconds
    done = 0
    while time.monotonic() < end:
        data = changes.make()
        try:
            target.check(data)
        except Exception:
            print(f"fails, as {keep(target, data, 'found-')} shows", file=sys.stderr)
            raise
        done += 1
    return done


def keep(target: Target, data: bytes, prefix: str = "") -> Path:
    """Write an input into the corpus."""
    path = CORPUS / target.name / (prefix + sha256(data).hexdigest()[:16])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def has_atheris() -> bool:
    return importlib.util.find_spec("atheris") is not None


def by_coverage(name: str, seconds: float, seed: int) -> None:
    """Let atheris look for ways through the code; what it finds new ones by, is kept."""
    target = load(name)
    folder = CORPUS / name
    with tempfile.TemporaryDirectory() as temporary:
        grown = Path(temporary) / "grown"
        seeds = Path(temporary) / "seeds"
        for each in (grown, seeds):
            each.mkdir()
        for number, data in enumerate(target.seeds()):
            (seeds / str(number)).write_bytes(data)
        words = Path(temporary) / "words"
        words.write_text("".join(f'"{_quoted(word)}"\n' for word in target.words))
        options = [
            f"-max_total_time={seconds:.0f}",
            f"-max_len={LONGEST}",
            f"-dict={words}",
            f"-seed={seed or 1}",
            f"-artifact_prefix={folder}/found-",
            "-timeout=60",
            "-rss_limit_mb=512",
            "-print_final_stats=1",
        ]
        run = [sys.executable, "-m", "tests.fuzz.covered", name]
        subprocess.run([*run, *options, str(grown), str(folder), str(seeds)], check=True)
        new = [path.read_bytes() for path in grown.iterdir()]
    new = sorted((data for data in new if len(data) <= LONGEST_KEPT), key=len)
    kept = new[: max(MOST_KEPT - len(target.kept()), 0)]
    for data in kept:
        keep(target, data)
    print(f"{len(new)} inputs go where none has gone before; kept are {len(kept)}")


def _quoted(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def load(name: str) -> Target:
    """The target of that name. Raises KeyError."""
    # Not before: atheris has to be there first.
    from tests.fuzz.targets import TARGETS

    return TARGETS[name]()
