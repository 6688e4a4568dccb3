"""Several processes: what one of them does, or suffers, is no matter to the clients of others."""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway, twistd
from tests.e2e.http_client import Connection, ask
from tests.e2e.load import Load
from tests.e2e.processes import free_port, listens, wait_until
from tests.e2e.scripted import ReadHead, ScriptedBackend, Send, Wait
from tests.e2e.test_listening import ask_by_tls, certificate

pytestmark = pytest.mark.e2e

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HEAD = Send(b"Content-Type: text/plain\r\nContent-Length: 6\r\n\r\n")
MODULES = os.pathsep.join(
    [
        str(Path(__file__).parents[2]),
        *(path for path in sys.path if path.endswith(("site-packages", "dist-packages"))),
    ]
)
"""Where the gateway and what it needs are, but for the standard library."""

BROKEN = """\
import os, sys
if "worker" in sys.orig_argv and os.path.exists({flag!r}):
    print("broken on purpose", file=sys.stderr, flush=True)
    os._exit(7)
"""
"""A module that Python imports at its start, before anything of the gateway."""

Start = Callable[..., Gateway]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A function that starts a gateway with two workers, or more, and waits for all of them."""
    with ExitStack() as stack:

        def start(
            text: str, workers: int = 2, environment: Mapping[str, str] | None = None
        ) -> Gateway:
            gateway = Gateway(tmp_path, f"LogLevel info\n{text}", "gateway", environment, workers)
            stack.enter_context(gateway)
            wait_until(lambda: serving(gateway) >= workers, "every worker serves", 20)
            return gateway

        yield start


def serving(gateway: Gateway) -> int:
    """How many workers have ever begun to serve."""
    return len(re.findall(r"worker \d+ \(pid \d+\) serves", gateway.logged()))


def is_alive(pid: int) -> bool:
    try:
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return False


def hold(gateway: Gateway, backend: ScriptedBackend, count: int) -> tuple[threading.Event, ...]:
    """Have the next `count` requests answered by halves; the event is for the other ones."""
    released = threading.Event()
    backend.play(*[(ReadHead(), HEAD, Send(b"abc"), Wait(released), Send(b"def"))] * count)
    return (released,)


def owner(gateway: Gateway, connection: Connection) -> int:
    """The worker that has a client's connection, by its process id."""
    port = connection.socket.getsockname()[1]
    wanted = f"0100007F:{gateway.port:04X} 0100007F:{port:04X}"
    (line,) = [row for row in Path("/proc/net/tcp").read_text().splitlines() if wanted in row]
    inode = f"socket:[{line.split()[9]}]"
    for pid in gateway.worker_pids:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if str(fd.readlink()) == inode:
                    return pid
            except OSError:
                continue
    raise LookupError("nobody has accepted it")


def test_every_worker_serves(start: Start, backend: ScriptedBackend) -> None:
    """And who looks at the processes sees which is which."""
    gateway = start(f"ProxyPass / {backend.url}/", workers=3)
    pids = gateway.worker_pids
    assert len(pids) == 3
    words = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1] for pid in pids]
    assert [word[-3:] for word in words] == [
        [b"scgiproxy", b"worker", b"%d" % number] for number in (1, 2, 3)
    ]
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(gateway.http)) for _ in range(60)]
        for connection in connections:
            connection.send(REQUEST)
        for connection in connections:
            assert connection.read().text == "hello\n"
        owners = {owner(gateway, connection) for connection in connections}
    assert owners == set(pids)


def test_a_worker_is_killed_under_load(start: Start, backend: ScriptedBackend) -> None:
    """The requests that it held fail, no others; another takes its place."""
    gateway = start(f"ProxyPass / {backend.url}/")
    before = set(gateway.worker_pids)
    connections = 12
    backend.play((ReadHead(), HEAD, Send(b"abcdef")))
    with Load(gateway.port, connections, b"abcdef".__eq__) as load:
        wait_until(lambda: load.report.answered > 100, "load", 30)
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: serving(gateway) == 3, "another worker serves", 20)
        reached = load.report.answered
        wait_until(lambda: load.report.answered > reached + 100, "load on both", 30)
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
    (released,) = hold(gateway, backend, 4)
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


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stop_loses_no_answer(
    name: str, start: Start, backend: ScriptedBackend, tmp_path: Path
) -> None:
    """SIGTERM to the parent; or SIGINT to all of them, as from a terminal."""
    gateway = start(f"ProxyPass / {backend.url}/\nCustomLog {tmp_path}/access.log common\n")
    (released,) = hold(gateway, backend, 10)
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
    (released,) = hold(gateway, backend, 1)
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
    (released,) = hold(gateway, backend, 1)
    with Connection(gateway.http) as client:
        client.send(REQUEST)
        client.read_head()
        pid = owner(gateway, client)
        os.kill(pid, signal.SIGTERM)
        released.set()
        assert client.read_some(3) + client.read_some(3) == b"abcdef"
    wait_until(lambda: serving(gateway) == 3, "another worker serves", 20)
    assert pid not in gateway.worker_pids
    assert f"(pid {pid}) ended with exit code 0; another takes its place" in gateway.logged()


