"""What members are called between processes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address

from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool.lookup import Found
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.service.workers.directory import (
    Directory,
    read_addresses,
    read_found,
    write_addresses,
    write_found,
)
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


def over_a_link(value: Any) -> Any:
    return json.loads(json.dumps(value))


def test_found_members_arrive_as_they_were() -> None:
    found = (
        Found(TcpAddress("10.0.0.1", 4000), 0, 100 / 3, "a.example"),
        Found(TcpAddress("2001:db8::1", 4001), 99, 1.0, "b.example"),
    )
    assert read_found(over_a_link(write_found(found))) == found


@pytest.mark.parametrize(
    "addresses",
    [(), (IPv4Address("TCP", "10.0.0.1", 7), IPv6Address("TCP", "fe80::1", 7, 5, 3))],
)
def test_addresses_arrive_as_they_were(addresses: Any) -> None:
    """The zone of a link-local one too."""
    host = TcpAddress("app.example", 7)
    assert read_addresses(over_a_link(write_addresses(host, addresses))) == (host, addresses)
