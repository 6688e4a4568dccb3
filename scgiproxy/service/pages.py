"""The gateway's own pages, by their names of SetHandler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from twisted.web.resource import IResource
from zope.interface import implementer

from scgiproxy.config.model import VirtualHost
from scgiproxy.interfaces import IResourcePlugin
from scgiproxy.web.gatewaynumbers import NumbersSource
from scgiproxy.web.manager.events import INTERVAL
from scgiproxy.web.manager.resource import BalancerManagerResource
from scgiproxy.web.metrics import MetricsResource
from scgiproxy.web.serverstatus import ServerStatusResource

if TYPE_CHECKING:
    from scgiproxy.service.build import GatewayParts

_MANAGER = "balancer-manager"


@implementer(IResourcePlugin)
@dataclass(frozen=True)
class OwnPage:
    """One of them, for one gateway, as any other plugin."""

    name: str
    make: Callable[[], IResource]

    def resource(self, settings: object) -> IResource:  # noqa: ARG002
        return self.make()


def own_pages(parts: GatewayParts, host: VirtualHost) -> dict[str, OwnPage]:
    """All that there are for `host`. They come before those of plugins."""
    pages: dict[str, Callable[[], IResource]] = {
        "metrics": partial(MetricsResource, _numbers(parts, "metrics")),
        "server-status": partial(ServerStatusResource, _numbers(parts, "server-status")),
        _MANAGER: partial(_manager, parts, host),
    }
    return {name: OwnPage(name, make) for name, make in pages.items()}


def _numbers(parts: GatewayParts, page: str, age: float = 0.0) -> NumbersSource:
    return lambda: parts.numbers(page, age)


def _manager(parts: GatewayParts, host: VirtualHost) -> IResource:
    made = BalancerManagerResource(
        partial(parts.managed, host),
        _numbers(parts, _MANAGER),
        parts.reactor,
        _numbers(parts, _MANAGER, INTERVAL / 2),
    )
    parts.managers.append(made)
    return made
