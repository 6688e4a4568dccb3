"""A connection that no request waits for: a probe's, or one that is to be kept ready."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress, IProtocol
from twisted.python.failure import Failure

from scgiproxy.pool.route import Route
from scgiproxy.wire.dial import Dialling
from scgiproxy.wire.streamsocket import SocketAddress


class Connecting:
    """Connects along `route`, to one of `addresses` after the other; `timeout` seconds for each.

    `connected` is told which one has worked, and gives the protocol for it (None closes it).
    `failed` is told why the last one has not. One of them is called, once, unless `stop` comes
    first. (`Dispatch` has the same of its own: there it is on the path of each request.)
    """

    __slots__ = (
        "_addresses",
        "_connected",
        "_dialling",
        "_ended",
        "_failed",
        "_index",
        "_route",
        "_timeout",
    )

    def __init__(
        self,
        route: Route,
        addresses: tuple[SocketAddress, ...],
        *,
        timeout: float,
        connected: Callable[[Connecting, SocketAddress], IProtocol | None],
        failed: Callable[[Connecting, BaseException | None], object],
    ) -> None:
        self._route = route
        self._addresses = addresses
        self._index = 0
        self._timeout = timeout
        self._connected = connected
        self._failed = failed
        self._dialling: Dialling | None = None
        self._ended = False

    def start(self) -> None:
        """Connect. It may be done before this returns."""
        dialling = self._route.dialer.dial(
            self._addresses[self._index],
            self,
            self._timeout,
            keepalive=self._route.keepalive,
            # Requests wait for a place there, and this is not to be among them.
            wait_for_backlog=False,
        )
        if not self._ended:
            self._dialling = dialling

    def stop(self) -> None:
        """Give up. Harmless if it is over."""
        self._ended = True
        dialling, self._dialling = self._dialling, None
        if dialling is not None:
            dialling.stopConnecting()

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:  # noqa: ARG002
        """The connection is up."""
        self._dialling = None
        if self._ended:
            return None
        self._ended = True
        address = self._addresses[self._index]
        if self._index:
            self._route.addresses.prefer(address)
        return self._connected(self, address)

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:  # noqa: ARG002
        """An address did not work; the next one may."""
        self._dialling = None
        if self._ended:
            return
        self._index += 1
        if self._index < len(self._addresses):
            self.start()
            return
        self._ended = True
        self._failed(self, reason.value)
