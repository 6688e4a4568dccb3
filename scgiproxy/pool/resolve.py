"""Host names to addresses, so that no request waits for a name server but the very first.

A name is resolved when the gateway starts and again when its addresses are older than the TTL;
while that goes on, and when it fails, the last good addresses stay in use.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from ipaddress import IPv6Address as IPv6Literal
from ipaddress import ip_address
from math import inf
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IHostResolution, IResolutionReceiver
from zope.interface import implementer

from scgiproxy.log.events import Logger
from scgiproxy.message.backend_url import Address, UnixAddress
from scgiproxy.pool.renewal import Renewal
from scgiproxy.wire.streamsocket import SocketAddress

LONGEST_RETRY = 5.0
"""Seconds before a name that could not be resolved is asked for again, at most."""


class Waiter(Protocol):
    """Somebody who needs the first answer."""

    def resolved(self, addresses: tuple[SocketAddress, ...]) -> None:
        """The addresses; none if the name could not be resolved."""


class Addresses:
    """Where one backend is: addresses that never change (a literal, a UNIX socket)."""

    def __init__(self, addresses: tuple[SocketAddress, ...] = ()) -> None:
        self._addresses = addresses

    def current(self) -> tuple[SocketAddress, ...]:
        """What to dial, in order; empty if nothing is known (yet): then `wait`."""
        return self._addresses

    def wait(self, waiter: Waiter) -> None:  # noqa: ARG002  for names only
        """Call ``waiter.resolved`` in a later turn, when there is an answer."""
        raise RuntimeError("a fixed address needs no waiting")

    def forget(self, waiter: Waiter) -> None:
        """`waiter` does not care any longer."""

    def prefer(self, address: SocketAddress) -> None:
        """Dial that address first from now on: those before it did not work."""
        if address in self._addresses:
            rest = tuple(other for other in self._addresses if other != address)
            self._addresses = (address, *rest)


@implementer(IResolutionReceiver)
class HostAddresses(Addresses):
    """The addresses of a host name; `ttl` is in seconds, since the system's resolver tells none."""

    _log = Logger()

    def __init__(self, reactor: Any, host: str, port: int, ttl: float) -> None:
        super().__init__()
        self._reactor = reactor
        self._host = host
        self._port = port
        self._ttl = ttl
        self._renewal = Renewal(host, floor=ttl, ceiling=ttl, longest_retry=min(ttl, LONGEST_RETRY))
        self._stale_at = 0.0
        self._asking = False
        self._stopped = False
        self._resolution: IHostResolution | None = None
        self._found: list[SocketAddress] = []
        self._preferred: SocketAddress | None = None
        self._waiters: dict[Waiter, None] = {}
        self.on_resolved: Callable[[], object] = lambda: None

    def prefer(self, address: SocketAddress) -> None:
        self._preferred = address
        super().prefer(address)

    def current(self) -> tuple[SocketAddress, ...]:
        if not self._asking and self._reactor.seconds() >= self._stale_at:
            self._ask()
        return self._addresses

    @property
    def known(self) -> tuple[SocketAddress, ...]:
        """As `current`, and nothing is asked."""
        return self._addresses

    def be_told(self) -> None:
        """Ask nobody from now on: another process does, and `take` has what it finds out."""
        self._stale_at = inf
        # Those who wait do so until something is known.
        self._asking = True

    def take(self, addresses: tuple[SocketAddress, ...]) -> None:
        """These are its addresses, or none if it has none."""
        self._asking = False
        self._use(addresses)
        self._tell()

    def wait(self, waiter: Waiter) -> None:
        self._waiters[waiter] = None
        if not self._asking:
            self._reactor.callLater(0, self._tell)

    def forget(self, waiter: Waiter) -> None:
        self._waiters.pop(waiter, None)

    def stop(self) -> None:
        """Ask no more, tell nobody."""
        self._stopped = True
        self._waiters.clear()
        resolution, self._resolution = self._resolution, None
        if self._asking and resolution is not None:
            # Twisted's own resolver cannot: it asks in a thread, and its answer is just kept.
            with suppress(NotImplementedError):
                resolution.cancel()

    def _ask(self) -> None:
        self._asking = True
        self._stopped = False
        self._found = []
        try:
            self._reactor.nameResolver.resolveHostName(self, self._host, self._port)
        except Exception:
            # A name that cannot even be asked for, such as one with an overlong label.
            self._log.failure("Cannot resolve {host}", host=self._host)
            self.resolutionComplete()

    def _tell(self) -> None:
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            waiter.resolved(self._addresses)

    # IResolutionReceiver

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._resolution = resolutionInProgress

    def addressResolved(self, address: Any) -> None:
        if address not in self._found:
            self._found.append(address)

    def resolutionComplete(self) -> None:
        self._asking = False
        self._resolution = None
        now = self._reactor.seconds()
        if self._found:
            self._stale_at = now + self._renewal.succeeded(self._ttl)
            self._use(tuple(self._found))
        elif not self._stopped:
            self._stale_at = now + self._renewal.failed(
                "its last addresses stay in use" if self._addresses else "no request can go there"
            )
        self._tell()
        self.on_resolved()

    def _use(self, addresses: tuple[SocketAddress, ...]) -> None:
        self._addresses = addresses
        if self._preferred is not None:
            super().prefer(self._preferred)


