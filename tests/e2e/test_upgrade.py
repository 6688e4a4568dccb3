"""SIGUSR2: another process, of what is installed now, takes over. No request is lost, whatever it does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection, ask
from tests.e2e.load import Load
from tests.e2e.processes import free_port, listens, wait_until
from tests.e2e.scripted import Pause, ReadHead, ScriptedBackend, Send, Wait, answer
from tests.e2e.test_listening import ask_by_tls, certificate
from tests.e2e.test_reload import IN_FORCE
from tests.e2e.workers import MODULES, is_alive
from tests.service.service_manager import ServiceManager

pytestmark = pytest.mark.e2e

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
TAKEN = "has taken over"
FAILED = "this process goes on, another could not take over"
HELLO = answer(b"Content-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n")

BROKEN = """\
import os, pathlib, sys, time
flag = pathlib.Path({flag!r})
if "SCGIPROXY_TAKEOVER" in os.environ and flag.exists():
    how = flag.read_text()
    if how == "ignore":
        del os.environ["SCGIPROXY_TAKEOVER"]
    else:
        try:
            exec(how)
        except Exception as error:
            os.write(2, repr(error).encode())
            os._exit(1)
"""
"""A module that Python imports at its start: the new version, if it is broken."""


class Upgraded(Gateway):
    """Its process is another one after each upgrade; `present` is the one that serves."""

    def __init__(self, folder: Path, text: str, workers: int = 1, **environment: str) -> None:
        super().__init__(folder, text, "gateway", environment, workers)
        self.pid_file = folder / "gateway.pid"
        at = self.command.index("--pidfile=")
        self.command[at] = f"--pidfile={self.pid_file}"
        self.present = 0

    def upgrade(self, told: str = TAKEN) -> None:
        present = int(self.pid_file.read_text())
        before = self.logged().count(told)
        os.kill(present, signal.SIGUSR2)
        wait_until(lambda: self.logged().count(told) > before, f"the log says {told!r}")
        self.present = int(self.pid_file.read_text())
        assert (self.present == present) is (told == FAILED)

    def stop_the_last(self) -> None:
        """Who has taken over, if anybody has."""
        if self.pid_file.exists():
            pid = int(self.pid_file.read_text())
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not is_alive(pid), "the end of the last one")

    def stop(self) -> None:
        """Also those that have taken over; who has not ended by itself then is killed."""
        self.stop_the_last()
        super().stop()


@contextmanager
def upgraded(folder: Path, text: str, workers: int = 1, **environment: str) -> Iterator[Upgraded]:
    with Upgraded(folder, text, workers, **environment) as gateway:
        yield gateway
        gateway.stop_the_last()
        # One before it may be at its end still, and has a file until then.
        wait_until(lambda: not list(folder.glob("gateway.pid*")), "the end of all that there were")


@pytest.mark.parametrize("workers", [1, 2])
def test_five_times_under_load(tmp_path: Path, backend: ScriptedBackend, workers: int) -> None:
    """No request fails, and none is cut off."""
    text = f"MaxKeepAliveRequests 0\nProxyPass / {backend.url}/"
    # Who asks is not to be what the processes wait for.
    backend.play((HELLO[0], Pause(0.02), *HELLO[1:]))
    with upgraded(tmp_path, text, workers) as gateway:
        pids = {gateway.pid}
        with Load(gateway.port, 4, b"hello\n".__eq__) as load:
            for _ in range(5):
                gateway.upgrade()
                pids.add(gateway.present)
                before = load.report.answered
                wait_until(lambda before=before: load.report.answered > before + 50, "answers")
        report = load.report
        assert (report.cut_off, dict(report.failures)) == (0, {})
        assert len(pids) == 6
        others = pids - {gateway.present}
        wait_until(lambda: not any(map(is_alive, others)), "the end of the others")
        assert ask(gateway.http, LAST).text == "hello\n"
    assert not listens(gateway.http)


def test_what_runs_is_finished(tmp_path: Path, backend: ScriptedBackend) -> None:
    """By the process that has begun it, which ends with 0 then; others are served meanwhile."""
    released = threading.Event()
    head = Send(b"Content-Type: text/plain\r\nContent-Length: 6\r\n\r\n")
    backend.play((ReadHead(), head, Send(b"abc"), Wait(released), Send(b"def")), HELLO)
    with (
        upgraded(tmp_path, f"ProxyPass / {backend.url}/") as gateway,
        Connection(gateway.http) as client,
    ):
        first = gateway._process
        assert first is not None
        client.send(REQUEST)
        client.read_head()
        gateway.upgrade()
        assert ask(gateway.http, LAST).text == "hello\n"
        assert not gateway.has_ended
        released.set()
        assert client.read_some(3) + client.read_some(3) == b"abcdef"
        assert first.wait(60) == 0


@pytest.mark.parametrize("dropped", [False, True])
def test_kinds_of_sockets(tmp_path: Path, backend: ScriptedBackend, dropped: bool) -> None:
    """Each goes on; the file of a UNIX socket, and the lock beside it, are the next process's, also
    if it listens there no more."""
    file, secure = certificate(tmp_path / "certificates"), free_port()
    path, lock = tmp_path / "gateway.sock", tmp_path / "gateway.sock.lock"
    text = (
        f'Listen 127.0.0.1:${{PORT}}\nListen "unix:{path}:mode=660"\n'
        f'Listen "ssl:{secure}:privateKey={file}:interface=127.0.0.1"\nProxyPass / {backend.url}/'
    )
    with upgraded(tmp_path, text) as gateway:
        # It may be bound a moment after the port.
        wait_until(path.exists, "the UNIX socket")
        inode = path.stat().st_ino
        for _ in range(2):
            before = gateway.present or gateway.pid
            gateway.upgrade()
            wait_until(lambda: str(lock.readlink()) == str(gateway.present), "its lock")
            wait_until(lambda before=before: not is_alive(before), "the end of the one before")
            assert path.stat().st_ino == inode
            assert ask(gateway.http, LAST).text == "hello\n"
            assert ask(path, LAST).text == "hello\n"
            assert ask_by_tls(secure, file).text == "hello\n"
        if dropped:
            lines = gateway.config.read_text().splitlines(keepends=True)
            gateway.config.write_text("".join(line for line in lines if "unix:" not in line))
            gateway.upgrade()
            wait_until(lambda: not path.exists() and not lock.is_symlink(), "no file is left")
            assert ask(gateway.http, LAST).text == "hello\n"
    assert not path.exists()
    assert not lock.is_symlink()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("sys.exit(exec(compile('a broken version', 'x.py', 'exec')))", "a broken version"),
        ("os._exit(7)", "exit code 7"),
        ("os.kill(os.getpid(), 9)", "SIGKILL"),
        ("ignore", "cannot listen on 127.0.0.1"),
    ],
)
def test_a_broken_version(tmp_path: Path, backend: ScriptedBackend, how: str, told: str) -> None:
    """Nothing has happened, and another attempt may go better. An older version, which knows nothing
    of it, is one of those."""
    flag = tmp_path / "flag"
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(BROKEN.format(flag=str(flag)))
    flag.write_text(how)
    path = os.pathsep.join([str(modules), MODULES])
    text = (
        f"DefaultRuntimeDir {tmp_path}\nBalancerPersist On\nProxyPass / balancer://b/\n"
        f"BalancerMember balancer://b {backend.url}\n"
    )
    backend.play(HELLO)
    with upgraded(tmp_path, text, PYTHONPATH=path) as gateway:
        with Load(gateway.port, 2, b"hello\n".__eq__) as load:
            gateway.upgrade(FAILED)
            assert told in gateway.logged()
            flag.unlink()
            gateway.upgrade()
        assert (load.report.cut_off, dict(load.report.failures)) == (0, {})


def test_one_that_is_killed_while_it_starts(tmp_path: Path, backend: ScriptedBackend) -> None:
    """And SIGUSR2 once more meanwhile."""
    flag = tmp_path / "flag"
    flag.write_text(
        "pathlib.Path(str(flag) + '.pid').write_text(str(os.getpid())); time.sleep(600)"
    )
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(BROKEN.format(flag=str(flag)))
    path = os.pathsep.join([str(modules), MODULES])
    with upgraded(tmp_path, f"ProxyPass / {backend.url}/", PYTHONPATH=path) as gateway:
        os.kill(gateway.pid, signal.SIGUSR2)
        pid_of = Path(f"{flag}.pid")
        wait_until(lambda: pid_of.exists() and pid_of.read_text(), "the new process")
        os.kill(gateway.pid, signal.SIGUSR2)
        wait_until(lambda: "is already about to take over" in gateway.logged(), "the warning")
        os.kill(int(pid_of.read_text()), signal.SIGKILL)
        wait_until(lambda: FAILED in gateway.logged(), "it goes on")
        assert ask(gateway.http, LAST).text == "hello\n"
        assert gateway.pid_file.read_text() == str(gateway.pid)


def test_a_configuration_that_is_wrong_now(tmp_path: Path, backend: ScriptedBackend) -> None:
    with upgraded(tmp_path, f"ProxyPass / {backend.url}/") as gateway:
        before = gateway.config.read_text()
        gateway.config.write_text(f"{before}Nonsense\n")
        gateway.upgrade(FAILED)
        assert "gateway.conf:4: unknown directive Nonsense" in gateway.logged()
        assert f"{FAILED}: it ended with exit code 1" in gateway.logged()
        gateway.config.write_text(f"{before}Header set X-Is new\n")
        gateway.upgrade()
        assert ask(gateway.http, LAST).header("X-Is") == "new"


def test_a_service_manager(tmp_path: Path) -> None:
    """It is told which process is the service, before that one says that it is."""
    with (
        ServiceManager(tmp_path / "notify", WATCHDOG_USEC="60000000") as manager,
        upgraded(tmp_path, "", NOTIFY_SOCKET=manager.environment["NOTIFY_SOCKET"]) as gateway,
    ):
        wait_until(lambda: manager.order() == ["READY"], "it is ready")
        gateway.upgrade()
        wait_until(lambda: manager.order() == ["READY", "MAINPID", "READY"], "the other is")
        assert manager.states("MAINPID") == [str(gateway.present)]
        wait_until(lambda: gateway.has_ended, "the end of the first")
        assert len(manager.order()) == 3
        gateway.stop()
        wait_until(lambda: manager.order()[3:] == ["STOPPING"], "it stops")


def test_daemons(
    tmp_path: Path, backend: ScriptedBackend, start_gateway: Callable[[str], Gateway]
) -> None:
    """Without -n: each is nobody's child."""
    gateway = Upgraded(tmp_path, f"ProxyPass / {backend.url}/")
    gateway.command.remove("-n")
    with gateway:
        wait_until(lambda: gateway.has_ended, "the first process, which is no daemon")
        for _ in range(2):
            gateway.upgrade()
            assert ask(gateway.http, LAST).text == "hello\n"
        gateway.config.write_text("Nonsense\n")
        gateway.upgrade(FAILED)
        assert "unknown directive Nonsense" in gateway.logged()
    wait_until(lambda: not list(tmp_path.glob("gateway.pid*")), "the end of all that there were")
    assert not listens(gateway.http)


