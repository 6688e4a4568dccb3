"""What members are called between processes."""

from __future__ import annotations

from scgiproxy.rules.backend import BackendSettings
from scgiproxy.service.workers.directory import Directory
from tests.pool.fakes import Scene


def test_members_and_what_has_a_limit_have_names() -> None:
    balancer = Scene(BackendSettings(), BackendSettings())
    alone = Scene(BackendSettings(), balanced=False)
    limited = Scene(BackendSettings(max_connections=1), balanced=False)
    directory = Directory([one.pool for one in (balancer, alone, limited)])
    a, b = balancer.backends
    assert [directory.name(one) for one in (a, b)] == [(0, a.label), (0, b.label)]
    assert directory.name(alone.backends[0]) is None
    assert directory.find(2, limited.backends[0].label) == (limited.pool, limited.backends[0])
    assert directory.find(1, alone.backends[0].label) is None
    assert len(list(directory)) == 3


def test_one_that_is_gone_has_none() -> None:
    scene = Scene(BackendSettings(), BackendSettings())
    directory = Directory([scene.pool])
    a, b = scene.backends
    scene.pool.set_backends([b])
    directory.update()
    assert directory.name(a) is None
    assert directory.find(0, a.label) is None