class Resolver:
    """Keeps the addresses of every backend.

    `reactor` is an IReactorPluggableNameResolver and IReactorTime. After `ttl` seconds a name is
    asked for again. `on_resolved` is called with the address of each that has been asked for.
    """

    def __init__(self, reactor: Any, ttl: float = 60.0) -> None:
        self._reactor = reactor
        self._ttl = ttl
        self.on_resolved: Callable[[Address], object] = lambda _: None
        self._is_told = False
        self._hosts: dict[Address, HostAddresses] = {}

    def lookup(self, address: Address) -> Addresses:
        """The addresses of a backend; the same object for the same host and port.

        A name is asked for by `start`, or when its addresses are first wanted. Raises ValueError
        for an IPv6 literal on an interface that does not exist.
        """
        if isinstance(address, UnixAddress):
            return Addresses((UNIXAddress(os.fsencode(address.path)),))
        literal = _literal(address.host, address.port)
        if literal is not None:
            return Addresses((literal,))
        known = self._hosts.get(address)
        if known is None:
            known = HostAddresses(self._reactor, address.host, address.port, self._ttl)
            self._hosts[address] = known
            known.on_resolved = lambda: self.on_resolved(address)
            if self._is_told:
                known.be_told()
        return known

    def be_told(self) -> None:
        """Ask nobody: see `HostAddresses.be_told`. To be called before any name is asked for."""
        self._is_told = True
        for host in self._hosts.values():
            host.be_told()

    def keep(self, addresses: Collection[Address]) -> None:
        """Forget all other names. Who waits for one is told."""
        for address in self._hosts.keys() - set(addresses):
            del self._hosts[address]

    @property
    def hosts(self) -> Mapping[Address, HostAddresses]:
        """What is known of the names, by the address in which each stands."""
        return self._hosts

    def start(self) -> None:
        """Ask for every name that is known so far, but for those that have been just now."""
        for host in self._hosts.values():
            host.current()

    def stop(self) -> None:
        """Cancel what is being asked."""
        for host in self._hosts.values():
            host.stop()


def _literal(host: str, port: int) -> SocketAddress | None:
    try:
        literal = ip_address(host)
    except ValueError:
        return None
    if not isinstance(literal, IPv6Literal):
        return IPv4Address("TCP", host, port)
    scope = literal.scope_id
    if scope is None:
        return IPv6Address("TCP", host, port)
    # An interface's name or number; dialling wants the number.
    try:
        number = int(scope) if scope.isdigit() else socket.if_nametoindex(scope)
    except OSError:
        raise ValueError(f"{host}: this machine has no network interface {scope!r}") from None
    return IPv6Address("TCP", host.partition("%")[0], port, 0, number)
