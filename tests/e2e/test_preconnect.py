"""Connections that are kept ready for real backends, which close them, die and come back."""

from __future__ import annotations

import http.client
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.gateway import WORKERS, Gateway
from tests.e2e.processes import Address, Process, free_port, wait_until
from tests.e2e.test_failover import url

pytestmark = pytest.mark.e2e

IMPATIENT = Path(__file__).parent / "apps" / "impatient.py"
IDLE = 0.05
"""Seconds after which the backend closes a connection that nobody uses."""
PATIENT = 3600.0
KEPT = 4
WAITING = 0.02


@dataclass(frozen=True)
class Connection:
    """A line of the backend."""

    kind: str
    number: str
    age: float
    others: int


class Backend(Process):
    """The application `apps.impatient`."""

    def __init__(self, name: str, address: Address, folder: Path, seconds: float) -> None:
        where = str(address) if isinstance(address, Path) else f"{address[0]}:{address[1]}"
        super().__init__(name, [sys.executable, IMPATIENT, where, str(seconds)], folder, address)

    def over(self, *kinds: str) -> list[Connection]:
        """The connections that are over, of these kinds or of all."""
        lines = [line.split() for line in self.output.read_text().splitlines()]
        found = [Connection(words[0], words[1], float(words[2]), int(words[3])) for words in lines]
        return [one for one in found if not kinds or one.kind in kinds]

    def connections(self) -> int:
        """How many it has open."""
        links = []
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(OSError):
                links.append(str(link.readlink()))
        # One listens.
        return sum(link.startswith("socket:") for link in links) - 1


