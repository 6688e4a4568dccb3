"""Connecting to a backend through TLS: `wire.dial.Dialer`, and a handshake after it."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from zope.interface import implementer

from scgiproxy.errors import ConnectFailed, TlsFailed
from scgiproxy.interfaces import IDeadline
from scgiproxy.log.events import Logger
from scgiproxy.wire.connect_error import show_address
from scgiproxy.wire.dial import Dialer, Dialling
from scgiproxy.wire.reactor_dial import DialFactory
from scgiproxy.wire.streamsocket import SocketAddress
from scgiproxy.wire.tls import TlsPeer
from scgiproxy.wire.tlsconnection import (
    Handshake,
    TlsConnection,
    handshake_problem,
    tls_factory,
)

_log = Logger()


class TlsDialer:
    """Makes connections by `dialer` with `peer`, and speaks TLS on them."""

    def __init__(self, dialer: Dialer, peer: TlsPeer) -> None:
        self.dialer = dialer
        self.peer = peer
        self.factory = tls_factory(peer, dialer.reactor)

    def dial(
        self,
        address: SocketAddress,
        factory: DialFactory,
        timeout: float,
        *,
        keepalive: bool = False,
        wait_for_backlog: bool = True,
    ) -> Dialling:
        """As `Dialer.dial`; the handshake is part of the time that it may take, and of what may
        fail (`TlsFailed`). The protocol gets a `TlsConnection`."""
        attempt = self.attempt(address, factory, timeout)
        attempt.dialling = self.dialer.dial(
            address,
            attempt,
            timeout,
            keepalive=keepalive,
            wait_for_backlog=wait_for_backlog,
        )
        return attempt

    def attempt(self, address: Any, factory: DialFactory, timeout: float) -> TlsAttempt:
        """The factory to dial with, if somebody else does it; the time begins now."""
        return TlsAttempt(self, address, factory, timeout)


@implementer(IDeadline)
class TlsAttempt:
    """One connection until its handshake is over. The factory of the connection beneath."""

    def __init__(
        self, dialer: TlsDialer, address: Any, factory: DialFactory, timeout: float
    ) -> None:
        self.dialling: Dialling | None = None
        self._dialer = dialer
        self._address = address
        self._factory = factory
        self._timeout = timeout
        self._connection: Any = None
        self._telling: IDelayedCall | None = None
        self._ended = False
        self.deadline = dialer.dialer.reactor.seconds() + timeout

    # -- the factory of the connection beneath -------------------------------------------------

    def buildProtocol(self, addr: Any) -> Any:  # noqa: ARG002  the one dialled is better known
        if self._ended:
            return None
        self._dialer.dialer.wheel.watch(self)
        handshake = Handshake(self._done, self._lost)
        self._connection = TlsConnection(self._dialer.factory, handshake)  # type: ignore[no-untyped-call]
        return self._connection

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:  # noqa: ARG002
        if not self._ended:
            self._ended = True
            self._factory.clientConnectionFailed(self, reason)

    # -- the handshake -------------------------------------------------------------------------

    def _done(self, connection: Any) -> None:
        if self._ended:
            return
        objection = self._dialer.peer.objection(connection.connection)
        if objection:
            self._fail(self._failed(objection))
            return
        self._end()
        protocol = self._factory.buildProtocol(self._address)
        if protocol is None:
            connection.loseConnection()
            return
        connection.protocol = protocol
        try:
            protocol.makeConnection(connection)
        except Exception:
            _log.failure("{protocol!r} cannot take its connection", protocol=protocol)
            connection.abortConnection()

    def _lost(self, connection: TlsConnection, error: BaseException) -> None:
        if not self._ended:
            self._connection = None  # it is gone
            self._fail(self._failed(handshake_problem(connection, error)))

    def deadline_passed(self) -> None:
        """TCP has its own deadline, in the dialer."""
        self._fail(TlsFailed(f"no TLS handshake with {self._where} within {self._timeout:g} s"))

    @property
    def _where(self) -> str:
        name, where = self._dialer.peer.name, show_address(self._address)
        return where if where.startswith((name, f"[{name}]")) else f"{where} ({name})"

    def _failed(self, why: str) -> TlsFailed:
        return TlsFailed(f"TLS with {self._where} failed: {why}")

    def _fail(self, error: ConnectFailed) -> None:
        self._end()
        if self._connection is not None:
            self._connection.abortConnection()
        # Never while `dial` still runs.
        self._telling = self._dialer.dialer.reactor.callLater(0, self._tell, error)

    def _tell(self, error: ConnectFailed) -> None:
        self._telling = None
        self._factory.clientConnectionFailed(self, Failure(error))

    def _end(self) -> None:
        self._ended = True
        self._dialer.dialer.wheel.forget(self)

    # -- who has asked for it ------------------------------------------------------------------

    def stopConnecting(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if self._ended:
            return
        self._end()
        if self._connection is not None:
            self._connection.abortConnection()
        elif self.dialling is not None:
            self.dialling.stopConnecting()

    def disconnect(self) -> None:
        was_connecting = not self._ended
        self.stopConnecting()
        if not was_connecting and self._connection is not None:
            self._connection.loseConnection()
