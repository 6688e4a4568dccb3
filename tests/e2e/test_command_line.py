"""``twistd scgiproxy`` as a user types it: its options, and those of twistd itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway, GatewayProcess, twistd
from tests.e2e.http_client import Browser
from tests.e2e.processes import free_port, listens, wait_until
from tests.e2e.scripted import Pause, ReadBody, ReadHead, ScriptedBackend, Send

pytestmark = pytest.mark.e2e

MEBIBYTE = bytes(range(256)) * 4096


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run twistd to its end."""
    command = [twistd(), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_twistd_lists_it(tmp_path: Path) -> None:
    told = run(tmp_path, "--help")
    (line,) = [line for line in told.stdout.splitlines() if "scgiproxy" in line]
    assert line.split(maxsplit=1) == ["scgiproxy", "An HTTP gateway to SCGI applications."]


def test_help_names_every_option(tmp_path: Path) -> None:
    told = run(tmp_path, "scgiproxy", "--help").stdout
    for option in ("--config=", "--define=", "--proxypass=", "--listen=", "--workers=", "--check"):
        assert option in told


class TestCheck:
    def test_a_good_file(self, tmp_path: Path, taken: int) -> None:
        """No port is opened, as one that is taken shows, and no log; notes are no errors."""
        (tmp_path / "gateway.conf").write_text(
            f"Listen 127.0.0.1:{taken}\nErrorLog error.log\nCustomLog access.log common\n"
            'Listen "systemd:domain=INET:index=0"\nOptions Indexes\n'
        )
        told = run(tmp_path, "scgiproxy", "--check", "--config", "gateway.conf")
        assert (told.returncode, told.stdout) == (0, "Syntax OK\n")
        (note,) = told.stderr.splitlines()
        assert note.startswith("gateway.conf:5: note: Options does nothing here")
        assert [path.name for path in tmp_path.iterdir()] == ["gateway.conf"]

    def test_every_error_of_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "gateway.conf").write_text("Listen 80x\nProxyPas / scgi://a/\nTimeout x\n")
        told = run(tmp_path, "scgiproxy", "-t", "-c", "gateway.conf")
        assert (told.returncode, told.stdout) == (1, "")
        places = [line.split(": ")[:2] for line in told.stderr.splitlines()]
        assert places == [
            ["gateway.conf:1", "Listen"],
            ["gateway.conf:2", "unknown directive ProxyPas; did you mean ProxyPass?"],
            ["gateway.conf:3", "Timeout"],
        ]

    def test_every_error_of_both(self, tmp_path: Path) -> None:
        """What is wrong with the file hides nothing that is wrong with the parts."""
        (tmp_path / "more.conf").write_text('Listen "nothing:x"\nServerNam a\n')
        (tmp_path / "gateway.conf").write_text(
            "SetHandler nobody\nProxyPas / scgi://a/\nInclude more.conf\n"
            "<Location /x>\nSetHandler nobody\n</Location>\nOptions All\n"
            "ProxyPass /b balancer://b\n"
        )
        for words in (("-t",), ()):
            told = run(tmp_path, "-n", "scgiproxy", *words, "-c", "gateway.conf")
            assert (told.returncode, told.stdout) == (1, "")
            places = [line.split(" ")[0] for line in told.stderr.splitlines()]
            lines = [f"gateway.conf:{line}:" for line in (1, 2, 5, 7, 8)]
            assert places == [*lines, *(f"{tmp_path}/more.conf:{line}:" for line in (1, 2))]

    def test_every_error_of_the_parts(self, tmp_path: Path) -> None:
        """Those that only show when everything is put together."""
        (tmp_path / "gateway.conf").write_text(
            'Listen "ssl:8443:privateKey=none.pem"\nListen "nothing:at=all"\n'
            "<Location /x>\nSetHandler nobody\n</Location>\n"
        )
        told = run(tmp_path, "scgiproxy", "-t", "-c", "gateway.conf")
        assert told.returncode == 1
        certificate, endpoint, handler = told.stderr.splitlines()
        missing = f"'ssl:8443:privateKey=none.pem': No such file or directory: {tmp_path}/none.pem"
        assert certificate == f"gateway.conf:1: Listen: {missing}"
        reason = "'nothing:at=all': 'nothing' is no kind of endpoint; expected haproxy, "
        assert endpoint.startswith(f"gateway.conf:2: Listen: {reason}")
        assert handler.startswith("gateway.conf:4: SetHandler nobody: no such Resource plugin")

    @pytest.mark.parametrize(
        "words",
        [
            ("--demo",),
            ("-p", "/ scgi://127.0.0.1/"),
            ("-p", "/ scgi://[::1]/", "-l", "unix:gw.sock"),
        ],
    )
    def test_without_a_file(self, tmp_path: Path, words: tuple[str, ...]) -> None:
        told = run(tmp_path, "scgiproxy", "--check", *words)
        assert (told.returncode, told.stdout, told.stderr) == (0, "Syntax OK\n", "")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("option", ["--demo", "-p/ scgi://127.0.0.1/"])
    def test_a_listen_option_that_is_none(self, tmp_path: Path, option: str) -> None:
        told = run(tmp_path, "scgiproxy", "--check", option, "--listen", "127.0.0.1:x")
        assert told.returncode == 1
        assert "Listen: 'x' is no port; expected a number from 1 to 65535" in told.stderr


