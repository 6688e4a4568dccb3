"""How workers begin: as whom, with what, and what is told when they cannot."""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway, twistd
from tests.e2e.http_client import ask
from tests.e2e.processes import free_port, listens, wait_until
from tests.e2e.scripted import ScriptedBackend
from tests.e2e.test_listening import ask_by_tls, certificate
from tests.e2e.workers import BROKEN, MODULES, Start, serving

pytestmark = pytest.mark.e2e

LAST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


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

    wait_until(lambda: len(delays()) >= 4, "four attempts")
    assert ask(gateway.http, LAST).text == "hello\n"
    assert delays()[1:4] == sorted(delays()[1:4])
    assert delays()[3] >= 2 * delays()[2] > 0
    assert "says: broken on purpose" in gateway.logged()
    assert "ended with exit code 7" in gateway.logged()
    flag.unlink()
    wait_until(lambda: serving(gateway) == 3, "another worker serves")


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
        wait_until(lambda: (logs / "error.log").read_text().count(" serves") == 2, "both serve")
        for pid in gateway.worker_pids:
            status = Path(f"/proc/{pid}/status").read_text()
            assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}" in status
        os.kill(gateway.worker_pids[0], signal.SIGKILL)
        wait_until(replaced, "another worker serves")
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
        wait_until(lambda: serving(gateway) == 2, "both workers serve")
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
        wait_until(lambda: listens(("127.0.0.1", port)), "it listens")
        assert ask(("127.0.0.1", port), LAST).text == "hello\n"
    finally:
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM
