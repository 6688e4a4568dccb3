"""Path prefixes on component boundaries, found by hash: ProxyPass and <Location>."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SLASHES = re.compile(rb"/+")


def normal_prefix(pattern: bytes) -> bytes:
    """`pattern` with every run of slashes as one, since the paths have no longer ones."""
    return _SLASHES.sub(b"/", pattern)


class PrefixIndex:
    """Numbered prefixes; which of them match a path costs one look-up for each of its slashes.

    ``/app`` matches ``/app`` and ``/app/x``, not ``/appx``; ``/app/`` matches what is below and
    not ``/app`` itself. Compared case-sensitively with a decoded path without double slashes. A
    prefix that does not begin with a slash matches nothing.
    """

    __slots__ = ("_first_at_end", "_first_below", "_longest", "_stems")

    def __init__(self, prefixes: Iterable[tuple[int, bytes]]) -> None:
        """`prefixes` are numbers in rising order, each with its prefix."""
        # Under the prefix without its last slash: who matches if a slash follows, and who at the
        # end of the path.
        stems: dict[bytes, tuple[list[int], list[int]]] = {}
        for number, prefix in prefixes:
            normal = normal_prefix(prefix)
            if not normal.startswith(b"/"):
                continue
            stem = normal.removesuffix(b"/")
            below, at_end = stems.setdefault(stem, ([], []))
            below.append(number)
            if stem == normal:
                at_end.append(number)
        self._stems = {stem: (tuple(a), tuple(b)) for stem, (a, b) in stems.items()}
        self._first_below = {stem: below[0] for stem, (below, _) in stems.items()}
        self._first_at_end = {stem: at_end[0] for stem, (_, at_end) in stems.items() if at_end}
        self._longest = max(map(len, stems), default=-1)

    def first(self, path: bytes) -> int | None:
        """The lowest number whose prefix matches `path`: of `matching`, without the list."""
        first = None
        numbers = self._first_below
        longest = self._longest
        if path[:1] != b"/":
            return None
        end = 0
        while 0 <= end <= longest:
            number = numbers.get(path[:end])
            if number is not None and (first is None or number < first):
                first = number
            # Further than the longest prefix there is nothing to look for.
            end = path.find(b"/", end + 1) if end < longest else longest + 1
        if end < 0 and len(path) <= longest:
            number = self._first_at_end.get(path)
            if number is not None and (first is None or number < first):
                first = number
        return first

    def matching(self, path: bytes) -> list[int]:
        """All numbers whose prefixes match `path`, shorter prefixes first."""
        stems = self._stems
        longest = self._longest
        found: list[int] = []
        end = path.find(b"/")
        while 0 <= end <= longest:
            at = stems.get(path[:end])
            if at is not None:
                found += at[0]
            end = path.find(b"/", end + 1)
        if end < 0 and len(path) <= longest:
            at = stems.get(path)
            if at is not None:
                found += at[1]
        return found