def test_a_wrong_option_is_told_in_one_line(tmp_path: Path) -> None:
    told = run(tmp_path, "-n", "scgiproxy", "--confg", "gateway.conf")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == ("twistd scgiproxy: option --confg not recognized (--help tells more)\n")


def test_a_file_with_errors_does_not_start(tmp_path: Path) -> None:
    """What `--check` tells is told here too, and nothing else."""
    (tmp_path / "gateway.conf").write_text("Listen 127.0.0.1:8080\nTimeout never\n")
    checked = run(tmp_path, "scgiproxy", "--check", "-c", "gateway.conf")
    for options in (["-n"], []):
        told = run(tmp_path, *options, "scgiproxy", "-c", "gateway.conf")
        assert (told.returncode, told.stdout, told.stderr) == (1, "", checked.stderr)


def test_mounts_of_the_command_line(tmp_path: Path, backend: ScriptedBackend) -> None:
    """Two mounts and two places to listen at."""
    ports = [free_port(), free_port()]
    process = GatewayProcess(tmp_path / "none.conf", ports[0], "gateway")
    at = process.command.index("--config")
    process.command[at:] = [
        "-p",
        f"/a/ {backend.url}/ pathinfo=on",
        "-p",
        f'"/b/" {backend.url}/x/',
    ]
    for port in ports:
        process.command += ["-l", f"127.0.0.1:{port}"]
    with process:
        wait_until(lambda: listens(("127.0.0.1", ports[1])), "it listens on both")
        for path, port in zip(("/a/one", "/b/two"), ports, strict=True):
            assert Browser(("127.0.0.1", port)).get(path).text == "hello\n"
    names = [(told.get("SCRIPT_NAME"), told.get("PATH_INFO")) for told in backend.told]
    assert names == [("/a", "/one"), ("/b/two", None)]


def test_definitions_of_the_command_line(tmp_path: Path, backend: ScriptedBackend) -> None:
    """A value, one with an equals sign in it, and a bare name for IfDefine."""
    port = free_port()
    config = tmp_path / "gateway.conf"
    config.write_text(
        "Listen 127.0.0.1:${PORT}\n<IfDefine BACKEND>\nSetEnv WORD ${WORD}\n"
        f"ProxyPass / {backend.url}/\n</IfDefine>\n"
    )
    process = GatewayProcess(config, port, "gateway")
    process.command += ["-D", f"PORT={port}", "--define", "WORD=a=b", "-DBACKEND"]
    with process:
        assert Browser(process.http).get("/").text == "hello\n"
    assert backend.told[0].get("WORD") == "a=b"


def with_options(gateway: GatewayProcess, *options: str) -> GatewayProcess:
    """The same, with more options of twistd's own."""
    at = gateway.command.index("scgiproxy")
    gateway.command[at:at] = options
    return gateway


@pytest.mark.parametrize("reactor", ["poll", "select", "asyncio", "epoll"])
def test_reactors(reactor: str, tmp_path: Path, backend: ScriptedBackend) -> None:
    """Each serves a small answer, an upload, and a large answer that comes in pieces."""
    text = f"ProxyPass / {backend.url}/"
    large = (ReadHead(), Send(b"Content-Type: a/b\r\n\r\n"), Pause(0.1), Send(MEBIBYTE, 8))
    with with_options(Gateway(tmp_path, text), f"--reactor={reactor}") as gateway:
        assert f"{reactor}reactor" in gateway.logged().lower()
        assert Browser(gateway.http).get("/").text == "hello\n"
        backend.play((ReadHead(), ReadBody(), Send(b"Content-Type: a/b\r\n\r\nthanks")))
        assert Browser(gateway.http).post("/", MEBIBYTE).text == "thanks"
        assert backend.told[0].body == MEBIBYTE
        backend.play(large)
        answer = Browser(gateway.http).get("/")
        assert answer.complete
        assert answer.body == MEBIBYTE * 8


