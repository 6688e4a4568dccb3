"""HTTP/1.1 clients of the tests: raw bytes with nothing added or hidden, and a small browser."""

from __future__ import annotations

import re
import secrets
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urljoin, urlsplit

from tests.e2e.processes import Address, connect

_HEAD_LIMIT = 4 << 20


class BadAnswerError(Exception):
    """The server's bytes are no HTTP response."""


@dataclass(frozen=True)
class Response:
    """One response as it came: header names as written, in order, repeated ones apart.

    `complete` is False when the connection ended before the body did. `interim` has the statuses
    of the 1xx responses before it.
    """

    version: bytes
    status: int
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""
    complete: bool = True
    interim: tuple[int, ...] = ()

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        key = name.lower().encode()
        return [value.decode("latin-1") for given, value in self.headers if given.lower() == key]

    def header(self, name: str) -> str | None:
        """The only value of a header, or None. Raises BadAnswerError when there are several."""
        values = self.all(name)
        if len(values) > 1:
            raise BadAnswerError(f"{name} is there {len(values)} times: {values}")
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode()


class Connection:
    """One client connection. A context manager; nothing is sent that the test did not write."""

    def __init__(self, address: Address, timeout: float = 60.0, receive_buffer: int = 0) -> None:
        self.socket = connect(address, timeout)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection (with a FIN)."""
        self.socket.close()

    def reset(self) -> None:
        """Close the connection with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def half_close(self) -> None:
        """Say that nothing more will be sent; answers can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def is_at_end(self) -> bool:
        """Whether the server has closed; waits for it, or for a byte, within the timeout."""
        return not self._buffer and not self._receive()

    def read_head(self) -> Response:
        """The next response head that is not 1xx; its body stays unread."""
        interim: list[int] = []
        while True:
            head = self._head()
            if head.status >= 200 or head.status == 101:
                return Response(
                    head.version, head.status, head.reason, head.headers, interim=tuple(interim)
                )
            interim.append(head.status)

    def read_interim(self) -> int:
        """The status of the next response head, a 1xx."""
        return self._head().status

    def read_piece(self) -> bytes:
        """The next chunk of a chunked body, b"" for the last; raises BadAnswerError at the end."""
        size = int(self._line().split(b";")[0], 16)
        data = self._exactly(size)
        if self._line() or len(data) < size:
            raise BadAnswerError("a chunk is not as long as it says")
        return data

    def read_some(self, size: int = 1 << 16) -> bytes:
        """What has arrived, at most `size` bytes; waits for the first. b"" at the end."""
        if not self._buffer and not self._receive():
            return b""
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def read(self, method: str = "GET") -> Response:
        """The next whole response to a request by `method`, the chunks put together."""
        head = self.read_head()
        body, complete = self._body(head, method)
        return Response(
            head.version, head.status, head.reason, head.headers, body, complete, head.interim
        )

    def ask(self, data: bytes) -> Response:
        """Send a whole request and read the answer."""
        self.send(data)
        return self.read(data.split(b" ", 1)[0].decode("latin-1"))

    def _head(self) -> Response:
        lines = [self._line()]
        while line := self._line():
            lines.append(line)
            if sum(map(len, lines)) > _HEAD_LIMIT:
                raise BadAnswerError("the response head has no end")
        match = re.fullmatch(rb"(HTTP/\d\.\d) (\d{3})(?: (.*))?", lines[0])
        if not match:
            raise BadAnswerError(f"no status line: {lines[0]!r}")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon:
                raise BadAnswerError(f"no header line: {line!r}")
            headers.append((name, value.strip(b" \t")))
        return Response(match[1], int(match[2]), match[3] or b"", tuple(headers))

    def _body(self, head: Response, method: str) -> tuple[bytes, bool]:
        if method == "HEAD" or head.status in (204, 304):
            return b"", True
        if (head.header("Transfer-Encoding") or "").lower() == "chunked":
            pieces = []
            try:
                while piece := self.read_piece():
                    pieces.append(piece)
            except (BadAnswerError, ValueError, ConnectionError):
                return b"".join(pieces), False
            return b"".join(pieces), True
        length = head.header("Content-Length")
        if length is not None:
            body = self._exactly(int(length))
            return body, len(body) == int(length)
        received = bytearray()
        try:
            while data := self.read_some():
                received += data
        except ConnectionError:
            return bytes(received), False
        return bytes(received), True

    def _receive(self) -> bool:
        data = self.socket.recv(1 << 16)
        self._buffer += data
        return bool(data)

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise BadAnswerError("a line has no end")
            if not self._receive():
                raise BadAnswerError(f"closed within a line: {bytes(self._buffer[:200])!r}")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _exactly(self, size: int) -> bytes:
        try:
            while len(self._buffer) < size and self._receive():
                pass
        except ConnectionError:
            pass
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


def ask(address: Address, data: bytes, timeout: float = 60.0) -> Response:
    """Send a whole raw request on a connection of its own and read the answer."""
    with Connection(address, timeout) as connection:
        return connection.ask(data)


def multipart(
    fields: Mapping[str, str], files: Mapping[str, tuple[str, bytes]]
) -> tuple[str, bytes]:
    """A multipart/form-data body (RFC 7578): its Content-Type, and its bytes."""
    boundary = secrets.token_hex(16)
    parts = []
    for name, value in fields.items():
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        )
        parts.append(value.encode() + b"\r\n")
    for name, (filename, data) in files.items():
        disposition = f'form-data; name="{name}"; filename="{filename}"'
        parts.append(f"--{boundary}\r\nContent-Disposition: {disposition}\r\n".encode())
        parts.append(b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(parts)


def chunked(data: bytes, size: int = 8192) -> bytes:
    """`data` in chunks of `size` bytes, with the last one (RFC 9112 section 7.1)."""
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@dataclass
class Browser:
    """Keeps cookies, sends forms, follows redirects of one site; a connection for each request."""

    address: tuple[str, int]
    cookies: dict[str, str] = field(default_factory=dict)
    path: str = ""
    """The page it is on, after redirects; requests name it as their Referer."""

    def get(self, path: str, *, follow: bool = True) -> Response:
        return self._request("GET", path, {}, b"", follow)

    def post(
        self,
        path: str,
        body: bytes | Mapping[str, str],
        content_type: str = "application/x-www-form-urlencoded",
        *,
        follow: bool = True,
    ) -> Response:
        """Send a form, or a body of any other type; a redirect is followed by GET."""
        data = body if isinstance(body, bytes) else urlencode(body).encode()
        return self._request("POST", path, {"Content-Type": content_type}, data, follow)

    def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, follow: bool
    ) -> Response:
        for _ in range(10):
            response = ask(self.address, self._encode(method, path, headers, body))
            self.path = path
            for line in response.all("Set-Cookie"):
                for name, morsel in SimpleCookie(line).items():
                    self.cookies[name] = morsel.value
            location = response.header("Location")
            if not follow or location is None or response.status not in (301, 302, 303, 307):
                return response
            target = urlsplit(urljoin(f"http://{self._host}{path}", location))
            path = (target.path or "/") + ("?" + target.query if target.query else "")
            method, headers, body = "GET", {}, b""
        raise BadAnswerError(f"too many redirects, the last to {path}")

    @property
    def _host(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    def _encode(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}", "Connection: close"]
        if self.cookies:
            lines.append("Cookie: " + "; ".join(f"{k}={v}" for k, v in self.cookies.items()))
        if self.path:
            lines.append(f"Referer: http://{self._host}{self.path}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body
