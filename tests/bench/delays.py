"""SCGI origins that are equally quick to serve and differ in how long they take::

    python -m tests.bench.delays PORT:MILLISECONDS ...

One process, and as many requests at once as come: nothing waits but the request itself.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

BODY = b"x" * 1024
_ANSWER = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + BODY
_LONGEST = 1 << 16


class Origin(asyncio.Protocol):
    """One connection: a request without a body, and `seconds` later its answer."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._received += data
        length, colon, block = self._received.partition(b":")
        if len(self._received) > _LONGEST:
            self._transport.abort()
        elif colon and len(block) == int(length) + 1:
            asyncio.get_running_loop().call_later(self._seconds, self._answer)

    def _answer(self) -> None:
        assert self._transport is not None
        self._transport.write(_ANSWER)
        self._transport.close()


async def main(words: list[str]) -> None:
    loop = asyncio.get_running_loop()
    for word in words:
        port, _, milliseconds = word.partition(":")
        seconds = float(milliseconds) / 1000
        await loop.create_server(
            lambda seconds=seconds: Origin(seconds), "127.0.0.1", int(port), backlog=1024
        )
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
