"""Which name servers are asked."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred

from scgiproxy.errors import NameNotFound
from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool.resolve import Addresses
from scgiproxy.rules.discovery import NAME_SERVER_PORT
from scgiproxy.wire.streamsocket import SocketAddress

MAX_SERVERS = 3
"""As many of them are asked; what resolv.conf(5) allows."""

_LOCAL = TcpAddress("127.0.0.1", NAME_SERVER_PORT)


class NameServers(Protocol):
    """Knows the name servers, at the moment of each question."""

    async def addresses(self) -> Sequence[TcpAddress]:
        """At least one, in the order to ask; each host is an IP address, with its zone if it has
        one. Raises `NameNotFound`."""


class SystemServers:
    """Those of the system: the ``nameserver`` lines of `path`, read for each question.

    Without one, or without the file, that of this machine (resolv.conf(5)).
    """

    def __init__(self, path: Path = Path("/etc/resolv.conf")) -> None:
        self._path = path

    async def addresses(self) -> Sequence[TcpAddress]:
        try:
            text = self._path.read_text("ascii", "replace")
        except OSError:
            text = ""
        found = []
        for line in text.splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver" and _is_address(words[1]):
                found.append(TcpAddress(words[1], NAME_SERVER_PORT))
        return found[:MAX_SERVERS] or [_LOCAL]


class ConfiguredServer:
    """The one of ``ProxyResolver``, at `known`; `name` is as written, for messages.

    If it is a host name, the system says where it is.
    """

    def __init__(self, name: str, known: Addresses) -> None:
        self._name = name
        self._known = known

    async def addresses(self) -> Sequence[TcpAddress]:
        found = self._known.current() or await _first(self._known)
        servers = [_tcp(address) for address in found if not isinstance(address, UNIXAddress)]
        if not servers:
            raise NameNotFound(f"the name server {self._name} could not be resolved")
        return servers[:MAX_SERVERS]


class _First:
    """Waits for the first answer."""

    def __init__(self, known: Addresses) -> None:
        self.answer: Deferred[tuple[SocketAddress, ...]] = Deferred(lambda _: known.forget(self))
        known.wait(self)

    def resolved(self, addresses: tuple[SocketAddress, ...]) -> None:
        self.answer.callback(addresses)


def _first(known: Addresses) -> Deferred[tuple[SocketAddress, ...]]:
    return _First(known).answer


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


def _tcp(address: SocketAddress) -> TcpAddress:
    assert not isinstance(address, UNIXAddress)
    if isinstance(address, IPv6Address) and address.scopeID:
        return TcpAddress(f"{address.host}%{address.scopeID}", address.port)
    return TcpAddress(address.host, address.port)
