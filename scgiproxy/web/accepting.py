"""Accepting clients: how many, from where, and what happens when no more can be had.

Over the limit of connections nobody is turned away: the listen queue holds them until there is room.
The same goes for when there are no file descriptors left. Twisted's own ports close such clients, with
a descriptor that they keep in reserve.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from math import inf
from typing import Any, Final

from twisted.internet import tcp, unix
from twisted.internet.address import IPv4Address as Address4
from twisted.internet.address import IPv6Address as Address6
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IReactorTime

from scgiproxy.log.events import Logger
from scgiproxy.rules.networks import Network, NetworkSet
from scgiproxy.web.connection import ClientConnection
from scgiproxy.wire.descriptors import Descriptors
from scgiproxy.wire.streamsocket import SocketAddress

OWN_DESCRIPTORS: Final = 64
"""Descriptors that are neither a client's nor a backend's: logs, listeners, the reactor's own."""

TRY_AGAIN: Final = 1.0
"""Seconds until it is tried again to accept, if no connection ends before."""

TELL_EVERY: Final = 60.0
"""Seconds between two log lines that say the same."""

MOST_AT_ONCE: Final = 64
"""Connections that one port accepts before others have their turn."""

_UNLIMITED: Final = 1 << 20
# The client has left meanwhile, or a firewall's rule does not want it.
_NOBODY: Final = frozenset({errno.ECONNABORTED, errno.EPERM, errno.EINTR, errno.EPROTO})
_SUBNET: Final = ~((1 << 64) - 1)
_NOT_COUNTED: Final = -1


