"""A member of a balancer that can be killed at any time::

    python member.py ADDRESS SECONDS

It listens on ``HOST:PORT`` or a path, and answers each SCGI request that has come whole with its
own process id, after SECONDS. The answer leaves in one piece, so that whoever kills it cuts off
requests, and never answers. But that to ``/stream`` comes in pieces, with its head at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

BODY = b"%d\n" % os.getpid()
ANSWER = (
    b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
)
STREAM_HEAD = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        length = int((await reader.readuntil(b":"))[:-1])
        block = await reader.readexactly(length + 1)
        if b"\0REQUEST_URI\0/stream\0" in block:
            writer.write(STREAM_HEAD)
            for digit in b"0123456789":
                writer.write(bytes([digit]))
                await asyncio.sleep(4 * seconds)
        else:
            await asyncio.sleep(seconds)
            writer.write(ANSWER)
    writer.close()


async def main(address: str, seconds: float) -> None:
    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> object:
        return serve(reader, writer, seconds)

    if address.startswith("/"):
        server = await asyncio.start_unix_server(connected, address, backlog=128)
    else:
        host, _, port = address.rpartition(":")
        server = await asyncio.start_server(connected, host, int(port), backlog=128)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1].startswith("/"):
        # The one who was killed could not remove it.
        Path(sys.argv[1]).unlink(missing_ok=True)
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
