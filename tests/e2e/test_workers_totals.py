"""Several processes, and numbers that are those of all of them."""

from __future__ import annotations

import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection
from tests.e2e.processes import wait_until
from tests.e2e.scripted import ReadHead, ScriptedBackend, Send, Wait
from tests.e2e.test_numbers import PAGES, Scrape, at_rest, get
from tests.e2e.workers import Start, connect, serving

pytestmark = pytest.mark.e2e

THREADS = 8
EACH = 20
N = THREADS * EACH
REQUEST = b"GET /app/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
MOUNT = {"mount": "/app/"}


def load(gateway: Gateway) -> None:
    """`N` requests, on connections of which each worker has as many as the other."""
    half = THREADS // 2
    clients = [connect(gateway, pid) for pid in gateway.worker_pids for _ in range(half)]

    def ask(client: Connection) -> None:
        with client:
            for _ in range(EACH):
                assert client.ask(REQUEST).status == 200

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(ask, clients))


def by_worker(told: Scrape) -> list[float]:
    return [told("worker_requests_total", worker=str(number)) for number in (1, 2)]


def test_all_that_is_sent_is_counted(start: Start, backend: ScriptedBackend) -> None:
    """By whichever worker; and it stays so when one is told to end, and another takes its place."""
    gateway = start(f"{PAGES}ProxyPass /app/ {backend.url}/")
    load(gateway)
    told = at_rest(gateway)
    assert told("workers") == 2
    assert told("worker_restarts_total") == 0
    # One of them has answered a scrape or two as well.
    assert min(by_worker(told)) >= N / 2
    for total in (N, 2 * N):
        assert told("requests_total", **MOUNT) == total
        assert told("request_duration_seconds_count", **MOUNT) == total
        assert told("backend_requests_total") == total
        assert told("backend_response_duration_seconds_count") == total
        if total == N:
            os.kill(gateway.worker_pids[0], signal.SIGTERM)
            wait_until(lambda: serving(gateway) == 3, "another worker serves")
            assert at_rest(gateway)("requests_total", **MOUNT) == N
            load(gateway)
            told = at_rest(gateway)
    assert told("worker_restarts_total") == 1


def test_what_a_killed_worker_had_told_stays(start: Start, backend: ScriptedBackend) -> None:
    """It tells each second: a counter never goes back."""
    gateway = start(f"{PAGES}ProxyPass /app/ {backend.url}/")
    load(gateway)
    # Whoever asks has everything told at once.
    assert at_rest(gateway)("requests_total", **MOUNT) == N
    for pid in gateway.worker_pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: serving(gateway) == 4, "other workers serve")
    told = at_rest(gateway)
    assert told("requests_total", **MOUNT) == N
    assert told("backend_requests_total") == N
    assert told("worker_restarts_total") == 2


def test_a_page_from_either_says_the_same(start: Start, backend: ScriptedBackend) -> None:
    """While requests are in flight in both, and when they are done."""
    gateway = start(f"{PAGES}ProxyPass /app/ {backend.url}/")
    released = threading.Event()
    count = 24
    head = Send(b"Content-Type: text/plain\r\nContent-Length: 6\r\n\r\n")
    backend.play(*[(ReadHead(), head, Send(b"abc"), Wait(released), Send(b"def"))] * count)
    with ExitStack() as stack:
        clients = [stack.enter_context(Connection(gateway.http)) for _ in range(count)]
        for client in clients:
            client.send(REQUEST)
        wait_until(
            lambda: Scrape(gateway)("requests_in_flight", **MOUNT) == count, "all are in flight"
        )
        # Each on a connection of its own, which either worker may have.
        for _ in range(8):
            # The connection of the one who asked before may be over a moment later.
            wait_until(lambda: Scrape(gateway)("connections") == count + 1, "one who asks")
            told = Scrape(gateway)
            assert told("requests_in_flight", **MOUNT) == count
            assert told("backend_requests_in_flight") == count
            page = get(gateway, "/server-status?auto").text
            assert re.search("^Processes: 2$", page, re.MULTILINE)
            total = re.search(r"^ConnsTotal: (\d+)$", page, re.MULTILINE)
            assert total is not None
            assert int(total[1]) in (count + 1, count + 2)
        page = get(gateway, "/server-status").text
        for pid in gateway.worker_pids:
            assert f"<td>{pid}</td>" in page
        released.set()
        for client in clients:
            assert client.read().body == b"abcdef"
    told = at_rest(gateway)
    assert told("requests_in_flight") == told("backend_requests_in_flight") == 0
    assert told("requests_total", **MOUNT) == count


def test_a_worker_that_hangs(start: Start, backend: ScriptedBackend) -> None:
    """The other one's pages are there all the same, with what it told before."""
    gateway = start(f"{PAGES}ProxyPass /app/ {backend.url}/")
    load(gateway)
    assert at_rest(gateway)("requests_total", **MOUNT) == N
    (first, _) = gateway.worker_pids
    os.kill(first, signal.SIGSTOP)
    try:
        # Whoever is not stopped accepts it.
        page = get(gateway, "/server-status").text
    finally:
        os.kill(first, signal.SIGCONT)
    assert "does not answer" in page
    assert "worker 1 does not answer within 1 s" in gateway.logged()
    assert at_rest(gateway)("requests_total", **MOUNT) == N
    wait_until(
        lambda: "does not answer" not in get(gateway, "/server-status").text, "it answers again"
    )
