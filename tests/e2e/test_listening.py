"""Where a gateway listens: addresses of both families, endpoint strings, with and without root."""

from __future__ import annotations

import os
import pwd
import socket
import ssl
import stat
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.e2e.gateway import WORKERS, Gateway
from tests.e2e.http_client import Browser, Connection, Response, ask
from tests.e2e.processes import Address, free_port, listens, wait_until
from tests.e2e.scripted import ScriptedBackend

pytestmark = pytest.mark.e2e

REQUEST = b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class GatewayAt(Gateway):
    """A gateway that is ready when `address` is."""

    def __init__(self, folder: Path, text: str, address: Address) -> None:
        super().__init__(folder, text)
        self.address = address


def certificate(folder: Path) -> Path:
    """A file with a key and a certificate for localhost that it has signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    folder.mkdir(exist_ok=True)
    file = folder / "localhost.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + made.public_bytes(Encoding.PEM)
    )
    return file


def ask_by_tls(port: int, authority: Path) -> Response:
    context = ssl.create_default_context(cafile=authority)
    # As every browser does.
    context.set_alpn_protocols(["h2", "http/1.1"])
    with Connection(("127.0.0.1", port)) as connection:
        connection.socket = context.wrap_socket(connection.socket, server_hostname="localhost")
        assert connection.socket.selected_alpn_protocol() == "http/1.1"
        return connection.ask(REQUEST)


@pytest.mark.parametrize("kind", ["ssl", "tls"])
def test_tls(kind: str, tmp_path: Path, backend: ScriptedBackend) -> None:
    """By Twisted's endpoint strings; the backend is told."""
    file = certificate(tmp_path / "certificates")
    port = free_port()
    where = {
        "ssl": f"ssl:{port}:privateKey=certificates/localhost.pem:interface=127.0.0.1",
        "tls": f"tls:{file.parent}:port={port}:interface=\\:\\:",
    }
    text = f'Listen "{where[kind]}"\nProxyPass / {backend.url}/'
    with GatewayAt(tmp_path, text, ("127.0.0.1", port)):
        assert ask_by_tls(port, file).text == "hello\n"
    told = backend.told[0]
    assert (told.get("HTTPS"), told.get("REQUEST_SCHEME")) == ("on", "https")
    assert told.get("SERVER_PORT") == str(port)


def test_tls_to_its_end(tmp_path: Path) -> None:
    """Whoever has sent what is no request reads why, and says goodbye as TLS has it: that is all."""
    file = certificate(tmp_path / "certificates")
    port = free_port()
    text = f'Listen "ssl:{port}:privateKey={file}:interface=127.0.0.1"'
    context = ssl.create_default_context(cafile=file)
    with GatewayAt(tmp_path, text, ("127.0.0.1", port)) as gateway:
        with Connection(("127.0.0.1", port)) as connection:
            secure = context.wrap_socket(connection.socket, server_hostname="localhost")
            connection.socket = secure
            secure.sendall(b"junk\r\n\r\n")
            assert connection.read().status == 400
            assert connection.is_at_end()
            secure.setblocking(False)
            with suppress(OSError):
                secure.unwrap()
        assert ask_by_tls(port, file).status == 404
        assert "Traceback" not in gateway.logged()


def test_no_tls(tmp_path: Path) -> None:
    """A client that speaks something else is cut off, and the log says why."""
    key = certificate(tmp_path / "certificates")
    port = free_port()
    text = f'LogLevel info\nListen "ssl:{port}:privateKey={key}:interface=127.0.0.1"'
    with GatewayAt(tmp_path, text, ("127.0.0.1", port)) as gateway:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(REQUEST)
            while client.recv(1000):
                pass
            name = f"127.0.0.1:{client.getsockname()[1]}"
        wait_until(
            lambda: f"client.tls: no TLS with {name}: http request" in gateway.logged(), "it"
        )


def test_who_it_is_by_the_proxy_protocol(tmp_path: Path, backend: ScriptedBackend) -> None:
    """For the backend, the log and the rules: nobody is local who came by a local proxy."""
    port = free_port()
    text = f"""
        Listen "haproxy:tcp:{port}:interface=127.0.0.1"
        CustomLog access.log common
        ProxyPass / {backend.url}/
        <Location /local>
          Require local
        </Location>
        <Location /there>
          Require ip 203.0.113.9
        </Location>
    """
    header = b"PROXY TCP4 203.0.113.9 192.0.2.2 4001 80\r\n"
    with GatewayAt(tmp_path, text, ("127.0.0.1", port)):
        statuses = [
            ask(("127.0.0.1", port), header + REQUEST.replace(b"/x", path)).status
            for path in (b"/x", b"/local", b"/there")
        ]
    assert statuses == [200, 403, 200]
    ends = [(told.get("REMOTE_ADDR"), told.get("REMOTE_PORT")) for told in backend.told]
    assert ends == [("203.0.113.9", "4001")] * 2
    lines = (tmp_path / "access.log").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["203.0.113.9"] * 3


@pytest.mark.parametrize("is_secure", [False, True])
def test_a_proxy_that_does_not_say_who_it_is(tmp_path: Path, is_secure: bool) -> None:
    """It is cut off at once, and the log says why; within TLS, too, where the header is expected then."""
    file = certificate(tmp_path / "certificates")
    port = free_port()
    inner = f"ssl:{port}:privateKey={file}" if is_secure else f"tcp:{port}"
    text = f'Listen "haproxy:{inner}:interface=127.0.0.1"\nRequestReadTimeout header=0 handshake=0'
    context = ssl.create_default_context(cafile=file)
    with GatewayAt(tmp_path, text, ("127.0.0.1", port)) as gateway:
        for said, status in [
            (b"PROXY TCP4 203.0.113.9 192.0.2.2 http 80\r\n", None),
            (b"PROXY UNKNOWN\r\n", 404),
        ]:
            with Connection(("127.0.0.1", port)) as connection:
                if is_secure:
                    secure = context.wrap_socket(connection.socket, server_hostname="localhost")
                    connection.socket = secure
                connection.socket.sendall(said)
                if status is None:
                    with suppress(OSError):
                        assert not connection.socket.recv(1)
                else:
                    assert connection.ask(REQUEST).status == status
        told = "client.proxy_header: malformed: 'PROXY TCP4 203.0.113.9 192.0.2.2 http 80'"
        wait_until(lambda: f"{told} (from 127.0.0.1:" in gateway.logged(), "the log says so")