@contextmanager
def while_it_starts(folder: Path, text: str) -> Iterator[tuple[Upgraded, int, Path]]:
    """A gateway with workers, the process that is about to take its place, and a file without which
    its workers start."""
    flag, modules = folder / "flag", folder / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(
        "import os, sys, time\nif 'worker' in sys.orig_argv:\n"
        f"    while os.path.exists({str(flag)!r}):\n        time.sleep(0.05)\n"
    )
    path = os.pathsep.join([str(modules), MODULES])
    with upgraded(folder, text, 2, PYTHONPATH=path) as gateway:
        flag.touch()
        os.kill(gateway.pid, signal.SIGUSR2)

        def pid() -> int:
            """That of the file; 0: there is none at the moment."""
            found = gateway.pid_file.read_text() if gateway.pid_file.exists() else ""
            return int(found or 0)

        wait_until(lambda: pid() not in (0, gateway.pid), "another process, which has read it all")
        yield gateway, pid(), flag


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_reload_meanwhile(tmp_path: Path, backend: ScriptedBackend, is_killed: bool) -> None:
    """Who takes over has read the configuration before it was changed: it reads it again. If it
    cannot, the one before does."""
    with while_it_starts(tmp_path, f"ProxyPass / {backend.url}/") as (gateway, pid, flag):
        text = gateway.config.read_text()
        gateway.config.write_text(f"{text}Header set X-Is new\n")
        os.kill(gateway.pid, signal.SIGHUP)
        wait_until(lambda: "has to wait" in gateway.logged(), "it is put off")
        assert ask(gateway.http, LAST).header("X-Is") is None
        if is_killed:
            os.kill(pid, signal.SIGKILL)
        flag.unlink()
        wait_until(lambda: IN_FORCE in gateway.logged(), "the reload")
        if is_killed:
            assert FAILED in gateway.logged()
        else:
            wait_until(lambda: gateway.has_ended, "the end of the first")
            assert f"process {pid} {TAKEN}" in gateway.logged()
        assert [ask(gateway.http, LAST).header("X-Is") for _ in range(4)] == ["new"] * 4


def test_one_that_is_to_be_replaced_before_it_has_taken_over(
    tmp_path: Path, backend: ScriptedBackend
) -> None:
    """As by a SIGUSR2 to whoever is in the PID file now: one after the other, and the last one serves."""
    with while_it_starts(tmp_path, f"ProxyPass / {backend.url}/") as (gateway, pid, flag):
        wait_until(lambda: gateway.logged().count("listening on") == 2, "it runs")
        os.kill(pid, signal.SIGUSR2)
        wait_until(lambda: "SIGUSR2 has to wait" in gateway.logged(), "it is put off")
        # A reload waits, too: what is new may be an address that the first one has.
        text = gateway.config.read_text()
        gateway.config.write_text(f"{text}Header set X-Is new\n")
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: "SIGHUP has to wait" in gateway.logged(), "it is put off")
        assert gateway.logged().count("upgrade: starting") == 1
        flag.unlink()
        wait_until(lambda: gateway.has_ended, "the end of the first")
        wait_until(lambda: gateway.logged().count(TAKEN) == 2, "the third serves")
        assert gateway.pid_file.read_text() != str(pid)
        wait_until(lambda: IN_FORCE in gateway.logged(), "the reload")
        assert ask(gateway.http, LAST).header("X-Is") == "new"
