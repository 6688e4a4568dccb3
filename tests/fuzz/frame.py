"""What a target is, and what all of them share."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from zlib import crc32

from twisted.logger import LogEvent, LogLevel, globalLogPublisher

CORPUS = Path(__file__).parent / "corpus"

LONGEST = 1 << 14
"""Bytes of an input, at most."""


class Target(ABC):
    """One side that sends bytes. `name` is also that of its folder in the corpus."""

    name: str
    words: Sequence[bytes]
    """What its language is made of."""

    @abstractmethod
    def seeds(self) -> list[bytes]:
        """Good and bad inputs to begin with."""

    @abstractmethod
    def check(self, data: bytes) -> None:
        """Raises AssertionError if `data` leads to what must not be; any other error is one too."""

    def kept(self) -> dict[str, bytes]:
        """What is in the corpus, by file name."""
        return {path.name: path.read_bytes() for path in sorted((CORPUS / self.name).iterdir())}


def pieces_of(data: bytes) -> list[bytes]:
    """`data` in pieces: always the same ones for the same data, and any for any other."""
    chance = random.Random(crc32(data))
    edges = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((0, 1, 3, 12))))
    bounds = [0, *edges, len(data)]
    pieces = [data[start:end] for start, end in pairwise(bounds)]
    return [piece for piece in pieces if piece]


class ErrorLog:
    """The errors that are logged while it is entered; leaving asserts that there are none."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def _observe(self, event: LogEvent) -> None:
        level = event.get("log_level")
        if event.get("isError") or level in (LogLevel.error, LogLevel.critical):
            self.events.append(event)

    def __enter__(self) -> None:
        self.events.clear()
        globalLogPublisher.addObserver(self._observe)

    def __exit__(self, *args: object) -> None:
        globalLogPublisher.removeObserver(self._observe)
        if self.events:
            event = self.events[0]
            failure = event.get("log_failure")
            raise AssertionError(failure.getTraceback() if failure else str(event))
