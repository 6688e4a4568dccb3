"""The words of the command line of a benchmark, and what they may be."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tests.bench.baseline import STORED

ROUNDS, SECONDS = 5, 1.5
QUICK_ROUNDS, QUICK_SECONDS = 1, 1.0
_LONGEST = 3600
_MEASURING = ("only", "servers", "rounds", "seconds", "quick", "json")
"""Options that mean nothing where nothing is measured."""


def count(text: str) -> int:
    """Of rounds, say."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, not {text!r}")
    return number


def duration(text: str) -> float:
    """Of a measurement, in seconds."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= _LONGEST:
        raise argparse.ArgumentTypeError(
            f"expected a number above 0, and {_LONGEST} at most, not {text!r}"
        )
    return number


def parsed(description: str | None, words: Sequence[str] | None = None) -> argparse.Namespace:
    """Those of the benchmark of all servers; exits with 2 where they are wrong."""
    options = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("--only", default="", help="letters or names of works, with commas; see --list")
    add("--servers", default="", help="names of servers, with commas")
    add("--rounds", type=count, help=f"{ROUNDS} by default, {QUICK_ROUNDS} with --quick")
    of_each = "of each measurement, after half a second"
    default = f"{SECONDS} by default, {QUICK_SECONDS:g} with --quick"
    add("--seconds", type=duration, help=f"{of_each}; {default}")
    quick = "for a rough look: one round of one second, unless --rounds or --seconds say more"
    add("--quick", action="store_true", help=quick)
    add("--list", action="store_true", help="show the names of the works, and end")
    add("--json", type=Path, metavar="FILE", help="write all figures; works FILE has stay in it")
    add("--show", type=Path, metavar="FILE", help="measure nothing: the figures are those of FILE")
    add("--markdown", action="store_true", help="print tables in Markdown")
    add("--write", type=Path, metavar="FILE", help="write them into a document, between its marks")
    store = f"store the ratios in {STORED.name}; those that were not measured stay in it"
    add("--store", action="store_true", help=store)
    compare = "beside the ratios that were stored before: exit with 1 if one is worse"
    add("--compare", type=Path, nargs="?", const=STORED, metavar="FILE", help=compare)
    chosen = options.parse_args(words)
    if chosen.show:
        for name in _MEASURING:
            if getattr(chosen, name):
                options.error(f"--{name} and --show exclude each other: --show measures nothing")
    return chosen


def length(chosen: argparse.Namespace) -> tuple[int, float]:
    """How many rounds, and the seconds of each measurement."""
    usual = (QUICK_ROUNDS, QUICK_SECONDS) if chosen.quick else (ROUNDS, SECONDS)
    return chosen.rounds or usual[0], chosen.seconds or usual[1]
