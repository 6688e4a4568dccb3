"""All numbers of a gateway at this moment, for its own pages."""

from __future__ import annotations

import os
import resource
from itertools import chain
from typing import TYPE_CHECKING

from scgiproxy import __version__
from scgiproxy.web.gatewaynumbers import GatewayNumbers, ProcessorTime
from scgiproxy.web.statistics import ConnectionPhase

if TYPE_CHECKING:
    from scgiproxy.service.build import GatewayParts

_OWN_FILES = 64
"""Descriptors that are neither a client's nor a backend's: logs, listeners, the reactor's own."""

_UNLIMITED = 1 << 20


def take_numbers(parts: GatewayParts) -> GatewayNumbers:
    """The numbers of `parts`. What goes on changing is shared: show it at once."""
    hosts = (parts.hosts.main, *parts.hosts.hosts)
    connections = dict.fromkeys(ConnectionPhase, 0)
    for channel in chain.from_iterable(site.channels for site in parts.sites):
        connections[channel.phase] += 1
    in_flight = sum(backend.in_flight for pool in parts.pools for backend in pool.backends)
    return GatewayNumbers(
        now=parts.reactor.seconds(),
        started=parts.started,
        software=f"scgiproxy/{__version__}",
        mounts=[statistics for host in hosts for statistics in host.mount_statistics()],
        pools=parts.pools,
        connections=connections,
        room=_room(sum(connections.values()) + in_flight),
        spooled_bodies=parts.spool_space.bodies,
        spooled_bytes=parts.spool_space.bytes,
        spooled_disk=parts.spool_space.disk,
        processor=processor_time(),
    )


def processor_time() -> ProcessorTime:
    """Of this process, and of those that it has started and that have ended."""
    times = os.times()
    return ProcessorTime(
        user=times.user,
        system=times.system,
        children_user=times.children_user,
        children_system=times.children_system,
    )


def _room(in_use: int) -> int:
    """For how many more connections, each with one to a backend, files may be opened."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        most = _UNLIMITED
    return max((most - in_use - _OWN_FILES) // 2, 0)
