"""The figures of a whole run: for each work and server those of every round; medians and ratios."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from tests.bench import files
from tests.bench.measuring import Figures

_TEXTS = files.by_name(files.is_text)
_ROUNDS = files.one_or_more(files.by_name(files.is_number))
_SHAPE = {
    "machine": _TEXTS,
    "rounds": files.by_name(files.by_name(_ROUNDS)),
    "remarks": files.by_name(_TEXTS),
}


@dataclass
class Results:
    """`rounds[work][server]` has the figures of one round after the other.

    `remarks[work][server]` says why there are none, or what was wrong. `machine` is what they were
    measured on, by name.
    """

    machine: dict[str, str] = field(default_factory=dict)
    rounds: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    remarks: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, work: str, server: str, figures: Figures) -> None:
        self.rounds.setdefault(work, {}).setdefault(server, []).append(figures)

    def remark(self, work: str, server: str, text: str) -> None:
        self.remarks.setdefault(work, {})[server] = text

    def servers(self, work: str) -> Iterator[tuple[str, Figures]]:
        """The servers that were measured, each with its medians."""
        for server, rounds in self.rounds.get(work, {}).items():
            yield server, medians(rounds)

    def series(self, figure: str, work: str, server: str) -> list[float]:
        """One figure, round after round; empty if it was not measured."""
        rounds = self.rounds.get(work, {}).get(server, [])
        return [each[figure] for each in rounds if figure in each]

    def ratios(
        self, figure: str, over: tuple[str, str], under: tuple[str, str] | None
    ) -> list[float]:
        """Of one work and server over another, within each round, so that what disturbed a round
        disturbed both; the figures themselves where there is nothing under them."""
        upper = self.series(figure, *over)
        if under is None:
            return upper
        return [a / b for a, b in zip(upper, self.series(figure, *under), strict=False) if b]

    def with_earlier(self, earlier: Self) -> None:
        """Take over the works of `earlier` that were not measured this time."""
        for work, servers in earlier.rounds.items():
            if work not in self.rounds and work not in self.remarks:
                self.rounds[work] = servers
                if work in earlier.remarks:
                    self.remarks[work] = earlier.remarks[work]

    def write(self, path: Path) -> None:
        files.write(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises `ValueError` if `path` has something else, and `OSError`."""
        stored = files.json_of(path, _SHAPE)
        if stored is None:
            raise ValueError(f"{path} has no results of this benchmark, as --json writes them")
        return cls(**stored)


def medians(rounds: list[Figures]) -> Figures:
    """Of each figure on its own."""
    names = {name: None for each in rounds for name in each}
    return {
        name: statistics.median(each[name] for each in rounds if name in each) for name in names
    }
