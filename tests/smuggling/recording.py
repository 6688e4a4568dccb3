"""An SCGI backend that believes nothing: it reads strictly, and records what it was asked."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_PATIENCE = 30.0
_LENGTH = re.compile(rb"[1-9][0-9]*")
_NUMBER = re.compile(rb"0|[1-9][0-9]*")


@dataclass(frozen=True)
class Asked:
    """One request: its variables, in the order of the block, and its body as far as it came."""

    variables: dict[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.variables['REQUEST_METHOD']} {self.variables['REQUEST_URI']}"


def read_block(block: bytes) -> dict[str, str]:
    """The variables of a block. Raises ValueError for one that the protocol does not allow.

    CONTENT_LENGTH comes first, a number without zeros before it; SCGI is 1; no name comes twice, and
    none is empty. (https://python.ca/scgi/protocol.txt)
    """
    *fields, empty = block.split(b"\x00")
    if empty or len(fields) % 2:
        raise ValueError(f"no pairs: {block!r}")
    names, values = fields[::2], fields[1::2]
    if len(set(names)) < len(names) or b"" in names:
        raise ValueError(f"names: {sorted(names)}")
    if names[0] != b"CONTENT_LENGTH" or not _NUMBER.fullmatch(values[0]):
        raise ValueError(f"no CONTENT_LENGTH: {block!r}")
    variables = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in zip(names, values, strict=True)
    }
    if variables.get("SCGI") != "1":
        raise ValueError(f"no SCGI: {block!r}")
    return variables


class RecordingBackend:
    """Listens on a UNIX socket, one request for a connection, each in a thread of its own.

    The answer's body says what was asked. ``/slow`` takes its time; ``/fail`` is answered with what
    is no answer; ``/early`` before its body has come.
    """

    def __init__(self, path: Path) -> None:
        self.errors: list[str] = []
        self._asked: list[Asked] = []
        self._lock = threading.Lock()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(100)
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(_PATIENCE)

    def take(self) -> list[Asked]:
        """What it was asked since the last time, in order."""
        with self._lock:
            asked, self._asked = self._asked, []
        return asked

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        try:
            with connection, connection.makefile("rb") as stream:
                self._answer(connection, stream)
        except OSError:
            # The gateway has gone: its client has.
            pass
        except (ValueError, KeyError) as error:
            self.errors.append(repr(error))

    def _answer(self, connection: socket.socket, stream: object) -> None:
        read = stream.read  # type: ignore[attr-defined]
        size = b""
        while (byte := read(1)) not in (b":", b""):
            size += byte
        if not size and not byte:
            return
        if not _LENGTH.fullmatch(size):
            raise ValueError(f"no netstring: {size!r}")
        block = read(int(size))
        if read(1) != b",":
            raise ValueError(f"no netstring: {block!r}")
        variables = read_block(block)
        early = variables["REQUEST_URI"] == "/early"
        if early:
            self._record(Asked(variables, b""))
        else:
            length = int(variables["CONTENT_LENGTH"])
            body = read(length)
            self._record(Asked(variables, body))
            if len(body) < length:
                return
        text = f"{variables['REQUEST_METHOD']} {variables['REQUEST_URI']}".encode("latin-1")
        if variables["REQUEST_URI"] == "/slow":
            time.sleep(0.05)
        if variables["REQUEST_URI"] == "/fail":
            connection.sendall(b"HTTP/1.1 200 OK\r\nno field\r\n\r\n")
            return
        head = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(
            text
        )
        connection.sendall(head + (b"" if variables["REQUEST_METHOD"] == "HEAD" else text))
        connection.shutdown(socket.SHUT_WR)
        rest = read()
        if rest and not early:
            raise ValueError(f"more than the body: {rest!r}")

    def _record(self, asked: Asked) -> None:
        with self._lock:
            self._asked.append(asked)
