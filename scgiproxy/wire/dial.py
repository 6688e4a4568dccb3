"""Connecting to a backend whose address is known.

``reactor.connectTCP`` makes a connector, asks a resolver and sets three delayed calls for each
connection; a gateway makes one connection for each request. On reactors that watch file
descriptors the `Dialer` does it with a socket alone; on others it asks the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.posixbase import PosixReactorBase

from scgiproxy.wire.backlog import Backlog
from scgiproxy.wire.deadline import DeadlineWheel
from scgiproxy.wire.descriptors import Descriptors, descriptors_of
from scgiproxy.wire.dialattempt import DialAttempt
from scgiproxy.wire.reactor_dial import DialFactory, ReactorDial
from scgiproxy.wire.streamsocket import SocketAddress

if TYPE_CHECKING:
    from scgiproxy.rules.tls import TlsSettings
    from scgiproxy.wire.tls import TlsContext
    from scgiproxy.wire.tlsdial import TlsDialer


class Dialling(Protocol):
    """What `Dialer.dial` returns: the part of IConnector that one attempt needs."""

    def stopConnecting(self) -> None:
        """Give up; the factory hears nothing more. Without effect once connected."""

    def disconnect(self) -> None:
        """Give up, or close the connection if there is one already."""


class Dials(Protocol):
    """Who makes connections: a `Dialer`, or a `wire.tlsdial.TlsDialer`."""

    def dial(
        self,
        address: SocketAddress,
        factory: DialFactory,
        timeout: float,
        *,
        keepalive: bool = False,
        wait_for_backlog: bool = True,
    ) -> Dialling:
        """See `Dialer.dial`."""


class Dialer:
    """Makes connections on `reactor`.

    `wheel` has the deadlines of connections under way, `descriptors` the sockets; share them with
    whatever else has some. Without them the dialer makes its own.
    """

    def __init__(
        self,
        reactor: Any,
        wheel: DeadlineWheel | None = None,
        descriptors: Descriptors | None = None,
    ) -> None:
        self.reactor = reactor
        self.wheel = DeadlineWheel(reactor) if wheel is None else wheel
        self.backlog = Backlog(reactor)
        # Not IReactorFDSet: MemoryReactor provides that, and never calls a descriptor.
        if not isinstance(reactor, PosixReactorBase):
            descriptors = None
        elif descriptors is None:
            descriptors = descriptors_of(reactor)
        self.descriptors = descriptors
        self._contexts: dict[TlsSettings, TlsContext] = {}

    def keep(self, settings: Collection[TlsSettings]) -> None:
        """Forget what is shared by connections with any others."""
        for one in self._contexts.keys() - set(settings):
            del self._contexts[one]

    def through_tls(self, settings: TlsSettings, name: str) -> TlsDialer:
        """One that does the same, and speaks TLS with the host `name` then.

        What connections with the same settings share is made once. Raises ValueError for what
        cannot be used (see `wire.tls`), and without the packages for TLS.
        """
        # Here, since OpenSSL costs 4 MiB, and most backends are spoken to without TLS.
        try:
            from scgiproxy.wire.tls import TlsContext, TlsPeer
            from scgiproxy.wire.tlsdial import TlsDialer
        except ImportError as error:
            raise ValueError(
                f"scgis:// needs packages that are not installed ({error}); expected them after"
                " pip install 'scgiproxy[tls]'"
            ) from None
        context = self._contexts.get(settings)
        if context is None:
            context = self._contexts[settings] = TlsContext(settings)
        return TlsDialer(self, TlsPeer(context, name))

    def dial(
        self,
        address: SocketAddress,
        factory: DialFactory,
        timeout: float,
        *,
        keepalive: bool = False,
        wait_for_backlog: bool = True,
    ) -> Dialling:
        """Connect to `address`, an IP address with a port or a UNIX socket (``@name``: abstract).

        On success ``factory.buildProtocol(address)`` gives the protocol, which gets an ordinary
        transport (see `BackendConnection`); that may be *before* this method returns, and what
        buildProtocol raises then is raised here. On failure
        ``factory.clientConnectionFailed(dialling, Failure)`` is called, never before this method
        returns, with a `ConnectFailed` whose sentence says why. Nothing else is called.

        - `timeout`: seconds until `ConnectFailed`; ``math.inf`` is allowed.
        - `keepalive`: SO_KEEPALIVE on TCP.
        - `wait_for_backlog`: when the listen queue of a UNIX socket is full, wait for a place
          until the timeout, as a blocking connect does; else fail with `BackendBusy` at once.
        """
        if self.descriptors is None:
            return ReactorDial(address, factory, timeout, keepalive).start(self.reactor)
        attempt = DialAttempt(self, address, factory, timeout, keepalive, wait_for_backlog)
        if self.descriptors.in_turn:
            self.descriptors.put_off(attempt.begin)
        else:
            attempt.begin()
        return attempt

    def put_off(self, work: Callable[[], None]) -> None:
        """Call `work`, which will send something, when the time for that has come: now, or at the
        end of the turn (see `wire.descriptors`)."""
        if self.descriptors is None or not self.descriptors.in_turn:
            work()
        else:
            self.descriptors.put_off(work)
