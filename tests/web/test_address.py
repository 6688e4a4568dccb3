"""The ends of a connection, as variables and rules want them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from scgiproxy.web.address import ConnectionEnd


@pytest.mark.parametrize(
    ("address", "host", "port", "ip"),
    [
        (IPv4Address("TCP", "192.0.2.1", 80), b"192.0.2.1", b"80", "192.0.2.1"),
        (IPv6Address("TCP", "2001:db8::1", 80), b"2001:db8::1", b"80", "2001:db8::1"),
        (IPv6Address("TCP", "::ffff:192.0.2.1", 80), b"192.0.2.1", b"80", "192.0.2.1"),
        (IPv6Address("TCP", "fe80::1%eth0", 80), b"fe80::1%eth0", b"80", "fe80::1"),
        (UNIXAddress(b"/run/x"), b"", b"", None),
        (UNIXAddress(None), b"", b"", None),
        (None, b"", b"", None),
    ],
)
def test_forms(address: object, host: bytes, port: bytes, ip: str | None) -> None:
    end = ConnectionEnd(address)
    assert (end.host, end.port) == (host, port)
    assert end.ip == (None if ip is None else ip_address(ip))
    assert end.port_number == (80 if port else None)
    assert not end.secure


def test_host_that_is_no_address() -> None:
    """A transport of a test, say."""
    assert ConnectionEnd(IPv4Address("TCP", "somewhere", 80)).ip is None


def test_repr() -> None:
    assert repr(ConnectionEnd(IPv4Address("TCP", "192.0.2.1", 80))) == "192.0.2.1:80"
    assert repr(ConnectionEnd(UNIXAddress(b"/x"))) == "unix socket"
