"""SIGTERM: what is idle is closed, what runs may end, and nothing holds the process up.

SIGHUP and SIGUSR1 end nothing (and see `test_reload`).
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection, ask
from tests.e2e.processes import listens, wait_until
from tests.e2e.scripted import AwaitEnd, Pause, ReadHead, ScriptedBackend, Send, Wait

pytestmark = pytest.mark.e2e

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLOSE = b"\r\nConnection: close\r\n\r\n"
HEAD = Send(b"Content-Type: text/plain\r\nContent-Length: 6\r\n\r\n")
SOON = "GracefulShutdownTimeout 2\n"
PATIENCE = 15.0
"""Seconds within which the process must have ended, whatever its clients and backends do. These
would go on for longer."""


def cut_off(gateway: Gateway, when: str = "after 2 s") -> int:
    """How many connections it says that it has cut off."""
    told = rf"cut off: (\d) connections that were not done {when}"
    return sum(map(int, re.findall(told, gateway.logged())))


def test_idle_connections_are_closed(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend
) -> None:
    """One that was used, one that was not yet, and one in the middle of a request's head."""
    gateway = start_gateway(f"KeepAliveTimeout 60\nProxyPass / {backend.url}/")
    with (
        Connection(gateway.http) as used,
        Connection(gateway.http) as unused,
        Connection(gateway.http) as begun,
    ):
        assert used.ask(REQUEST).text == "hello\n"
        begun.send(b"GET / HTTP/1.1\r\nHost:")
        os.kill(gateway.pid, signal.SIGTERM)
        for connection in (used, unused, begun):
            assert connection.is_at_end()
    wait_until(lambda: gateway.has_ended, "the gateway's end")
    assert "cut off" not in gateway.logged()


def test_a_short_answer_is_finished(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend, tmp_path: Path
) -> None:
    """Nobody new is let in meanwhile."""
    gateway = start_gateway(f"ProxyPass / {backend.url}/\nCustomLog {tmp_path}/access.log common\n")
    released = threading.Event()
    backend.play((ReadHead(), HEAD, Send(b"abc"), Wait(released), Send(b"def")))
    with Connection(gateway.http) as client:
        client.send(REQUEST)
        client.read_head()
        os.kill(gateway.pid, signal.SIGTERM)
        wait_until(lambda: not listens(gateway.http), "the closed port")
        assert not gateway.has_ended
        released.set()
        assert client.read_some(3) + client.read_some(3) == b"abcdef"
        assert client.is_at_end()
    wait_until(lambda: gateway.has_ended, "the gateway's end")
    assert "cut off" not in gateway.logged()
    assert '"GET / HTTP/1.1" 200 6' in (tmp_path / "access.log").read_text()


def test_an_endless_answer_is_cut_off(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend
) -> None:
    """One that goes on, one that waits for its backend, one whose client does not read."""
    gateway = start_gateway(f"{SOON}ProxyPass / {backend.url}/")
    streaming = (
        ReadHead(),
        Send(b"Content-Type: text/plain\r\n\r\n"),
        *[Send(b"x"), Pause(0.1)] * 200,
    )
    silent = (ReadHead(), AwaitEnd())
    large = (ReadHead(), Send(b"Content-Type: text/plain\r\n\r\n"), Send(b"x" * 65536, 1000))
    backend.play(streaming, silent, large)
    with (
        Connection(gateway.http) as first,
        Connection(gateway.http) as second,
        Connection(gateway.http, receive_buffer=4096) as third,
    ):
        for number, connection in enumerate((first, second, third), 1):
            connection.send(REQUEST)
            backend.wait_for(number)
        began = time.monotonic()
        os.kill(gateway.pid, signal.SIGTERM)
        wait_until(lambda: gateway.has_ended, "the gateway's end", PATIENCE)
        assert time.monotonic() - began > 1
        assert not first.read().complete
    assert cut_off(gateway) == 3
    backend.settle()


