"""A reactor in memory that starts processes: each is a link's other end, and does as it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect

from scgiproxy.service.workers.link import JSON, Link


class HeldPort:
    """A port that can be stopped from reading."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_reading = True
        self.is_open = True

    def stopReading(self) -> None:
        self.is_reading = False

    def fileno(self) -> int:
        return 1000 + self.number

    def getHost(self) -> str:
        return f"port {self.number}"

    def stopListening(self) -> None:
        self.is_open = False


class Child:
    """A worker's process. `asked` are the topics of what it was asked and told, in order."""

    pid: int
    pump: IOPump

    def __init__(self, reactor: SpawningReactor, protocol: Any, arguments: list[str], fds: Any):
        self.reactor = reactor
        self.protocol = protocol
        self.arguments = arguments
        self.number = int(arguments[-1])
        self.fds = fds
        self.link = Link(self.number)
        self.asked: list[str] = []
        self.hung = False
        self.has_ended = False
        reactor.pids += 1
        self.pid = reactor.pids
        for topic, does in reactor.behaviour.items():
            self.link.answer(topic, self._respond(topic, does))

    def _respond(self, topic: str, does: Callable[[Child, JSON], Any]) -> Callable[[JSON], Any]:
        def respond(value: JSON) -> Any:
            self.asked.append(topic)
            return does(self, value)

        return respond

    def signalProcess(self, name: str) -> None:
        """Of IProcessTransport."""
        if self.has_ended:
            raise ProcessExitedAlready
        assert name == "KILL"
        self.end(signal=9)

    def connect(self, parent: Any) -> None:
        self.pump = connect(
            parent,
            FakeTransport(parent, isServer=True),
            self.link.protocol,
            FakeTransport(self.link.protocol, isServer=False),
        )

    def end(self, code: int = 0, signal: int | None = None) -> None:
        """The process is gone."""
        if self.has_ended:
            return
        self.has_ended = True
        self.link.close()
        self.pump.flush()
        failed = bool(code or signal)
        reason = ProcessTerminated(code, signal) if failed else ProcessDone(0)
        self.protocol.processEnded(Failure(reason))


def stops(child: Child, _: JSON) -> None:
    child.reactor.callLater(0.1, child.end)


class SpawningReactor(MemoryReactorClock):
    """`children` are all that were started; `behaviour` is what each does on a topic."""

    def __init__(self) -> None:
        super().__init__()
        self.children: list[Child] = []
        self.ports: list[HeldPort] = []
        self.pids = 100
        self.cannot_spawn: OSError | None = None
        self.behaviour: dict[str, Callable[[Child, JSON], Any]] = {
            "prepare": lambda child, value: None,
            "serve": lambda child, value: None,
            "alive": lambda child, value: None,
            "stop": stops,
            # What is known of members, before it serves.
            "1 members.all": lambda child, value: None,
        }

    def callWhenRunning(self, function: Any, *args: Any, **more: Any) -> None:
        """It runs."""
        function(*args, **more)

    def spawnProcess(
        self, protocol: Any, executable: str, args: list[str], env: Any, childFDs: Any
    ) -> Child:
        if self.cannot_spawn is not None:
            raise self.cannot_spawn
        child = Child(self, protocol, args, childFDs)
        self.children.append(child)
        protocol.makeConnection(child)
        return child

    def adoptStreamConnection(self, fd: int, family: int, factory: Any) -> None:
        self.children[-1].connect(factory.buildProtocol(None))

    def listenTCP(self, port: int, factory: Any, *args: Any, **more: Any) -> Any:
        self.ports.append(HeldPort(port))
        return self.ports[-1]

    def settle(self, seconds: float = 0.0) -> None:
        """Let messages go to and fro, while `seconds` pass."""
        for _ in range(max(1, round(seconds / 0.5))):
            for _ in range(3):
                for child in self.children:
                    if not child.hung and not child.has_ended:
                        child.pump.flush()
            self.advance(min(seconds, 0.5))
        for child in self.children:
            if not child.hung and not child.has_ended:
                child.pump.flush()

    @property
    def alive(self) -> list[Child]:
        return [child for child in self.children if not child.has_ended]
