"""Connecting by ``connectTCP`` and ``connectUNIX``.

For reactors that do not watch file descriptors, and for `MemoryReactor` in tests.
"""

from __future__ import annotations

import os
from math import inf
from typing import Any, Protocol

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from scgiproxy.wire.connect_error import translate
from scgiproxy.wire.streamsocket import SocketAddress


class DialFactory(Protocol):
    """The part of a ClientFactory that `Dialer.dial` calls."""

    def buildProtocol(self, addr: Any, /) -> IProtocol | None:
        """The protocol for a connection that is up; None closes it."""

    def clientConnectionFailed(self, connector: Any, reason: Failure, /) -> None:
        """There is no connection; the reason is a `ConnectFailed`."""


def unix_socket_name(address: UNIXAddress) -> bytes:
    """The name as the system knows it: ``@name`` is abstract."""
    name = address.name or b""
    return b"\0" + name[1:] if name.startswith(b"@") else name


class ReactorDial(ClientFactory):
    """One attempt of `wire.dial.Dialer.dial` on a reactor that does it itself."""

    noisy = False

    def __init__(
        self, address: SocketAddress, factory: DialFactory, timeout: float, keepalive: bool
    ) -> None:
        self._address = address
        self._factory = factory
        self._timeout = timeout
        self._keepalive = keepalive
        self._connector: Any = None
        self._state = "connecting"

    def start(self, reactor: Any) -> ReactorDial:
        """Ask `reactor` (IReactorTCP, IReactorUNIX) for the connection."""
        address = self._address
        timeout = None if self._timeout == inf else self._timeout
        if isinstance(address, UNIXAddress):
            path = os.fsdecode(unix_socket_name(address))
            self._connector = reactor.connectUNIX(path, self, timeout)
        else:
            self._connector = reactor.connectTCP(address.host, address.port, self, timeout)
        return self

    def buildProtocol(self, addr: Any) -> Any:  # noqa: ARG002  the one dialled is better known
        if self._state != "connecting":
            return None
        self._state = "connected"
        transport = getattr(self._connector, "transport", None)
        if transport is not None and not isinstance(self._address, UNIXAddress):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(self._keepalive)
        return self._factory.buildProtocol(self._address)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:  # noqa: ARG002
        if self._state == "connecting":
            self._state = "ended"
            error = translate(reason.value, self._address, self._timeout)
            self._factory.clientConnectionFailed(self, Failure(error))

    def stopConnecting(self) -> None:
        if self._state == "connecting":
            self._state = "ended"
            self._connector.stopConnecting()

    def disconnect(self) -> None:
        if self._state == "connected":
            self._connector.disconnect()
        else:
            self.stopConnecting()
