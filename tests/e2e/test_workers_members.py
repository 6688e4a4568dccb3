"""Members with two workers: an edit, a failure and `max` are those of both."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection, Response
from tests.e2e.processes import free_port, wait_until
from tests.e2e.scripted import ReadBody, ReadHead, ScriptedBackend, Send, Wait, answer
from tests.e2e.workers import Start, connect, serving

pytestmark = pytest.mark.e2e

PAGE = """
<Location /bm>
    SetHandler balancer-manager
</Location>
ProxyPass /bm !
"""


class Client:
    """A connection to one of the workers, whose process id is `worker`."""

    def __init__(self, connection: Connection, worker: int) -> None:
        self.connection = connection
        self.worker = worker

    def get(self, path: str = "/") -> Response:
        return self.connection.ask(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    @property
    def members(self) -> dict[str, Any]:
        """What this worker's page says, by URL."""
        (balancer,) = json.loads(self.get("/bm?format=json").text)["balancers"]
        return {one["name"]: one for one in balancer["members"]}

    @property
    def nonce(self) -> str:
        (balancer,) = json.loads(self.get("/bm?format=json").text)["balancers"]
        return str(balancer["nonce"])

    def change(self, **fields: str) -> Response:
        body = urlencode({"b": "app", "nonce": self.nonce, **fields})
        return self.connection.ask(
            "POST /bm HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nAccept: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )


def clients_of_each(gateway: Gateway, stack: ExitStack) -> list[Client]:
    """One for each worker."""
    pids = gateway.worker_pids
    return [Client(stack.enter_context(connect(gateway, pid)), pid) for pid in pids]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def backends(stack: ExitStack) -> list[ScriptedBackend]:
    made = [stack.enter_context(ScriptedBackend()) for _ in range(2)]
    for name, one in zip("ab", made, strict=True):
        one.play(answer(b"Content-Type: text/plain\r\n\r\n" + name.encode()))
    return made


def configuration(backends: list[ScriptedBackend], more: str = "") -> str:
    members = "\n".join(f"BalancerMember {one.url}" for one in backends)
    return (
        f"{PAGE}\nProxyPass / balancer://app/\n<Proxy balancer://app>\n{members}\n{more}\n</Proxy>"
    )


def test_a_change_is_made_in_both_when_it_is_answered(
    start: Start, stack: ExitStack, backends: list[ScriptedBackend]
) -> None:
    """By whichever worker; the one that shows the form need not be the one that gets it."""
    gateway = start(configuration(backends))
    clients = clients_of_each(gateway, stack)
    assert len({client.nonce for client in clients}) == 1
    a, b = (one.url for one in backends)
    for client in clients:
        other = next(one for one in clients if one is not client)
        for flag in "10":
            assert client.change(w=a, w_status_D=flag).status == 200
            assert {other.get().text for _ in range(4)} == ({"b"} if flag == "1" else {"a", "b"})
    refusal = clients[0].change(w=a, w_lf="0", w_ls="x")
    assert refusal.status == 400
    assert len(json.loads(refusal.text)["problems"]) == 2
    assert clients[0].change(w=b, w_status_N="1").status == 200
    assert [client.members[b]["state"] for client in clients] == ["draining"] * 2
    assert {client.get().text for client in clients for _ in range(4)} == {"a"}
    assert gateway.logged().count("draining (by 127.0.0.1)") == 1


def test_a_member_that_fails_is_in_error_in_both(
    start: Start, stack: ExitStack, backends: list[ScriptedBackend]
) -> None:
    a = f"scgi://127.0.0.1:{free_port()}"
    more = f"BalancerMember {a} retry=600"
    gateway = start(configuration(backends[1:], more=more))
    one, other = clients_of_each(gateway, stack)
    assert {one.get().text for _ in range(3)} == {"b"}
    wait_until(lambda: other.members[a]["state"] == "down", "the other worker knows")
    before = other.members[a]["errors"]
    assert {other.get().text for _ in range(4)} == {"b"}
    assert other.members[a]["errors"] == before == 1
    assert len(re.findall(r"is in error, and tried again", gateway.logged())) == 1


def test_max_is_that_of_both(start: Start, stack: ExitStack) -> None:
    """32 clients, and three connections at a time, as the backend sees it."""
    backend = stack.enter_context(ScriptedBackend())
    at_once, most, lock = 0, 0, threading.Lock()

    class Counted(threading.Event):
        """Counts those that have been asked and have not answered."""

        def wait(self, timeout: float | None = None) -> bool:
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            threading.Event().wait(0.004)
            with lock:
                at_once -= 1
            return True

    backend.play((ReadHead(), ReadBody(), Wait(Counted()), Send(b"Content-Type: a/b\r\n\r\nhello")))
    gateway = start(f"{PAGE}\nProxyPass / {backend.url}/ max=3\n")
    pids = gateway.worker_pids
    connections = [stack.enter_context(connect(gateway, pid)) for pid in pids for _ in range(16)]
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(8):
        for connection in connections:
            connection.send(request)
        for connection in connections:
            assert connection.read().text == "hello"
    assert most == 3


def test_places_of_a_killed_worker_come_back(start: Start, stack: ExitStack) -> None:
    backend = stack.enter_context(ScriptedBackend())
    released = threading.Event()
    backend.play(
        *[(ReadHead(), Wait(released))] * 3,
        answer(b"Content-Type: text/plain\r\n\r\nhello"),
    )
    gateway = start(f"{PAGE}\nProxyPass / {backend.url}/ max=3\n")
    one, other = clients_of_each(gateway, stack)
    for _ in range(3):
        taking = stack.enter_context(connect(gateway, one.worker))
        taking.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    backend.wait_for(3)
    other.connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    os.kill(one.worker, signal.SIGKILL)
    assert other.connection.read().text == "hello"
    released.set()
    wait_until(lambda: serving(gateway) == 3, "another worker serves")


def test_a_worker_that_comes_later_knows_what_was_changed(
    start: Start, stack: ExitStack, backends: list[ScriptedBackend]
) -> None:
    gateway = start(configuration(backends))
    one, other = clients_of_each(gateway, stack)
    one.change(w=backends[0].url, w_status_D="1")
    nonce = one.nonce
    os.kill(one.worker, signal.SIGKILL)
    wait_until(lambda: serving(gateway) == 3, "another worker serves")
    late = next(
        client for client in clients_of_each(gateway, stack) if client.worker != other.worker
    )
    assert late.nonce == nonce
    assert {late.get().text for _ in range(4)} == {"b"}


def test_what_was_changed_survives_a_restart(
    start: Start, stack: ExitStack, backends: list[ScriptedBackend], tmp_path: Path
) -> None:
    text = f"DefaultRuntimeDir {tmp_path}\nBalancerPersist On\n" + configuration(backends)
    gateway = start(text)
    one, _ = clients_of_each(gateway, stack)
    one.change(w=backends[0].url, w_status_D="1", w_lf="7")
    assert [one.get().text for _ in range(5)] == ["b"] * 5
    gateway.stop()
    again = start(text)
    for client in clients_of_each(again, stack):
        assert client.members[backends[0].url]["weight"] == 7
        assert {client.get().text for _ in range(4)} == {"b"}
        assert client.members[backends[1].url]["elected"] >= 5
