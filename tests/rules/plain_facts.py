"""A request's facts as plain data, for the tests of rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address


@dataclass
class PlainFacts:
    """A `scgiproxy.rules.facts.Facts`; `headers` has lower-case names."""

    method: bytes = b"GET"
    protocol: bytes = b"HTTP/1.1"
    decoded_path: bytes = b"/"
    remote_addr: bytes = b"192.0.2.1"
    server_addr: bytes = b"198.51.100.1"
    environment: dict[bytes, bytes] = field(default_factory=dict)
    headers: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def remote_ip(self) -> IPv4Address | IPv6Address | None:
        return ip_address(self.remote_addr.decode()) if self.remote_addr else None

    def header(self, name: bytes) -> bytes | None:
        return self.headers.get(name)

    def header_names(self) -> Iterable[bytes]:
        return self.headers
