"""Files that a backend names: sent whole and exact, whatever happens to the file or the client."""

from __future__ import annotations

import hashlib
import os
import re
import selectors
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection, ask
from tests.e2e.processes import listens, wait_until
from tests.e2e.scripted import ScriptedBackend, answer
from tests.e2e.test_listening import certificate

pytestmark = pytest.mark.e2e

SIZE = 10_000_000
GET = b"GET /file HTTP/1.1\r\nHost: localhost\r\n"
REQUEST = GET + b"\r\n"
SLOW = 1 << 14
"""The receive buffer of a client that does not keep up, so that much of the file waits."""

Start = Callable[[str], Gateway]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """10 MB that differ everywhere, and are no second old, so that they have a strong tag."""
    folder = tmp_path / "files"
    folder.mkdir()
    path = folder / "download"
    path.write_bytes(os.urandom(SIZE))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


@pytest.fixture
def gateway(start_gateway: Start, backend: ScriptedBackend, file: Path) -> Gateway:
    """A gateway whose backend names `file` in each answer."""
    backend.play(answer(b"Content-Type: text/x-own\r\nX-Sendfile: %b\r\n\r\n" % bytes(file)))
    return start_gateway(configuration(backend, file))


def configuration(backend: ScriptedBackend, file: Path) -> str:
    return (
        f"ProxySCGISendfile On\nXSendFilePath {file.parent}\nProxyPass / {backend.url}/\n"
        f"CustomLog {file.parent.parent}/access.log common\n"
    )


def logged(file: Path, count: int) -> list[tuple[int, int]]:
    """The status and bytes of the lines of the access log, once there are so many."""
    log = file.parent.parent / "access.log"

    def lines() -> list[str]:
        return log.read_text().splitlines() if log.exists() else []

    wait_until(lambda: len(lines()) >= count, f"{count} lines in the access log")
    found = [re.search(r'" (\d+) (\d+|-)$', line) for line in lines()]
    return [(int(m[1]), 0 if m[2] == "-" else int(m[2])) for m in found if m]


def open_files(gateway: Gateway, file: Path) -> int:
    """How often the workers have `file`, or what was at its place, open."""
    links = [
        link
        for pid in gateway.worker_pids
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink()
    ]
    return sum(_target(link).startswith(str(file.parent)) for link in links)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def wait_until_closed(gateway: Gateway, file: Path) -> None:
    wait_until(lambda: not open_files(gateway, file), "the closed file")


def test_a_large_file_is_exact_and_the_connection_stays_open(gateway: Gateway, file: Path) -> None:
    """Requests that came in one piece are answered one after the other, unmixed."""
    data = file.read_bytes()
    head = GET.replace(b"GET", b"HEAD") + b"\r\n"
    part = GET + b"Range: bytes=5-9000004\r\n\r\n"
    with Connection(gateway.http) as client:
        client.send(REQUEST + head + part + REQUEST)
        assert client.read().body == data
        answered = client.read("HEAD")
        assert (answered.status, answered.header("Content-Length")) == (200, str(SIZE))
        answered = client.read()
        assert answered.status == 206
        assert answered.body == data[5:9_000_005]
        assert client.read().body == data
        tag = answered.header("ETag") or ""
        known = client.ask(GET + f"If-None-Match: {tag}\r\n\r\n".encode())
        assert (known.status, known.body) == (304, b"")
        same = client.ask(GET + f"If-Range: {tag}\r\nRange: bytes=-70000\r\n\r\n".encode())
        assert (same.status, same.body) == (206, data[-70000:])
        other = client.ask(GET + b'If-Range: "other"\r\nRange: bytes=-70000\r\n\r\n')
        assert (other.status, other.body) == (200, data)
    sizes = [SIZE, 0, 9_000_000, SIZE, 0, 70_000, SIZE]
    statuses = [200, 200, 206, 200, 304, 206, 200]
    assert logged(file, 7) == list(zip(statuses, sizes, strict=True))
    assert open_files(gateway, file) == 0


