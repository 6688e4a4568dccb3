"""Every target, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.fuzz.frame import Target
from tests.fuzz.requests import Requests

TARGETS: Mapping[str, Callable[[], Target]] = {each.name: each for each in (Requests,)}
