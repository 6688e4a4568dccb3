"""``python -m tests.soak [--minutes N] [--workers N] [--clients N]``."""

from __future__ import annotations

import argparse
import random
import sys

from tests.bench.stopping import ended
from tests.soak.soaking import Course, soak, soaking

MOST_SHOWN = 20


def _tell(course: Course) -> None:
    now = course.rests[-1]
    print(
        f"{now.seconds:6.0f} s: {sum(course.crowd.visits.values())} visits,"
        f" {len(course.crowd.wrong)} wrong; at rest {now.resident} KiB,"
        f" {now.descriptors} descriptors, {now.threads} threads",
        flush=True,
    )
    for line in course.news():
        print(line, flush=True)


def _sum_up(course: Course) -> list[str]:
    trend, half = course.trend, course.trend.half
    kinds = ", ".join(f"{name} {count}" for name, count in sorted(course.crowd.visits.items()))
    print(f"{sum(course.crowd.visits.values())} visits: {kinds}")
    print(f"{course.gateway.reloads} reloads")
    print(
        f"at most {course.most.resident} KiB, {course.most.descriptors} descriptors,"
        f" {course.most.threads} threads under load"
    )
    memory = [each.resident for each in half]
    growth = trend.growth
    told = "too few readings for a trend" if growth is None else f"trend {growth:+.0f} KiB"
    print(
        f"second half, at rest: {min(memory)} to {max(memory)} KiB, {told}"
        f" ({trend.allowed:.0f} allowed); descriptors {sorted({each.descriptors for each in half})}"
    )
    wrong = course.judge()
    for line in wrong[:MOST_SHOWN]:
        print(line)
    print(f"{len(wrong)} things are wrong" if wrong else "nothing is wrong, and all is flat")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--clients", type=int, default=16, help="at a time")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between two visits")
    parser.add_argument("--round", type=float, default=40.0, help="seconds from rest to rest")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--no-reloads", action="store_true")
    options = parser.parse_args(arguments)
    print(f"{options.minutes:g} minutes, {options.workers} worker(s), seed {options.seed}")
    with soaking(options.clients, options.pause, options.seed, options.workers) as course:
        soak(course, options.minutes * 60, options.round, _tell, not options.no_reloads)
        return bool(_sum_up(course))


if __name__ == "__main__":
    sys.exit(ended("soak", main))
