"""Fixtures every test runs under."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings  # before gc.freeze(): it looks at who refers to what
from twisted.internet.base import DelayedCall
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.plugin import IPlugin, getPlugins

DelayedCall.debug = False
# How long an example takes is the machine's affair.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    """Import every twistd plugin once: some of Twisted's warn, and twistd's cache is not there
    yet in a new environment."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        list(getPlugins(IPlugin))


def pytest_collection_finish() -> None:
    """What is there before the first test need not be searched for garbage after each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def earlier_modules_left_alone() -> None:
    """What earlier modules have left alive, pytest's own reports above all, need not be searched
    either: without this the time of each search grows with the number of tests before it."""
    gc.collect()
    gc.freeze()


class LoggedErrors(list[LogEvent]):
    """The error events a test has logged. A test that means to log one clears it with `flush`."""

    def flush(self) -> list[LogEvent]:
        """Hand over what was logged so far, and forget it. Collects garbage first, so that a
        Deferred's unhandled failure is seen."""
        gc.collect()
        events = list(self)
        self.clear()
        return events


@pytest.fixture(autouse=True)
def logged_errors() -> Iterator[LoggedErrors]:
    """Fail a test that leaves an error in the log: pytest-twisted would let it pass."""
    events = LoggedErrors()

    def observe(event: LogEvent) -> None:
        if event.get("isError") or event.get("log_level") in (LogLevel.error, LogLevel.critical):
            events.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        yield events
        left = events.flush()
    finally:
        globalLogPublisher.removeObserver(observe)
    if left:
        shown = []
        for event in left:
            failure = event.get("log_failure")
            shown.append(failure.getTraceback() if failure else str(event.get("log_format")))
        pytest.fail("errors were logged:\n" + "\n".join(shown))


@pytest.fixture(autouse=True)
def clean_reactor() -> Iterator[None]:
    """Fail a test that leaves a delayed call or a socket in the reactor."""
    from twisted.internet import reactor

    before_calls = set(reactor.getDelayedCalls())
    before_readers = set(reactor.getReaders()) | set(reactor.getWriters())
    yield
    calls = [c for c in reactor.getDelayedCalls() if c not in before_calls and c.active()]
    readers = (set(reactor.getReaders()) | set(reactor.getWriters())) - before_readers
    readers = {r for r in readers if type(r).__name__ not in ("_SIGCHLDWaker", "_UnixWaker")}
    for call in calls:
        call.cancel()
    for reader in readers:
        reactor.removeReader(reader)
        reactor.removeWriter(reader)
    if calls or readers:
        pytest.fail(f"left in the reactor: {calls} {readers}")
