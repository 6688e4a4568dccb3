"""ErrorLog and LogLevel: what is written, and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel
from twisted.python.failure import Failure

from scgiproxy.log.events import Logger, gateway_events
from scgiproxy.rules.settings import ServerSettings
from scgiproxy.service.errorlog import ErrorLogs, format_line

LEVELS = ("debug", "info", "warn", "error", "critical")


def event(level: str = "warn", **more: Any) -> LogEvent:
    return {
        "log_level": LogLevel.lookupByName(level),
        "log_format": "something of {what}",
        "log_namespace": "scgiproxy.web.site.GatewaySite",
        "log_time": 784111777.75,
        "what": "interest",
        **more,
    }


def of_host(server: ServerSettings) -> Any:
    """A request that `server` answers."""
    return SimpleNamespace(host_resource=SimpleNamespace(server=server))


@pytest.mark.parametrize(
    ("log_level", "passing"),
    [
        ("emerg", 1),
        ("alert", 1),
        ("crit", 1),
        ("error", 2),
        ("warn", 3),
        ("notice", 3),
        ("info", 4),
        ("debug", 5),
        ("trace1", 5),
        ("trace8", 5),
    ],
)
def test_levels(log_level: str, passing: int) -> None:
    """Those as grave as LogLevel, and graver ones; a notice in any case."""
    logs = ErrorLogs(ServerSettings(log_level=log_level))
    assert [level for level in LEVELS if logs.takes(event(level))] == list(LEVELS[-passing:])
    assert logs.takes(event("debug", notice=True))


def test_a_file_instead_of_twisteds_log(tmp_path: Path) -> None:
    logs = ErrorLogs(ServerSettings(error_log=str(tmp_path / "e"), log_level="warn"))
    assert not logs.takes(event("info"))
    assert not logs.takes(event("warn"))
    assert len((tmp_path / "e").read_text().splitlines()) == 1
    logs.close()


def test_virtual_hosts(tmp_path: Path) -> None:
    """Each has its level and its file; what is nobody's is the main server's."""
    main = ServerSettings(error_log=str(tmp_path / "main"))
    own = ServerSettings(error_log=str(tmp_path / "own"), log_level="debug")
    twisted = ServerSettings(log_level="error")
    logs = ErrorLogs(main, [own, twisted])
    assert [Path(file.path).name for file in logs.files] == ["main", "own"]
    for request in (of_host(main), of_host(own), SimpleNamespace(), None):
        assert not logs.takes(event("info", request=request))
        assert not logs.takes(event("warn", request=request))
    assert not logs.takes(event("warn", request=of_host(twisted)))
    assert logs.takes(event("error", request=of_host(twisted)))
    lines = {path.name: len(path.read_text().splitlines()) for path in tmp_path.iterdir()}
    assert lines == {"main": 3, "own": 2}
    logs.close()


def test_hosts_of_one_file_share_it(tmp_path: Path) -> None:
    servers = [ServerSettings(error_log=str(tmp_path / "e")) for _ in range(3)]
    assert len(list(ErrorLogs(servers[0], servers[1:]).files)) == 1


def test_a_request_of_another_gateway(tmp_path: Path) -> None:
    """It is that one's affair, though its settings be the same."""
    ours, theirs = ErrorLogs(ServerSettings()), ServerSettings()
    assert not ours.takes(event("critical", request=of_host(theirs)))


@pytest.fixture
def line() -> Callable[..., str]:
    def of(**more: Any) -> str:
        text = format_line(event(**more)).decode()
        assert text.endswith("\n")
        assert text.count("\n") == 1
        return text[:-1]

    return of


def test_the_form_of_a_line(line: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Apache's, whatever the locale."""
    monkeypatch.setattr("time.localtime", __import__("time").gmtime)
    monkeypatch.setattr("os.getpid", lambda: 42)
    assert line() == (
        "[Sun Nov 06 08:49:37.750000 1994] [web.site.GatewaySite:warn] [pid 42]"
        " something of interest"
    )
    assert "GatewaySite:crit] " in line(log_level=LogLevel.critical)
    assert "GatewaySite:notice] " in line(notice=True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\n", r"a\nb\r\n"),
        ("\x1b[31m\x00", r"\x1b[31m\x00"),
        ("Zoë 東京 \\n \"'", "Zoë 東京 \\n \"'"),
        ("\u2028\x85\udcff", r"\u2028\x85\udcff"),
    ],
)
def test_what_cannot_be_seen_is_escaped(line: Callable[..., str], text: str, shown: str) -> None:
    assert line(what=text).endswith(f"something of {shown}")


def test_a_failure_is_one_line(line: Callable[..., str]) -> None:
    """With all of its traceback."""
    try:
        raise ValueError("two\nlines")
    except ValueError:
        text = line(log_failure=Failure())
    assert r"something of interest: two\nlines\nTraceback (most recent call last):\n" in text
    assert "test_errorlog.py" in text


def test_it_is_in_force_while_open(tmp_path: Path) -> None:
    """Opening it twice does not write lines twice."""
    path = tmp_path / "e"
    logs = ErrorLogs(ServerSettings(error_log=str(path), log_level="info"))
    log = Logger("scgiproxy.a")
    log.info("before")
    logs.open()
    logs.open()
    log.info("while")
    logs.close()
    log.info("after")
    assert re.sub(r".*\] ", "", path.read_text()) == "while\n"
    assert logs.takes not in gateway_events._filters
