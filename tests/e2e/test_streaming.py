"""Bodies of any size in both directions: at once, and in little memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection, ask
from tests.e2e.processes import wait_until
from tests.e2e.scripted import (
    HELLO,
    Action,
    AwaitEnd,
    ReadBody,
    ReadHead,
    ScriptedBackend,
    Send,
    Wait,
    answer,
)

pytestmark = pytest.mark.e2e

MIB = 1 << 20
ALLOWED = 4 * MIB
"""Bytes of memory that one request may take in the gateway."""
LARGE = 1_000_000_000
PIECE = bytes(1 << 18)
DONE = Send(b"Status: 200 OK\r\nContent-Length: 4\r\n\r\ndone")


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ScriptedBackend, Gateway]]:
    """One gateway for whatever does not ask for its memory."""
    folder = tmp_path_factory.mktemp("streaming")
    with ScriptedBackend() as backend, Gateway(folder, rules(backend)) as gateway:
        yield backend, gateway


@pytest.fixture
def backend(served: tuple[ScriptedBackend, Gateway]) -> ScriptedBackend:
    """It has been told nothing yet."""
    served[0].play(HELLO)
    return served[0]


@pytest.fixture
def gateway(served: tuple[ScriptedBackend, Gateway]) -> Gateway:
    return served[1]


@pytest.fixture
def fresh(start_gateway: Callable[[str], Gateway], backend: ScriptedBackend) -> Gateway:
    """A gateway in front of `backend` that has served a request of each kind only, so that what is
    measured is not what Python loads once."""
    gateway = start_gateway(rules(backend))
    for framing in (
        b"Content-Length: 3\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        head = b"POST /app/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        assert ask(gateway.http, head + framing).text == "hello\n"
    return gateway


def rules(backend: ScriptedBackend) -> str:
    return f"ProxyPass /app/ {backend.url}/\nLimitRequestBody 0\nTimeout 30\n"


class Sender:
    """Sends `count` times `data` from a thread; a context manager that joins it."""

    def __init__(self, connection: Connection, data: bytes, count: int) -> None:
        self.sent = 0
        self._connection = connection
        self._work = (data, count)
        self._thread = threading.Thread(target=self._send, daemon=True)

    def _send(self) -> None:
        data, count = self._work
        for _ in range(count):
            try:
                self._connection.send(data)
            except OSError:
                return
            self.sent += len(data)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join(60)


def wait_for_standstill(progress: Callable[[], int], what: str) -> int:
    """Wait until `progress` is above 0 and has not changed for a quarter of a second."""
    seen, since = 0, time.monotonic()

    def stands() -> bool:
        nonlocal seen, since
        if (now := progress()) != seen:
            seen, since = now, time.monotonic()
        return bool(seen) and time.monotonic() - since > 0.25

    wait_until(stands, what)
    return seen


@pytest.fixture
def growth(fresh: Gateway) -> Callable[[], int]:
    """How much more memory the gateway has used at its worst than before the test."""
    fresh.forget_peak()
    base = fresh.resident()
    return lambda: fresh.peak() - base


@pytest.mark.timeout(90)
def test_an_upload_of_a_gigabyte_to_a_slow_backend(
    fresh: Gateway, backend: ScriptedBackend, growth: Callable[[], int]
) -> None:
    """The client is held back while the backend does not read, and the gateway holds nothing."""
    go = threading.Event()
    backend.play((ReadHead(), Wait(go), ReadBody(keep=False), DONE))
    size = LARGE // len(PIECE) * len(PIECE)
    with Connection(fresh.http, 60) as connection:
        head = f"POST /app/ HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
        connection.send(head.encode())
        with Sender(connection, PIECE, size // len(PIECE)) as sender:
            assert wait_for_standstill(lambda: sender.sent, "the upload is held back") < size
            assert growth() < ALLOWED
            go.set()
            assert connection.read().text == "done"
    assert backend.wait_for().received == size
    assert growth() < ALLOWED


@pytest.mark.timeout(90)
def test_a_large_chunked_upload_is_spooled_to_a_file(
    fresh: Gateway, backend: ScriptedBackend, growth: Callable[[], int]
) -> None:
    """The backend is asked when the whole upload is here; it is in a file meanwhile."""
    backend.play((ReadHead(), ReadBody(keep=False), DONE))
    count = 400
    chunk = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
    with Connection(fresh.http, 60) as connection:
        connection.send(b"POST /app/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        with Sender(connection, chunk, count):
            pass
        assert not backend.told
        connection.send(b"0\r\n\r\n")
        assert connection.read().text == "done"
    assert backend.wait_for().get("CONTENT_LENGTH") == str(count * len(PIECE))
    assert growth() < ALLOWED


def test_server_sent_events_arrive_at_once(gateway: Gateway, backend: ScriptedBackend) -> None:
    """The head before the first event, and each event before the backend makes the next."""
    steps = [threading.Event() for _ in range(4)]
    script: list[Action] = [ReadHead(), Send(b"Content-Type: text/event-stream\r\n\r\n")]
    for number, step in enumerate(steps):
        script += [Wait(step), Send(b"data: %d\n\n" % number)]
    backend.play(script)
    with Connection(gateway.http) as connection:
        connection.send(b"GET /app/events HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.read_head().header("Content-Type") == "text/event-stream"
        for number, step in enumerate(steps):
            step.set()
            assert connection.read_piece() == b"data: %d\n\n" % number
        assert connection.read_piece() == b""


def test_the_first_byte_comes_before_the_rest_of_a_body_with_a_length(
    gateway: Gateway, backend: ScriptedBackend
) -> None:
    go = threading.Event()
    head = b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n1"
    backend.play((ReadHead(), Send(head), Wait(go), Send(b"2")))
    with Connection(gateway.http) as connection:
        connection.send(b"GET /app/ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.read_head().header("Content-Length") == "2"
        assert connection.read_some() == b"1"
        go.set()
        assert connection.read_some() == b"2"


@pytest.mark.parametrize("length", [True, False], ids=["length", "chunked"])
@pytest.mark.timeout(90)
def test_a_slow_reader_of_a_large_download(
    fresh: Gateway, backend: ScriptedBackend, growth: Callable[[], int], length: bool
) -> None:
    """The backend is held back while the client does not read, and the gateway holds nothing."""
    count = 800
    head = b"Content-Length: %d\r\n" % (count * len(PIECE)) if length else b""
    backend.play(
        (ReadHead(), Send(b"Content-Type: a/b\r\n" + head + b"\r\n"), Send(PIECE, times=count))
    )
    with Connection(fresh.http, 60, receive_buffer=65536) as connection:
        connection.send(b"GET /app/ HTTP/1.1\r\nHost: a\r\n\r\n")
        told = backend.wait_for()
        sent = wait_for_standstill(lambda: told.sent, "the download is held back")
        assert sent < count * len(PIECE)
        assert growth() < ALLOWED
        response = connection.read()
        assert response.complete
        assert len(response.body) == count * len(PIECE)
    assert growth() < ALLOWED


def test_both_directions_at_the_same_time(gateway: Gateway, backend: ScriptedBackend) -> None:
    """A backend that answers while it reads gets each piece before the client sends the next."""
    rounds, size = 8, 100_000
    script: list[Action] = [
        ReadHead(),
        Send(b"Content-Type: a/b\r\nContent-Length: %d\r\n\r\n" % rounds),
    ]
    for _ in range(rounds):
        script += [ReadBody(size), Send(b".")]
    backend.play(script)
    with Connection(gateway.http) as connection:
        head = f"POST /app/ HTTP/1.1\r\nHost: a\r\nContent-Length: {rounds * size}\r\n\r\n"
        connection.send(head.encode())
        assert connection.read_head().status == 200
        for _ in range(rounds):
            connection.send(bytes(size))
            assert connection.read_some() == b"."


def test_an_early_answer_wins_over_a_write_error(
    gateway: Gateway, backend: ScriptedBackend
) -> None:
    """A backend that refuses an upload without reading it closes with a RST; the client still
    gets its answer."""
    refusal = b"Status: 413 Too Much\r\nContent-Type: text/plain\r\n\r\nno more than that\n"
    backend.play((ReadHead(), Send(refusal)))
    for _ in range(20):
        with Connection(gateway.http) as connection:
            connection.send(b"POST /app/ HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
            connection.send(bytes(200_000))
            response = connection.read()
            assert (response.status, response.text) == (413, "no more than that\n")


def test_a_short_body_is_an_abort_that_the_client_sees(
    gateway: Gateway, backend: ScriptedBackend
) -> None:
    backend.play(answer(b"Content-Type: a/b\r\nContent-Length: 10\r\n\r\n", b"1234"))
    response = ask(gateway.http, b"GET /app/ HTTP/1.1\r\nHost: a\r\n\r\n")
    assert response.header("Content-Length") == "10"
    assert response.body == b"1234"
    assert not response.complete


def test_a_body_that_never_ends_stops_with_its_reader(
    gateway: Gateway, backend: ScriptedBackend
) -> None:
    backend.play((ReadHead(), Send(b"Content-Type: a/b\r\n\r\n"), Send(PIECE, times=1 << 20)))
    with Connection(gateway.http) as connection:
        connection.send(b"GET /app/ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.read_head().status == 200
        assert connection.read_piece()
    wait_until(lambda: backend.told[0].ended_by_peer, "the backend is let go")


def test_a_waiting_backend_keeps_nobody_else_waiting(
    gateway: Gateway, backend: ScriptedBackend
) -> None:
    """Fifty requests hang in their backends; the next one is answered."""
    hanging = (ReadHead(), AwaitEnd())
    backend.play(*[hanging] * 50, answer(b"Content-Type: text/plain\r\n\r\nhello\n"))
    connections = [Connection(gateway.http) for _ in range(50)]
    try:
        for connection in connections:
            connection.send(b"GET /app/ HTTP/1.1\r\nHost: a\r\n\r\n")
        backend.wait_for(50)
        assert ask(gateway.http, b"GET /app/ HTTP/1.1\r\nHost: a\r\n\r\n").text == "hello\n"
    finally:
        for connection in connections:
            connection.close()
    backend.settle()
