"""What a service manager is told, and when."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from scgiproxy.service.notify import Notifications
from tests.conftest import LoggedErrors
from tests.service.service_manager import ServiceManager


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceManager]:
    path = tmp_path / "notify"
    with ServiceManager(path if request.param == "file" else f"@scgiproxy{path}") as listening:
        yield listening


def notifications(manager: ServiceManager, **more: str) -> Any:
    reactor = MemoryReactorClock()
    made = Notifications(reactor, environment={**manager.environment, **more})
    return made, reactor


def test_from_start_to_end(manager: ServiceManager) -> None:
    told, _ = notifications(manager)
    before = time.monotonic_ns() // 1000
    told.serves("serving, 2 workers")
    told.reloads()
    told.serves("serving; f:3: wrong\nREADY=0")
    told.stops()
    told.end()
    told.stops()
    ready, reloading, again, stopping = manager.heard
    assert ready == {"READY": "1", "STATUS": "serving, 2 workers"}
    assert (reloading["RELOADING"], "STATUS" in reloading) == ("1", True)
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    # No word of a message is a state.
    assert again == {"READY": "1", "STATUS": "serving; f:3: wrong READY=0"}
    assert stopping == {"STOPPING": "1", "STATUS": "stopping"}


def test_another_process_goes_on(manager: ServiceManager) -> None:
    told, _ = notifications(manager)
    told.is_followed(4711)
    told.stops()
    assert manager.heard == [{"MAINPID": "4711"}]


@pytest.mark.parametrize("pid", [{}, {"WATCHDOG_PID": str(os.getpid())}])
def test_the_watchdog(manager: ServiceManager, pid: dict[str, str]) -> None:
    """Twice in its time, from the moment it serves until its end, as long as it is alive."""
    told, reactor = notifications(manager, WATCHDOG_USEC="10000000", **pid)
    reactor.pump([1.0] * 20)
    assert manager.heard == []
    told.serves("serving")
    reactor.pump([1.0] * 20)
    assert len(manager.states("WATCHDOG")) == 5
    told.is_alive = lambda: False
    reactor.pump([1.0] * 20)
    assert len(manager.states("WATCHDOG")) == 5
    told.is_alive = lambda: True
    reactor.pump([1.0] * 5)
    told.end()
    reactor.pump([1.0] * 20)
    assert len(manager.states("WATCHDOG")) == 6
    assert reactor.getDelayedCalls() == []


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "x"},
    ],
)
def test_nobody_watches(manager: ServiceManager, words: dict[str, str]) -> None:
    """Or another process is watched."""
    told, reactor = notifications(manager, **words)
    told.serves("serving")
    assert reactor.getDelayedCalls() == []


@pytest.mark.parametrize("name", ["", "relative", "vsock:2:1234"])
def test_nobody_to_tell(name: str) -> None:
    reactor = MemoryReactorClock()
    words = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"}
    Notifications(reactor, environment=words).serves("serving")
    assert reactor.getDelayedCalls() == []


@pytest.mark.parametrize("name", ["missing", "x" * 200])
def test_one_that_is_gone(name: str, tmp_path: Path, logged_errors: LoggedErrors) -> None:
    """A line in the log, and no more."""
    told = Notifications(MemoryReactorClock(), environment={"NOTIFY_SOCKET": str(tmp_path / name)})
    told.serves("serving")
    assert logged_errors.flush() == []
