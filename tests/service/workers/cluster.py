"""A parent and its workers, all in this process, with one clock, and links in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect

from scgiproxy.config.load import load_text
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.workers.generation import LinkPart
from scgiproxy.service.workers.link import Link
from scgiproxy.service.workers.totals import GatewayTotals, WorkerTotals
from tests.web.harness import Client

START = 1_000_000_000.0
CONFIG = """
Listen 127.0.0.1:80
<Proxy balancer://shop>
  BalancerMember scgi://127.0.0.1:4001
  BalancerMember scgi://127.0.0.1:4002 max=8
</Proxy>
ProxyPass /shop/ balancer://shop/
ProxyPass /one/ scgi://127.0.0.1:4000/
<Location /status>
  SetHandler server-status
  Require all granted
</Location>
<Location /metrics>
  SetHandler metrics
  Require all granted
</Location>
<Location /balancers>
  SetHandler balancer-manager
  Require all granted
</Location>
"""


class Worker:
    """One worker; it does not answer while it is `frozen`."""

    def __init__(self, number: int, config: Any, reactor: Any) -> None:
        self.link = Link(number)
        self.parts = GatewayParts(config, reactor)
        self.totals = WorkerTotals(self.parts, LinkPart(self.link, 1))
        self.parents_end = Link(number)
        self.parents_part = LinkPart(self.parents_end, 1)
        self.frozen = False
        transports = [
            FakeTransport(end.protocol, isServer=end is self.parents_end)
            for end in (self.parents_end, self.link)
        ]
        self.pump: IOPump = connect(
            self.parents_end.protocol, transports[0], self.link.protocol, transports[1]
        )
        self.site = self.parts.make_site(secure=False)

    def client(self) -> Client:
        return Client(self.site)


class Cluster:
    """`count` workers that run, as `service.workers.parent.WorkerProcesses` has them."""

    def __init__(self, count: int = 2, config: str = CONFIG) -> None:
        self.reactor = MemoryReactorClock()
        self.reactor.advance(START)
        self.config = load_text(config, file_name="f", environment={})
        self.started: list[Callable[[LinkPart], object]] = []
        self.ended: list[Callable[[LinkPart], object]] = []
        self.parts = GatewayParts(self.config, self.reactor)
        self.totals = GatewayTotals(self.parts, self)
        self.workers: dict[int, Worker] = {}
        for number in range(1, count + 1):
            self.start(number)

    def start(self, number: int) -> Worker:
        worker = self.workers[number] = Worker(number, self.config, self.reactor)
        for tell in self.started:
            tell(worker.parents_part)
        worker.totals.start()
        return worker

    def kill(self, number: int) -> None:
        """It tells nothing any more."""
        worker = self.workers.pop(number)
        if worker.totals._telling.running:
            worker.totals._telling.stop()
        worker.parents_end.protocol.connectionLost(Failure(ConnectionResetError()))
        worker.link.protocol.connectionLost(Failure(ConnectionResetError()))
        for tell in self.ended:
            tell(worker.parents_part)

    def end(self, number: int) -> None:
        """It stops of its own accord."""
        stopped = Deferred.fromCoroutine(self.workers[number].totals.stop())
        self.settle()
        assert stopped.called
        self.kill(number)

    def settle(self) -> None:
        """Move all that is said, until nobody says anything more."""
        while sum(one.pump.pump() for one in self.workers.values() if not one.frozen):
            pass

    def advance(self, seconds: float, step: float = 1.0) -> None:
        self.settle()
        while seconds > 0:
            self.reactor.advance(min(step, seconds))
            self.settle()
            seconds -= step

    def ask(self, page: str, number: int = 1, age: float = 0.0) -> Any:
        """The numbers of a page, as that worker has them."""
        found: list[Any] = []
        asked: Any = self.workers[number].parts.numbers(page, age)
        assert isinstance(asked, Deferred)
        asked.addBoth(found.append)
        self.settle()
        (numbers,) = found
        if isinstance(numbers, Failure):
            numbers.raiseException()
        return numbers
