"""All numbers of a gateway at this moment, for its own pages."""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING

from scgiproxy import __version__
from scgiproxy.web.accepting import descriptor_room
from scgiproxy.web.gatewaynumbers import GatewayNumbers, ProcessorTime
from scgiproxy.web.statistics import ConnectionPhase

if TYPE_CHECKING:
    from scgiproxy.service.build import GatewayParts


def take_numbers(parts: GatewayParts) -> GatewayNumbers:
    """The numbers of `parts`. What goes on changing is shared: show it at once."""
    connections = dict.fromkeys(ConnectionPhase, 0)
    for channel in chain.from_iterable(site.channels for site in parts.sites):
        connections[channel.phase] += 1
    in_flight = sum(backend.in_flight for pool in parts.pools for backend in pool.backends)
    return GatewayNumbers(
        now=parts.reactor.seconds(),
        started=parts.started,
        software=f"scgiproxy/{__version__}",
        configured=parts.process.configured,
        is_current=parts.process.is_current,
        mounts=list(parts.mount_statistics()),
        pools=parts.pools,
        connections=connections,
        room=int(
            min(
                descriptor_room(sum(connections.values()) + in_flight),
                parts.admission.room,
            )
        ),
        accepting=not parts.admission.paused,
        pauses=parts.admission.pauses,
        refused=parts.admission.refused,
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
