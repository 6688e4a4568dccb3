"""SIGHUP: the file is read again. Nothing is lost, whatever is in it."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection, ask
from tests.e2e.load import Load
from tests.e2e.processes import free_port, listens, wait_until
from tests.e2e.scripted import ReadHead, ScriptedBackend, Send, Wait, answer
from tests.e2e.test_listening import certificate

pytestmark = pytest.mark.e2e

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
IN_FORCE = "the configuration was read again"
KEPT = "the configuration is kept as it was"


def write(gateway: Gateway, text: str) -> None:
    """Have another configuration in its file, in front of which the port stays defined."""
    listening = "" if "Listen" in text else "Listen 127.0.0.1:${PORT}\n"
    gateway.config.write_text(f"Define PORT {gateway.port}\n{listening}{text}\n")


def hang_up(gateway: Gateway, told: str = IN_FORCE) -> None:
    """With workers, it is in force in all of them when the log says so."""
    before = gateway.logged().count(told)
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until(lambda: gateway.logged().count(told) > before, f"the log says {told!r}")


def reload(gateway: Gateway, text: str) -> None:
    write(gateway, text)
    hang_up(gateway)


def test_twenty_times_under_load(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend
) -> None:
    """No request fails, and each connection lives on; all sorts of things are other each time."""
    texts = [
        f"ProxyPass / {backend.url}/",
        f"ProxyPass / {backend.url}/ max=20\nHeader set X-Is other",
        f"ProxyPass / balancer://b/\nBalancerMember balancer://b {backend.url}",
        f"<VirtualHost *>\nServerName localhost\nProxyPass / {backend.url}/\n</VirtualHost>",
        f"<Location />\nProxyPass {backend.url}/\n</Location>\nKeepAliveTimeout 9",
    ]
    gateway = start_gateway(f"MaxKeepAliveRequests 0\n{texts[0]}")
    backend.play(answer(b"Content-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n"))
    with Load(gateway.port, 8, b"hello\n".__eq__) as load:
        for number in range(20):
            reload(gateway, f"MaxKeepAliveRequests 0\n{texts[number % len(texts)]}")
            before = load.report.answered
            wait_until(lambda before=before: load.report.answered > before + 20, "answers")
    report = load.report
    assert (report.cut_off, dict(report.failures)) == (0, {})
    assert report.answered > 400


def test_an_answer_under_way_and_the_next(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend, tmp_path: Path
) -> None:
    """Its log is the one of its configuration."""
    gateway = start_gateway(f"ProxyPass / {backend.url}/\nCustomLog {tmp_path}/old.log common")
    released = threading.Event()
    head = Send(b"Content-Type: text/plain\r\nContent-Length: 6\r\n\r\n")
    backend.play((ReadHead(), head, Send(b"abc"), Wait(released), Send(b"def")))
    with Connection(gateway.http) as client:
        client.send(REQUEST)
        client.read_head()
        reload(gateway, f"CustomLog {tmp_path}/new.log common")
        released.set()
        assert client.read_some(3) + client.read_some(3) == b"abcdef"
        assert client.ask(REQUEST).status == 404
    old, new = tmp_path / "old.log", tmp_path / "new.log"
    wait_until(lambda: '" 200 6' in old.read_text(), "the old log's line")
    wait_until(lambda: '" 404 ' in new.read_text(), "the new log's line")
    wait_until(lambda: str(old) not in _open_by(gateway), "the old log is closed")


def _open_by(gateway: Gateway) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{gateway.pid}/fd").iterdir():
        try:
            found.add(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ProxyPas / scgi://127.0.0.1:1/", "gateway1.conf:3: unknown directive ProxyPas"),
        ("<Location /x>", "gateway1.conf:3: <Location>"),
        ("SetHandler nobody", "gateway1.conf:3: SetHandler"),
        ("Include missing/part.conf", "gateway1.conf:3: Include"),
        ("CustomLog /proc/none common", "gateway1.conf:3: CustomLog: cannot open /proc/none"),
        ("Listen 127.0.0.1:${PORT}\nListen 127.0.0.1:{taken}", "gateway1.conf:3: Listen: cannot"),
        (
            "Listen 0.0.0.0:${PORT}\nListen 127.0.0.1:{taken}",
            "gateway1.conf:3: Listen: cannot listen",
        ),
        ('Listen "ssl:8443:privateKey=none.pem"', "gateway1.conf:2: Listen: 'ssl:8443"),
    ],
)
def test_an_error_keeps_what_there_is(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend, text: str, told: str
) -> None:
    """With file and line in the log; and the file may be mended."""
    gateway = start_gateway(f"ProxyPass / {backend.url}/")
    with socket.create_server(("127.0.0.1", 0)) as taken, Connection(gateway.http) as client:
        write(gateway, text.replace("{taken}", str(taken.getsockname()[1])))
        hang_up(gateway, KEPT)
        assert told in gateway.logged()
        assert client.ask(REQUEST).text == "hello\n"
        assert ask(
            gateway.http, REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        ).text
        reload(gateway, f"ProxyPass / {backend.url}/\nHeader set X-Is mended")
        assert client.ask(REQUEST).header("X-Is") == "mended"


def test_sockets_come_and_go(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend
) -> None:
    gateway = start_gateway(f"ProxyPass / {backend.url}/")
    one, two = free_port(), free_port()
    same = "Listen 127.0.0.1:${PORT}\n"
    reload(gateway, f"{same}Listen 127.0.0.1:{one}\nProxyPass / {backend.url}/")
    with Connection(("127.0.0.1", one)) as client:
        assert client.ask(REQUEST).text == "hello\n"
        reload(gateway, f"Listen 127.0.0.1:{two}\n{same}ProxyPass / {backend.url}/")
        wait_until(lambda: not listens(("127.0.0.1", one)), "the closed port")
        # Whoever is connected to it stays so.
        assert client.ask(REQUEST).text == "hello\n"
    assert listens(("127.0.0.1", two))
    assert listens(gateway.http)


def test_the_same_port_at_another_address(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend
) -> None:
    """The one is closed before the other can be had; workers cannot all do so at once."""
    gateway = start_gateway(f"ProxyPass / {backend.url}/")
    write(gateway, f"Listen 0.0.0.0:${{PORT}}\nProxyPass / {backend.url}/")
    hang_up(gateway, IN_FORCE if gateway.workers == 1 else KEPT)
    if gateway.workers > 1:
        assert "Address already in use" in gateway.logged()
        assert ask(gateway.http, REQUEST).text == "hello\n"
        return
    assert listens(("127.0.0.2", gateway.port))
    reload(gateway, f"Listen 127.0.0.1:${{PORT}}\nProxyPass / {backend.url}/")
    assert not listens(("127.0.0.2", gateway.port))
    assert listens(gateway.http)


def _serial(port: int) -> bytes | None:
    """The certificate that is shown there."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 30) as plain,
        context.wrap_socket(plain) as client,
    ):
        return client.getpeercert(binary_form=True)


