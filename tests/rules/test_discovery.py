"""What ``discover=`` and ``ProxyResolver`` say."""

from __future__ import annotations

import pytest

from scgiproxy.message.backend_url import Address, TcpAddress, parse_backend_url
from scgiproxy.rules.discovery import (
    MAX_ROUTE_PREFIX,
    DiscoverySettings,
    RecordKind,
    discovery_settings,
    member_route,
    name_server,
)
from scgiproxy.rules.sticky import MAX_ROUTE


def address_of(url: str) -> Address:
    address = parse_backend_url(url).address
    assert address is not None
    return address


@pytest.mark.parametrize(
    ("word", "url", "expected"),
    [
        ("a", "scgi://App.example:4001", (RecordKind.ADDRESS, "app.example", 4001)),
        ("A", "scgi://app.example.", (RecordKind.ADDRESS, "app.example", 4000)),
        ("srv", "scgi://_app._tcp.example", (RecordKind.SERVICE, "_app._tcp.example", 4000)),
        ("SRV", "scgi://app.service.consul", (RecordKind.SERVICE, "app.service.consul", 4000)),
    ],
)
def test_settings(word: str, url: str, expected: tuple[RecordKind, str, int]) -> None:
    assert discovery_settings(word, address_of(url)) == DiscoverySettings(*expected)


@pytest.mark.parametrize(
    ("word", "url", "complaint"),
    [
        ("mx", "scgi://app.example", "expected a or srv, got 'mx'"),
        ("a", "unix:/run/app.sock|scgi://app", "needs a host name, and unix:/run/app.sock is"),
        ("a", "scgi://10.0.0.1:4000", "needs a host name, and 10.0.0.1 is an address"),
        ("srv", "scgi://[2001:db8::1]", "needs a host name, and 2001:db8::1 is an address"),
    ],
)
def test_unusable_settings(word: str, url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        discovery_settings(word, address_of(url))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("10.0.0.53", TcpAddress("10.0.0.53", 53)),
        ("127.0.0.1:5353", TcpAddress("127.0.0.1", 5353)),
        ("[::1]", TcpAddress("::1", 53)),
        ("[::1]:5353", TcpAddress("::1", 5353)),
        ("dns.internal", TcpAddress("dns.internal", 53)),
    ],
)
def test_name_servers(word: str, expected: TcpAddress) -> None:
    assert name_server(word) == expected


@pytest.mark.parametrize("word", ["", "::1", "host:dns", "a b", "host:0"])
def test_what_is_no_name_server(word: str) -> None:
    with pytest.raises(ValueError, match=r"expected|no number"):
        name_server(word)


def test_routes_of_members() -> None:
    """One for each address and port, the same in every process, with nothing of the address in it."""
    first = member_route(b"", TcpAddress("192.0.2.1", 4000))
    assert first == b"2b71f48ff7"
    assert member_route(b"app", TcpAddress("192.0.2.1", 4000)) == b"app-" + first
    others = [
        member_route(b"", TcpAddress(host, port))
        for host, port in (("192.0.2.1", 4001), ("192.0.2.2", 4000), ("2001:db8::1", 4000))
    ]
    assert len({first, *others}) == 4


def test_a_route_is_never_too_long() -> None:
    route = member_route(b"x" * MAX_ROUTE_PREFIX, TcpAddress("192.0.2.1", 4000))
    assert len(route) == MAX_ROUTE
