"""Balancers."""

from __future__ import annotations

from typing import Any

from scgiproxy.config.model import Config
from tests.config.examples.base import FLAG, Example, last, server


def _members(config: Config) -> list[str]:
    return [member.url.label for member in config.balancers[_key(config)].members]


def _key(config: Config) -> str:
    target = last(config).mounts[-1].target
    assert target is not None
    return str(target.balancer)


def _name_server(config: Config) -> Any:
    return str(config.name_server.address) if config.name_server else None


EXAMPLES: dict[str, Example] = {
    "BalancerMember": Example(
        "BalancerMember balancer://b scgi://localhost:1",
        ["scgi://localhost:1"],
        "BalancerMember scgi://localhost:1",
        "expected balancer://NAME and a URL outside <Proxy>",
        "BalancerMember balancer://b scgi://localhost:2",
        ["scgi://localhost:1", "scgi://localhost:2"],
        _members,
        inner="{}",
        more="ProxyPass /b balancer://b",
    ),
    "BalancerInherit": server(
        "balancer_inherit",
        "BalancerInherit Off",
        False,
        "BalancerInherit maybe",
        FLAG,
        "BalancerInherit On",
        True,
    ),
    "BalancerPersist": server(
        "balancer_persist",
        "BalancerPersist On",
        True,
        "BalancerPersist maybe",
        FLAG,
        "BalancerPersist Off",
        False,
    ),
    "ProxyResolver": Example(
        "ProxyResolver 10.0.0.53",
        "10.0.0.53:53",
        "ProxyResolver 10.0.0.53:dns",
        "is no number from 1 to 65535",
        "ProxyResolver [2001:db8::53]:5353",
        "[2001:db8::53]:5353",
        _name_server,
        inner="{}",
    ),
    "HeartbeatStorage": Example(
        "HeartbeatStorage {tmp}/hb.dat",
        "{tmp}/hb.dat",
        "HeartbeatStorage {tmp}/nothing/hb.dat",
        "does not exist",
        "HeartbeatStorage {tmp}/other.dat",
        "{tmp}/other.dat",
        lambda c: c.heartbeat_storage,
        inner="{}",
    ),
    "DefaultRuntimeDir": Example(
        "DefaultRuntimeDir {tmp}/run",
        "{tmp}/run",
        "DefaultRuntimeDir {tmp}/run b",
        "takes one argument",
        "DefaultRuntimeDir {tmp}",
        "{tmp}",
        lambda c: c.runtime_directory.path if c.runtime_directory else None,
        inner="{}",
    ),
}