def test_a_certificate_is_read_again(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend, tmp_path: Path
) -> None:
    """The socket stays; one that cannot be read changes nothing."""
    file, port = certificate(tmp_path / "certificates"), free_port()
    text = (
        "Listen 127.0.0.1:${PORT}\n"
        f'Listen "ssl:{port}:privateKey={file}:interface=127.0.0.1"\nProxyPass / {backend.url}/'
    )
    gateway = start_gateway(text)
    first = _serial(port)
    file.unlink()
    hang_up(gateway, KEPT)
    assert _serial(port) == first
    certificate(tmp_path / "certificates")
    hang_up(gateway)
    assert _serial(port) != first
    hang_up(gateway)
    assert listens(("127.0.0.1", port))


def test_another_way_to_speak_at_the_same_port(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend, tmp_path: Path
) -> None:
    """A certificate in another file, and TLS itself: the socket stays, and so do connections."""
    files = [certificate(tmp_path / name) for name in ("one", "two")]
    port = free_port()

    def text(line: str) -> str:
        return f"Listen 127.0.0.1:${{PORT}}\nListen {line}\nProxyPass / {backend.url}/"

    secure = [f'"ssl:{port}:privateKey={file}:interface=127.0.0.1"' for file in files]
    gateway = start_gateway(text(secure[0]))
    first = _serial(port)
    reload(gateway, text(secure[1]))
    assert _serial(port) not in (None, first)
    reload(gateway, text(f"127.0.0.1:{port}"))
    with Connection(("127.0.0.1", port)) as client:
        assert client.ask(REQUEST).text == "hello\n"
        reload(gateway, text(secure[0]))
        assert client.ask(REQUEST).text == "hello\n"
    assert _serial(port) == first
    (tmp_path / "bad.pem").write_text("nothing")
    write(gateway, text(f'{secure[0][:-1]}:dhParameters={tmp_path}/bad.pem"'))
    hang_up(gateway, KEPT)
    assert "gateway1.conf:3: Listen: " in gateway.logged()
    assert _serial(port) == first
