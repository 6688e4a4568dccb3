"""A backend that closes a connection on which nothing has come for a while::

    python impatient.py ADDRESS SECONDS

It listens on ``HOST:PORT`` or a path, answers each SCGI request with its query, and prints a line
for each connection when that is over, with how many others are open then:

- ``METHOD QUERY AGE OPEN``: one with a request, which came AGE seconds after the connection;
- ``closed - AGE OPEN``: one without, that it has closed itself;
- ``left - AGE OPEN``: one without, that the other side has closed.
"""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path
from time import monotonic
from typing import BinaryIO


class Backend:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open = 0
        self._lock = threading.Lock()

    def serve(self, connection: socket.socket) -> None:
        begun = monotonic()
        with self._lock:
            self._open += 1
        told = "broken -"
        age = 0.0
        try:
            # What is there when the time is over counts: a busy machine loses no request.
            connection.settimeout(self._seconds)
            first = connection.recv(1)
            age = monotonic() - begun
            told = "left -"
            if first:
                connection.settimeout(20)
                with connection.makefile("rwb") as stream:
                    told = self._answer(first, stream)
        except TimeoutError:
            told, age = "closed -", monotonic() - begun
        except (EOFError, ConnectionError):
            pass
        finally:
            with self._lock:
                connection.close()
                self._open -= 1
                print(f"{told} {age:.4f} {self._open}", flush=True)

    def _answer(self, first: bytes, stream: BinaryIO) -> str:
        size = first
        while (byte := _exactly(stream, 1)) != b":":
            size += byte
        words = _exactly(stream, int(size) + 1)[:-2].decode().split("\0")
        variables = dict(zip(words[::2], words[1::2], strict=True))
        body = _exactly(stream, int(variables["CONTENT_LENGTH"]))
        query = variables["QUERY_STRING"]
        told = query.encode() + body
        # Without a length the answer ends with the connection: not before that is counted as over.
        stream.write(b"Content-Type: text/plain\r\n\r\n" + told)
        return f"{variables['REQUEST_METHOD']} {query}"


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def main(address: str, seconds: float) -> None:
    backend = Backend(seconds)
    if address.startswith("/"):
        # The one who was killed could not remove it.
        Path(address).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen(128)
    else:
        host, _, port = address.rpartition(":")
        listener = socket.create_server((host, int(port)), backlog=128)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=backend.serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
