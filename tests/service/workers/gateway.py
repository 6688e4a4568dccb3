"""A gateway of several processes in one, with links in memory and one clock."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.test.iosim import FakeTransport, IOPump, connect

from scgiproxy.config.load import load_text
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.managed import ManagedBalancer
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.workers.generation import LinkPart
from scgiproxy.service.workers.link import Link
from scgiproxy.service.workers.members import ParentMembers, WorkerMembers
from scgiproxy.wire.deadline import DeadlineWheel
from tests.pool.fakes import Call, FakeDialer

BALANCER = """
ProxyPass / balancer://b/
<Proxy balancer://b>
BalancerMember scgi://127.0.0.1:1 retry=5
BalancerMember scgi://127.0.0.1:2 retry=5
ProxySet growth=2
</Proxy>
"""


class Process:
    """The parts of one process."""

    def __init__(self, text: str, reactor: MemoryReactorClock) -> None:
        config = load_text("Listen 127.0.0.1:81\n" + text, file_name="/etc/gw.conf", environment={})
        self.parts = GatewayParts(config, reactor)

    @property
    def pool(self) -> Pool:
        return self.parts.pools[0]

    @property
    def balancer(self) -> ManagedBalancer:
        return next(iter(self.parts.balancing.managed.values()))

    def member(self, number: int = 1) -> Backend:
        """The one with that port."""
        (found,) = (one for one in self.pool.backends if one.label.endswith(f":{number}"))
        return found

    @property
    def dialer(self) -> Any:
        return self.parts.dialer

    def call(self) -> Call:
        """A request: connected at once, or it waits."""
        call = Call()
        self.pool.dispatch(call)
        return call


class Worker(Process):
    def __init__(self, gateway: WorkersGateway, number: int) -> None:
        super().__init__(gateway.text, gateway.reactor)
        self.number = number
        self.dialer.at_once = True
        self.ends = Link(number), Link(number)
        self.parent_link, self.link = (LinkPart(link, 1) for link in self.ends)
        self.members = WorkerMembers(self.parts, self.link)
        parent, own = (link.protocol for link in self.ends)
        self.pump: IOPump = connect(
            parent, FakeTransport(parent, isServer=True), own, FakeTransport(own, isServer=False)
        )


class WorkersGateway:
    """`parent` and `workers`, all started. Nothing arrives before `settle`."""

    def __init__(self, text: str = BALANCER, count: int = 2) -> None:
        self.text = text
        self.reactor = MemoryReactorClock()
        self.reactor.advance(1000.0)
        self.parent = Process(text, self.reactor)
        self.members = ParentMembers(self.parent.parts, count)
        self.members.start()
        self.workers: list[Worker] = []
        for number in range(1, count + 1):
            self.start(number)
        self.settle()

    @property
    def processes(self) -> list[Process]:
        return [self.parent, *self.workers]

    def start(self, number: int) -> Worker:
        worker = Worker(self, number)
        self.members.join(worker.parent_link)
        self.workers.append(worker)
        return worker

    def kill(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.members.stop()
        for link in worker.ends:
            link.connected = False
        self.members.leave(worker.parent_link)

    def settle(self) -> None:
        """All that was said arrives, in no time."""
        for _ in range(100):
            self.reactor.advance(0)
            if sum(bool(worker.pump.pump()) for worker in self.workers) == 0:
                return
        raise AssertionError("they never stop talking")

    def pass_time(self, seconds: float) -> None:
        end = self.reactor.seconds() + seconds
        while self.reactor.seconds() < end:
            self.reactor.advance(min(0.03, end - self.reactor.seconds()))
            self.settle()

    def everywhere(self, what: Any) -> list[Any]:
        """What that is of each process, the parent's first."""
        return [what(process) for process in self.processes]

    def end(self) -> None:
        for worker in self.workers:
            worker.members.stop()
        self.members.stop()


class MemoryDialer(FakeDialer):
    def __init__(self, reactor: Any, wheel: DeadlineWheel, descriptors: object) -> None:
        super().__init__()
        self.reactor = reactor
        self.wheel = wheel

    def keep(self, settings: object) -> None:
        """There is no TLS."""


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes gateways that connect to nobody."""
    monkeypatch.setattr("scgiproxy.service.succession.Dialer", MemoryDialer)
    made: list[WorkersGateway] = []

    def make(*words: Any, **named: Any) -> WorkersGateway:
        made.append(WorkersGateway(*words, **named))
        return made[-1]

    yield make
    for gateway in made:
        gateway.end()
