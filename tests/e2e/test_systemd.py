"""Under a service manager: what it is told, and the sockets that it hands over."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection, ask
from tests.e2e.processes import listens, wait_until
from tests.e2e.scripted import AwaitEnd, ReadHead, ScriptedBackend
from tests.e2e.test_reload import IN_FORCE, KEPT, hang_up, write
from tests.e2e.workers import is_alive
from tests.service.service_manager import ServiceManager

pytestmark = pytest.mark.e2e

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@contextmanager
def supervised(
    folder: Path, text: str, workers: int = 1, **more: str
) -> Iterator[tuple[Gateway, ServiceManager]]:
    with ExitStack() as stack:
        manager = stack.enter_context(ServiceManager(folder / "notify", **more))
        environment = manager.environment
        gateway = Gateway(folder, text, "gateway", environment, workers)
        yield stack.enter_context(gateway), manager


def test_from_start_to_end(tmp_path: Path, backend: ScriptedBackend) -> None:
    text = f"ProxyPass / {backend.url}/"
    with supervised(tmp_path, text) as (gateway, manager):
        wait_until(lambda: manager.order() == ["READY"], "it is ready")
        assert ask(gateway.http, LAST).status == 200
        hang_up(gateway)
        wait_until(lambda: manager.order() == ["READY", "RELOADING", "READY"], "it is again")
        write(gateway, "Nonsense")
        hang_up(gateway, KEPT)
        wait_until(lambda: len(manager.order()) == 5, "it goes on as before")
        assert manager.heard[-1]["READY"] == "1"
        assert "unknown directive Nonsense" in manager.heard[-1]["STATUS"]
        backend.play((ReadHead(), AwaitEnd()))
        with Connection(gateway.http) as client:
            client.send(REQUEST)
            backend.wait_for()
            os.kill(gateway.pid, signal.SIGTERM)
            wait_until(lambda: manager.order()[-1] == "STOPPING", "it stops")
            assert not gateway.has_ended
        wait_until(lambda: gateway.has_ended, "the end")
        assert len(manager.order()) == 6


def test_with_workers(tmp_path: Path, backend: ScriptedBackend) -> None:
    """Ready is who serves: all of them. They have nothing to tell themselves."""
    text = f"LogLevel info\nProxyPass / {backend.url}/"
    with supervised(tmp_path, text, 2, WATCHDOG_USEC="400000") as (gateway, manager):
        wait_until(lambda: manager.order() == ["READY"], "it is ready")
        assert manager.states("STATUS") == ["serving, 2 workers"]
        assert gateway.logged().count(" serves") == 2
        wait_until(lambda: len(manager.states("WATCHDOG")) > 5, "the watchdog")
        os.kill(gateway.pid, signal.SIGTERM)
        wait_until(lambda: gateway.has_ended, "the end")
        assert manager.order() == ["READY", "STOPPING"]


def test_a_watchdog(tmp_path: Path) -> None:
    """A process that does nothing any more does not say that it does."""
    with supervised(tmp_path, "", WATCHDOG_USEC="200000") as (gateway, manager):
        wait_until(lambda: len(manager.states("WATCHDOG")) > 3, "it is alive")
        os.kill(gateway.pid, signal.SIGSTOP)
        wait_until(
            lambda: Path(f"/proc/{gateway.pid}/stat").read_text().split()[2] == "T", "stopped"
        )
        before = len(manager.states("WATCHDOG"))
        assert len(manager.states("WATCHDOG")) == before
        os.kill(gateway.pid, signal.SIGCONT)
        wait_until(lambda: len(manager.states("WATCHDOG")) > before, "it is alive again")


@pytest.mark.parametrize("workers", [1, 2])
def test_sockets_of_several_families(
    tmp_path: Path, backend: ScriptedBackend, workers: int
) -> None:
    """Each by its family and number; a reload keeps them, though they are handed over but once."""
    path = tmp_path / "handed.sock"
    kinds = [("INET", 0), ("INET6", 1), ("UNIX", 2)]
    text = "".join(f'Listen "systemd:domain={kind}:index={at}"\n' for kind, at in kinds)
    gateway = Gateway(tmp_path, f"{text}ProxyPass / {backend.url}/", workers=workers)
    start = (
        "import os, socket, sys\n"
        f"four = socket.create_server(('127.0.0.1', {gateway.port}))\n"
        f"six = socket.create_server(('::1', {gateway.port}), family=socket.AF_INET6)\n"
        "file = socket.socket(socket.AF_UNIX)\n"
        f"file.bind({str(path)!r})\n"
        "file.listen()\n"
        "for place, handed in enumerate((four, six, file), 3):\n"
        "    os.dup2(handed.fileno(), place + 10)\n"
        "for place in (3, 4, 5):\n"
        "    os.dup2(place + 10, place)\n"
        "    os.set_inheritable(place, True)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='3', LISTEN_FDNAMES='a:b:c')\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    gateway.command = [sys.executable, "-c", start, *gateway.command]
    places = (gateway.http, ("::1", gateway.port), path)
    with gateway:
        for place in places:
            assert ask(place, LAST).text == "hello\n"
        gateway.config.write_text(f"{text}ProxyPass / {backend.url}/\nHeader set X-Is new\n")
        hang_up(gateway, IN_FORCE)
        for place in places:
            assert ask(place, LAST).header("X-Is") == "new"
        gateway.config.write_text(
            text.replace("INET:index=0", "INET:index=7") + f"ProxyPass / {backend.url}/\n"
        )
        hang_up(gateway, KEPT)
        assert "systemd has not handed over such a socket" in gateway.logged()
        for place in places:
            assert ask(place, LAST).header("X-Is") == "new"
        # Another process has them from this one, and not from systemd.
        gateway.config.write_text(f"{text}ProxyPass / {backend.url}/\n")
        os.kill(gateway.pid, signal.SIGUSR2)
        wait_until(lambda: gateway.has_ended, "the end of the first process")
        for place in places:
            assert ask(place, LAST).header("X-Is") is None
        (pid,) = re.findall(r"process (\d+) has taken over", gateway.logged())
        # It was never told of them by systemd: a reload keeps them all the same.
        before = gateway.logged().count(IN_FORCE)
        gateway.config.write_text(f"{text}ProxyPass / {backend.url}/\nHeader set X-Is newer\n")
        os.kill(int(pid), signal.SIGHUP)
        wait_until(lambda: gateway.logged().count(IN_FORCE) > before, "the reload")
        for place in places:
            assert ask(place, LAST).header("X-Is") == "newer"
        os.kill(int(pid), signal.SIGTERM)
        wait_until(lambda: not is_alive(int(pid)), "the end of the other")
    assert not listens(gateway.http)
    # systemd's file is systemd's to remove.
    assert path.exists()


def test_without_memory_that_is_written_and_executed(
    tmp_path: Path, backend: ScriptedBackend
) -> None:
    """As the unit has it (MemoryDenyWriteExecute)."""
    deny = (
        "import ctypes, os, sys\n"
        "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0: sys.exit(77)\n"  # PR_SET_MDWE
        "if len(sys.argv) > 1: os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    if subprocess.run([sys.executable, "-c", deny]).returncode == 77:
        pytest.skip("the kernel is older than 6.3")
    gateway = Gateway(tmp_path, f"ProxyPass / {backend.url}/", workers=2)
    gateway.command = [sys.executable, "-c", deny, *gateway.command]
    with gateway:
        assert ask(gateway.http, LAST).text == "hello\n"
