"""What members, and what name servers say of them, are called between processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address

from scgiproxy.message.backend_url import Address, TcpAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.lookup import Found
from scgiproxy.service.workers.link import JSON
from scgiproxy.wire.streamsocket import SocketAddress

Name = tuple[int, str]
"""The number of its pool, which is the same in every process of one configuration, and its label."""


class Directory:
    """The members of `pools` by `Name`. Only those count that have something to be shared: members
    of balancers, and backends with a `max`."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self._pools = pools
        self._known: dict[Name, tuple[Pool, Backend]] = {}
        self._names: dict[Backend, Name] = {}
        self.update()

    def update(self) -> None:
        """Pools have other members."""
        self._known = {
            (number, backend.label): (pool, backend)
            for number, pool in enumerate(self._pools)
            for backend in pool.backends
            if pool.balanced or backend.settings.max_connections is not None
        }
        self._names = {backend: name for name, (_, backend) in self._known.items()}

    def release(self) -> None:
        """What happens to the members is nobody's affair any more."""
        for _, backend in self._known.values():
            backend.sharing = None

    def __iter__(self) -> Iterator[tuple[Pool, Backend]]:
        return iter(self._known.values())

    def name(self, backend: Backend) -> Name | None:
        """None if it is not there any more."""
        return self._names.get(backend)

    def find(self, number: JSON, label: JSON) -> tuple[Pool, Backend] | None:
        """The same for one that may be known elsewhere only."""
        return self._known.get((number, label))  # type: ignore[arg-type]


def write_found(found: Sequence[Found]) -> list[JSON]:
    """The members that a name stands for."""
    return [
        [one.address.host, one.address.port, one.lbset, one.load_factor, one.name] for one in found
    ]


def read_found(told: Sequence[Any]) -> tuple[Found, ...]:
    """What `write_found` has written."""
    return tuple(Found(TcpAddress(host, port), *rest) for host, port, *rest in told)


def write_addresses(of: Address, addresses: Sequence[SocketAddress]) -> list[JSON]:
    """The addresses that the host name of a backend stands for, behind host and port of it."""
    assert isinstance(of, TcpAddress)  # a name
    known: list[JSON] = [[of.host, of.port]]
    for one in addresses:
        if isinstance(one, IPv6Address):
            known.append([one.host, one.port, one.flowInfo, one.scopeID])
        elif isinstance(one, IPv4Address):
            known.append([one.host, one.port])
    return known


def read_addresses(told: Sequence[Any]) -> tuple[TcpAddress, tuple[SocketAddress, ...]]:
    """What `write_addresses` has written."""
    (host, port), *addresses = told
    return TcpAddress(host, port), tuple(
        IPv4Address("TCP", *one) if len(one) == 2 else IPv6Address("TCP", *one) for one in addresses
    )
