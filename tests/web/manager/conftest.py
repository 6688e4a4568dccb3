"""A stock twisted.web server in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport


@pytest.fixture
def stock() -> Callable[[Any, str], bytes]:
    def ask(site: Any, request: str) -> bytes:
        clock = Clock()
        site.reactor = clock
        channel = site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        channel.callLater = clock.callLater
        transport = StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(request.encode())
        received: bytes = transport.value()
        return received

    return ask
