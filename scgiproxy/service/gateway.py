"""A configuration as a service: of one process, or of a parent with its workers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scgiproxy.config.model import Config
from scgiproxy.service.listeners import is_inherited
from scgiproxy.service.root import GatewayService


def make_gateway(config: Config, reactor: Any) -> GatewayService:
    """The gateway for `config`, not started yet. Raises ConfigError."""
    if config.worker_count == 1:
        return GatewayService(config, reactor)
    # What costs memory in one process that has no use for it.
    from scgiproxy.service.workers.parent import ParentService

    return ParentService(config, reactor)


def check(config: Config, reactor: Any) -> None:
    """Make every part of a gateway for `config`, and start none.

    A socket that systemd hands over is there only when the gateway is started, and is left out.
    Raises ConfigError with every problem.
    """
    own = tuple(listener for listener in config.listeners if not is_inherited(listener))
    make_gateway(replace(config, listeners=own), reactor)
