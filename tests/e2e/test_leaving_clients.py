"""A client that leaves releases the backend connection and the spool file, in every phase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event

import pytest

from tests.e2e.gateway import Gateway, open_files, spool_files
from tests.e2e.http_client import Connection, ask
from tests.e2e.processes import wait_until
from tests.e2e.scripted import (
    HELLO,
    AwaitEnd,
    ReadBody,
    ReadHead,
    ScriptedBackend,
    Send,
    Told,
    Wait,
)
from tests.e2e.workers import owner_of

pytestmark = pytest.mark.e2e

Leave = Callable[[Connection], None]

GET = b"GET /app/ HTTP/1.1\r\nHost: a\r\n\r\n"
HANG = (ReadHead(), ReadBody(), AwaitEnd())


@pytest.fixture(
    params=[Connection.close, Connection.reset, Connection.half_close],
    ids=["closes", "resets", "half-closes"],
)
def leave(request: pytest.FixtureRequest) -> Leave:
    """How the client leaves."""
    way: Leave = request.param
    return way


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ScriptedBackend, Gateway]]:
    """One gateway for all: with ``max=1`` what a client before has left behind would show."""
    with ScriptedBackend() as backend:
        rule = f"ProxyPass /app/ {backend.url}/ max=1\nTimeout 60\n"
        with Gateway(tmp_path_factory.mktemp("leaving"), rule) as gateway:
            yield backend, gateway


@pytest.fixture
def backend(served: tuple[ScriptedBackend, Gateway]) -> ScriptedBackend:
    """It has been told nothing yet."""
    served[0].play(HELLO)
    return served[0]


@pytest.fixture
def gateway(served: tuple[ScriptedBackend, Gateway]) -> Gateway:
    return served[1]


def sockets(gateway: Gateway) -> set[str]:
    """Those that the gateway has open; no two have ever the same name."""
    return {name for name in open_files(gateway) if name.startswith("socket:")}


def let_go(told: Told) -> Callable[[], bool]:
    return lambda: told.ended_by_peer


def test_while_its_upload_is_under_way(
    gateway: Gateway, backend: ScriptedBackend, leave: Leave
) -> None:
    backend.play((ReadHead(), ReadBody()))
    with Connection(gateway.http) as connection:
        connection.send(b"POST /app/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        connection.send(bytes(100_000))
        told = backend.wait_for()
        wait_until(lambda: told.received == 100_000, "the upload has begun")
        leave(connection)
    wait_until(let_go(told), "the backend sees the end of a short body")


def test_while_its_chunked_upload_is_spooled(
    gateway: Gateway, backend: ScriptedBackend, leave: Leave
) -> None:
    """Nothing of it reaches the backend, and the file is gone."""
    with Connection(gateway.http) as connection:
        connection.send(b"POST /app/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.send(b"200000\r\n" + bytes(1 << 21) + b"\r\n")
        wait_until(lambda: spool_files(gateway), "a spool file is there")
        leave(connection)
    wait_until(lambda: not spool_files(gateway), "the spool file is gone")
    assert not backend.told


def test_while_the_backend_does_not_read_its_upload(
    gateway: Gateway, backend: ScriptedBackend, leave: Leave
) -> None:
    """The client is not read either then, so that it takes a look to see it go."""
    gate = Event()
    backend.play((Wait(gate), ReadHead(), ReadBody()))
    before = sockets(gateway)
    with Connection(gateway.http) as connection:
        connection.send(b"POST /app/ HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n")
        # More than the gateway holds, less than fills the window: behind that no FIN arrives.
        connection.send(bytes(300_000))
        leave(connection)
    wait_until(lambda: sockets(gateway) <= before, "both connections are closed")
    gate.set()


def test_while_the_backend_reads_its_spooled_upload(
    gateway: Gateway, backend: ScriptedBackend, leave: Leave
) -> None:
    """The backend reads the head only, so that the file cannot have been sent."""
    gate = Event()
    backend.play((ReadHead(), ReadBody(1), Wait(gate), ReadBody()))
    with Connection(gateway.http) as connection:
        connection.send(b"POST /app/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.send(b"1000000\r\n" + bytes(1 << 24) + b"\r\n0\r\n\r\n")
        told = backend.wait_for()
        wait_until(lambda: spool_files(gateway), "a spool file is there")
        leave(connection)
    wait_until(lambda: not spool_files(gateway), "the spool file is gone")
    gate.set()
    wait_until(let_go(told), "the backend is let go")


def test_while_the_backend_has_not_answered(
    gateway: Gateway, backend: ScriptedBackend, leave: Leave
) -> None:
    backend.play(HANG)
    with Connection(gateway.http) as connection:
        connection.send(GET)
        told = backend.wait_for()
        leave(connection)
    wait_until(let_go(told), "the backend is let go")


def test_while_the_backend_is_within_its_head(
    gateway: Gateway, backend: ScriptedBackend, leave: Leave
) -> None:
    backend.play((ReadHead(), Send(b"Status: 200 OK\r\nX-A: "), AwaitEnd()))
    with Connection(gateway.http) as connection:
        connection.send(GET)
        told = backend.wait_for()
        wait_until(lambda: told.sent, "the backend has begun to answer")
        leave(connection)
    wait_until(let_go(told), "the backend is let go")


def test_while_the_answer_is_under_way(
    gateway: Gateway, backend: ScriptedBackend, leave: Leave
) -> None:
    backend.play((ReadHead(), Send(b"Content-Type: text/plain\r\n\r\nfirst"), AwaitEnd()))
    with Connection(gateway.http) as connection:
        connection.send(GET)
        assert connection.read_head().status == 200
        assert connection.read_piece() == b"first"
        leave(connection)
    wait_until(let_go(backend.told[0]), "the backend is let go")


def test_while_it_does_not_read_a_large_answer(
    gateway: Gateway, backend: ScriptedBackend, leave: Leave
) -> None:
    """Both directions are held back when it leaves."""
    backend.play((ReadHead(), Send(b"Content-Type: a/b\r\n\r\n"), Send(bytes(1 << 20), times=200)))
    with Connection(gateway.http, receive_buffer=65536) as connection:
        connection.send(GET)
        told = backend.wait_for()
        wait_until(lambda: told.sent >= 1 << 20, "the answer is under way")
        leave(connection)
    wait_until(let_go(told), "the backend is let go")


def test_while_it_waits_for_its_turn(
    gateway: Gateway, backend: ScriptedBackend, leave: Leave
) -> None:
    """With ``max=1`` the second request is queued; the backend never hears of it, and the third
    is served when the first has ended."""
    backend.play(HANG, (ReadHead(), ReadBody(), Send(b"Content-Type: text/plain\r\n\r\nhello\n")))
    with Connection(gateway.http) as first, Connection(gateway.http) as second:
        first.send(GET)
        backend.wait_for()
        second.send(b"GET /app/second HTTP/1.1\r\nHost: a\r\n\r\n")
        port = second.socket.getsockname()[1]
        wait_until(lambda: owner_of(gateway, port) is not None, "the second is accepted")
        leave(second)
        wait_until(lambda: owner_of(gateway, port) is None, "the second is let go")
        first.close()
    third = ask(gateway.http, b"GET /app/third HTTP/1.1\r\nHost: a\r\n\r\n")
    assert third.text == "hello\n"
    assert [told.get("REQUEST_URI") for told in backend.requests()] == ["/app/", "/app/third"]


def test_the_backend_is_free_for_the_next(
    gateway: Gateway, backend: ScriptedBackend, leave: Leave
) -> None:
    """Ten times over: with ``max=1`` a connection that is not released would stop everything."""
    for _ in range(10):
        backend.play(HANG)
        with Connection(gateway.http) as connection:
            connection.send(GET)
            backend.wait_for()
            leave(connection)
        backend.settle()
    assert "Traceback" not in gateway.logged()


CHUNKED = b"POST /app/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LENGTH = b"POST /app/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
CONTINUE = LENGTH.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /ap",
        LENGTH[:-2],
        LENGTH,
        LENGTH + b"12345",
        LENGTH + b"1234567890",
        LENGTH + b"1234567890GET /ap",
        LENGTH + b"1234567890" + LENGTH + b"1",
        CONTINUE,
        CONTINUE + b"1",
        CHUNKED,
        CHUNKED + b"5",
        CHUNKED + b"5;exten",
        CHUNKED + b"5\r\n12",
        CHUNKED + b"5\r\n12345\r",
        CHUNKED + b"5\r\n12345\r\n",
        CHUNKED + b"5\r\n12345\r\n0\r\n",
        CHUNKED + b"5\r\n12345\r\n0\r\nTrailer: x",
        CHUNKED + b"5\r\n12345\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("answers", [False, True], ids=["silent", "answering"])
def test_at_each_point_of_a_request(
    gateway: Gateway, backend: ScriptedBackend, leave: Leave, sent: bytes, answers: bool
) -> None:
    """The only place at the backend is free again, whatever the backend does meanwhile."""
    early = (ReadHead(), Send(b"Content-Type: text/plain\r\n\r\nearly"), AwaitEnd())
    backend.play(early if answers else HANG, HELLO)
    before = sockets(gateway)
    with Connection(gateway.http) as connection:
        connection.send(sent)
        wait_until(lambda: sockets(gateway) != before, "it is accepted")
        leave(connection)
        wait_until(lambda: sockets(gateway) <= before, "everything is let go")
    backend.play(HELLO)
    assert ask(gateway.http, GET).text == "hello\n"
