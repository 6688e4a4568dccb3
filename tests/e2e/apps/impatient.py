"""A backend that closes a connection on which nothing has come for a while::

    python impatient.py ADDRESS SECONDS

It listens on ``HOST:PORT`` or a path, answers each SCGI request with its query, and prints a line
for each connection when that is over, with how many others are open then:

- ``METHOD QUERY AGE OPEN``: one with a request, which came AGE seconds after the connection;
- ``closed - AGE OPEN``: one without, that it has closed itself;
- ``left - AGE OPEN``: one without, that the other side has closed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from time import monotonic


class Backend:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun = monotonic()
        self._open += 1
        told, age = "broken -", 0.0
        try:
            first = await asyncio.wait_for(reader.read(1), self._seconds)
            age = monotonic() - begun
            told = "left -"
            if first:
                told = await self._answer(first, reader, writer)
        except TimeoutError:
            told, age = "closed -", monotonic() - begun
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()
            self._open -= 1
            print(f"{told} {age:.4f} {self._open}", flush=True)

    async def _answer(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> str:
        size = int(first + (await reader.readuntil(b":"))[:-1])
        words = (await reader.readexactly(size + 1))[:-2].decode().split("\0")
        variables = dict(zip(words[::2], words[1::2], strict=True))
        body = await reader.readexactly(int(variables["CONTENT_LENGTH"]))
        query = variables["QUERY_STRING"]
        told = query.encode() + body
        writer.write(b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
        return f"{variables['REQUEST_METHOD']} {query}"


async def main(address: str, seconds: float) -> None:
    serve = Backend(seconds).serve
    if address.startswith("/"):
        server = await asyncio.start_unix_server(serve, address, backlog=128)
    else:
        host, _, port = address.rpartition(":")
        server = await asyncio.start_server(serve, host, int(port), backlog=128)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1].startswith("/"):
        # The one who was killed could not remove it.
        Path(sys.argv[1]).unlink(missing_ok=True)
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
