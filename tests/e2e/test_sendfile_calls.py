"""Which connections send files by sendfile(2): counted, in a gateway within the test's process."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from scgiproxy.config.load import load_text
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.listeners import ListenerService
from scgiproxy.web import connection
from tests.e2e.http_client import Connection
from tests.e2e.in_process import until
from tests.e2e.processes import Address, free_port
from tests.e2e.test_listening import certificate

pytestmark = pytest.mark.e2e

SIZE = 10_000_000
REQUEST = b"GET /download HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Calls:
    """Counts what goes by sendfile(2), and lets it go."""

    def __init__(self) -> None:
        self.sent = 0

    def __call__(self, to: int, fd: int, start: int, count: int) -> int:
        sent = os.sendfile(to, fd, start, count)
        self.sent += sent
        return sent


def fetch(address: Address, authority: Path | None) -> bytes:
    """The body of an answer; by TLS if there is an `authority`."""
    with Connection(address) as client:
        if authority is not None:
            context = ssl.create_default_context(cafile=str(authority))
            client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
        return client.ask(REQUEST).body


@pytest_twisted.ensureDeferred
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pyOpenSSL, in Twisted
@pytest.mark.parametrize("kind", ["tcp", "unix", "ssl"])
async def test_a_static_file(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it on plain connections, none of it where it has to be encrypted."""
    files = tmp_path / "files"
    files.mkdir()
    data = os.urandom(SIZE)
    (files / "download").write_bytes(data)
    port, path = free_port(), tmp_path / "http"
    key = certificate(tmp_path / "certificates") if kind == "ssl" else None
    endpoint = {
        "tcp": f"tcp:{port}:interface=127.0.0.1",
        "unix": f"unix:{path}",
        "ssl": f"ssl:{port}:interface=127.0.0.1:privateKey={key}:certKey={key}",
    }[kind]
    calls = Calls()
    monkeypatch.setattr(connection, "sendfile", calls)
    config = load_text(f'DocumentRoot "{files}"\nListen "{endpoint}"\n', environment={})
    parts = GatewayParts(config, reactor)
    service = ListenerService(config.listeners, parts.make_site, reactor)
    service.startService()
    try:
        address: Address = path if kind == "unix" else ("127.0.0.1", port)
        assert await deferToThread(fetch, address, key) == data
    finally:
        await service.stopService()
        channels = [channel for site in service.sites for channel in site.channels]
        await until(lambda: not any(site.channels for site in service.sites), lambda: channels)
        await until(lambda: not len(parts.wheel), lambda: parts.wheel)
        parts.resolver.stop()
    assert calls.sent == (0 if kind == "ssl" else SIZE)
