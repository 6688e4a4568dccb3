"""ErrorLog, LogLevel and CustomLog of a gateway that runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import ask
from tests.e2e.processes import wait_until
from tests.e2e.scripted import ReadHead, ScriptedBackend

pytestmark = pytest.mark.e2e

ACCESS = re.compile(r"127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] (?P<rest>.*)")
ERROR = re.compile(
    r"\[\w{3} \w{3} \d\d \d\d:\d\d:\d\d\.\d{6} \d{4}\]"
    r" \[[\w.]+:(?P<level>\w+)\] \[pid \d+\] (?P<message>.*)"
)
WORKER_SERVES = re.compile(r"worker \d \(pid \d+\) serves")


def get(gateway: Gateway, path: str, host: str = "main.example", *headers: str) -> int:
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    return ask(gateway.http, "\r\n".join([*lines, "", ""]).encode()).status


def messages(path: Path) -> list[tuple[str, str]]:
    """The lines of an error log, each its level and its message up to the brackets."""
    found = []
    for line in path.read_text().splitlines():
        match = ERROR.fullmatch(line)
        assert match, line
        if WORKER_SERVES.fullmatch(match["message"]):
            continue
        found.append((match["level"], match["message"].partition(" (")[0]))
    return found


def test_access_logs(
    tmp_path: Path, start_gateway: Callable[[str], Gateway], backend: ScriptedBackend
) -> None:
    """One in each format; what is refused is in them as well, and it outlives its rotation."""
    gateway = start_gateway(
        f"CustomLog {tmp_path}/common.log common\nCustomLog {tmp_path}/combined.log combined\n"
        f"ProxyPass /app {backend.url}/app\n"
    )
    browser = ("Referer: http://a/", 'User-Agent: "tester"')
    assert get(gateway, "/app?x=1", "main.example", *browser) == 200
    assert ask(gateway.http, b"nonsense\r\n\r\n").status == 400
    common, combined = tmp_path / "common.log", tmp_path / "combined.log"
    wait_until(lambda: len(common.read_text().splitlines()) == 2, "two lines")
    moved = combined.rename(tmp_path / "combined.log.1")
    assert get(gateway, "/none") == 404
    gateway.stop()

    def rest(path: Path) -> list[str]:
        found = [ACCESS.fullmatch(line) for line in path.read_text().splitlines()]
        return [match["rest"] if match else "" for match in found]

    answered = '"GET /app?x=1 HTTP/1.1" 200 6'
    refused = re.compile(r'"-" 400 \d+ "-" "-"')
    assert rest(common)[0] == answered
    assert rest(moved)[0] == answered + r' "http://a/" "\"tester\""'
    assert refused.fullmatch(rest(moved)[1])
    (last,) = rest(combined)
    assert last.startswith('"GET /none HTTP/1.1" 404 ')
    assert len(rest(common)) == 3


def test_the_error_log(
    tmp_path: Path, start_gateway: Callable[[str], Gateway], backend: ScriptedBackend
) -> None:
    """It has the gateway's lines, and twistd's log has none of them."""
    gateway = start_gateway(
        f"ErrorLog {tmp_path}/error.log\nLogLevel info\nProxyPass /app {backend.url}/app\nOptions All\n"
    )
    backend.play((ReadHead(),))
    assert get(gateway, "/none") == 404
    assert get(gateway, "/app") == 502
    moved = (tmp_path / "error.log").rename(tmp_path / "error.log.1")
    assert get(gateway, "/none") == 404
    gateway.stop()
    before, after = messages(moved), messages(tmp_path / "error.log")
    assert [level for level, _ in before] == ["notice", "notice", "info", "warn"]
    assert "Options does nothing here" in "".join(message for _, message in before[:2])
    assert before[2][1].startswith("client.not_found: ")
    assert before[3][1].startswith("backend.")
    assert [level for level, _ in after] == ["info", "notice"]
    assert "[scgiproxy." not in gateway.logged()


def test_levels_without_an_error_log(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend
) -> None:
    """LogLevel holds lines back in twistd's log too, which a notice is not."""
    gateway = start_gateway(f"LogLevel warn\nProxyPass /app {backend.url}/app\n")
    backend.play((ReadHead(),))
    assert get(gateway, "/none") == 404
    assert get(gateway, "/app") == 502
    gateway.stop()
    lines = [line for line in gateway.logged().splitlines() if "[scgiproxy." in line]
    assert [re.sub(r".*#(\w+)\] (?:worker \d: )?(\S+).*", r"\1 \2", line) for line in lines] == [
        "info listening",
        "warn backend.truncated:",
        "info stopped",
    ]


def test_virtual_hosts_have_their_own(
    tmp_path: Path, start_gateway: Callable[[str], Gateway]
) -> None:
    """A file, a level, or neither."""
    gateway = start_gateway(
        f"ErrorLog {tmp_path}/main.log\n"
        "<VirtualHost *>\nServerName plain.example\n</VirtualHost>\n"
        f"<VirtualHost *>\nServerName own.example\nErrorLog {tmp_path}/own.log\nLogLevel info\n"
        "</VirtualHost>\n"
        "<VirtualHost *>\nServerName chatty.example\nLogLevel debug\n</VirtualHost>\n"
    )
    for host in ("plain.example", "own.example", "chatty.example"):
        assert get(gateway, f"/{host}", host) == 404
    gateway.stop()
    (own,) = messages(tmp_path / "own.log")
    assert "/own.example" in own[1]
    main = messages(tmp_path / "main.log")
    assert [level for level, _ in main] == ["notice", "info", "notice"]
    assert "/chatty.example" in main[1][1]
