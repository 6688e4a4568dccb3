"""No file descriptor is left: who is served is served on, and others are, when there are some."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.gateway import WORKERS, Gateway
from tests.e2e.http_client import Connection
from tests.e2e.processes import wait_until
from tests.e2e.scripted import HELLO, ReadHead, ScriptedBackend, Send, Wait

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(WORKERS > 1, reason="the limit is of one process"),
]

REQUEST = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
FILE = b"GET /files/a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
CONFIG = """\
DocumentRoot {folder}
ProxyPass /files/ !
ProxyPass / {backend}/
KeepAliveTimeout 60
CustomLog {folder}/access.log common
{more}
"""
SPARE = 8
"""Descriptors that the gateway may open beyond those that it has."""


def open_descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def gateway(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend, tmp_path: Path
) -> Gateway:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("text")
    return start_gateway(CONFIG.format(folder=tmp_path, backend=backend.url, more=""))


def limit(gateway: Gateway) -> None:
    most = open_descriptors(gateway.pid) + SPARE
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (most, most))


def test_exhausted(gateway: Gateway, backend: ScriptedBackend) -> None:
    """An answer under way goes on; a request that needs a descriptor is told 503; nobody new is
    accepted, and nobody is sent away; the process does not spin. Then there are some again."""
    released = threading.Event()
    backend.play((ReadHead(), Send(b"A: b\r\n\r\nabc"), Wait(released), Send(b"def")), HELLO)
    with ExitStack() as stack:

        def connect() -> Connection:
            return stack.enter_context(Connection(gateway.http))

        kept, running = connect(), connect()
        running.send(REQUEST)
        running.read_head()
        backend.wait_for()
        assert kept.ask(REQUEST).status == 200
        limit(gateway)
        clients = [connect() for _ in range(SPARE + 4)]
        wait_until(lambda: "cannot accept" in gateway.logged(), "the log's line")
        assert kept.ask(REQUEST).status == 503
        assert kept.ask(FILE).status == 503
        waiting = clients[-1]
        waiting.send(REQUEST)
        before = cpu_seconds(gateway.pid)
        waiting.socket.settimeout(3)
        with pytest.raises(TimeoutError):
            waiting.is_at_end()
        assert cpu_seconds(gateway.pid) - before < 1.0
        released.set()
        assert running.read_piece() + running.read_piece() == b"abcdef"
        assert running.read_piece() == b""
        for client in clients[:-1]:
            client.close()
        waiting.socket.settimeout(30)
        assert waiting.read().status == 200
        assert kept.ask(FILE).text == "text"
    logged = gateway.logged()
    assert "gateway.sockets: cannot accept: Too many open files" in logged
    assert logged.count("cannot accept") == 1


@pytest.mark.parametrize("at_once", [2])
def test_over_max_connections(
    start_gateway: Callable[[str], Gateway],
    backend: ScriptedBackend,
    tmp_path: Path,
    at_once: int,
) -> None:
    """The next client waits, and is served as soon as one leaves."""
    gateway = start_gateway(
        CONFIG.format(folder=tmp_path, backend=backend.url, more=f"MaxConnections {at_once}")
    )
    clients = [Connection(gateway.http) for _ in range(at_once)]
    for client in clients:
        assert client.ask(REQUEST).status == 200
    with Connection(gateway.http) as waiting:
        waiting.send(REQUEST)
        wait_until(lambda: "client.max_connections" in gateway.logged(), "the log's line")
        assert clients[0].ask(REQUEST).status == 200
        waiting.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            waiting.is_at_end()
        waiting.socket.settimeout(30)
        clients[0].close()
        assert waiting.read().status == 200
    clients[1].close()


def test_over_max_connections_per_ip(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend, tmp_path: Path
) -> None:
    gateway = start_gateway(
        CONFIG.format(folder=tmp_path, backend=backend.url, more="MaxConnectionsPerIP 1")
    )

    def alone() -> bool:
        with Connection(gateway.http) as client:
            try:
                return client.ask(REQUEST).status == 200
            except (OSError, ValueError):
                return False

    # Who looked whether it listens may not be gone yet.
    wait_until(alone, "a first answer")
    wait_until(lambda: "client.too_many" not in gateway.logged() or alone(), "its end")
    with Connection(gateway.http) as first:
        wait_until(lambda: first.ask(REQUEST).status == 200, "the first one")
        with Connection(gateway.http) as second:
            assert second.is_at_end()
        assert first.ask(REQUEST).status == 200