def test_both_families(tmp_path: Path, backend: ScriptedBackend) -> None:
    """A port alone is every address; a client by IPv4 is known by its IPv4 address."""
    port = free_port()
    text = f"Listen {port}\nProxyPass / {backend.url}/"
    with GatewayAt(tmp_path, text, ("127.0.0.1", port)):
        assert ask(("127.0.0.1", port), REQUEST).status == 200
        assert ask(("::1", port), REQUEST).status == 200
    ends = [(told.get("REMOTE_ADDR"), told.get("SERVER_ADDR")) for told in backend.told]
    assert ends == [("127.0.0.1", "127.0.0.1"), ("::1", "::1")]
    assert [told.get("HTTPS") for told in backend.told] == [None, None]


def test_one_ipv6_address(tmp_path: Path, backend: ScriptedBackend) -> None:
    port = free_port()
    text = f"Listen [::1]:{port}\nProxyPass / {backend.url}/"
    with GatewayAt(tmp_path, text, ("::1", port)):
        assert ask(("::1", port), REQUEST).status == 200
        assert not listens(("127.0.0.1", port))


def test_a_unix_socket(tmp_path: Path, backend: ScriptedBackend) -> None:
    """With its mode; it goes with the gateway, and one that was left behind is no hindrance."""
    path = tmp_path / "gateway.sock"
    text = f'Listen "unix:{path}:mode=660"\nProxyPass / {backend.url}/'
    with GatewayAt(tmp_path, text, path) as gateway:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert ask(path, REQUEST).text == "hello\n"
        again = subprocess.run(gateway.command, cwd=tmp_path, capture_output=True, text=True)
        assert again.returncode == 1
        problem = f"cannot listen on {path}: another process listens there"
        assert again.stderr == f"{gateway.config}:2: Listen: {problem}\n"
        os.kill(gateway.pid, 9)
        gateway.stop()
    assert path.exists()
    with GatewayAt(tmp_path, text, path):
        assert ask(path, REQUEST).text == "hello\n"
    assert not path.exists()
    assert backend.told[0].get("REMOTE_ADDR") in (None, "")


def test_a_socket_of_systemd(tmp_path: Path, backend: ScriptedBackend) -> None:
    """Handed over as sd_listen_fds(3) has it: it listens before the gateway is there."""
    gateway = Gateway(tmp_path, f'Listen "systemd:domain=INET:index=0"\nProxyPass / {backend.url}/')
    command = gateway.command
    start = (
        "import os, socket, sys\n"
        f"handed = socket.create_server(('127.0.0.1', {gateway.port}))\n"
        "os.dup2(handed.fileno(), 3)\n"
        "os.set_inheritable(3, True)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='x')\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    gateway.command = [sys.executable, "-c", start, *command]
    with gateway:
        assert Browser(gateway.http).get("/").text == "hello\n"
    alone = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert alone.returncode == 1
    assert alone.stderr == (
        f"{gateway.config}:2: Listen: 'systemd:domain=INET:index=0':"
        " systemd has not handed over such a socket\n"
    )


@pytest.mark.skipif(WORKERS > 1, reason="see test_workers: who has no rights must read Python")
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_root_gives_its_rights_up(tmp_path: Path, backend: ScriptedBackend) -> None:
    """A port and files that only root may have are opened before."""
    nobody = pwd.getpwnam("nobody")
    port = next(port for port in range(1023, 600, -1) if not listens(("127.0.0.1", port)))
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o700)
    sockets = tmp_path / "sockets"
    sockets.mkdir(mode=0o755)
    text = (
        f'Listen 127.0.0.1:{port}\nListen "unix:{sockets}/gateway.sock"\n'
        f"ErrorLog {logs}/error.log\nCustomLog {logs}/access.log common\nLogLevel info\n"
        f"<Location /x>\nProxyPass {backend.url}/\n</Location>"
    )
    gateway = GatewayAt(tmp_path, text, ("127.0.0.1", port))
    at = gateway.command.index("scgiproxy")
    gateway.command[at:at] = [f"--uid={nobody.pw_uid}", f"--gid={nobody.pw_gid}"]
    tmp_path.chmod(0o755)
    with gateway:
        assert ask(("127.0.0.1", port), REQUEST).text == "hello\n"
        status = Path(f"/proc/{gateway.pid}/status").read_text()
        assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}\t{nobody.pw_uid}" in status
        assert ask(("127.0.0.1", port), REQUEST.replace(b"/x", b"/y")).status == 404
    assert len((logs / "access.log").read_text().splitlines()) == 2
    told = (logs / "error.log").read_text()
    assert "client.not_found" in told
    # The socket's file is in a folder of root's; the next start takes it over.
    assert f"{sockets}/gateway.sock is not closed cleanly: Permission denied" in told
    with GatewayAt(tmp_path, text, ("127.0.0.1", port)):
        # The file is there before anybody listens on it.
        wait_until(lambda: listens(sockets / "gateway.sock"), "it listens on its socket")
        assert ask(sockets / "gateway.sock", REQUEST).text == "hello\n"
