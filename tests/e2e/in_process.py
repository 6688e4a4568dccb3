"""A gateway in the process of the test, on the real reactor: what it knows can be looked at."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import pytest
import treq
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.web.client import HTTPConnectionPool

from scgiproxy.config.load import load_text
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.health import HealthChecks
from scgiproxy.service.build import GatewayParts


def pause(seconds: float) -> Any:
    """A Deferred that fires then."""
    return deferLater(reactor, seconds)


async def until(condition: Callable[[], object], what: Callable[[], object]) -> None:
    """Wait for it, up to a minute; then `what` says what there is instead."""
    for _ in range(6000):
        if condition():
            return
        await pause(0.01)
    pytest.fail(f"not within a minute; there is {what()}")


class InProcess:
    """A gateway for a configuration `text`, on a free port; to be stopped."""

    def __init__(self, text: str) -> None:
        self._before = _sockets()
        config = load_text(textwrap.dedent(text) + "\nListen 8080\n", environment={})
        self.parts = GatewayParts(config, reactor)
        self.checks = HealthChecks(
            self.parts.pools,
            dialer=self.parts.dialer,
            at_once=config.probes_at_once,
            server_software=self.parts.server_software,
        )
        self._site = self.parts.make_site(secure=False)
        real: Any = reactor
        self._listening = real.listenTCP(0, self._site, interface="127.0.0.1")
        self._connections = HTTPConnectionPool(reactor, persistent=False)
        self.checks.start()

    @property
    def members(self) -> tuple[Backend, ...]:
        """Of the first pool."""
        return self.parts.pools[0].backends

    async def get(self, path: str = "/") -> tuple[int, str]:
        """The status and the body of an answer."""
        port = self._listening.getHost().port
        answer = await treq.get(f"http://127.0.0.1:{port}{path}", pool=self._connections)
        return answer.code, await answer.text()

    async def stop(self) -> None:
        """Listen no more, and wait for every connection to end."""
        self.checks.stop()
        await self._listening.stopListening()
        # Each end notices in a turn of its own that the other one has closed.
        await until(lambda: _sockets() <= self._before, lambda: _sockets() - self._before)
        await until(lambda: not len(self.parts.wheel), lambda: self.parts.wheel)
        self.parts.resolver.stop()


def _sockets() -> set[object]:
    real: Any = reactor
    return {*real.getReaders(), *real.getWriters()}
