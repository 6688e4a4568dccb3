"""One of the sockets that a gateway listens on."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure

from scgiproxy.config.model import Listener
from scgiproxy.web.site import GatewaySite

_SECURE = re.compile(r"(haproxy:)*(ssl|tls):", re.IGNORECASE)


class Listening:
    """A Listen line that is listened to: by `endpoint`, for `site`; `port` is None until it is."""

    __slots__ = ("endpoint", "listener", "port", "site")

    def __init__(
        self, listener: Listener, endpoint: IStreamServerEndpoint, site: GatewaySite | None = None
    ) -> None:
        self.listener = listener
        self.endpoint = endpoint
        self.site = site
        self.port: Any = None

    def site_for(self, listener: Listener) -> GatewaySite | None:
        """The site that another line has for the same socket; None if it is to have a new one."""
        return self.site if is_secure(self.listener) is is_secure(listener) else None

    def close_now(self) -> None:
        """Close a `tcp.Port`: not in the reactor's next turn, as Twisted does."""
        port, self.port = self.port, None
        port.stopReading()
        port.disconnecting = True
        port.connectionLost(Failure(CONNECTION_DONE))


def is_secure(listener: Listener) -> bool:
    """Whether TLS is spoken there."""
    return _SECURE.match(listener.endpoint) is not None
