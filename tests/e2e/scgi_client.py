"""A small SCGI client, for asking a server directly, without the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.e2e.processes import Address, connect

_LIMIT = 64 << 20


@dataclass(frozen=True)
class Answer:
    """What a server sent: lower-case header names, the last value of each, and the body."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.headers.get("status", "200").split()[0])


def request_block(path: str, method: str = "GET", body: bytes = b"", **variables: str) -> bytes:
    """An SCGI request for `path` of an application mounted at the root."""
    path, _, query = path.partition("?")
    table = {
        "CONTENT_LENGTH": str(len(body)),
        "SCGI": "1",
        "REQUEST_METHOD": method,
        "REQUEST_URI": path + ("?" + query if query else ""),
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "1024",
        "HTTP_HOST": "localhost",
        **variables,
    }
    block = b"".join(f"{name}\0{value}\0".encode() for name, value in table.items())
    return b"%d:%s," % (len(block), block) + body


def ask(
    address: Address, path: str, method: str = "GET", body: bytes = b"", **variables: str
) -> Answer:
    """Send one request and read the answer until the server closes."""
    with connect(address) as connection:
        connection.sendall(request_block(path, method, body, **variables))
        received = bytearray()
        while len(received) < _LIMIT and (data := connection.recv(1 << 16)):
            received += data
    head, _, content = bytes(received).replace(b"\r\n\r\n", b"\n\n", 1).partition(b"\n\n")
    headers = {}
    for line in head.decode("latin-1").splitlines():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Answer(headers, content)
