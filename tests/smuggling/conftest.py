"""The gateway in a process of its own, for all that is played on sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping

import pytest

from tests.e2e.gateway import GatewayProcess
from tests.e2e.processes import connect, free_port
from tests.smuggling.recording import RecordingBackend
from tests.smuggling.sites import SITES, configuration, write_files


class Scene:
    """The gateway and its backend."""

    def __init__(self, ports: Mapping[str, int], backend: RecordingBackend) -> None:
        self.ports = ports
        self.backend = backend

    def connect(self, site: str) -> socket.socket:
        connection = connect(("127.0.0.1", self.ports[site]))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        return connection


@pytest.fixture(scope="package")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("smuggling")
    folder.chmod(0o755)
    write_files(folder)
    ports = {name: free_port() for name in SITES}
    config = folder / "gateway.conf"
    config.write_text(configuration(folder, ports))
    with (
        RecordingBackend(folder / "backend") as backend,
        GatewayProcess(config, ports["plain"], "smuggling"),
    ):
        yield Scene(ports, backend)
        assert backend.errors == []
        assert backend.take() == []


def read_all(connection: socket.socket) -> bytes:
    """What comes until the end; it must be an orderly one."""
    data = b""
    while piece := connection.recv(1 << 16):
        data += piece
    return data
