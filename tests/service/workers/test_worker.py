"""A worker, between its parent's link and a reactor in memory."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.test.iosim import FakeTransport, IOPump, connect

from scgiproxy.config.load import load_text
from scgiproxy.log.events import gateway_events
from scgiproxy.service.workers import logs
from scgiproxy.service.workers.handover import Handover
from scgiproxy.service.workers.link import JSON, Link
from scgiproxy.service.workers.worker import Worker
from tests.conftest import LoggedErrors
from tests.service.workers.test_link import failure_of, result_of


class Reactor(MemoryReactorClock):
    """Runs."""

    def __init__(self) -> None:
        super().__init__()
        self.stops = 0

    def callWhenRunning(self, function: Any, *args: Any, **more: Any) -> None:
        if function is not signal.signal:
            function(*args, **more)

    def stop(self) -> None:
        self.stops += 1

    def fire_shutdown(self) -> None:
        """A later turn of the reactor."""
        for function, args, more in self.triggers.get("before", {}).get("shutdown", ()):
            function(*args, **more)


class Child:
    """The worker, and the parent's end of its link."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.worker = Worker(3, self.reactor)
        self.parent = Link(3)
        # What it has counted is told when it is asked to end.
        self.parent.answer("1 counted", lambda _: None)
        self.pump: IOPump = connect(
            self.parent.protocol,
            FakeTransport(self.parent.protocol, isServer=True),
            self.worker.link.protocol,
            FakeTransport(self.worker.link.protocol, isServer=False),
        )

    def ask(self, topic: str, value: JSON = None) -> Any:
        asked = self.parent.ask(topic, value)
        self.pump.flush()
        return asked


def handover(text: str, bound: socket.socket, **logs: int) -> Handover:
    config = load_text(f"{text}\nListen 127.0.0.1:81\n", environment={}, file_name="f")
    return Handover(config, [os.dup(bound.fileno())], [{}], logs)


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    gateway_events._filters.clear()


def test_it_is_made_then_serves(child: Child, bound: socket.socket, tmp_path: Path) -> None:
    """With the logs that the parent has opened, whatever their names lead to now."""
    log = tmp_path / "log"
    with log.open("ab") as opened:
        fd = os.dup(opened.fileno())
    text = f"ErrorLog {log}\nCustomLog {log} common\nProxyPass / scgi://127.0.0.1/"
    handed = handover(text, bound, **{str(log): fd})
    assert result_of(child.ask("prepare", handed.packed())) is None
    service = child.worker._service
    assert service is not None
    assert service.listeners.ports == []
    serving: list[bool] = []
    child.worker.on_serving = lambda: serving.append(bool(service.listeners.ports))
    assert result_of(child.ask("serve")) is None
    assert serving == [True]
    (port,) = service.listeners.ports
    assert port.getHost().port == bound.getsockname()[1]
    stopped = service.stopService()
    for _ in range(10):
        child.pump.flush()
        child.reactor.advance(0.1)
    assert stopped.called
    assert log.read_text() == ""


def test_what_only_the_parent_does(child: Child, bound: socket.socket, tmp_path: Path) -> None:
    """Members are found and checked, and what is changed of them is kept, in one place."""
    text = (
        f"DefaultRuntimeDir {tmp_path}\nBalancerPersist On\nProxyPass / balancer://a/\n"
        "<Proxy balancer://a>\nBalancerMember scgi://127.0.0.1:1 hcmethod=TCP hcinterval=1\n"
        "BalancerMember scgi://localhost discover=a\n</Proxy>"
    )
    child.ask("prepare", handover(text, bound).packed())
    child.ask("serve")
    service = child.worker._service
    assert service is not None
    child.reactor.advance(5)
    assert child.reactor.tcpClients == []
    assert list(tmp_path.iterdir()) == []
    service.stopService()
    child.reactor.advance(1)


def test_what_cannot_be_made_is_told(child: Child, bound: socket.socket) -> None:
    handed = handover("<Location /x>\nSetHandler nobody\n</Location>", bound)
    asked = child.ask("prepare", handed.packed())
    assert failure_of(asked, ValueError).startswith("f:2: SetHandler nobody: ")
    os.close(handed.sockets[0])


@pytest.mark.parametrize(
    "end",
    [
        lambda child: child.parent.tell("stop"),
        lambda child: child.parent.close(),
        lambda child: child.worker._told_to_end(15, None) or child.reactor.advance(0),
    ],
    ids=["told", "parent gone", "SIGTERM"],
)
def test_it_ends_once(
    child: Child, end: Callable[[Child], object], logged_errors: LoggedErrors
) -> None:
    """In order, and whoever else says so later."""
    child.reactor.callFromThread = lambda function: function()  # type: ignore[attr-defined]
    end(child)
    child.pump.flush()
    assert child.reactor.stops == 1
    child.worker._told_to_end(15, None)
    child.reactor.fire_shutdown()
    child.parent.tell("stop")
    child.parent.close()
    child.pump.flush()
    assert child.reactor.stops == 1
    told = [event["log_format"] for event in logged_errors.flush()]
    assert told in ([], ["the parent of worker {number} is gone"])


def test_it_is_alive(child: Child) -> None:
    assert result_of(child.ask("alive")) is None


def test_its_log_is_the_parents(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its number; a traceback is in it, and braces mean nothing."""
    observers: list[Any] = []

    class Beginner:
        def beginLoggingTo(self, given: list[Any], **more: Any) -> None:
            observers.extend(given)

    monkeypatch.setattr(logs, "globalLogBeginner", Beginner())
    logs.send_events(child.worker.link)
    logs.take_events(child.parent)
    seen: list[LogEvent] = []
    globalLogPublisher.addObserver(seen.append)
    try:
        from twisted.logger import Logger
        from twisted.python.failure import Failure

        log = Logger("scgiproxy.some.Part", observer=observers[0])
        log.warn("{what} {{x}}", what="{y}")
        try:
            raise ZeroDivisionError("none")
        except ZeroDivisionError:
            log.warn("failed", log_failure=Failure())
        child.pump.flush()
    finally:
        globalLogPublisher.removeObserver(seen.append)
    from twisted.logger import formatEvent

    texts = [
        formatEvent(event) for event in seen if event["log_namespace"] == "scgiproxy.some.Part"
    ]
    assert texts[0] == "worker 3: {y} {x}"
    assert texts[1].startswith("worker 3: failed\nTraceback")
    assert "ZeroDivisionError: none" in texts[1]
    assert [event["log_level"].name for event in seen][:2] == ["warn", "warn"]
