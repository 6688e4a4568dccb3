"""Which virtual host serves a request: by address first, then by name."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from scgiproxy.config.model import HostAddress
from scgiproxy.rules.sections import SectionTable
from scgiproxy.rules.settings import ServerSettings, Settings
from scgiproxy.web.address import ConnectionEnd
from scgiproxy.web.hosts import HostNames, HostTable, host_environ
from scgiproxy.web.vhost import VirtualHostResource


def host(
    label: str, *addresses: tuple[str | None, int | None], **server: Any
) -> VirtualHostResource:
    return VirtualHostResource(
        ServerSettings(admin=label.encode(), **server),
        sections=SectionTable({}, (), lambda values: Settings()),
        base_settings=Settings(),
        addresses=[HostAddress(*address) for address in addresses],
    )


ANY = (None, None)
PORT80 = (None, 80)
MAIN = host("main", name=b"main.example")
HOSTS = [
    host("first", PORT80, name=b"first.example", aliases=(b"*.wild.example", b"one")),
    host("second", PORT80, name=b"second.example", aliases=(b"x.wild.example", b"t?o")),
    host("exact", ("192.0.2.1", 80), name=b"exact.example"),
    host("exact2", ("192.0.2.1", 80), ("192.0.2.9", None), name=b"exact2.example"),
    host("six", ("[2001:0db8::1]", 80), name=b"six.example"),
    host("any", ANY, name=b"any.example"),
]
TABLE = HostTable(MAIN, HOSTS)


def four(address: str, port: int = 80) -> ConnectionEnd:
    return ConnectionEnd(IPv4Address("TCP", address, port))


@pytest.mark.parametrize(
    ("end", "name", "expected"),
    [
        # Nobody has the address: the wildcards, in file order.
        (four("198.51.100.1"), b"first.example", "first"),
        (four("198.51.100.1"), b"second.example", "second"),
        (four("198.51.100.1"), b"any.example", "any"),
        (four("198.51.100.1"), b"one", "first"),
        (four("198.51.100.1"), b"two", "second"),
        (four("198.51.100.1"), b"tooo", "first"),
        (four("198.51.100.1"), b"unknown", "first"),
        (four("198.51.100.1"), None, "first"),
        # Names with and without wildcards are tried per host: an earlier wildcard wins.
        (four("198.51.100.1"), b"x.wild.example", "first"),
        # The address comes first, whatever the name.
        (four("192.0.2.1"), b"exact.example", "exact"),
        (four("192.0.2.1"), b"exact2.example", "exact2"),
        (four("192.0.2.1"), b"first.example", "exact"),
        (four("192.0.2.1"), None, "exact"),
        (four("192.0.2.9", 8080), b"exact.example", "exact2"),
        # Another port: only those for any port.
        (four("192.0.2.1", 8080), b"first.example", "any"),
        (four("198.51.100.1", 8080), b"unknown", "any"),
        # Other families.
        (ConnectionEnd(IPv6Address("TCP", "2001:db8::1", 80)), None, "six"),
        (ConnectionEnd(IPv6Address("TCP", "::ffff:192.0.2.1", 80)), None, "exact"),
        (ConnectionEnd(UNIXAddress(b"/run/x")), b"any.example", "any"),
    ],
)
def test_selection(end: ConnectionEnd, name: bytes | None, expected: str) -> None:
    assert TABLE.select(end, name).server.admin.decode() == expected


def test_main_server_serves_what_no_host_does() -> None:
    table = HostTable(MAIN, [host("x", ("192.0.2.1", 80))])
    assert table.select(four("198.51.100.1"), b"x") is MAIN
    assert HostTable(MAIN).select(four("198.51.100.1"), None) is MAIN


def test_candidates_are_remembered() -> None:
    end = four("192.0.2.1")
    assert TABLE.candidates(end) is TABLE.candidates(four("192.0.2.1"))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (b"a.example", True),
        (b"b.example", True),
        (b"www.c.example", True),
        (b"www.d.c.example", True),
        (b"c.example", False),
        (b"xa.example", False),
        (b"a.example.", False),
        (b"", False),
        (b"1.e", True),
        (b"12.e", False),
        (b"axb", False),
    ],
)
def test_names(name: bytes, known: bool) -> None:
    names = HostNames(b"A.example", (b"B.Example", b"*.C.example", b"?.e", b"a[x]*b"))
    assert (name in names) is known


def test_host_without_a_name_has_none() -> None:
    assert b"" not in HostNames(b"")


def test_environ_of_a_host() -> None:
    server = ServerSettings(document_root="/srv/www", admin=b"me", scheme=b"http")
    environ = host_environ(server, b"software", secure=False)
    for pair in (b"DOCUMENT_ROOT\0/srv/www\0", b"SERVER_ADMIN\0me\0", b"REQUEST_SCHEME\0http\0"):
        assert pair in environ.encoded
    assert b"HTTPS" not in environ.names
    assert b"HTTPS\0on\0" in host_environ(server, b"", secure=True).encoded
    assert b"HTTPS\0on\0" in host_environ(ServerSettings(scheme=b"https"), b"", False).encoded
