"""A configuration as a service: of one process, or of a parent with its workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed

from scgiproxy.config.model import Config
from scgiproxy.errors import ConfigError
from scgiproxy.log.events import Logger
from scgiproxy.service.endpoints import is_inherited
from scgiproxy.service.root import GatewayService
from scgiproxy.service.takeover import Place

_log = Logger()


def make_gateway(
    config: Config, reactor: Any, sockets: Mapping[Place, int] | None = None
) -> GatewayService:
    """The gateway for `config`, not started yet; `sockets` are those of a process before. Raises
    ConfigError."""
    if config.worker_count == 1:
        return GatewayService(config, reactor, sockets)
    # What costs memory in one process that has no use for it.
    from scgiproxy.service.workers.parent import ParentService

    return ParentService(config, reactor, sockets)


def check(config: Config, reactor: Any) -> None:
    """Make every part of a gateway for `config`, and start none.

    A socket that systemd hands over is there only when the gateway is started, and is left out.
    Raises ConfigError with every problem.
    """
    own = tuple(listener for listener in config.listeners if not is_inherited(listener))
    make_gateway(replace(config, listeners=own), reactor)


def reload_gateway(gateway: GatewayService, load: Callable[[], Config]) -> Deferred[str]:
    """Have `gateway` take up what `load` returns.

    Fires when it is in force, with nothing, or at once with why it is not, in short: a ConfigError is
    logged, problem by problem, and the configuration before stays in force.
    """
    if not gateway.running:
        return succeed("")
    try:
        taken = gateway.reload(load())
    except ConfigError as error:
        gateway.parts.process.is_current = False
        for problem in error.problems:
            _log.error("config.reload: {problem}", problem=problem)
        _log.error("config.reload: the configuration is kept as it was: it has errors now")
        return succeed(f"the configuration is kept as it was: {error.problems[0]}")
    return taken.addCallback(lambda _: "")
