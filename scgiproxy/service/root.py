"""The gateway as a service of a Twisted application."""

from __future__ import annotations

from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from scgiproxy.config.model import Config
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.listeners import ListenerService


class GatewayService(MultiService):
    """Serves `config` while it runs.

    `reactor` is passed in; nothing happens on it before the service starts. Sockets are bound in
    `privilegedStartService` (``twistd --uid``); one that cannot be had ends the start with
    ConfigError, naming the Listen line.
    """

    log = Logger()

    def __init__(self, config: Config, reactor: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.parts = GatewayParts(config, reactor)
        self.listeners = ListenerService(config.listeners, self.parts.make_site, reactor)
        self.listeners.setServiceParent(self)  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        self.parts.resolver.start()
        for note in self.parts.config.notes:
            self.log.info("{note}", note=note)
        super().startService()  # type: ignore[no-untyped-call]

    def stopService(self) -> Deferred[Any]:
        """Stop listening, close what is idle; a running answer ends its connection."""
        stopped: Deferred[Any] = super().stopService()  # type: ignore[no-untyped-call]
        for site in self.parts.sites:
            for channel in list(site.channels):
                channel.shut_down()
        self.parts.resolver.stop()
        for log in self.parts.access_logs:
            log.close()
        return stopped
