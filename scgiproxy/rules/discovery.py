"""What ``BalancerMember ... discover=`` and ``ProxyResolver`` say: which name stands for members."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address

from scgiproxy.message.backend_url import Address, TcpAddress, UnixAddress, split_authority

NAME_SERVER_PORT = 53


class RecordKind(Enum):
    """Which records of a name are the members: the word after ``discover=``."""

    ADDRESS = "a"
    """Its addresses, A and AAAA; the port is the URL's."""
    SERVICE = "srv"
    """Its SRV records (RFC 2782), with ports of their own, and the addresses of their targets."""


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """A name that stands for members.

    `name` is complete: no search list is applied to it. `port` is for `RecordKind.ADDRESS` only.
    """

    kind: RecordKind
    name: str
    port: int


def discovery_settings(word: str, address: Address) -> DiscoverySettings:
    """The settings of a member at `address` with ``discover=word``.

    Raises ValueError with a sentence that says what was expected.
    """
    try:
        kind = RecordKind(word.lower())
    except ValueError:
        raise ValueError(f"expected a or srv, got {word!r}") from None
    if isinstance(address, UnixAddress):
        raise ValueError(f"discover={word} needs a host name, and {address} is a socket's path")
    name = address.host
    try:
        ip_address(name)
    except ValueError:
        return DiscoverySettings(kind, name.removesuffix("."), address.port)
    raise ValueError(f"discover={word} needs a host name, and {name} is an address")


def name_server(word: str) -> TcpAddress:
    """Where the name server of ``ProxyResolver host[:port]`` is (port 53 by default).

    Raises ValueError with a sentence that says what was expected.
    """
    return TcpAddress(*split_authority(word, NAME_SERVER_PORT))
