"""SIGHUP does not end the process, and nobody's handler is taken away."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from twisted.application.service import Service
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher

from scgiproxy.service.hangup import HangUpSignal
from scgiproxy.service.startup import ProcessService


class Reactor(MemoryReactorClock):
    """Runs at once, and stops on demand."""

    stopped = 0

    def callWhenRunning(  # type: ignore[override]
        self, function: Callable[..., Any], *words: Any, **named: Any
    ) -> None:
        function(*words, **named)

    def callFromThread(self, function: Callable[..., Any], *words: Any, **named: Any) -> None:
        function(*words, **named)

    def stop(self) -> None:
        self.stopped += 1


def running() -> Any:
    return Reactor()  # type: ignore[no-untyped-call]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """As in a process whose reactor has installed its own; put back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    found: list[LogEvent] = []
    observer = cast("ILogObserver", found.append)
    globalLogPublisher.addObserver(observer)
    yield found
    globalLogPublisher.removeObserver(observer)


@pytest.fixture
def not_a_terminal() -> Iterator[int]:
    reading, writing = os.pipe()
    yield reading
    os.close(reading)
    os.close(writing)


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


def test_one_warning_each_time(not_a_terminal: int, events: list[LogEvent]) -> None:
    watched = HangUpSignal(running(), not_a_terminal)
    watched.start()
    watched.start()
    for count in (1, 2):
        hang_up()
        assert len(events) == count
    assert events[0]["log_level"] is LogLevel.warn
    assert "configuration is not read again" in events[0]["log_format"]
    watched.stop()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_a_handler_of_somebody_else_stays() -> None:
    def handler(number: int, frame: object) -> None: ...

    for other in (handler, signal.SIG_IGN):
        signal.signal(signal.SIGHUP, other)
        watched = HangUpSignal(running())
        watched.start()
        assert signal.getsignal(signal.SIGHUP) is other
        watched.stop()
        assert signal.getsignal(signal.SIGHUP) is other


def test_a_handler_that_came_later_stays() -> None:
    watched = HangUpSignal(running())
    watched.start()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    watched.stop()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_reactor_without_handlers() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    HangUpSignal(running()).start()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_another_thread() -> None:
    thread = threading.Thread(target=HangUpSignal(running()).start)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_stopped_before_the_reactor_runs() -> None:
    reactor: Any = MemoryReactorClock()
    watched = HangUpSignal(reactor)
    watched.start()
    watched.stop()
    for function, words, named in reactor.whenRunningHooks:
        function(*words, **named)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_a_terminal_that_is_closed_ends_the_process(events: list[LogEvent]) -> None:
    master, slave = os.openpty()
    reactor = running()
    watched = HangUpSignal(reactor, slave)
    watched.start()
    hang_up()
    assert reactor.stopped == 0
    os.close(master)
    hang_up()
    assert reactor.stopped == 1
    assert "terminal is closed" in events[-1]["log_format"]
    watched.stop()
    os.close(slave)


def test_a_process_service_watches_it_while_it_runs() -> None:
    service: Any = ProcessService(Service(), running())
    service.startService()
    assert signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL
    service.stopService()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
