"""Objects that count how often they are asked, to test the cost of a look-up without a clock."""

from __future__ import annotations

import re
from typing import Any


class CountingPath(bytes):
    """A path that counts how many pieces are cut from it: each look-up cuts one."""

    cuts = 0

    def __getitem__(self, key: Any) -> Any:
        self.cuts += 1
        return super().__getitem__(key)


class CountingExpression:
    """An expression that counts its searches."""

    def __init__(self, pattern: bytes) -> None:
        self._pattern = re.compile(pattern)
        self.searches = 0

    def search(self, text: bytes) -> re.Match[bytes] | None:
        self.searches += 1
        return self._pattern.search(text)
