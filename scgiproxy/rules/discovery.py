"""What ``BalancerMember ... discover=`` and ``ProxyResolver`` say: which name stands for members."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from ipaddress import ip_address

from scgiproxy.message.backend_url import Address, TcpAddress, UnixAddress, split_authority
from scgiproxy.rules.sticky import MAX_ROUTE

NAME_SERVER_PORT = 53

_DIGITS = 10
MAX_ROUTE_PREFIX = MAX_ROUTE - _DIGITS - 1
"""Bytes of the `route` of a line with ``discover=``."""


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


def member_route(prefix: bytes, address: TcpAddress) -> bytes:
    """The route of a member that was found at `address`.

    The same address always has the same, so that sessions survive a restart and every gateway knows
    them; and a cookie with it does not say where the member is. `prefix` is the line's `route`.
    """
    digest = blake2b(str(address).encode("ascii"), digest_size=_DIGITS // 2).hexdigest()
    return prefix + b"-" * bool(prefix) + digest.encode("ascii")


def name_server(word: str) -> TcpAddress:
    """Where the name server of ``ProxyResolver host[:port]`` is (port 53 by default).

    Raises ValueError with a sentence that says what was expected.
    """
    return TcpAddress(*split_authority(word, NAME_SERVER_PORT))
