"""Several processes: what one of them does, or suffers, is no matter to the clients of others."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection, ask
from tests.e2e.load import Load
from tests.e2e.processes import free_port, listens, wait_until
from tests.e2e.scripted import ReadHead, ScriptedBackend, Send, Wait
from tests.e2e.test_listening import ask_by_tls, certificate
from tests.e2e.workers import Start, connect, is_alive, owner, serving, stopped

pytestmark = pytest.mark.e2e

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HEAD = Send(b"Content-Type: text/plain\r\nContent-Length: 6\r\n\r\n")


def hold(backend: ScriptedBackend, count: int) -> threading.Event:
    """Have the next `count` requests answered by halves; the event is for the other ones."""
    released = threading.Event()
    backend.play(*[(ReadHead(), HEAD, Send(b"abc"), Wait(released), Send(b"def"))] * count)
    return released


def test_every_worker_serves(start: Start, backend: ScriptedBackend) -> None:
    """And who looks at the processes sees which is which."""
    gateway = start(f"KeepAliveTimeout 60\nProxyPass / {backend.url}/", workers=3)
    pids = gateway.worker_pids
    assert len(pids) == 3
    words = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1] for pid in pids]
    assert [word[-3:] for word in words] == [
        [b"scgiproxy", b"worker", b"%d" % number] for number in (1, 2, 3)
    ]
    for pid in pids:
        with connect(gateway, pid) as client:
            client.send(REQUEST)
            assert client.read().text == "hello\n"


def test_a_worker_is_killed_under_load(start: Start, backend: ScriptedBackend) -> None:
    """The requests that it held fail, no others; another takes its place."""
    gateway = start(f"ProxyPass / {backend.url}/")
    before = set(gateway.worker_pids)
    connections = 12
    backend.play((ReadHead(), HEAD, Send(b"abcdef")))
    with Load(gateway.port, connections, b"abcdef".__eq__) as load:
        wait_until(lambda: load.report.answered > 100, "load")
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: serving(gateway) == 3, "another worker serves")
        reached = load.report.answered
        wait_until(lambda: load.report.answered > reached + 100, "load on both")
        report = load.stop()
    assert sum(report.failures.values()) + report.cut_off <= connections, report.failures
    assert len(gateway.worker_pids) == 2
    assert len(before & set(gateway.worker_pids)) == 1
    assert re.search(
        r"worker 1 \(pid \d+\) was ended by SIGKILL; another takes its place in [\d.]+ s",
        gateway.logged(),
    )


def test_who_waits_in_the_backlog_is_served_by_another(
    start: Start, backend: ScriptedBackend
) -> None:
    """All workers are stopped, a client comes, all but one are killed."""
    gateway = start(f"ProxyPass / {backend.url}/")
    first, second = gateway.worker_pids
    for pid in (first, second):
        os.kill(pid, signal.SIGSTOP)
    with ExitStack() as stack:
        clients = [stack.enter_context(Connection(gateway.http)) for _ in range(8)]
        for client in clients:
            client.send(REQUEST)
        os.kill(first, signal.SIGKILL)
        os.kill(second, signal.SIGCONT)
        for client in clients:
            assert client.read().text == "hello\n"


def test_the_parent_is_killed(start: Start, backend: ScriptedBackend) -> None:
    """Workers finish what they do, let nobody in, and end."""
    gateway = start(f"ProxyPass / {backend.url}/")
    pids = gateway.worker_pids
    released = hold(backend, 4)
    with ExitStack() as stack:
        clients = [stack.enter_context(Connection(gateway.http)) for _ in range(4)]
        for client in clients:
            client.send(REQUEST)
            client.read_head()
        os.kill(gateway.pid, signal.SIGKILL)
        wait_until(lambda: not listens(gateway.http), "the closed port")
        released.set()
        for client in clients:
            assert client.read_some(3) + client.read_some(3) == b"abcdef"
            assert client.is_at_end()
    wait_until(lambda: not any(map(is_alive, pids)), "the end of every worker")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What a shell has started in the background ignores SIGINT, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stop_loses_no_answer(
    name: str, start: Start, backend: ScriptedBackend, tmp_path: Path
) -> None:
    """SIGTERM to the parent; or SIGINT to all of them, as from a terminal."""
    gateway = start(f"ProxyPass / {backend.url}/\nCustomLog {tmp_path}/access.log common\n")
    released = hold(backend, 10)
    with ExitStack() as stack:
        clients = [stack.enter_context(Connection(gateway.http)) for _ in range(10)]
        for client in clients:
            client.send(REQUEST)
            client.read_head()
        if name == "SIGINT":
            os.killpg(gateway.pid, signal.SIGINT)
        else:
            os.kill(gateway.pid, signal.SIGTERM)
        wait_until(lambda: not listens(gateway.http), "the closed port")
        assert not gateway.has_ended
        released.set()
        for client in clients:
            assert client.read_some(3) + client.read_some(3) == b"abcdef"
            assert client.is_at_end()
    wait_until(lambda: gateway.has_ended, "the gateway's end")
    assert (tmp_path / "access.log").read_text().count('"GET / HTTP/1.1" 200 6') == 10
    assert "takes its place" not in gateway.logged()


def test_a_service_manager_tells_everybody_to_end(start: Start, backend: ScriptedBackend) -> None:
    """As systemd does: SIGTERM to the parent and to each worker."""
    gateway = start(f"ProxyPass / {backend.url}/")
    released = hold(backend, 1)
    with Connection(gateway.http) as client:
        client.send(REQUEST)
        client.read_head()
        os.killpg(gateway.pid, signal.SIGTERM)
        wait_until(lambda: not listens(gateway.http), "the closed port")
        released.set()
        assert client.read_some(3) + client.read_some(3) == b"abcdef"
    wait_until(lambda: gateway.has_ended, "the gateway's end")


def test_one_worker_is_told_to_end(start: Start, backend: ScriptedBackend) -> None:
    """It finishes what it does, and another takes its place."""
    gateway = start(f"ProxyPass / {backend.url}/")
    released = hold(backend, 1)
    with Connection(gateway.http) as client:
        client.send(REQUEST)
        client.read_head()
        pid = owner(gateway, client)
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        released.set()
        assert client.read_some(3) + client.read_some(3) == b"abcdef"
    wait_until(lambda: serving(gateway) == 3, "another worker serves")
    assert pid not in gateway.worker_pids
    assert f"(pid {pid}) ended with exit code 0; another takes its place" in gateway.logged()


def test_what_a_worker_has_not_read_is_served(start: Start, backend: ScriptedBackend) -> None:
    """Requests on connections that it takes for idle when it is told to end."""
    gateway = start(f"ProxyPass / {backend.url}/")
    pid = gateway.worker_pids[0]
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(gateway, pid)) for _ in range(12)]
        for client in clients:
            assert client.ask(REQUEST).text == "hello\n"
        with stopped([pid]):
            os.kill(pid, signal.SIGTERM)
            for client in clients:
                client.send(REQUEST)
        for client in clients:
            assert client.read().text == "hello\n"
            assert client.is_at_end()
    wait_until(lambda: serving(gateway) == 3, "another worker serves")
    assert "cut off" not in gateway.logged()


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (signal.SIGHUP, "the configuration was read again"),
        (signal.SIGUSR1, "SIGUSR1 does nothing"),
    ],
    ids=["SIGHUP", "SIGUSR1"],
)
def test_what_ends_nobody(
    number: signal.Signals, told: str, tmp_path: Path, backend: ScriptedBackend
) -> None:
    """Neither the parent, whose log is the terminal, nor a worker."""
    text = f"ProxyPass / {backend.url}/"
    with Gateway(tmp_path, text, workers=2, to_terminal=True) as gateway:
        before = gateway.worker_pids
        os.killpg(gateway.pid, number)
        wait_until(lambda: told in gateway.logged(), "a line in the log")
        assert ask(gateway.http, LAST).text == "hello\n"
        assert gateway.worker_pids == before


def test_logs(start: Start, backend: ScriptedBackend, tmp_path: Path) -> None:
    """Of all workers in one file, which may be moved away."""
    log, access = tmp_path / "error.log", tmp_path / "access.log"
    gateway = start(
        f"CustomLog {access} common\n<VirtualHost *>\nErrorLog {log}\n"
        f"ProxyPass /app {backend.url}/\n</VirtualHost>"
    )

    def ask_many() -> None:
        with ExitStack() as stack:
            connections = [
                stack.enter_context(connect(gateway, pid))
                for pid in gateway.worker_pids
                for _ in range(20)
            ]
            for connection in connections:
                connection.send(REQUEST)
            for connection in connections:
                assert connection.read().status == 404

    ask_many()
    wait_until(lambda: access.read_text().count("\n") == 40, "forty lines")
    log.rename(tmp_path / "error.log.1")
    access.rename(tmp_path / "access.log.1")
    ask_many()
    pids = gateway.worker_pids
    gateway.stop()
    for file in (tmp_path / "error.log.1", log):
        lines = file.read_text().splitlines()
        assert len(lines) == 40
        found = Counter(re.findall(r"\[pid (\d+)\] client.not_found", "\n".join(lines)))
        assert found == {str(pid): 20 for pid in pids}
    for file in (tmp_path / "access.log.1", access):
        lines = file.read_text().splitlines()
        assert len(lines) == 40
        assert all('"GET / HTTP/1.1" 404 ' in line for line in lines)


def test_twistds_log_names_the_worker(start: Start, backend: ScriptedBackend) -> None:
    gateway = start(f"ProxyPass /app {backend.url}/")
    assert ask(gateway.http, LAST).status == 404
    wait_until(
        lambda: re.search(r"\[scgiproxy\S+#info\] worker [12]: client.not_found", gateway.logged()),
        "the line",
    )


def test_unix_sockets_and_tls(start: Start, backend: ScriptedBackend, tmp_path: Path) -> None:
    """The socket's file outlives a worker, and not the gateway."""
    file = certificate(tmp_path / "certificates")
    port, other, path = free_port(), free_port(), tmp_path / "gateway.sock"
    gateway = start(
        f'Listen 127.0.0.1:${{PORT}}\nListen "unix:{path}:mode=600"\nListen "tls:{file.parent}:port={port}"\n'
        f'Listen "ssl:{other}:privateKey={file}:interface=127.0.0.1"\n'
        f"ProxyPass / {backend.url}/"
    )
    os.kill(gateway.worker_pids[0], signal.SIGKILL)
    wait_until(lambda: serving(gateway) == 3, "another worker serves")
    for _ in range(6):
        assert ask(path, LAST).text == "hello\n"
        assert ask_by_tls(port, file).text == "hello\n"
        assert ask_by_tls(other, file).text == "hello\n"
    gateway.stop()
    assert not path.exists()
