"""Another process is to take over: what this one does meanwhile, and when that fails."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from scgiproxy.service.takeover import VARIABLE, WITHIN
from scgiproxy.service.upgrade import ENDING, Upgrade
from tests.conftest import LoggedErrors

PLACE = ("127.0.0.1", 80, "")


class Gateway:
    """What of a gateway an upgrade needs; `told` is what was asked of it."""

    def __init__(self) -> None:
        self.running = True
        self.told: list[str] = []
        self.listeners = self.parts = self.persistence = self
        self.disk: Deferred[None] = succeed(None)

    def sockets(self) -> dict[Any, int]:
        return {PLACE: 70}

    def leave(self) -> None:
        self.told.append("leave")

    async def stop(self) -> None:
        await self.disk
        self.told.append("state given up")

    def start(self) -> None:
        self.told.append("state taken back")

    def state(self) -> str:
        return "serving"


class Reactor(MemoryReactorClock):
    """Starts processes in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.fds: dict[int, int] = {}
        self.environment: dict[str, str] = {}
        self.killed = False
        self.cannot_spawn = False

    def spawnProcess(
        self, protocol: Any, executable: str, args: list[str], env: Any, path: str, childFDs: Any
    ) -> None:
        if self.cannot_spawn:
            raise PermissionError(1, "not allowed")
        self.protocol, self.fds, self.environment = protocol, childFDs, env
        assert (executable, args[0]) == (sys.executable, sys.executable)
        protocol.makeConnection(self)

    def adoptStreamConnection(self, fd: int, family: int, factory: Any) -> None:
        self.channel = factory.buildProtocol(None)
        self.transport = StringTransport()
        self.channel.makeConnection(self.transport)

    def signalProcess(self, name: str) -> None:
        assert name == "KILL"
        if not self.killed:
            self.killed = True
            self.end(signal=signal.SIGKILL)

    def hear(self, line: bytes) -> None:
        self.channel.dataReceived(line + b"\n")

    def end(self, code: int = 0, signal: int | None = None) -> None:
        failed = bool(code or signal)
        reason = ProcessTerminated(code, signal) if failed else ProcessDone(0)
        self.protocol.processEnded(Failure(reason))
        self.channel.connectionLost(Failure(reason))


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def upgrade(gateway: Any, reactor: Any) -> Upgrade:
    made = Upgrade(gateway, reactor)
    made.start()
    return made


def failures(logged_errors: LoggedErrors) -> list[str]:
    return [event["why"] for event in logged_errors.flush() if "why" in event]


def test_all_goes_well(gateway: Gateway, reactor: Reactor) -> None:
    upgrade(gateway, reactor)
    given = json.loads(reactor.environment[VARIABLE])
    assert given["sockets"] == [[*PLACE, 6]]
    assert reactor.fds[6] == 70
    assert (reactor.fds[given["output"][0]], reactor.fds[given["output"][1]]) == (1, 2)
    reactor.hear(b"prepared 4711")
    assert (gateway.told, reactor.transport.value()) == (["state given up"], b"go\n")
    reactor.hear(b"serving")
    assert gateway.told == ["state given up", "leave"]
    assert reactor.transport.value() == b"go\nyours\n"
    assert reactor.hasStopped
    assert reactor.getDelayedCalls() == []
    reactor.end()


def test_what_is_for_this_process_alone(
    gateway: Gateway, reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LISTEN_PID", "LISTEN_FDS", "WATCHDOG_PID", "WATCHDOG_USEC", "NOTIFY_SOCKET"):
        monkeypatch.setenv(name, "1")
    made = upgrade(gateway, reactor)
    found = reactor.environment.keys() & os.environ.keys()
    assert not found & {"LISTEN_PID", "LISTEN_FDS", "WATCHDOG_PID"}
    assert found >= {"WATCHDOG_USEC", "NOTIFY_SOCKET"}
    made.cancel()


@pytest.mark.parametrize("words", [[], [b"prepared 1"]])
def test_one_that_takes_too_long(
    gateway: Gateway, reactor: Reactor, logged_errors: LoggedErrors, words: list[bytes]
) -> None:
    upgrade(gateway, reactor)
    # Its own number, so that nobody else could be killed.
    for word in words:
        reactor.hear(word.replace(b"1", b"0"))
    reactor.advance(WITHIN - 1)
    assert not reactor.killed
    reactor.advance(2)
    assert reactor.killed
    assert gateway.told[-1] == "state taken back"
    assert failures(logged_errors) == ["it did not serve within 60 s"]
    assert reactor.getDelayedCalls() == []


def test_one_that_ends(gateway: Gateway, reactor: Reactor, logged_errors: LoggedErrors) -> None:
    """The next attempt is another one."""
    made = upgrade(gateway, reactor)
    os.write(reactor.fds[2], b"it is broken\nbecause")
    reactor.end(code=3)
    events = logged_errors.flush()
    assert [event["line"] for event in events if "line" in event] == ["it is broken", "because"]
    assert [event["why"] for event in events if "why" in event] == ["it ended with exit code 3"]
    assert not reactor.hasStopped
    made.start()
    reactor.hear(b"serving")
    assert reactor.hasStopped
    reactor.end()


def test_one_that_ends_while_state_is_written(
    gateway: Gateway, reactor: Reactor, logged_errors: LoggedErrors
) -> None:
    """It is taken back when it has been given up, and not before."""
    gateway.disk = Deferred()
    upgrade(gateway, reactor)
    reactor.hear(b"prepared 0")
    reactor.end(signal=signal.SIGKILL)
    assert failures(logged_errors) == ["it was ended by SIGKILL"]
    assert gateway.told == []
    gateway.disk.callback(None)
    assert gateway.told == ["state given up", "state taken back"]


def test_one_that_cannot_be_started(
    gateway: Gateway, reactor: Reactor, logged_errors: LoggedErrors
) -> None:
    """As after --uid: Python may be in a folder of root's."""
    reactor.cannot_spawn = True
    upgrade(gateway, reactor)
    assert failures(logged_errors) == [f"{sys.executable}: not allowed"]
    assert reactor.getDelayedCalls() == []
    assert gateway.told == []


def test_one_that_does_not_know_of_it(
    gateway: Gateway, reactor: Reactor, logged_errors: LoggedErrors
) -> None:
    """It has closed its end of the channel, and lives."""
    upgrade(gateway, reactor)
    reactor.channel.connectionLost(Failure(ProcessDone(0)))
    assert not reactor.killed
    reactor.advance(ENDING)
    assert reactor.killed
    assert failures(logged_errors) == ["it was ended by SIGKILL"]


def test_one_that_closes_the_channel_and_ends_then(
    gateway: Gateway, reactor: Reactor, logged_errors: LoggedErrors
) -> None:
    """As Python does: how it has ended is told."""
    upgrade(gateway, reactor)
    reactor.channel.connectionLost(Failure(ProcessDone(0)))
    reactor.advance(ENDING / 2)
    reactor.protocol.processEnded(Failure(ProcessTerminated(1, None)))
    assert failures(logged_errors) == ["it ended with exit code 1"]
    assert reactor.getDelayedCalls() == []


def test_the_end_meanwhile(gateway: Gateway, reactor: Reactor) -> None:
    """The other one is not to go on alone."""
    made = upgrade(gateway, reactor)
    made.cancel()
    assert reactor.killed
    assert (gateway.told, reactor.hasStopped) == ([], False)
    assert reactor.getDelayedCalls() == []


def test_nothing_while_it_does_not_run(gateway: Gateway, reactor: Reactor) -> None:
    gateway.running = False
    upgrade(gateway, reactor)
    assert reactor.environment == {}