def test_several_ranges(gateway: Gateway, file: Path) -> None:
    """Each part behind a head of its own."""
    data = file.read_bytes()
    ranges = [(0, 3_000_000), (4_000_000, 4_000_001), (5_000_000, SIZE)]
    wanted = ",".join(f"{start}-{stop - 1}" for start, stop in ranges).encode()
    answered = ask(gateway.http, GET + b"Range: bytes=" + wanted + b"\r\n\r\n")
    assert answered.status == 206
    kind = answered.header("Content-Type") or ""
    boundary = kind.removeprefix("multipart/byteranges; boundary=").encode()
    expected = b""
    for start, stop in ranges:
        expected += (b"\r\n" if expected else b"") + b"--" + boundary + b"\r\n"
        expected += b"Content-Type: text/x-own\r\nContent-Range: bytes %d-%d/%d\r\n\r\n" % (
            start,
            stop - 1,
            SIZE,
        )
        expected += data[start:stop]
    assert answered.body == expected + b"\r\n--%b--\r\n" % boundary


def test_a_file_that_is_truncated_meanwhile_is_no_whole_answer(
    gateway: Gateway, file: Path
) -> None:
    """The client gets to know, and so does the log."""
    data = file.read_bytes()
    with Connection(gateway.http, receive_buffer=SLOW) as client:
        client.send(REQUEST)
        assert client.read_head().header("Content-Length") == str(SIZE)
        os.truncate(file, 9 << 20)
        received = bytearray()
        try:
            while piece := client.read_some():
                received += piece
        except ConnectionResetError:
            pass
        assert len(received) <= 9 << 20
        assert received == data[: len(received)]
    wait_until_closed(gateway, file)
    told = r"it was truncated while it was sent \(127\.0\.0\.1:\d+ GET /\S+ elapsed="
    wait_until(lambda: re.search(told, gateway.logged()), "the log line")


@pytest.mark.parametrize("change", ["renamed", "replaced", "removed", "grown"])
def test_a_file_that_is_changed_meanwhile_is_sent_as_it_was(
    gateway: Gateway, file: Path, change: str
) -> None:
    """It is the open file that is sent, and as many bytes of it as were promised."""
    data = file.read_bytes()
    with Connection(gateway.http, receive_buffer=SLOW) as client:
        client.send(REQUEST)
        assert client.read_head().header("Content-Length") == str(SIZE)
        if change == "renamed":
            file.rename(file.with_name("other"))
        elif change == "replaced":
            file.with_name("other").write_bytes(b"x" * SIZE)
            file.with_name("other").rename(file)
        elif change == "removed":
            file.unlink()
        else:
            with file.open("ab") as more:
                more.write(b"more" * 1000)
        received = bytearray()
        while len(received) < SIZE:
            received += client.read_some()
        assert received == data
        if change == "grown":
            assert client.ask(REQUEST).body == data + b"more" * 1000
    wait_until_closed(gateway, file)


@pytest.mark.parametrize("leave", [Connection.close, Connection.reset])
def test_a_client_that_leaves_in_the_middle(
    gateway: Gateway, file: Path, leave: Callable[[Connection], None]
) -> None:
    """The file is closed, and the access log has what was sent."""
    with Connection(gateway.http, receive_buffer=SLOW) as client:
        client.send(REQUEST)
        client.read_head()
        client.read_some()
        leave(client)
    wait_until_closed(gateway, file)
    ((status, sent),) = logged(file, 1)
    assert status == 200
    assert 0 < sent < SIZE
    assert ask(gateway.http, REQUEST).body == file.read_bytes()