def test_a_logger_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own_logger.py").write_text(
        "from twisted.logger import jsonFileLogObserver\n"
        "def observer():\n    return jsonFileLogObserver(open('log.json', 'w', 1), '')\n"
    )
    config = tmp_path / "gateway.conf"
    port = free_port()
    config.write_text(f"Listen 127.0.0.1:{port}\n")
    gateway = GatewayProcess(config, port, "gateway", {"PYTHONPATH": str(tmp_path)})
    told, log = '"address": "127.0.0.1:', tmp_path / "log.json"
    with with_options(gateway, "--logger=own_logger.observer"):
        wait_until(lambda: told in log.read_text(), "it tells where it listens")


class Daemon:
    """A gateway in the background, which has the folder ``run`` as its own."""

    def __init__(self, folder: Path, config: str) -> None:
        self.run = folder / "run"
        self.run.mkdir()
        self.pidfile = self.run / "gateway.pid"
        self.log = self.run / "gateway.log"
        options = [f"--rundir={self.run}", f"--pidfile={self.pidfile}", f"--logfile={self.log}"]
        self.started = run(folder, *options, "scgiproxy", "--config", config)

    def stop(self) -> None:
        """Stop it, and wait until it has removed its PID file."""
        os.kill(int(self.pidfile.read_text()), signal.SIGTERM)
        wait_until(lambda: not self.pidfile.exists(), "the daemon's end")


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[Callable[[str], Daemon]]:
    daemons = []

    def start(config: str) -> Daemon:
        daemons.append(Daemon(tmp_path, config))
        return daemons[-1]

    yield start
    for daemon in daemons:
        if daemon.pidfile.exists():
            daemon.stop()


def test_a_daemon(
    tmp_path: Path, backend: ScriptedBackend, start_daemon: Callable[[str], Daemon]
) -> None:
    """Its file is named from where it was started, and names others from where it lies itself;
    twistd goes to another folder."""
    port = free_port()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "more.conf").write_text(f"ProxyPass / {backend.url}/\n")
    (tmp_path / "etc" / "gateway.conf").write_text(
        f"Listen 127.0.0.1:{port}\nInclude more.conf\nErrorLog error.log\n"
        "CustomLog access.log common\n"
    )
    daemon = start_daemon("etc/gateway.conf")
    assert (daemon.started.returncode, daemon.started.stderr) == (0, "")
    assert Browser(("127.0.0.1", port)).get("/").text == "hello\n"
    daemon.stop()
    assert not listens(("127.0.0.1", port))
    assert "GET / HTTP/1.1" in (tmp_path / "etc" / "access.log").read_text()
    told = (tmp_path / "etc" / "error.log").read_text().splitlines()
    assert [line.rpartition("] ")[2] for line in told] == [
        f"listening on 127.0.0.1:{port}",
        "stopped",
    ]
    assert "Traceback" not in daemon.log.read_text()


def test_a_daemon_that_cannot_start(
    tmp_path: Path, taken: int, start_daemon: Callable[[str], Daemon]
) -> None:
    """The one who starts it is told, and the reason is in the log."""
    (tmp_path / "gateway.conf").write_text(f"Listen 127.0.0.1:{taken}\n")
    daemon = start_daemon("gateway.conf")
    assert daemon.started.returncode == 1
    assert "gateway.conf:1: Listen: cannot listen" in daemon.started.stderr
    # Who has started it is told before it is gone.
    wait_until(lambda: not daemon.pidfile.exists(), "its PID file is removed")
    last = daemon.log.read_text().splitlines()[-1]
    assert last.endswith(
        f"gateway.conf:1: Listen: cannot listen on 127.0.0.1:{taken}: Address already in use"
    )


def test_a_foreground_start_that_fails(tmp_path: Path, taken: int) -> None:
    """Every place that is taken, one line each; the PID file is gone again."""
    free = free_port()
    (tmp_path / "gateway.conf").write_text(
        f"Listen 127.0.0.1:{taken}\nListen 127.0.0.1:{free}\n"
        f'Listen "tcp:{taken}:interface=127.0.0.1"\n'
    )
    told = run(tmp_path, "-n", "scgiproxy", "-c", "gateway.conf")
    assert told.returncode == 1
    assert told.stderr.splitlines() == [
        f"gateway.conf:{line}: Listen: cannot listen on 127.0.0.1:{taken}: Address already in use"
        for line in (1, 3)
    ]
    assert "Traceback" not in told.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.conf"]


@pytest.mark.parametrize("line", ["ErrorLog fifo", "CustomLog fifo common"])
def test_a_log_that_cannot_be_opened(tmp_path: Path, line: str) -> None:
    """A FIFO that nobody reads, which even root cannot write to."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "gateway.conf").write_text(f"Listen 127.0.0.1:{free_port()}\n{line}\n")
    told = run(tmp_path, "-n", "scgiproxy", "-c", "gateway.conf")
    assert told.returncode == 1
    name = line.split()[0]
    assert told.stderr == (
        f"gateway.conf:2: {name}: cannot open {tmp_path}/fifo: No such device or address\n"
    )
