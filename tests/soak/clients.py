"""Clients of all kinds, each with what it has to see."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

from tests.e2e.http_client import BadAnswerError, Connection, Response, chunked
from tests.soak.application import BAD, CUT, pattern

WELL = ("/app/", "/narrow/", "/ready/", "/tls/")
"""Mounts whose application is always there."""

SIZES = (0, 1, 5, 1000, 20_000, 70_000, 400_000)
FILE = pattern(1_500_000)
PATIENCE = 30.0
"""Seconds that a client waits for the next bytes."""


class WrongError(Exception):
    """What came is not what has to come."""


def request(path: str, does: str, *headers: str, method: str = "GET", **query: object) -> bytes:
    words = "".join(f"&{name}={value}" for name, value in query.items())
    lines = [f"{method} {path}x?do={does}{words} HTTP/1.1", "Host: localhost", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def expect(response: Response, status: int, body: bytes | None = None) -> None:
    """It is whole, and this. Raises WrongError."""
    if not response.complete or response.status != status:
        raise WrongError(f"{response.status}, whole: {response.complete}; not {status}")
    if body is not None and response.body != body:
        raise WrongError(f"another body, of {len(response.body)} bytes and not {len(body)}")


class Visit:
    """One client of the gateway that listens on `address`, whose decisions `chance` takes."""

    def __init__(self, address: tuple[str, int], chance: random.Random) -> None:
        self.address = address
        self.chance = chance

    def connect(self, receive_buffer: int = 0) -> Connection:
        return Connection(self.address, PATIENCE, receive_buffer)

    def downloads(self) -> None:
        """One after the other, on one connection."""
        with self.connect() as connection:
            for _ in range(self.chance.randint(1, 4)):
                size, does = self.chance.choice(SIZES), self.chance.choice(("bytes", "stream"))
                asked = request(self.chance.choice(WELL), does, size=size)
                expect(connection.ask(asked), 200, pattern(size))

    def pipelines(self) -> None:
        """At once: the answers come in their order."""
        sizes = [self.chance.choice(SIZES[:-1]) for _ in range(4)]
        with self.connect() as connection:
            path = self.chance.choice(WELL)
            connection.send(b"".join(request(path, "bytes", size=size) for size in sizes))
            for size in sizes:
                expect(connection.read(), 200, pattern(size))

    def uploads(self) -> None:
        size = self.chance.choice((*SIZES, 2_000_000))
        data = pattern(size)
        if self.chance.random() < 0.5:
            framing, sent = f"Content-Length: {size}", data
        else:
            framing, sent = "Transfer-Encoding: chunked", chunked(data, 50_000)
        with self.connect() as connection:
            connection.send(
                request(self.chance.choice(WELL), "digest", framing, method="POST") + sent
            )
            expect(connection.read(), 200, hashlib.sha256(data).hexdigest().encode())

    def is_refused_early(self) -> None:
        """The answer comes before the upload has ended."""
        with self.connect() as connection:
            connection.send(request("/app/", "early", "Content-Length: 3000000", method="POST"))
            with suppress(OSError):
                connection.send(bytes(300_000))
            expect(connection.read(), 413, b"no more")

    def downloads_a_file(self) -> None:
        with self.connect() as connection:
            expect(connection.ask(request("/app/", "file")), 200, FILE)

    def reads_slowly(self) -> None:
        does = self.chance.choice(("bytes", "stream", "file"))
        with self.connect(receive_buffer=32_768) as connection:
            connection.send(request("/app/", does, "Connection: close", size=len(FILE)))
            head = connection.read_head()
            expect(head, 200)
            received = 0
            while data := connection.read_some():
                received += len(data)
                time.sleep(0.01)
            # Chunks have their lines.
            if received < len(FILE) or (does != "stream" and received != len(FILE)):
                raise WrongError(f"{received} bytes of {len(FILE)}")

    def sends_slowly(self) -> None:
        """Byte by byte, and in time."""
        with self.connect() as connection:
            for byte in request("/app/", "bytes", size=5):
                connection.send(b"%c" % byte)
                time.sleep(0.01)
            expect(connection.read(), 200, pattern(5))

    def sends_too_slowly(self) -> None:
        with self.connect() as connection:
            connection.send(b"GET /app/x?do=bytes&size=5 HTTP/1.1\r\n")
            expect(connection.read(), 408)

    def leaves(self) -> None:
        """At any time, in any way."""
        leave = self.chance.choice((Connection.close, Connection.reset, Connection.half_close))
        does = self.chance.choice(("bytes", "stream", "endless", "hang", "file"))
        data = request(self.chance.choice(("/app/", "/ready/", "/tls/")), does, size=400_000)
        if self.chance.random() < 0.5:
            data = request("/app/", "digest", "Content-Length: 200000", method="POST")
            data += bytes(200_000)
        if self.chance.random() < 0.5:
            data = data[: self.chance.randrange(len(data))]
        with self.connect() as connection:
            connection.send(data)
            if self.chance.random() < 0.5:
                time.sleep(self.chance.random() / 5)
            leave(connection)

    def leaves_a_stream(self) -> None:
        with self.connect() as connection:
            connection.send(request("/app/", "endless"))
            expect(connection.read_head(), 200)
            for _ in range(self.chance.randint(1, 20)):
                if not connection.read_piece():
                    raise WrongError("it has ended")

    def sends_garbage(self) -> None:
        with self.connect() as connection:
            connection.send(self.chance.randbytes(self.chance.randint(1, 5000)) + b"\r\n\r\n")
            with suppress(ConnectionError):
                received = connection.read_some()
                # Some of it looks like a method that nobody knows.
                if received and not received.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501")):
                    raise WrongError(f"an answer to garbage: {received[:60]!r}")

    def meets_a_fault(self) -> None:
        name = self.chance.choice(list(BAD))
        status = BAD[name][1]
        with self.connect() as connection:
            response = connection.ask(request("/app/", name))
            if status == CUT:
                if response.complete or not pattern(10).startswith(response.body):
                    raise WrongError(f"{name} looks whole, with {len(response.body)} bytes")
            else:
                expect(response, status, pattern(5) if status == 200 else None)

    def asks_the_balancer(self) -> None:
        """Members crash and hang: that may be seen, but never taken for an answer."""
        size = self.chance.choice(SIZES)
        with self.connect() as connection:
            response = connection.ask(request("/lb/", "bytes", size=size))
            if response.status == 200 and response.complete:
                expect(response, 200, pattern(size))
            elif response.status not in (200, 502, 503, 504):
                raise WrongError(f"{response.status}")


KINDS: Mapping[Callable[[Visit], None], int] = {
    Visit.downloads: 8,
    Visit.pipelines: 2,
    Visit.uploads: 6,
    Visit.is_refused_early: 1,
    Visit.downloads_a_file: 2,
    Visit.reads_slowly: 1,
    Visit.sends_slowly: 1,
    Visit.sends_too_slowly: 1,
    Visit.leaves: 6,
    Visit.leaves_a_stream: 2,
    Visit.sends_garbage: 2,
    Visit.meets_a_fault: 6,
    Visit.asks_the_balancer: 8,
}
"""How often each comes, compared with the others."""


class Crowd:
    """`count` clients at a time, of all kinds, from `go` to `stop`, but while they `rest`.

    - `visits`: how many of each kind there have been; `wrong`: what they have seen that is wrong.
    - `pause`: seconds between two visits of one, at the most.
    """

    def __init__(self, address: tuple[str, int], count: int, pause: float, seed: int) -> None:
        self.visits: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._address = address
        self._pause = pause
        self._lock = threading.Lock()
        self._may_go = threading.Event()
        self._stopped = False
        self._busy = 0
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed + number),), daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def go(self) -> None:
        self._may_go.set()

    def rest(self, seconds: float = 2 * PATIENCE) -> None:
        """Begin nothing more, and wait for the end of what has begun. Raises TimeoutError."""
        self._may_go.clear()
        end = time.monotonic() + seconds
        while self._busy:
            if time.monotonic() > end:
                raise TimeoutError(f"{self._busy} clients are at it after {seconds} s")
            time.sleep(0.05)

    def stop(self) -> None:
        self._stopped = True
        self._may_go.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)

    def _run(self, chance: random.Random) -> None:
        kinds, weights = list(KINDS), list(KINDS.values())
        while True:
            with self._lock:
                if goes := self._may_go.is_set():
                    self._busy += 1
            if self._stopped:
                return
            if not goes:
                self._may_go.wait()
                continue
            (kind,) = chance.choices(kinds, weights)
            wrong = ""
            try:
                kind(Visit(self._address, chance))
            except (WrongError, BadAnswerError, OSError, ValueError) as error:
                wrong = f"{kind.__name__}: {error!r}"
            with self._lock:
                self._busy -= 1
                self.visits[kind.__name__] += 1
                if wrong:
                    self.wrong.append(f"{time.strftime('%H:%M:%S')} {wrong}")
            time.sleep(chance.random() * self._pause)
