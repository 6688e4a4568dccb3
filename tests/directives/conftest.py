"""A gateway for a configuration, which holds nothing when the test is over."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.directives.behaviours import names_in
from tests.directives.gateway import Configured, ConfiguredGateway


@pytest.fixture
def configured(request: pytest.FixtureRequest) -> Iterator[Configured]:
    """``configured(TEXT, **options of load_text)`` is a gateway."""
    gateways: list[ConfiguredGateway] = []

    def make(text: str, **options: Any) -> ConfiguredGateway:
        gateways.append(ConfiguredGateway(text, **options))
        return gateways[-1]

    yield make
    for gateway in gateways:
        gateway.close()
    promised = getattr(request.function, "behaviour_of", ())
    shown = set().union(*(names_in(gateway.text) for gateway in gateways))
    missing = {name for name in promised if name.lower() not in shown}
    if missing:
        # Another set of this test's parameters may have it.
        source = inspect.getsource(request.function)
        source = re.sub(r"@behaviour\([^)]*\)", "", source)
        missing = {name for name in missing if name not in source}
    assert not missing, f"the test is said to be about {missing}, and no configuration has it"