@pytest.fixture(params=["tcp", "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    return tmp_path / "app.sock" if request.param == "unix" else ("127.0.0.1", free_port())


class Asking(threading.Thread):
    """GET and POST in turn, each with a number of its own, after pauses of up to `longest`."""

    def __init__(self, port: int, numbers: Iterator[int], count: int, longest: float) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._numbers = numbers
        self._count = count
        self._longest = longest
        self.failures: list[str] = []
        self.sent: list[tuple[str, int]] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        for _ in range(self._count):
            time.sleep(random.random() * self._longest)
            number = next(self._numbers)
            method = ("GET", "POST")[number % 2]
            body = b"body" if method == "POST" else b""
            self.sent.append((method, number))
            try:
                connection.request(method, f"/?{number}", body or None)
                response = connection.getresponse()
                found = response.status, response.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{method} {number}: {error!r}")
                connection.close()
                continue
            if found != (200, b"%d" % number + body):
                self.failures.append(f"{method} {number}: {found}")
        connection.close()


class Numbers:
    """1, 2, 3, for several threads."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def __iter__(self) -> Numbers:
        return self

    def __next__(self) -> int:
        with self._lock:
            self._last += 1
            return self._last


def ask(port: int, *, threads: int, count: int, longest: float) -> list[tuple[str, int]]:
    """Load; what was sent. None of it may fail."""
    numbers = Numbers()
    asking = [Asking(port, numbers, count, longest) for _ in range(threads)]
    for one in asking:
        one.start()
    for one in asking:
        one.join(100)
    assert [failure for one in asking for failure in one.failures] == []
    return [sent for one in asking for sent in one.sent]


@pytest.mark.parametrize("balanced", [False, True], ids=["alone", "balanced"])
def test_a_backend_that_closes_what_is_not_used(
    start_gateway: Callable[[str], Gateway], tmp_path: Path, address: Address, balanced: bool
) -> None:
    """Requests come on connections of every age up to the one at which they are closed: none is
    lost, and no POST is executed twice."""
    line = f"ProxyPass / {url(address)}/ preconnect={KEPT}"
    if balanced:
        line = (
            f"<Proxy balancer://app>\nBalancerMember {url(address)} preconnect={KEPT}\n</Proxy>\n"
            "ProxyPass / balancer://app/"
        )
    with Backend("backend", address, tmp_path, IDLE) as backend:
        gateway = start_gateway(f"LogLevel info\n{line}\n")
        wait_until(lambda: len(backend.over("closed")) >= KEPT, "it closes the first ones")
        sent = ask(gateway.port, threads=8, count=100, longest=0.1)
        gateway.stop()
        wait_until(lambda: backend.connections() == 0, "no connection is left")
        over = backend.over()
    assert "error" not in gateway.logged()
    executed = Counter((one.kind, one.number) for one in over if one.number != "-")
    # A GET may have been done twice, a POST never, and each at least once.
    assert {(kind, number) for kind, number in executed} == {(m, str(n)) for m, n in sent}
    assert [n for (kind, n), times in executed.items() if kind == "POST" and times > 1] == []
    # Both have happened: connections that were closed unused, and used ones that had been waiting.
    assert len(backend_ages(over, "GET", "POST")) > 20
    assert sum(one.kind == "closed" for one in over) > KEPT


def backend_ages(over: list[Connection], *kinds: str) -> list[float]:
    """Of the connections that had been waiting for their request."""
    return [one.age for one in over if one.kind in kinds and one.age > 0.002]


@pytest.mark.skipif(WORKERS > 1, reason="each worker keeps connections of its own ready")
def test_how_many_there_are(
    start_gateway: Callable[[str], Gateway], tmp_path: Path, address: Address
) -> None:
    """As many as are to be ready, with those in use no more than `max`, and none after the stop."""
    with Backend("backend", address, tmp_path, PATIENT) as backend:
        gateway = start_gateway(f"ProxyPass / {url(address)}/ preconnect={KEPT} max=5\n")
        wait_until(lambda: backend.connections() == KEPT, "all are ready")
        # Its thread may begin to count a little later.
        time.sleep(10 * WAITING)
        ask(gateway.port, threads=1, count=1, longest=0)
        ask(gateway.port, threads=8, count=50, longest=0.002)
        wait_until(lambda: backend.connections() == KEPT, "all are ready again")
        over = backend.over("GET", "POST")
        gateway.stop()
        wait_until(lambda: backend.connections() == 0, "no connection is left")
        left = backend.over("left")
    assert max(one.others for one in over) < 5
    assert len(over) == 1 + 8 * 50
    if gateway.workers == 1:
        # The first one is whoever looked whether it listens. A place that goes to another worker
        # takes none along: what was ready for it is closed.
        assert len(left) <= KEPT + 1
    assert over[0].age >= WAITING


def test_a_backend_that_is_killed_and_started_again(
    start_gateway: Callable[[str], Gateway], tmp_path: Path, address: Address
) -> None:
    """Its connections are made anew by themselves, and no request comes on an old one."""
    backend = Backend("backend", address, tmp_path, PATIENT)
    gateway = start_gateway(f"LogLevel info\nProxyPass / {url(address)}/ preconnect={KEPT}\n")
    for _ in range(3):
        with backend:
            wait_until(lambda: backend.connections() == KEPT, "all are ready")
            ask(gateway.port, threads=2, count=10, longest=0.01)
            os.kill(backend.pid, signal.SIGKILL)
            wait_until(lambda: backend.has_ended, "it is dead")
    assert "error" not in gateway.logged()


def test_a_member_is_killed_under_load(
    start_gateway: Callable[[str], Gateway], tmp_path: Path
) -> None:
    """The other one has every request that may be repeated; it takes part again, and has its
    connections ready again."""
    addresses: list[Address] = [("127.0.0.1", free_port()) for _ in "ab"]
    members = "\n".join(f"BalancerMember {url(one)} retry=1 preconnect={KEPT}" for one in addresses)
    gateway = start_gateway(
        f"LogLevel info\n<Proxy balancer://app>\n{members}\n</Proxy>\nProxyPass / balancer://app/\n"
    )
    steady, killed = (
        Backend(name, one, tmp_path, PATIENT)
        for name, one in zip(("steady", "killed"), addresses, strict=True)
    )
    stopping = threading.Event()
    failures: list[str] = []
    answered = 0

    def load() -> None:
        nonlocal answered
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        while not stopping.is_set():
            connection.request("GET", "/?x")
            response = connection.getresponse()
            if (response.status, response.read()) != (200, b"x"):
                failures.append(str(response.status))
            answered += 1
        connection.close()

    with steady:
        loading = [threading.Thread(target=load, daemon=True) for _ in range(8)]
        with killed:
            for one in loading:
                one.start()
            wait_until(lambda: answered > 100, "load")
            os.kill(killed.pid, signal.SIGKILL)
            wait_until(lambda: killed.has_ended, "it is dead")
        with killed:
            wait_until(lambda: "backend.up:" in gateway.logged(), "it takes part again")
            reached = answered
            wait_until(lambda: answered > reached + 100, "load on both")
            stopping.set()
            for one in loading:
                one.join(60)
            wait_until(lambda: killed.connections() == KEPT, "all are ready again")
            wait_until(lambda: steady.connections() == KEPT, "all are ready")
        assert failures == []
