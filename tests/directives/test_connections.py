"""How many clients there may be, and where others wait."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock

from scgiproxy.service.root import GatewayService
from scgiproxy.web.accepting import descriptor_room
from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured


def service(configured: Configured, lines: str) -> tuple[GatewayService, Any]:
    reactor = MemoryReactorClock()
    config = configured(lines + "\nListen unix:/run/a\nListen tcp:81:backlog=3").config
    return GatewayService(config, reactor), reactor


@behaviour("ListenBacklog")
@pytest.mark.parametrize(("lines", "backlog"), [("", 511), ("ListenBacklog 1024", 1024)])
def test_listen_queues(configured: Configured, lines: str, backlog: int) -> None:
    """Of each socket, but one whose endpoint string says otherwise."""
    made, reactor = service(configured, f"{lines}\n#ListenBacklog")
    made.listeners.startService()
    assert [server[2] for server in reactor.tcpServers] == [3, backlog]
    assert [server[2] for server in reactor.unixServers] == [backlog]
    made.listeners.stopService()


@behaviour("MaxConnections")
@pytest.mark.parametrize(
    ("lines", "room"),
    [
        ("MaxConnections 7", 7),
        ("MaxConnections 7\nWorkers 3", 3),
        ("MaxConnections auto\nWorkers 3", descriptor_room(0)),
    ],
)
def test_room_for_clients(configured: Configured, lines: str, room: int) -> None:
    """Workers share it; descriptors are each one's own."""
    made, _ = service(configured, lines)
    assert made.parts.admission.room == room
    assert made.parts.numbers("", 0.0).room == min(room, descriptor_room(0))  # type: ignore[union-attr]


@behaviour("MaxConnectionsPerIP")
def test_connections_of_an_address(configured: Configured) -> None:
    made, _ = service(configured, "MaxConnectionsPerIP 2 192.0.2.0/24")

    def taken(host: str) -> int:
        peer = IPv4Address("TCP", host, 1)
        return sum(made.parts.admission.begin(peer) is not None for _ in range(4))

    assert [taken("192.0.2.1"), taken("198.51.100.1")] == [4, 2]
    assert made.parts.numbers("", 0.0).refused == 2  # type: ignore[union-attr]


@behaviour("GracefulShutdownTimeout")
@pytest.mark.parametrize(
    ("lines", "seconds"),
    [("", 30), ("GracefulShutdownTimeout 7", 7), ("GracefulShutdownTimeout 7\nWorkers 2", 7)],
)
def test_time_at_the_end(configured: Configured, lines: str, seconds: int) -> None:
    """For a connection that never ends, which is cut off then."""
    made, reactor = service(configured, f"{lines}\n#GracefulShutdownTimeout")
    made.listeners.startService()
    connection = Mock()
    made.listeners.sites[0].channels.add(connection)
    connection.abort = made.listeners.sites[0].channels.clear
    stopped = made.stopService()
    reactor.pump([0.5] * 2 * (seconds - 1))
    assert not stopped.called
    reactor.pump([0.5] * 3)
    assert stopped.called
