"""Load on a server: what is asked (`Load`), asking it (`RunningLoad`, by load.c), what became of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Load:
    """One request again and again on some connections; see load.c for each of the words.

    `path` may have ``{file}``: the path at which the origin names a file in the server's own way.
    `bytes` is the size of a good answer; `warm` are the seconds that count for nothing, at first.
    """

    path: str
    bytes: int
    connections: int = 1
    headers: tuple[str, ...] = ()
    upload: int = 0
    chunked: bool = False
    once: bool = False
    slowly: int = 0
    warm: float = 0.5

    def words(self, seconds: float) -> list[str]:
        """The options for load.c, without port, path and size."""
        words = {"--connections": self.connections, "--seconds": seconds, "--warm": self.warm}
        words |= {"--upload": self.upload, "--chunked": int(self.chunked)}
        words |= {"--once": int(self.once), "--slowly": self.slowly}
        given = [text for name, value in words.items() for text in (name, str(value))]
        return given + [text for header in self.headers for text in ("--header", header)]


@dataclass(frozen=True)
class Outcome:
    """What became of a load: requests that were answered and bytes that came in `seconds`; `p50`
    and `p99` in microseconds; how many answers had which status, and what went wrong how often."""

    seconds: float
    requests: int
    bytes: int
    open: int
    p50: int
    p99: int
    statuses: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def parsed(cls, line: str) -> Self:
        """From the line that load.c prints. Raises `ValueError` for any other."""
        try:
            return cls(**json.loads(line))
        except TypeError:
            raise ValueError(f"expected a line of load.c, not {line!r}") from None


class RunningLoad:
    """A load under way: a context, which ends it. Its connections stay open until then."""

    def __init__(self, program: Path, load: Load, port: int, file: str, seconds: float) -> None:
        path = load.path.format(file=file)
        words = [*load.words(seconds), str(port), path, str(load.bytes)]
        self._process = subprocess.Popen(
            [program, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # the keys that stop the benchmark are not for the load
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_warm(self) -> None:
        """Until each connection had an answer, and what it does counts from now on."""
        if self._line() != "warm\n":
            raise SystemExit("the load generator ended before it began")

    def outcome(self) -> Outcome:
        line = self._line()
        if not line:
            raise SystemExit("the load generator ended before it said what it measured")
        return Outcome.parsed(line)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
