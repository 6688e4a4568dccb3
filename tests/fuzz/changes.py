"""Random changes of inputs: what a fuzzer does that does not see the code."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.fuzz.frame import LONGEST

_BYTES = b"\r\n\t :;,\x00\x0b\x7f\x80\xff+-0159aFxX%/.#"


class Changes:
    """Makes inputs out of `seeds` and `words`, the same ones for the same `seed`."""

    def __init__(self, seeds: Sequence[bytes], words: Sequence[bytes], seed: int) -> None:
        self._seeds = [data for data in seeds if len(data) <= LONGEST]
        self._words = words
        self._chance = random.Random(seed)

    def make(self) -> bytes:
        """The next input."""
        chance = self._chance
        data = chance.choice(self._seeds)
        for _ in range(chance.choice((1, 1, 2, 3, 6))):
            change = chance.choice(
                (self._word, self._word, self._byte, self._without, self._twice, self._joined)
            )
            data = change(data)
        return data[:LONGEST]

    def _place(self, data: bytes) -> int:
        return self._chance.randrange(len(data) + 1)

    def _span(self, data: bytes) -> tuple[int, int]:
        start = self._place(data)
        return start, min(start + self._chance.choice((1, 2, 5, 20, 80)), len(data))

    def _word(self, data: bytes) -> bytes:
        """A word put in, maybe in the place of something."""
        start, end = self._span(data)
        if self._chance.random() < 0.5:
            end = start
        return data[:start] + self._chance.choice(self._words) + data[end:]

    def _byte(self, data: bytes) -> bytes:
        at = self._place(data)
        byte = self._chance.choice(_BYTES)
        if self._chance.random() < 0.3:
            byte = self._chance.randrange(256)
        return data[:at] + bytes((byte,)) + data[at + self._chance.randrange(2) :]

    def _without(self, data: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] + data[end:]

    def _twice(self, data: bytes) -> bytes:
        start, end = self._span(data)
        times = self._chance.choice((1, 1, 2, 50))
        return data[:end] + data[start:end] * times + data[end:]

    def _joined(self, data: bytes) -> bytes:
        other = self._chance.choice(self._seeds)
        return data[: self._place(data)] + other[self._place(other) :]