def test_a_client_that_stops_reading_is_given_up(
    start_gateway: Start, backend: ScriptedBackend, file: Path
) -> None:
    """After Timeout; one that goes on reading, however slowly, is not."""
    backend.play(answer(b"X-Sendfile: %b\r\n\r\n" % bytes(file)))
    gateway = start_gateway(configuration(backend, file) + "Timeout 1\n")
    with Connection(gateway.http, receive_buffer=SLOW) as client:
        client.send(REQUEST)
        wait_until(lambda: open_files(gateway, file), "the open file")
        wait_until_closed(gateway, file)
    ((_, sent),) = logged(file, 1)
    assert sent < SIZE


def test_an_answer_that_runs_is_finished_at_shutdown(gateway: Gateway, file: Path) -> None:
    data = file.read_bytes()
    with Connection(gateway.http, receive_buffer=SLOW) as client:
        client.send(REQUEST)
        client.read_head()
        os.kill(gateway.pid, signal.SIGTERM)
        received = bytearray()
        while piece := client.read_some():
            received += piece
        assert received == data
    wait_until(lambda: gateway.has_ended, "the gateway's end")


def test_many_at_once(gateway: Gateway, file: Path) -> None:
    """200 clients get 2 MB each, all of them the right ones."""
    expected = hashlib.sha256(file.read_bytes()[7:2_000_007]).digest()
    request = GET + b"Range: bytes=7-2000006\r\nConnection: close\r\n\r\n"
    sums = {}
    with selectors.DefaultSelector() as selector:
        for _ in range(200):
            client = socket.create_connection(gateway.http)
            client.sendall(request)
            selector.register(client, selectors.EVENT_READ, [b"", hashlib.sha256()])
        while selector.get_map():
            ready = selector.select(10)
            assert ready, f"{len(selector.get_map())} clients have nothing to read"
            for key, _ in ready:
                _receive(selector, key, sums)
    assert len(sums) == 200
    assert set(sums.values()) == {expected}
    wait_until_closed(gateway, file)


def _receive(
    selector: selectors.BaseSelector, key: selectors.SelectorKey, sums: dict[int, bytes]
) -> None:
    client: socket.socket = key.fileobj  # type: ignore[assignment]
    data = client.recv(1 << 18)
    if not data:
        selector.unregister(client)
        sums[len(sums)] = key.data[1].digest()
        client.close()
    elif key.data[0] is None:
        key.data[1].update(data)
    else:
        head, end, body = (key.data[0] + data).partition(b"\r\n\r\n")
        key.data[0] = None if end else head
        key.data[1].update(body)


def test_behind_tls_it_is_read_and_encrypted(
    start_gateway: Start, backend: ScriptedBackend, file: Path, tmp_path: Path
) -> None:
    """The bytes do not pass TLS by."""
    backend.play(answer(b"X-Sendfile: %b\r\n\r\n" % bytes(file)))
    key = certificate(tmp_path / "certificates")
    gateway = start_gateway(
        f'Listen "ssl:${{PORT}}:interface=127.0.0.1:privateKey={key}:certKey={key}"\n'
        + configuration(backend, file)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(key)
    with Connection(gateway.http) as client:
        client.socket = context.wrap_socket(client.socket)
        assert client.ask(REQUEST).body == file.read_bytes()
        assert client.ask(REQUEST).body == file.read_bytes()


def test_on_a_unix_socket(
    start_gateway: Start, backend: ScriptedBackend, file: Path, tmp_path: Path
) -> None:
    backend.play(answer(b"X-Sendfile: %b\r\n\r\n" % bytes(file)))
    start_gateway(
        f"Listen 127.0.0.1:${{PORT}}\nListen unix:{tmp_path}/http\n" + configuration(backend, file)
    )
    # Its port is there first.
    wait_until(lambda: listens(tmp_path / "http"), "it listens on its socket")
    with Connection(tmp_path / "http") as client:
        assert client.ask(REQUEST).body == file.read_bytes()
        assert client.ask(REQUEST).body == file.read_bytes()
