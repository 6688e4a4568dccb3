"""A start that fails ends the process with a line, not with a traceback."""

from __future__ import annotations

import atexit
import io
import os
import sys
from typing import Any

import pytest
from twisted.application.service import Service
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock

from scgiproxy.errors import ConfigError, Problem
from scgiproxy.service.startup import ProcessService, StartupError
from tests.conftest import LoggedErrors


class Failing(Service):
    def __init__(self, error: Exception, privileged: bool) -> None:
        self._error = error
        self._privileged = privileged

    def privilegedStartService(self) -> None:
        if self._privileged:
            raise self._error

    def startService(self) -> None:
        raise self._error


PROBLEMS = ConfigError([Problem("f", 1, "Listen: no"), Problem("g", 2, "ErrorLog: no {}")])


@pytest.mark.parametrize("privileged", [True, False])
@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (PROBLEMS, ["f:1: Listen: no", "g:2: ErrorLog: no {}"]),
        (
            CannotListenError(None, "/x", OSError(1, "no")),
            ["Couldn't listen on any:/x: [Errno 1] no."],
        ),
    ],
)
def test_a_start_that_fails(
    privileged: bool,
    error: Exception,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    logged_errors: LoggedErrors,
) -> None:
    """On standard error, in the log, and in an exception that twistd and the interpreter know."""
    told = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", told)
    service: Any = ProcessService(Failing(error, privileged), MemoryReactorClock())
    with pytest.raises(StartupError) as raised:
        (service.privilegedStartService if privileged else service.startService)()
    assert isinstance(raised.value, Exception)
    assert isinstance(raised.value, SystemExit)
    assert raised.value.code == 1
    assert str(raised.value).splitlines() == lines
    assert told.getvalue().splitlines() == lines
    assert [event["line"] for event in logged_errors.flush()] == lines


def test_without_standard_error(
    monkeypatch: pytest.MonkeyPatch, logged_errors: LoggedErrors
) -> None:
    monkeypatch.setattr(sys, "__stderr__", None)
    with pytest.raises(StartupError):
        ProcessService(
            Failing(PROBLEMS, privileged=True), MemoryReactorClock()
        ).privilegedStartService()
    assert len(logged_errors.flush()) == 2


def test_any_other_error_is_left_alone() -> None:
    """It is a bug, and its traceback is wanted."""
    with pytest.raises(ZeroDivisionError):
        ProcessService(
            Failing(ZeroDivisionError(), privileged=False), MemoryReactorClock()
        ).startService()


def test_a_failure_while_it_runs(
    monkeypatch: pytest.MonkeyPatch, logged_errors: LoggedErrors
) -> None:
    """Told as one at the start is; the reactor stops, and the process ends with exit code 1."""
    told = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", told)
    at_exit: list[Any] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    reactor = MemoryReactorClock()
    ProcessService(Service(), reactor).fail("no worker can start: because\nof {this}")
    assert told.getvalue() == "no worker can start: because\nof {this}\n"
    assert [event["line"] for event in logged_errors.flush()] == told.getvalue().splitlines()
    assert reactor.hasStopped
    (end,) = at_exit
    end()
    assert codes == [1]