def test_a_hang_up_ends_nobody(start: Start, backend: ScriptedBackend) -> None:
    gateway = start(f"ProxyPass / {backend.url}/")
    before = gateway.worker_pids
    os.killpg(gateway.pid, signal.SIGHUP)
    wait_until(lambda: "SIGHUP does nothing" in gateway.logged(), "the warning")
    assert ask(gateway.http, LAST).text == "hello\n"
    assert gateway.worker_pids == before


def test_one_that_cannot_start_again(
    start: Start, backend: ScriptedBackend, tmp_path: Path
) -> None:
    """Is tried later and later, while the others serve; and serves when it can."""
    flag = tmp_path / "broken"
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(BROKEN.format(flag=str(flag)))
    path = os.pathsep.join(filter(None, [str(modules), os.environ.get("PYTHONPATH")]))
    gateway = start(f"ProxyPass / {backend.url}/", environment={"PYTHONPATH": path})
    flag.touch()
    os.kill(gateway.worker_pids[0], signal.SIGKILL)

    def delays() -> list[float]:
        found = re.findall(r"another takes its place in ([\d.]+) s", gateway.logged())
        return [float(word) for word in found]

    wait_until(lambda: len(delays()) >= 4, "four attempts", 20)
    assert ask(gateway.http, LAST).text == "hello\n"
    assert delays()[1:4] == sorted(delays()[1:4])
    assert delays()[3] >= 2 * delays()[2] > 0
    assert "says: broken on purpose" in gateway.logged()
    assert "ended with exit code 7" in gateway.logged()
    flag.unlink()
    wait_until(lambda: serving(gateway) == 3, "another worker serves", 30)


