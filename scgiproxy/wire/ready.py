"""A connection that is there before its request is."""

from __future__ import annotations

import socket
from typing import Any
from typing import Protocol as Interface

from twisted.internet.interfaces import ISystemHandle
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from scgiproxy.log.events import Logger
from scgiproxy.wire.reactor_dial import DialFactory
from scgiproxy.wire.streamsocket import SocketAddress

_log = Logger()


class Keeper(Interface):
    """Who keeps ready connections."""

    def made(self, connection: ReadyConnection) -> None:
        """It is up."""

    def lost(self, connection: ReadyConnection) -> None:
        """The backend has closed it, or has said something that nobody had asked for."""


class ReadyConnection(Protocol):
    """The protocol on a connection of `wire.dial` to `address` on which nobody has spoken yet.

    `keeper` is told when it is up, and when it has become useless; then it is closed already. After
    `close` and `hand_over` it hears nothing more. `since` is for the keeper: when it came up.
    """

    transport: Any
    since = 0.0

    def __init__(self, keeper: Keeper, address: SocketAddress) -> None:
        self.address = address
        self._keeper: Keeper | None = keeper

    def connectionMade(self) -> None:
        if self._keeper is None:
            self.transport.loseConnection()
        else:
            self._keeper.made(self)

    def is_alive(self) -> bool:
        """Ask the socket, as what has happened to it may not have been told yet."""
        # TLS has a connection of OpenSSL's for a handle; what has come is seen below it.
        transport = getattr(self.transport, "plain", self.transport)
        if not ISystemHandle.providedBy(transport):
            return True
        handle: Any = transport.getHandle()
        try:
            handle.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        # Its end, or bytes that are no answer to anything.
        return False

    def hand_over(self, factory: DialFactory) -> None:
        """Put the protocol of `factory` on it, as `wire.dial.Dialer.dial` does on a new one."""
        self._keeper = None
        transport, self.transport = self.transport, None
        protocol = factory.buildProtocol(self.address)
        if protocol is None:
            transport.loseConnection()
            return
        transport.protocol = protocol
        try:
            protocol.makeConnection(transport)
        except Exception:
            _log.failure("{protocol!r} cannot take its connection", protocol=protocol)
            transport.abortConnection()

    def close(self) -> None:
        """It is not wanted any more."""
        self._keeper = None
        if self.transport is not None:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:  # noqa: ARG002  nobody had asked
        self._gone()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002
        self._gone()

    def _gone(self) -> None:
        keeper = self._keeper
        self.close()
        if keeper is not None:
            keeper.lost(self)
