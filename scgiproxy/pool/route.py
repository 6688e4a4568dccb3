"""The way to one backend, as all attempts to connect to it take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scgiproxy.message.backend_url import UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.resolve import Addresses
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import Sticky
from scgiproxy.rules.sticky import Session
from scgiproxy.wire.dial import Dialer, Dials

if TYPE_CHECKING:
    from scgiproxy.pool.readiness import ReadyConnections


class Route:
    """What the attempts to reach one backend need, worked out beforehand.

    `dialer` connects to it, by `dialer`, and through TLS if the backend wants that; what
    `Dialer.through_tls` raises is raised here.

    `ready` has connections that are kept ready for it, while any are to be (`pool.readiness`).
    """

    __slots__ = (
        "_made_of",
        "addresses",
        "backend",
        "dialer",
        "environment",
        "keepalive",
        "on_unix",
        "ready",
        "timeout",
    )

    def __init__(
        self,
        backend: Backend,
        addresses: Addresses,
        timeout: float,
        *,
        balancer: str | None,
        dialer: Dialer,
    ) -> None:
        settings = backend.settings
        self.dialer: Dials = dialer
        if settings.tls is not None:
            self.dialer = dialer.through_tls(settings.tls, backend.host)
        self.backend = backend
        self.addresses = addresses
        self.ready: ReadyConnections | None = None
        self.timeout = _timeout(settings, timeout)
        self.keepalive = settings.keepalive
        self._made_of = settings.preconnect, settings.tls
        self.on_unix = isinstance(backend.address, UnixAddress)
        self.environment: dict[bytes, bytes] = {}
        if balancer is not None:
            label = backend.label.rpartition("|")[2]
            self.environment = {
                b"BALANCER_NAME": b"balancer://" + balancer.encode(errors="surrogateescape"),
                b"BALANCER_WORKER_NAME": label.encode(errors="surrogateescape"),
            }

    def fits(self, timeout: float) -> bool:
        """Whether it is as one would be that is made now."""
        settings = self.backend.settings
        now = _timeout(settings, timeout), settings.keepalive, settings.preconnect, settings.tls
        return (self.timeout, self.keepalive, *self._made_of) == now

    def variables(self, sticky: Sticky | None, session: Session | None) -> dict[bytes, bytes]:
        """``BALANCER_*`` for a request of `session`, in a balancer with `sticky`; none for a
        backend that stands alone."""
        backend = self.backend
        if not backend.member:
            return {}
        variables = self.environment.copy()
        variables[b"BALANCER_WORKER_ROUTE"] = backend.route
        if session is not None:
            variables[b"BALANCER_SESSION_STICKY"] = session.name
            variables[b"BALANCER_SESSION_ROUTE"] = session.route
        if sticky is not None and (
            session is None or not session.route or session.route != backend.route
        ):
            variables[b"BALANCER_ROUTE_CHANGED"] = b"1"
        return variables


def _timeout(settings: BackendSettings, server_timeout: float) -> float:
    """Seconds for a connection, in Apache's order: connectiontimeout, timeout, the server's."""
    if settings.connect_timeout is not None:
        return settings.connect_timeout
    return server_timeout if settings.timeout is None else settings.timeout
