"""Sockets that stay, come and go while it runs."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.protocol import Factory
from twisted.logger import capturedLogs, formatEvent

from scgiproxy.errors import ConfigError
from scgiproxy.service.endpoints import place_of
from scgiproxy.service.listeners import ListenerService
from tests.e2e.processes import free_port
from tests.service.test_listeners import listener


def made_of(*words: str, sockets: dict[Any, int] | None = None) -> ListenerService:
    """It runs."""
    from twisted.internet import reactor

    def site(secure: bool) -> Any:
        return Factory()

    listeners = [listener(word, line) for line, word in enumerate(words, 1)]
    made = ListenerService(listeners, site, reactor, sockets=sockets)
    made.startService()
    return made


def _backlog(port: Any) -> int:
    """What the kernel was told: of a socket that listens it is tcpi_sacked (tcp(7))."""
    told = port.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return struct.unpack("8B6I", told)[-1]


@pytest_twisted.ensureDeferred
async def test_a_change_of_listen_queues() -> None:
    """A line that says its own keeps it."""
    words = (
        f"127.0.0.1:{free_port()}",
        f"tcp:{free_port()}:interface=127.0.0.1:backlog=7",
    )
    made = made_of(*words)
    assert [_backlog(port) for port in made.ports] == [511, 7]
    made.change([one.listener for one in made._listening], 100)
    assert [_backlog(port) for port in made.ports] == [100, 7]
    await made.stopService()


@pytest.mark.parametrize("taken_over", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_change_that_is_taken_back(taken_over: bool) -> None:
    """Who has made way listens again, also on a socket that was another process's once."""
    sockets: dict[Any, int] = {}
    with socket.create_server(("127.0.0.1", 0)) as before:
        number = before.getsockname()[1]
        if taken_over:
            sockets["127.0.0.1", number, ""] = os.dup(before.fileno())
    made = made_of(f"127.0.0.1:{number}", sockets=sockets)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"^f:2: .*:{taken}: Address already in use$"):
            made.change([listener(f"0.0.0.0:{number}"), listener(f"127.0.0.1:{taken}", 2)])
    (port,) = made.ports
    assert (port.getHost().host, port.getHost().port) == ("127.0.0.1", number)
    made.change([listener(f"0.0.0.0:{number}")])
    (port,) = made.ports
    assert port.getHost().host == "0.0.0.0"
    await made.stopService()


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("80", ("", 80, "")),
        ("[::1]:80", ("::1", 80, "")),
        ("127.0.0.1:80", ("127.0.0.1", 80, "")),
        ("tcp:80:interface=127.0.0.1:backlog=3", ("127.0.0.1", 80, "")),
        ("haproxy:ssl:80:key.pem:interface=127.0.0.1", ("127.0.0.1", 80, "")),
        (r"tcp6:80:interface=\:\:1", ("::1", 80, "")),
        ("ssl:443", ("0.0.0.0", 443, "")),
        ("tcp6:80", ("::", 80, "")),
        ("tcp:0", ("", 0, "tcp:0")),
        ("unix:/run/a:mode=660", ("", 0, "unix:/run/a:mode=660")),
        ("systemd:INET:0", ("", 0, "systemd:INET:0")),
        ("onion:80:a=b", ("", 0, "onion:80:a=b")),
    ],
)
def test_which_socket_it_is(word: str, place: tuple[str, int, str]) -> None:
    """However it is spoken there: TLS, another certificate, the PROXY protocol."""
    assert place_of(listener(word)) == place


def test_a_socket_that_cannot_be_removed_is_told(tmp_path: Path) -> None:
    """Its lock cannot be had, and it is closed all the same."""
    from twisted.internet import reactor

    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        bound.listen()
        (tmp_path / f"gateway.sock.lock.{os.getpid()}").mkdir()
        place = ("", 0, f"unix:{path}")
        service = ListenerService(
            (),
            lambda _: pytest.fail("nothing is listened to"),
            reactor,
            sockets={place: bound.detach()},
        )
        service.startService()
        with capturedLogs() as events:
            service.own()
    assert "gateway.sock cannot be locked: File exists" in formatEvent(events[0])
    assert path.exists()