def descriptor_room(in_use: int) -> int:
    """For how many more clients, each with a connection to a backend, descriptors may be opened."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        most = _UNLIMITED
    return max((most - in_use - OWN_DESCRIPTORS) // 2, 0)


class Admission:
    """How many connections clients may have with this process; it may be asked and told anew.

    - `open`: how many there are. `refused`: how many were closed at once, for what their address
      had already; `pauses`: how often accepting has paused. Both since `drain`.
    - `paused`: nobody is accepted.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._most: float = inf
        self._most_of_one = 0
        self._exempt = NetworkSet(())
        self._by_address: dict[int, int] = {}
        self._ports: list[Any] = []
        self._again: Any = None
        self._tell_after: dict[str, float] = {}
        self.open = 0
        self.refused = 0
        self.pauses = 0
        self.paused = False

    def limit(self, most: int | None, most_of_one: int = 0, exempt: Iterable[Network] = ()) -> None:
        """Set MaxConnections (None: what the descriptors allow, now) and MaxConnectionsPerIP (0: any
        number), which does not hold for those in `exempt`. Who is connected stays so."""
        self._most = max(descriptor_room(0), 1) if most is None else most
        self._most_of_one = most_of_one
        self._exempt = NetworkSet(exempt)
        if self.open < self._most:
            self._resume()

    @property
    def room(self) -> float:
        """How many more clients are accepted; may be infinite."""
        return max(self._most - self.open, 0)

    def drain(self) -> list[int]:
        """`refused` and `pauses`, which begin anew."""
        counted = [self.refused, self.pauses]
        self.refused = self.pauses = 0
        return counted

    def add(self, counted: list[int]) -> None:
        """What another process has drained."""
        self.refused += counted[0]
        self.pauses += counted[1]

    # -- connections ---------------------------------------------------------------------------

    def begin(self, peer: SocketAddress) -> int | None:
        """Count a connection from `peer`. Returns what `end` is to be told, or None if it is one
        too many."""
        key = _NOT_COUNTED
        if self._most_of_one:
            key = self._key(peer)
            if key != _NOT_COUNTED:
                count = self._by_address.get(key, 0)
                if count >= self._most_of_one:
                    self.refused += 1
                    self._tell(
                        "{log_key}: {client} has {count} connections, as many as"
                        " MaxConnectionsPerIP lets it: more are closed",
                        "client.too_many",
                        client=peer.host,  # type: ignore[union-attr]
                        count=count,
                    )
                    return None
                self._by_address[key] = count + 1
        self.open += 1
        return key

    def end(self, key: int) -> None:
        """A connection that had begun is closed; `key` is what `begin` has returned."""
        self.open -= 1
        if key != _NOT_COUNTED:
            self._by_address[key] -= 1
            if not self._by_address[key]:
                del self._by_address[key]
        if self.paused and self.open < self._most:
            self._resume()

    def _key(self, peer: SocketAddress) -> int:
        """What is counted as one address: of IPv6 a subnet, since each subscriber has one."""
        if isinstance(peer, UNIXAddress):
            return _NOT_COUNTED
        address = ip_address(peer.host.partition("%")[0])
        if address in self._exempt:
            return _NOT_COUNTED
        if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
            return int(address) & _SUBNET
        return int(address) & 0xFFFFFFFF

    # -- ports ---------------------------------------------------------------------------------

    def add_port(self, port: Any) -> None:
        """Have `port` read, and not, with the others. One that is closed is forgotten by itself."""
        self._ports = [one for one in self._ports if one.connected]
        self._ports.append(port)
        if self.paused:
            port.stopReading()

    def is_full(self) -> bool:
        """True if there is no room for another one: then nothing is accepted until there is."""
        if self.open < self._most:
            return False
        self._tell(
            "{log_key}: {count} clients are connected, as many as MaxConnections lets in: others"
            " wait in the listen queue",
            "client.max_connections",
            count=self.open,
        )
        self._pause()
        return True

    def failed(self, error: OSError) -> None:
        """No connection could be accepted: wait until one ends, or a second."""
        self._tell(
            "{log_key}: cannot accept: {reason}; {count} clients are connected, others wait in the"
            " listen queue",
            "gateway.sockets",
            reason=os.strerror(error.errno or 0),
            count=self.open,
        )
        self._pause()
        if self._again is None:
            self._again = self._clock.callLater(TRY_AGAIN, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        if self.open < self._most:
            self._resume()

    def _pause(self) -> None:
        if not self.paused:
            self.paused = True
            self.pauses += 1
            for port in self._ports:
                port.stopReading()

    def _resume(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self.paused:
            self.paused = False
            self._ports = [one for one in self._ports if one.connected]
            for port in self._ports:
                if not port.disconnecting:
                    port.startReading()

    def stop(self) -> None:
        """No port is left that would be read again."""
        self._ports = []
        self._resume()

    def _tell(self, message: str, log_key: str, **more: Any) -> None:
        """Warn, but not all the time."""
        now = self._clock.seconds()
        if now >= self._tell_after.get(log_key, -inf):
            self._tell_after[log_key] = now + TELL_EVERY
            self._log.warn(message, log_key=log_key, **more)


class Acceptor:
    """Accepts the connections of one `port` of Twisted's, in its place, and serves them on
    `descriptors` (see `ClientConnection`).

    - `at_once`: accept so many in one turn of the reactor. One is right where other processes accept
      from the same socket: what else waits is for whoever has the time.
    """

    _log = Logger()

    def __init__(
        self, port: tcp.Port, descriptors: Descriptors, admission: Admission, at_once: int
    ) -> None:
        self._port = port
        self._descriptors = descriptors
        self._admission = admission
        self._at_once = at_once
        self._address = _unix_address if isinstance(port, unix.Port) else _ip_address

    def accept(self) -> None:
        """The reactor's `doRead`: somebody may be waiting."""
        port, admission = self._port, self._admission
        for _ in range(self._at_once):
            if admission.is_full():
                return
            try:
                skt, peer = port.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NOBODY:
                    continue
                admission.failed(error)
                return
            try:
                self._serve(skt, self._address(peer))
            except Exception:
                self._log.failure("a connection could not be served")

    def _serve(self, skt: socket.socket, peer: SocketAddress) -> None:
        key = self._admission.begin(peer)
        if key is None:
            skt.close()
            return
        connection: ClientConnection | None = None
        try:
            protocol: Any = self._port.factory.buildProtocol(peer)  # type: ignore[union-attr]
            if protocol is not None:
                skt.setblocking(False)
                made = ClientConnection(skt, protocol, self._descriptors, peer)
                self._descriptors.addReader(made)
                connection = made
        finally:
            if connection is None:
                self._admission.end(key)
                skt.close()
        if connection is not None:
            connection.admitted(self._admission, key)
            try:
                protocol.makeConnection(connection)
            except Exception:
                # Nobody would ever close it.
                connection.abortConnection()
                raise


def accept_clients(
    port: Any, descriptors: Descriptors, admission: Admission, at_once: int = MOST_AT_ONCE
) -> None:
    """Let a listening port make `ClientConnection`s, on `descriptors`, as far as `admission` lets
    it. A port that is no socket of Twisted's is left as it is."""
    if isinstance(port, tcp.Port):
        port.doRead = Acceptor(port, descriptors, admission, at_once).accept  # type: ignore[method-assign]
        admission.add_port(port)


def _ip_address(peer: Any) -> SocketAddress:
    if len(peer) == 2:
        return Address4("TCP", *peer)
    if peer[3]:
        # Of a link-local address the interface is part.
        with suppress(OSError):
            numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
            peer = (socket.getnameinfo(peer, numeric)[0], *peer[1:])
    return Address6("TCP", *peer)


def _unix_address(peer: Any) -> SocketAddress:
    return UNIXAddress(peer or None)