def test_no_worker_can_start(tmp_path: Path) -> None:
    """The gateway ends, with the reason and exit code 1; its PID file is gone."""
    flag = tmp_path / "broken"
    flag.touch()
    (tmp_path / "sitecustomize.py").write_text(BROKEN.format(flag=str(flag)))
    (tmp_path / "gateway.conf").write_text(f"Listen 127.0.0.1:{free_port()}\nWorkers 2\n")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    told = subprocess.run(
        [twistd(), "-n", "--logfile=log", "scgiproxy", "--config", "gateway.conf"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 1
    assert told.stderr == "no worker can start: broken on purpose\n"
    assert "no worker can start: broken on purpose" in (tmp_path / "log").read_text()
    assert not (tmp_path / "twistd.pid").exists()


def test_logs(start: Start, backend: ScriptedBackend, tmp_path: Path) -> None:
    """Of all workers in one file, which may be moved away."""
    log, access = tmp_path / "error.log", tmp_path / "access.log"
    gateway = start(
        f"CustomLog {access} common\n<VirtualHost *>\nErrorLog {log}\n"
        f"ProxyPass /app {backend.url}/\n</VirtualHost>"
    )

    def ask_many() -> None:
        with ExitStack() as stack:
            connections = [stack.enter_context(Connection(gateway.http)) for _ in range(40)]
            for connection in connections:
                connection.send(REQUEST)
            for connection in connections:
                assert connection.read().status == 404

    ask_many()
    wait_until(lambda: access.read_text().count("\n") == 40, "forty lines")
    log.rename(tmp_path / "error.log.1")
    access.rename(tmp_path / "access.log.1")
    ask_many()
    gateway.stop()
    pids = set()
    for file in (tmp_path / "error.log.1", log):
        lines = file.read_text().splitlines()
        assert len(lines) == 40
        pids |= {re.findall(r"\[pid (\d+)\] client.not_found", line)[0] for line in lines}
    assert len(pids) == 2
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
    port, path = free_port(), tmp_path / "gateway.sock"
    gateway = start(
        f'Listen 127.0.0.1:${{PORT}}\nListen "unix:{path}:mode=600"\nListen "tls:{file.parent}:port={port}"\n'
        f'Listen "ssl:{port + 1}:privateKey={file}:interface=127.0.0.1"\n'
        f"ProxyPass / {backend.url}/"
    )
    os.kill(gateway.worker_pids[0], signal.SIGKILL)
    wait_until(lambda: serving(gateway) == 3, "another worker serves", 20)
    for _ in range(6):
        assert ask(path, LAST).text == "hello\n"
        assert ask_by_tls(port, file).text == "hello\n"
        assert ask_by_tls(port + 1, file).text == "hello\n"
    gateway.stop()
    assert not path.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_workers_have_no_rights_of_roots(
    start: Start, backend: ScriptedBackend, tmp_path: Path
) -> None:
    """A port, a key and log files that only root may have are opened by the parent before; also for
    a worker that comes later."""
    nobody = pwd.getpwnam("nobody")
    pythons = [sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"]
    python = next((path for path in pythons if may_run(nobody.pw_uid, path)), None)
    if python is None:
        pytest.skip("nobody may not read this environment")
    file = certificate(tmp_path / "certificates")
    file.parent.chmod(0o700)
    file.chmod(0o600)
    port = next(port for port in range(1023, 600, -1) if not listens(("127.0.0.1", port)))
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    gateway = Gateway(
        tmp_path,
        f'LogLevel info\nListen "ssl:{port}:privateKey={file}:interface=127.0.0.1"\n'
        f"ErrorLog {logs}/error.log\nCustomLog {logs}/access.log common\n"
        f"ProxyPass / {backend.url}/",
        environment={"PYTHONPATH": MODULES},
        workers=2,
    )
    gateway.address = ("127.0.0.1", port)
    at = gateway.command.index("scgiproxy")
    gateway.command[at:at] = [f"--uid={nobody.pw_uid}", f"--gid={nobody.pw_gid}"]
    gateway.command.insert(0, python)

    def replaced() -> bool:
        return (logs / "error.log").read_text().count(" serves") == 3

    with gateway:
        assert ask_by_tls(port, file).text == "hello\n"
        wait_until(lambda: (logs / "error.log").read_text().count(" serves") == 2, "both serve", 20)
        for pid in gateway.worker_pids:
            status = Path(f"/proc/{pid}/status").read_text()
            assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}" in status
        os.kill(gateway.worker_pids[0], signal.SIGKILL)
        wait_until(replaced, "another worker serves", 20)
        for _ in range(6):
            assert ask_by_tls(port, file).text == "hello\n"
    # Who is killed takes the lines of the last second along.
    assert (logs / "access.log").read_text().count("GET /x HTTP/1.1") in (6, 7)


def may_run(uid: int, python: str) -> bool:
    """Whether the gateway is there for that user, by that Python."""
    try:
        found = subprocess.run(
            [python, "-c", "import scgiproxy.service.root"],
            user=uid,
            cwd="/",
            env={"PYTHONPATH": MODULES},
            capture_output=True,
            check=False,
        )
    except PermissionError:
        return False
    return found.returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_python_that_only_root_may_run(tmp_path: Path) -> None:
    """The gateway itself runs already; its workers cannot, which is told."""
    nobody = pwd.getpwnam("nobody")
    python = tmp_path / "roots" / "python"
    python.parent.mkdir(mode=0o700)
    python.symlink_to(Path(sys.executable).resolve())
    (tmp_path / "gateway.conf").write_text(f"Listen 127.0.0.1:{free_port()}\nWorkers 2\n")
    command = [python, twistd(), "-n", "--pidfile=", f"--logfile={tmp_path}/log"]
    command += [f"--uid={nobody.pw_uid}", "scgiproxy", "--config", tmp_path / "gateway.conf"]
    told = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": MODULES},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 1
    assert told.stderr == f"no worker can start: cannot run {python}: Permission denied\n"


@pytest.mark.parametrize("reactor", ["poll", "select", "asyncio"])
def test_reactors(reactor: str, tmp_path: Path, backend: ScriptedBackend) -> None:
    """Workers have the parent's."""
    gateway = Gateway(tmp_path, f"LogLevel info\nProxyPass / {backend.url}/", workers=2)
    gateway.command.insert(1, f"--reactor={reactor}")
    with gateway:
        wait_until(lambda: serving(gateway) == 2, "both workers serve", 20)
        assert ask(gateway.http, LAST).text == "hello\n"
        for pid in gateway.worker_pids:
            assert reactor in Path(f"/proc/{pid}/cmdline").read_text()


def test_a_daemon(tmp_path: Path, backend: ScriptedBackend) -> None:
    """In a folder of its own, with a mask of its own; its PID file is the parent's."""
    port = free_port()
    (tmp_path / "run").mkdir()
    (tmp_path / "gateway.conf").write_text(
        f"Listen 127.0.0.1:{port}\nWorkers 2\nCustomLog access.log common\n"
        f"ErrorLog error.log\nLogLevel info\nProxyPass / {backend.url}/\n"
    )
    options = [
        f"--rundir={tmp_path}/run",
        f"--pidfile={tmp_path}/run/pid",
        f"--logfile={tmp_path}/run/log",
        "--umask=027",
    ]
    subprocess.run(
        [twistd(), *options, "scgiproxy", "--config", "gateway.conf"],
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
    pid = int((tmp_path / "run" / "pid").read_text())
    try:
        assert ask(("127.0.0.1", port), LAST).text == "hello\n"
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not (tmp_path / "run" / "pid").exists(), "the daemon's end")
    assert "GET / HTTP/1.1" in (tmp_path / "access.log").read_text()
    assert (tmp_path / "error.log").stat().st_mode & 0o777 == 0o640
    assert "Traceback" not in (tmp_path / "run" / "log").read_text()


def test_mounts_of_the_command_line(tmp_path: Path, backend: ScriptedBackend) -> None:
    """They have workers too; and it can be checked with them."""
    port = free_port()
    command = [twistd(), "-n", "--pidfile=", "scgiproxy", "-p", f"/ {backend.url}/", "-w", "2"]
    command += ["--listen", str(port)]
    checked = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "Syntax OK\n")
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: listens(("127.0.0.1", port)), "it listens", 20)
        assert ask(("127.0.0.1", port), LAST).text == "hello\n"
    finally:
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM
