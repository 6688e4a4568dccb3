"""What several tests of connections use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.prompt import Served, serving


@pytest.fixture(params=["tcp", "unix"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """A client's connection, by TCP and by a UNIX socket."""
    with serving(request.param, tmp_path) as made:
        yield made
