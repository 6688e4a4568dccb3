"""SIGHUP to a gateway of several processes: all of them take the configuration up while they serve."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection, ask
from tests.e2e.load import Load
from tests.e2e.processes import wait_until
from tests.e2e.scripted import ScriptedBackend, answer
from tests.e2e.test_reload import IN_FORCE, KEPT, REQUEST, hang_up, reload, write
from tests.e2e.workers import Start, serving

pytestmark = pytest.mark.e2e

METRICS = "<Location /metrics>\nSetHandler metrics\nRequire all granted\n</Location>\n"
HELLO = answer(b"Content-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n")


def children(gateway: Gateway) -> set[int]:
    words = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    return set(map(int, words))


def test_the_same_processes_serve_on(start: Start, backend: ScriptedBackend) -> None:
    gateway = start(f"ProxyPass / {backend.url}/")
    before = children(gateway)
    with Connection(gateway.http) as client:
        assert client.ask(REQUEST).text == "hello\n"
        reload(gateway, "LogLevel info\nSetEnv x y")
        assert client.ask(REQUEST).status == 404
    assert children(gateway) == before


def test_each_request_is_counted_once(start: Start, backend: ScriptedBackend) -> None:
    """Whatever place its mount has in the configuration of the moment."""
    mount = f"ProxyPass /app/ {backend.url}/\n"
    other = "ProxyPass /a/ scgi://127.0.0.1:1/\nProxyPass /b/ balancer://b/\n"
    member = "BalancerMember balancer://b scgi://127.0.0.1:1\n"
    gateway = start(f"LogLevel info\n{METRICS}{mount}")
    backend.play(HELLO)
    with Load(gateway.port, 8, b"hello\n".__eq__, "/app/x") as load:
        for number in range(10):
            text = (other + member + mount, mount)[number % 2]
            reload(gateway, f"LogLevel info\n{METRICS}{text}")
            before = load.report.answered
            wait_until(lambda before=before: load.report.answered > before + 20, "answers")
    report = load.report
    assert (report.cut_off, dict(report.failures)) == (0, {})

    def counted() -> int:
        told = ask(gateway.http, REQUEST.replace(b"GET / ", b"GET /metrics ")).text
        found = re.findall(
            r'^scgiproxy_requests_total\{[^}]*"/app/"[^}]*\} (\S+)', told, re.MULTILINE
        )
        return round(sum(map(float, found)))

    wait_until(lambda: counted() == report.answered, f"{report.answered} are counted")


def test_other_numbers_of_workers(tmp_path: Path, backend: ScriptedBackend) -> None:
    """More are started, and those that are too many end without a request lost."""

    def text(count: int) -> str:
        return f"LogLevel info\nWorkers {count}\nProxyPass / {backend.url}/"

    backend.play(HELLO)
    with Gateway(tmp_path, text(2), workers=1) as gateway:
        wait_until(lambda: serving(gateway) == 2, "both serve")
        with Load(gateway.port, 8, b"hello\n".__eq__) as load:
            for count in (3, 2, 4, 2):
                reload(gateway, text(count))
                wait_until(lambda count=count: len(children(gateway)) == count, f"{count} workers")
        assert (load.report.cut_off, dict(load.report.failures)) == (0, {})
        write(gateway, text(1))
        hang_up(gateway, "Workers: expected more than 1, as at the start")
        assert "another takes its place" not in gateway.logged()


def test_one_that_starts_meanwhile(start: Start, backend: ScriptedBackend) -> None:
    """It begins with the configuration that is in force by then."""
    gateway = start(f"ProxyPass / {backend.url}/")
    for number in range(3):
        os.kill(min(children(gateway)), signal.SIGKILL)
        reload(gateway, f"LogLevel info\nHeader set X-Number {number}\nProxyPass / {backend.url}/")
        wait_until(lambda number=number: serving(gateway) >= 3 + number, "another serves")
        answers = [ask(gateway.http, REQUEST).header("X-Number") for _ in range(8)]
        assert answers == [str(number)] * 8


def test_a_stopped_worker_is_waited_for(start: Start, backend: ScriptedBackend) -> None:
    gateway = start(f"ProxyPass / {backend.url}/")
    pid = min(children(gateway))
    os.kill(pid, signal.SIGSTOP)
    try:
        write(gateway, "LogLevel info")
        os.kill(gateway.pid, signal.SIGHUP)
        with Connection(gateway.http) as client:
            wait_until(lambda: client.ask(REQUEST).status == 404, "the other one has it")
        assert IN_FORCE not in gateway.logged()
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: IN_FORCE in gateway.logged(), "all have it")


def test_what_is_in_force_is_told(start: Start, backend: ScriptedBackend) -> None:
    """By every worker: the parent knows."""
    gateway = start(f"{METRICS}ProxyPass /app/ {backend.url}/")

    def successful() -> set[str]:
        asked = REQUEST.replace(b"GET / ", b"GET /metrics ")
        told = "".join(ask(gateway.http, asked).text for _ in range(6))
        return set(
            re.findall(r"^scgiproxy_config_last_reload_successful (\S+)", told, re.MULTILINE)
        )

    assert successful() == {"1.0"}
    write(gateway, "ProxyPas /")
    hang_up(gateway, KEPT)
    assert successful() == {"0.0"}
    reload(gateway, METRICS)
    assert successful() == {"1.0"}
