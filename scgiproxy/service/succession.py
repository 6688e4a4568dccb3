"""One configuration after another: what belongs to the process, and what the next one takes over."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.health import HealthChecks
from scgiproxy.pool.readiness import Readiness
from scgiproxy.pool.resolve import Resolver
from scgiproxy.rules.mapping import Mount
from scgiproxy.service.takeover import Place
from scgiproxy.web.accepting import Admission
from scgiproxy.web.statistics import MountStatistics
from scgiproxy.wire.deadline import DeadlineWheel
from scgiproxy.wire.descriptors import descriptors_of
from scgiproxy.wire.dial import Dialer
from scgiproxy.wire.spoolspace import SpoolSpace

if TYPE_CHECKING:
    from scgiproxy.rules.settings import AccessLog
    from scgiproxy.service.build import GatewayParts
    from scgiproxy.web.accesslog import AccessLogFile
    from scgiproxy.web.site import GatewaySite

_Key = TypeVar("_Key", bound=Hashable)
_Part = TypeVar("_Part")


class Process:
    """What there is once, whatever the configuration says."""

    def __init__(self, reactor: Any, sockets: Mapping[Place, int] | None = None) -> None:
        self.sockets = sockets or {}
        self.descriptors = descriptors_of(reactor)
        self.admission = Admission(reactor)
        self.wheel = DeadlineWheel(reactor)
        self.dialer = Dialer(reactor, self.wheel, self.descriptors)
        self.resolver = Resolver(reactor)
        self.checks = HealthChecks((), dialer=self.dialer)
        self.readiness = Readiness((), dialer=self.dialer)
        self.sites: list[GatewaySite] = []
        self.spool_space = SpoolSpace()
        self.started: float = reactor.seconds()
        # Of the configuration that is in force: see `web.gatewaynumbers.GatewayNumbers`.
        self.configured: float | None = None
        self.is_current = True


class Succession:
    """What of the parts of the configuration before (None: there was none) is to be used again.

    Each is given once. Of several of one kind the first is that of the first that asks.
    """

    def __init__(self, before: GatewayParts | None) -> None:
        self._pools: dict[tuple[str, str], deque[Pool]] = {}
        self._statistics: dict[tuple[str, str], deque[MountStatistics]] = {}
        self._logs: dict[AccessLog, AccessLogFile] = {}
        if before is not None:
            self._pools = _grouped((_place(mount), pool) for mount, pool in before.single_pools)
            self._statistics = _grouped(
                ((statistics.server, statistics.path), statistics)
                for statistics in before.mount_statistics()
            )
            self._logs = dict(before.logs)

    def pool(self, mount: Mount) -> Pool | None:
        """That of a backend that stands alone, at the same place and mounted at the same path."""
        return _next(self._pools, _place(mount))

    def statistics(self, made: MountStatistics) -> MountStatistics:
        """Those of the same server and path, or `made`."""
        return _next(self._statistics, (made.server, made.path)) or made

    def log(self, log: AccessLog) -> AccessLogFile | None:
        """The open file."""
        return self._logs.get(log)


def _place(mount: Mount) -> tuple[str, str]:
    assert mount.target is not None  # it has a pool
    return mount.path_text, mount.target.label


def _grouped(parts: Iterable[tuple[_Key, _Part]]) -> dict[_Key, deque[_Part]]:
    found: dict[_Key, deque[_Part]] = {}
    for key, part in parts:
        found.setdefault(key, deque()).append(part)
    return found


def _next(parts: dict[_Key, deque[_Part]], key: _Key) -> _Part | None:
    found = parts.get(key)
    return found.popleft() if found else None
