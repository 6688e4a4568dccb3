"""SIGHUP, SIGUSR1 and SIGUSR2 do not end the process, and nobody's handler is taken away."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from twisted.application.service import Service
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher

from scgiproxy.service.signals import ProcessSignals
from scgiproxy.service.startup import ProcessService

WATCHED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
each_signal = pytest.mark.parametrize("number", WATCHED)


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
    before = {
        number: signal.getsignal(number) for number in (*WATCHED, signal.SIGTERM, signal.SIGINT)
    }
    for number in WATCHED:
        signal.signal(number, signal.SIG_DFL)
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


def send(number: int = signal.SIGHUP) -> None:
    os.kill(os.getpid(), number)


def are_ours() -> list[bool]:
    """Of each, whether it has a handler."""
    return [signal.getsignal(number) is not signal.SIG_DFL for number in WATCHED]


@each_signal
def test_one_warning_each_time(
    number: signal.Signals, not_a_terminal: int, events: list[LogEvent]
) -> None:
    watched = ProcessSignals(running(), terminal=not_a_terminal)
    watched.start()
    watched.start()
    for count in (1, 2):
        send(number)
        assert len(events) == count
    assert events[0]["log_level"] is LogLevel.warn
    told = formatEvent(events[0])
    assert told.startswith(f"{number.name} does nothing here")
    watched.stop()
    assert are_ours() == [False] * 3


@each_signal
def test_a_handler_of_somebody_else_stays(number: signal.Signals) -> None:
    """Such as that of twistd, which rotates its log file at SIGUSR1; the other one is watched."""

    def handler(number: int, frame: object) -> None: ...

    for other in (handler, signal.SIG_IGN):
        signal.signal(number, other)
        watched = ProcessSignals(running())
        watched.start()
        assert signal.getsignal(number) is other
        assert are_ours() == [True] * 3
        watched.stop()
        assert signal.getsignal(number) is other
        assert are_ours() == [one is number for one in WATCHED]


@each_signal
def test_a_handler_that_came_later_stays(number: signal.Signals) -> None:
    watched = ProcessSignals(running())
    watched.start()
    signal.signal(number, signal.SIG_IGN)
    watched.stop()
    assert signal.getsignal(number) is signal.SIG_IGN


def test_a_reactor_without_handlers() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ProcessSignals(running()).start()
    assert are_ours() == [False] * 3


def test_another_thread() -> None:
    thread = threading.Thread(target=ProcessSignals(running()).start)
    thread.start()
    thread.join()
    assert are_ours() == [False] * 3


def test_a_storm_is_one(not_a_terminal: int) -> None:
    """Of each kind, as far as it comes before something is done; what comes then is another one."""
    waiting: list[Callable[[], Any]] = []
    reactor = running()
    reactor.callFromThread = lambda function, *words: waiting.append(lambda: function(*words))
    done: list[str] = []

    def reload() -> None:
        done.append("reload")
        if len(done) == 1:
            send(signal.SIGHUP)

    watched = ProcessSignals(
        reactor, reload, upgrade=lambda: done.append("upgrade"), terminal=not_a_terminal
    )
    watched.start()
    for _ in range(20):
        send(signal.SIGHUP)
        send(signal.SIGUSR2)
    while waiting:
        waiting.pop(0)()
    assert done == ["reload", "upgrade", "reload"]
    watched.stop()


def test_stopped_before_the_reactor_runs() -> None:
    reactor: Any = MemoryReactorClock()
    watched = ProcessSignals(reactor)
    watched.start()
    watched.stop()
    for function, words, named in reactor.whenRunningHooks:
        function(*words, **named)
    assert are_ours() == [False] * 3


def test_a_terminal_that_is_closed_ends_the_process(events: list[LogEvent]) -> None:
    master, slave = os.openpty()
    reactor = running()
    watched = ProcessSignals(reactor, terminal=slave)
    watched.start()
    send()
    assert reactor.stopped == 0
    os.close(master)
    send()
    assert reactor.stopped == 1
    assert "terminal is closed" in events[-1]["log_format"]
    watched.stop()
    os.close(slave)


class Ended(Reactor):
    """Its handler counts, as Twisted's stops it."""

    def sigTerm(self, number: int, frame: object = None) -> None:
        self.stop()


@pytest.fixture
def ended() -> Any:
    reactor = Ended()  # type: ignore[no-untyped-call]
    signal.signal(signal.SIGTERM, reactor.sigTerm)
    return reactor


def test_a_second_signal_to_stop_hurries(ended: Any, events: list[LogEvent]) -> None:
    """The reactor is told once."""
    hurried: list[int] = []
    watched = ProcessSignals(ended, hurry=lambda: hurried.append(1))
    watched.start()
    send(signal.SIGTERM)
    assert (ended.stopped, hurried) == (1, [])
    send(signal.SIGTERM)
    assert (ended.stopped, hurried) == (1, [1])
    assert formatEvent(events[-1]) == "SIGTERM, once more: what is not done is cut off"
    # The process ends: Twisted's cannot be put back.
    watched.stop()
    send(signal.SIGTERM)
    assert ended.stopped == 1


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_nothing_is_begun_at_the_end(
    ended: Any, events: list[LogEvent], not_a_terminal: int, number: signal.Signals
) -> None:
    begun: list[int] = []
    watched = ProcessSignals(
        ended, lambda: begun.append(1), upgrade=lambda: begun.append(2), terminal=not_a_terminal
    )
    watched.start()
    watched.stopping()
    send(number)
    watched.stop()
    assert not begun
    assert formatEvent(events[-1]) == f"{number.name} does nothing: this process is at its end"


def test_a_signal_to_stop_while_it_stops_anyway(ended: Any) -> None:
    hurried: list[int] = []
    watched = ProcessSignals(ended, hurry=lambda: hurried.append(1))
    watched.start()
    watched.stopping()
    send(signal.SIGTERM)
    assert (ended.stopped, hurried) == (0, [1])
    watched.stop()
    assert signal.getsignal(signal.SIGTERM) == ended.sigTerm


def test_somebody_elses_way_to_stop_stays(ended: Any) -> None:
    def handler(number: int, frame: object) -> None: ...

    signal.signal(signal.SIGTERM, handler)
    ProcessSignals(ended).start()
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_process_service_watches_it_while_it_runs() -> None:
    service: Any = ProcessService(Service(), running())
    service.startService()
    assert are_ours() == [True] * 3
    service.stopService()
    assert are_ours() == [False] * 3