def test_who_waits_for_a_backend_is_told(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend
) -> None:
    """The one that is with the backend is cut off; of the other it has never heard."""
    gateway = start_gateway(f"{SOON}ProxyPass / {backend.url}/ max=1")
    backend.play((ReadHead(), AwaitEnd()))
    with Connection(gateway.http) as first, Connection(gateway.http) as second:
        first.send(REQUEST)
        backend.wait_for()
        second.send(REQUEST)
        os.kill(gateway.pid, signal.SIGTERM)
        answer = second.read()
        assert (answer.status, answer.complete) == (503, True)
        wait_until(lambda: gateway.has_ended, "the gateway's end", PATIENCE)
    logged = gateway.logged()
    assert "was free before the gateway stopped" in logged
    assert cut_off(gateway) == 1
    backend.settle()


def test_an_upload_is_cut_off(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend
) -> None:
    """A client that stops in the middle of its body does not hold the gateway up."""
    gateway = start_gateway(f"{SOON}ProxyPass / {backend.url}/")
    backend.play((ReadHead(), AwaitEnd()))
    with Connection(gateway.http) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
        backend.wait_for()
        os.kill(gateway.pid, signal.SIGTERM)
        wait_until(lambda: gateway.has_ended, "the gateway's end", PATIENCE)
    backend.settle()
    assert backend.told[0].ended_by_peer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(
    start_gateway: Callable[[str], Gateway], backend: ScriptedBackend, number: signal.Signals
) -> None:
    """Without any time set, what runs would be waited for as long as it takes."""
    # In a shell's background it is ignored, and a process inherits that.
    inherited = signal.signal(number, signal.SIG_DFL)
    try:
        gateway = start_gateway(f"GracefulShutdownTimeout 0\nProxyPass / {backend.url}/")
    finally:
        signal.signal(number, inherited)
    backend.play((ReadHead(), HEAD, Send(b"abc"), AwaitEnd()))
    with Connection(gateway.http) as client:
        client.send(REQUEST)
        client.read_head()
        os.kill(gateway.pid, number)
        # To connect, and see, would make another connection, which might be there still.
        wait_until(lambda: f"Port {gateway.port} Closed" in gateway.logged(), "the closed port")
        assert client.read_some(3) == b"abc"
        assert not gateway.has_ended
        for _ in range(3):
            os.kill(gateway.pid, number)
        wait_until(lambda: gateway.has_ended, "the gateway's end", PATIENCE)
        with pytest.raises(ConnectionResetError):
            client.read_some()
    assert cut_off(gateway, "when it was told again to stop") == 1
    backend.settle()


def test_the_port_is_free_at_once(tmp_path: Path) -> None:
    """Also with connections that were closed by the server and are not forgotten by the system."""
    first = Gateway(tmp_path, "")
    with first, Connection(first.http) as client:
        client.send(REQUEST)
        assert client.read().status == 404
        os.kill(first.pid, signal.SIGTERM)
        wait_until(lambda: first.has_ended, "the gateway's end")
        second = Gateway(tmp_path, f"Listen 127.0.0.1:{first.port}", "second")
        second.address = first.http
        with second:
            assert ask(first.http, REQUEST.replace(b"\r\n\r\n", CLOSE)).status == 404


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (signal.SIGHUP, "the configuration (was read again|is kept)"),
        (signal.SIGUSR1, "SIGUSR1 does nothing"),
    ],
    ids=["SIGHUP", "SIGUSR1"],
)
def test_what_ends_nothing(
    number: signal.Signals, told: str, tmp_path: Path, backend: ScriptedBackend
) -> None:
    """Neither the process nor a connection; then SIGTERM ends it in order."""
    gateway = Gateway(tmp_path, f"ProxyPass / {backend.url}/", to_terminal=True)
    # Under nohup it is ignored, and a process inherits that.
    inherited = signal.signal(number, signal.SIG_DFL)
    with ExitStack() as stack:
        try:
            stack.enter_context(gateway)
        finally:
            signal.signal(number, inherited)
        with Connection(gateway.http) as client:
            assert client.ask(REQUEST).text == "hello\n"
            os.kill(gateway.pid, number)
            wait_until(lambda: re.search(told, gateway.logged()), "a line in the log")
            assert client.ask(REQUEST).text == "hello\n"
        os.kill(gateway.pid, signal.SIGTERM)
        wait_until(lambda: gateway.has_ended, "the gateway's end")
    assert "cut off" not in gateway.logged()
    assert len(re.findall(told, gateway.logged())) == 1
