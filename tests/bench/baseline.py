"""Regressions: the ratios of a run beside those of a stored one.

Machines differ, and so do times; in proportion to what else runs on the same machine in the same
minute, the gateway's figures can be compared. What is compared are the lines to reach, and the
CPU time of each work in proportion to each other server's.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Self

from tests.bench import files
from tests.bench.figures import Results
from tests.bench.lines import LINES
from tests.bench.servers import GATEWAY

STORED = Path(__file__).with_name("baseline.json")
NOISE = 0.10
"""By how much a ratio of CPU times may be worse without that being a regression."""
NOISE_OF_TIMES = 0.30
"""The same where the time is measured that passes, and not the time of the processor."""


@dataclass(frozen=True)
class Ratio:
    """`spread` is how far the rounds are apart, in proportion to `median`."""

    median: float
    spread: float
    more: bool = False
    noise: float = NOISE

    @classmethod
    def of(cls, values: list[float], *, more: bool, noise: float) -> Self:
        median = statistics.median(values)
        return cls(median, (max(values) - min(values)) / median if median else 0.0, more, noise)


def _is_ratio(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {each.name for each in fields(Ratio)}
        and all(map(files.is_number, (value["median"], value["spread"], value["noise"])))
        and isinstance(value["more"], bool)
    )


_SHAPE = {"machine": files.by_name(files.is_text), "ratios": files.by_name(_is_ratio)}


@dataclass(frozen=True)
class Baseline:
    machine: dict[str, str] = field(default_factory=dict)
    ratios: dict[str, Ratio] = field(default_factory=dict)

    @classmethod
    def of(cls, results: Results) -> Self:
        found = {}
        for line in LINES:
            values = line.values(results)
            if values:
                noise = NOISE if line.figure in ("cpu", "each") else NOISE_OF_TIMES
                found[line.text] = Ratio.of(values, more=line.more, noise=noise)
        for work, servers in results.rounds.items():
            for server in servers:
                values = results.ratios("cpu", (work, GATEWAY), (work, server))
                if values and server != GATEWAY:
                    text = f"{work}: CPU against {server}"
                    found[text] = Ratio.of(values, more=False, noise=NOISE)
        return cls(results.machine, found)

    def with_earlier(self, earlier: Self) -> Self:
        """With the ratios of `earlier` that were not measured this time, and with the versions of
        the servers that were not."""
        return type(self)(earlier.machine | self.machine, earlier.ratios | self.ratios)

    def differs_from(self, machine: dict[str, str]) -> bool:
        """Whether anything is different that is known of both."""
        known = self.machine.keys() & machine.keys()
        return any(self.machine[name] != machine[name] for name in known)

    def write(self, path: Path) -> None:
        files.write(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises `ValueError` if `path` has something else, and `OSError`."""
        stored = files.json_of(path, _SHAPE)
        if stored is None:
            raise ValueError(f"{path} has no baseline of this benchmark, as --store writes it")
        ratios = {text: Ratio(**each) for text, each in stored["ratios"].items()}
        return cls(stored["machine"], ratios)


@dataclass(frozen=True)
class Change:
    """One ratio, then and now. `worse` is by how much, in proportion; below 0 it is better."""

    text: str
    then: float
    now: float
    worse: float
    noise: float

    @property
    def regression(self) -> bool:
        return self.worse > self.noise

    def __str__(self) -> str:
        how = "worse" if self.worse > 0 else "better"
        verdict = "REGRESSION" if self.regression else "ok"
        return (
            f"{verdict:10} {self.text}: {self.then:.2f} then, {self.now:.2f} now,"
            f" {abs(self.worse):.0%} {how} (noise {self.noise:.0%})"
        )


def compared(stored: Baseline, now: Baseline) -> list[Change]:
    """What both have. The noise is at least as far as the rounds of either were apart."""
    changes = []
    for text, new in now.ratios.items():
        old = stored.ratios.get(text)
        if old is None or not old.median or not new.median:
            continue
        worse = (old.median / new.median if new.more else new.median / old.median) - 1
        noise = max(new.noise, old.spread / 2, new.spread / 2)
        changes.append(Change(text, old.median, new.median, worse, noise))
    return changes
