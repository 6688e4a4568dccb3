"""Which name servers are asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred

from scgiproxy.errors import NameNotFound
from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool.nameservers import ConfiguredServer, NameServers, SystemServers
from scgiproxy.pool.resolve import Addresses, Resolver
from tests.pool.test_resolve import Names


def addresses(servers: NameServers) -> list[str]:
    """Those that are known at once."""
    found: list[str] = []
    ask(servers).addCallback(found.extend)
    return found


def ask(servers: NameServers) -> Deferred[list[str]]:
    async def texts() -> list[str]:
        return [str(address) for address in await servers.addresses()]

    return Deferred.fromCoroutine(texts())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["127.0.0.1:53"]),
        ("search example\nnameserver 192.0.2.1\n", ["192.0.2.1:53"]),
        ("  nameserver\t2001:db8::1 # comment\n", ["[2001:db8::1]:53"]),
        ("nameserver fe80::1%eth0\n", ["[fe80::1%eth0]:53"]),
        ("#nameserver 192.0.2.1\n;nameserver 192.0.2.2\n", ["127.0.0.1:53"]),
        ("nameserver\nnameserver dns.example\nnameserver 192.0.2.1", ["192.0.2.1:53"]),
        (
            "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 6)),
            ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"],
        ),
        ("\udcff\nnameserver 192.0.2.1\n", ["192.0.2.1:53"]),
    ],
)
def test_the_system_s(tmp_path: Path, text: str, expected: list[str]) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text, errors="surrogateescape")
    assert addresses(SystemServers(path)) == expected


def test_the_system_s_may_change(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    servers = SystemServers(path)
    assert addresses(servers) == ["127.0.0.1:53"]
    path.write_text("nameserver 192.0.2.1\n")
    assert addresses(servers) == ["192.0.2.1:53"]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (IPv4Address("TCP", "192.0.2.1", 5353), "192.0.2.1:5353"),
        (IPv6Address("TCP", "::1", 53), "[::1]:53"),
        (IPv6Address("TCP", "fe80::1", 53, 0, 2), "[fe80::1%2]:53"),
    ],
)
def test_a_configured_address(known: IPv4Address | IPv6Address, expected: str) -> None:
    assert addresses(ConfiguredServer("dns", Addresses((known,)))) == [expected]


def test_a_configured_name_is_waited_for() -> None:
    names = Names()
    server = ConfiguredServer("dns:5353", Resolver(names).lookup(TcpAddress("dns", 5353)))
    found: list[str] = []
    ask(server).addCallback(found.extend)
    assert found == []
    names.questions[0].answer("192.0.2.1", "2001:db8::1")
    assert found == ["192.0.2.1:5353", "[2001:db8::1]:5353"]
    assert addresses(server) == found


def test_a_configured_name_that_is_none() -> None:
    names = Names()
    asked = ask(ConfiguredServer("dns:53", Resolver(names).lookup(TcpAddress("dns", 53))))
    names.questions[0].answer()
    errors: list[str] = []
    asked.addErrback(
        lambda failure: errors.append(str(failure.trap(NameNotFound) and failure.value))
    )
    assert errors == ["the name server dns:53 could not be resolved"]


def test_not_waiting_any_longer() -> None:
    names = Names()
    asked = ask(ConfiguredServer("dns", Resolver(names).lookup(TcpAddress("dns", 53))))
    ended: list[object] = []
    asked.addBoth(ended.append)
    asked.cancel()
    assert len(ended) == 1
    names.questions[0].answer("192.0.2.1")
    assert len(ended) == 1
