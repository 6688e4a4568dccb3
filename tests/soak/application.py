"""An SCGI application that does what the query says, well or badly::

    python -m tests.soak.application FOLDER PORT...

Listens on these ports of 127.0.0.1; on the last one with TLS if FOLDER has a ``server.pem``.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import socket
import ssl
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs

CUT = 0
"""In place of a status: the answer is cut short, and the client can see it."""

_BLOCK = random.Random(5).randbytes(65_537)
_ENOUGH = 30.0
"""Seconds after which a hanging connection is given up, should the gateway not do it."""


def pattern(size: int) -> bytes:
    """The bytes that are sent where a size is asked for."""
    return (_BLOCK * (size // len(_BLOCK) + 1))[:size]


class Connection:
    """One request: its variables, what of its query is a number, and the two streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.variables: dict[str, str] = {}
        self.query: dict[str, str] = {}

    async def read_head(self) -> None:
        size = int((await self.reader.readuntil(b":"))[:-1])
        words = (await self.reader.readexactly(size + 1))[:-2].decode("latin-1").split("\0")
        self.variables = dict(zip(words[::2], words[1::2], strict=True))
        query = parse_qs(self.variables["QUERY_STRING"])
        self.query = {name: values[0] for name, values in query.items()}

    async def read_body(self) -> str:
        """Its SHA-256."""
        left = int(self.variables["CONTENT_LENGTH"])
        digest = hashlib.sha256()
        while left:
            data = await self.reader.read(min(left, 1 << 16))
            if not data:
                raise EOFError
            digest.update(data)
            left -= len(data)
        return digest.hexdigest()

    async def send(self, *pieces: bytes, pause: float = 0.0) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(pause)

    async def answer(self, body: bytes, status: str = "200 OK") -> None:
        await self.send(head(len(body), status) + body)

    async def wait_for_end(self) -> None:
        while await self.reader.read(1 << 16):
            pass

    def reset(self) -> None:
        """When it is closed."""
        skt: socket.socket = self.writer.get_extra_info("socket")
        skt.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def head(length: int | None = None, status: str = "200 OK") -> bytes:
    lines = f"Status: {status}\r\nContent-Type: application/octet-stream\r\n"
    return (lines + ("" if length is None else f"Content-Length: {length}\r\n") + "\r\n").encode()


# -- what is done well -------------------------------------------------------------------------


async def _bytes(connection: Connection) -> None:
    await connection.answer(pattern(int(connection.query["size"])))


async def _stream(connection: Connection) -> None:
    data = pattern(int(connection.query["size"]))
    step = len(data) // 8 + 1
    pieces = [data[start : start + step] for start in range(0, len(data), step)]
    await connection.send(head(), *pieces, pause=0.01)


async def _digest(connection: Connection) -> None:
    await connection.answer((await connection.read_body()).encode())


async def _file(connection: Connection) -> None:
    path = Path(sys.argv[1]) / "files" / "download"
    await connection.send(b"Content-Type: a/b\r\nX-Sendfile: %b\r\n\r\n" % bytes(path))


# -- and badly ---------------------------------------------------------------------------------


async def _close(connection: Connection) -> None:
    pass


async def _reset(connection: Connection) -> None:
    connection.reset()


async def _hang(connection: Connection) -> None:
    await connection.wait_for_end()


async def _half_close(connection: Connection) -> None:
    connection.writer.write_eof()
    await connection.wait_for_end()


async def _dribbled_head(connection: Connection) -> None:
    await connection.send(*[b"%c" % byte for byte in head(0)], pause=0.1)


async def _dribbled_body(connection: Connection) -> None:
    await connection.send(head(5), *[b"%c" % byte for byte in pattern(5)], pause=0.2)


async def _half_a_head(connection: Connection) -> None:
    await connection.send(head(5)[:-4])


async def _garbage(connection: Connection) -> None:
    # An empty line would be a whole head.
    await connection.send(b"\0" + random.randbytes(2000))


async def _large_head(connection: Connection) -> None:
    await connection.send(b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n")


async def _short(connection: Connection) -> None:
    await connection.send(head(1000), pattern(10))


async def _reset_in_body(connection: Connection) -> None:
    await connection.send(head(), pattern(10), pause=0.05)
    connection.reset()


async def _hang_in_body(connection: Connection) -> None:
    await connection.send(head(1000) + pattern(10))
    await connection.wait_for_end()


async def _too_much(connection: Connection) -> None:
    await connection.send(head(5) + pattern(5))
    while True:
        await connection.send(bytes(1 << 16))


async def _held_open(connection: Connection) -> None:
    await connection.answer(pattern(5))
    await connection.wait_for_end()


async def _early(connection: Connection) -> None:
    await connection.answer(b"no more", "413 Too Much")


async def _endless(connection: Connection) -> None:
    await connection.send(head())
    while True:
        await connection.send(bytes(1 << 16))


GOOD: Mapping[str, Callable[[Connection], Awaitable[None]]] = {
    "bytes": _bytes,
    "stream": _stream,
    "digest": _digest,
    "file": _file,
    "endless": _endless,
    "early": _early,
}

BAD: Mapping[str, tuple[Callable[[Connection], Awaitable[None]], int]] = {
    "close": (_close, 502),
    "reset": (_reset, 502),
    "hang": (_hang, 504),
    "half-close": (_half_close, 502),
    "dribbled-head": (_dribbled_head, 504),
    "dribbled-body": (_dribbled_body, 200),
    "half-a-head": (_half_a_head, 502),
    "garbage": (_garbage, 502),
    "large-head": (_large_head, 502),
    "short": (_short, CUT),
    "reset-in-body": (_reset_in_body, CUT),
    "hang-in-body": (_hang_in_body, CUT),
    "too-much": (_too_much, 200),
    "held-open": (_held_open, 200),
}
"""With what the client gets: a status, and with 200 the whole of ``pattern(5)``."""


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = Connection(reader, writer)
    try:
        with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError, TimeoutError):
            async with asyncio.timeout(_ENOUGH):
                await connection.read_head()
                does = connection.query["do"]
                await (GOOD[does] if does in GOOD else BAD[does][0])(connection)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _main(folder: Path, ports: list[int]) -> None:
    pem = folder / "server.pem"
    for port in ports:
        context = None
        if pem.exists() and port == ports[-1]:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(pem)
        await asyncio.start_server(_serve, "127.0.0.1", port, ssl=context, backlog=128)
    await asyncio.Event().wait()


if __name__ == "__main__":
    # It tells of each client that leaves a stream through TLS.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]]))
