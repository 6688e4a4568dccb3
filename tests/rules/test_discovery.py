"""What ``discover=`` and ``ProxyResolver`` say."""

from __future__ import annotations

import pytest

from scgiproxy.message.backend_url import Address, TcpAddress, parse_backend_url
from scgiproxy.rules.discovery import (
    DiscoverySettings,
    RecordKind,
    discovery_settings,
    name_server,
)


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
