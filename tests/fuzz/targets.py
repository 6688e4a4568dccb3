"""Every target, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.fuzz.frame import Target
from tests.fuzz.requests import Requests
from tests.fuzz.responses import Responses

TARGETS: Mapping[str, Callable[[], Target]] = {each.name: each for each in (Requests, Responses)}
