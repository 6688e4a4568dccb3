"""An SCGI backend that records what it is told and plays what a test has written for it."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.processes import wait_until

_PATIENCE = 30.0
"""Seconds after which a script gives its connection up, so that no thread outlives its test."""
_PIECE = 1 << 16


@dataclass(frozen=True)
class ReadHead:
    """Read the request block."""


@dataclass(frozen=True)
class ReadBody:
    """Read the body: all of it as CONTENT_LENGTH says, or its next `size` bytes.

    With `keep` False the bytes are counted only.
    """

    size: int | None = None
    keep: bool = True


@dataclass(frozen=True)
class Send:
    """Write bytes, `times` times over."""

    data: bytes
    times: int = 1


@dataclass(frozen=True)
class Pause:
    """Do nothing for a time, so that what comes next is a piece of its own."""

    seconds: float


@dataclass(frozen=True)
class Wait:
    """Do nothing until the test sets the event."""

    event: threading.Event


@dataclass(frozen=True)
class AwaitEnd:
    """Read, and drop, until the other side closes or resets."""


@dataclass(frozen=True)
class HalfClose:
    """Say that nothing more will be written; the connection stays open for reading."""


@dataclass(frozen=True)
class Reset:
    """Close with a RST instead of a FIN."""


Action = ReadHead | ReadBody | Send | Pause | Wait | AwaitEnd | HalfClose | Reset
Script = Sequence[Action]


def answer(*pieces: bytes) -> Script:
    """Read the whole request, write the pieces, close."""
    return (ReadHead(), ReadBody(), *(Send(piece) for piece in pieces))


HELLO = answer(b"Content-Type: text/plain\r\n\r\nhello\n")


@dataclass
class Told:
    """One connection, and what arrived on it."""

    variables: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    received: int = 0
    """Bytes of the body, kept or not."""
    sent: int = 0
    """Bytes written."""
    has_head: bool = False
    ended_by_peer: bool = False
    """The other side has closed or reset, and a script was reading or writing at that time."""
    is_over: bool = False
    error: str = ""

    def get(self, name: str) -> str | None:
        """A variable's value, or None. Raises LookupError when it was sent twice."""
        values = [value for given, value in self.variables if given == name.encode()]
        if len(values) > 1:
            raise LookupError(f"{name} was sent {len(values)} times")
        return values[0].decode("latin-1") if values else None


class ProtocolError(Exception):
    """The bytes are no SCGI request."""


class ScriptedBackend:
    """Listens on a free port of 127.0.0.1, or on a UNIX socket; a thread for each connection.

    `play` gives the scripts: the first connection gets the first, and those after the last script
    get the last again. `told` has one record for each connection since then.
    """

    def __init__(self, path: Path | None = None, receive_buffer: int = 0) -> None:
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if path:
            self._listener.bind(str(path))
            path.chmod(0o777)
        else:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self.path = path
        self.port = 0 if path else int(self._listener.getsockname()[1])
        self.told: list[Told] = []
        self._scripts: Sequence[Script] = (HELLO,)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        """Its authority, for a configuration: ``scgi://127.0.0.1:PORT``."""
        return f"unix:{self.path}|scgi://scripted" if self.path else f"scgi://127.0.0.1:{self.port}"

    def play(self, *scripts: Script) -> None:
        """Forget what was told so far, and play these for the next connections."""
        with self._lock:
            self.told = []
            self._scripts = scripts

    def requests(self) -> list[Told]:
        """The connections on which a whole request block arrived."""
        return [told for told in self.told if told.has_head]

    def wait_for(self, count: int = 1) -> Told:
        """Wait until `count` request blocks have arrived, and give the last of them."""
        wait_until(lambda: len(self.requests()) >= count, f"{count} requests at the backend")
        return self.requests()[count - 1]

    def settle(self, seconds: float = 10.0) -> None:
        """Wait until every connection is over."""
        wait_until(lambda: all(t.is_over for t in self.told), "backend connections over", seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(_PATIENCE)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                # One that the gateway has reset cannot be shut down any more.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_PATIENCE)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                told = Told()
                script = self._scripts[min(len(self.told), len(self._scripts) - 1)]
                self.told.append(told)
                self._open.add(connection)
            thread = threading.Thread(
                target=self._serve, args=(connection, script, told), daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, script: Script, told: Told) -> None:
        connection.settimeout(_PATIENCE)
        try:
            for action in script:
                _perform(action, connection, told)
        except (ConnectionError, EOFError) as error:
            told.ended_by_peer = True
            told.error = repr(error)
        except (OSError, ProtocolError) as error:
            told.error = repr(error)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()
            told.is_over = True


def _perform(action: Action, connection: socket.socket, told: Told) -> None:
    match action:
        case ReadHead():
            _read_head(connection, told)
        case ReadBody(size, keep):
            if size is None:
                size = int(told.get("CONTENT_LENGTH") or 0) - told.received
            _read_body(connection, told, size, keep)
        case Send(data, times):
            for _ in range(times):
                connection.sendall(data)
                told.sent += len(data)
        case Pause(seconds):
            time.sleep(seconds)
        case Wait(event):
            event.wait(_PATIENCE)
        case AwaitEnd():
            while connection.recv(_PIECE):
                pass
            told.ended_by_peer = True
        case HalfClose():
            connection.shutdown(socket.SHUT_WR)
        case Reset():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _read_head(connection: socket.socket, told: Told) -> None:
    digits = b""
    while (byte := _exactly(connection, 1)) != b":":
        digits += byte
        if not digits.isdigit() or len(digits) > 9 or digits.startswith(b"0"):
            raise ProtocolError(f"no netstring length: {digits!r}")
    block = _exactly(connection, int(digits))
    if _exactly(connection, 1) != b"," or not block.endswith(b"\0"):
        raise ProtocolError("the netstring does not end as it must")
    words = block[:-1].split(b"\0")
    if len(words) % 2:
        raise ProtocolError("a name without a value")
    told.variables = list(zip(words[::2], words[1::2], strict=True))
    told.has_head = True


def _read_body(connection: socket.socket, told: Told, size: int, keep: bool) -> None:
    while size:
        data = connection.recv(min(size, _PIECE))
        if not data:
            raise EOFError("closed within the body")
        size -= len(data)
        told.received += len(data)
        if keep:
            told.body += data


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        data = connection.recv(size - len(received))
        if not data:
            raise EOFError("closed within the request block")
        received += data
    return bytes(received)
