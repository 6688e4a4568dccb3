"""How many processes serve."""

from __future__ import annotations

import os

import pytest

from scgiproxy.service.workers.parent import ParentService
from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured
from tests.service.workers.children import SpawningReactor


@behaviour("Workers")
@pytest.mark.parametrize(("word", "count"), [("3", 3), ("auto", None)])
def test_workers(
    configured: Configured, word: str, count: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many, that serve what the parent listens on; auto: one for each core it may use."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 5, 7})
    config = configured(f"Workers {word}\nProxyPass / scgi://127.0.0.1/").config
    reactor = SpawningReactor()
    service = ParentService(config, reactor)
    service.privilegedStartService()
    service.startService()
    reactor.settle()
    assert len(service.processes.links) == (count or 4)
    assert {child.fds[4] for child in reactor.children} == {service.listeners.ports[0].fileno()}
    service.stopService()
    reactor.settle(1)
    assert reactor.alive == []
