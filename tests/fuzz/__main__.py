"""``python -m tests.fuzz TARGET [--minutes N] [--engine chance|coverage] [--seed N]``."""

from __future__ import annotations

import argparse
import random
import time

from tests.fuzz.engines import by_chance, by_coverage, has_atheris, load
from tests.fuzz.targets import TARGETS


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--engine", choices=("chance", "coverage"))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    options = parser.parse_args(arguments)
    engine = options.engine or ("coverage" if has_atheris() else "chance")
    print(f"{options.target} for {options.minutes:g} minutes by {engine}, seed {options.seed}")
    if engine == "coverage":
        by_coverage(options.target, options.minutes * 60, options.seed)
        return
    begun = time.monotonic()
    done = by_chance(load(options.target), options.minutes * 60, options.seed)
    print(f"{done} inputs in {time.monotonic() - begun:.0f} s, and nothing is wrong")


if __name__ == "__main__":
    main()
