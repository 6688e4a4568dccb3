"""rTorrent behind the gateway: XML-RPC over HTTP POST, on TCP and on its UNIX socket."""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection
from tests.e2e.rtorrent import rtorrent

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", params=["tcp", "unix", "wild", "mounted"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """The lines that people have for it: ``ProxyPass`` on TCP, on a UNIX socket in Apache's
    spelling, in the spelling that many use, and mod_scgi's SCGIMount."""
    folder = tmp_path_factory.mktemp("rt")
    local = request.param in ("unix", "wild")
    with rtorrent(folder, folder / "rpc.sock" if local else None) as server:
        where = server.address
        lines = {
            "unix": f"ProxyPass /RPC2 unix:{where}|scgi://127.0.0.1",
            "wild": f"ProxyPass /RPC2 scgi://{where}",
        }
        if not isinstance(where, Path):
            lines["tcp"] = f"ProxyPass /RPC2 scgi://127.0.0.1:{where[1]}"
            lines["mounted"] = f"SCGIMount /RPC2 127.0.0.1:{where[1]}"
        with Gateway(folder, lines[request.param]) as gateway:
            yield gateway


@pytest.fixture
def rpc(gateway: Gateway) -> Iterator[xmlrpc.client.ServerProxy]:
    with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{gateway.port}/RPC2") as proxy:
        yield proxy


def test_the_methods_are_listed(rpc: xmlrpc.client.ServerProxy) -> None:
    methods = cast("list[str]", rpc.system.listMethods())
    assert "system.listMethods" in methods
    assert "d.multicall2" in methods


def test_a_setting_is_changed(rpc: xmlrpc.client.ServerProxy) -> None:
    rpc.throttle.max_uploads.set("", 17)
    assert rpc.throttle.max_uploads() == 17


def test_a_fault_is_the_clients(rpc: xmlrpc.client.ServerProxy) -> None:
    with pytest.raises(xmlrpc.client.Fault):
        rpc.no.such.method()


def test_a_big_answer(rpc: xmlrpc.client.ServerProxy) -> None:
    """Two megabytes in one go."""
    calls = [{"methodName": "system.listMethods", "params": []}] * 50
    answers = cast("list[list[list[str]]]", rpc.system.multicall(calls))
    assert len(answers) == 50
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0][0]) > 500


def test_a_request_without_a_body_is_an_error_that_is_told(gateway: Gateway) -> None:
    """rTorrent closes without a word on CONTENT_LENGTH 0."""
    with Connection(gateway.http) as connection:
        response = connection.ask(b"GET /RPC2 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert response.status == 502
