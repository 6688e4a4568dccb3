"""What a running gateway tells of itself, beside what it was sent."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection, Response, ask
from tests.e2e.load import Load
from tests.e2e.processes import Process, free_port, wait_until
from tests.e2e.scripted import ReadBody, ReadHead, ScriptedBackend, Send, Wait, answer
from tests.web.promlint import faults

pytestmark = pytest.mark.e2e

MEMBER = Path(__file__).parent / "apps" / "member.py"
THREADS = 8
EACH = 25
"""Requests of each thread to each mount."""
N = THREADS * EACH
UPLOAD = b"x" * 700

PAGES = """
LogLevel info
<Location /metrics>
    SetHandler metrics
</Location>
<Location /server-status>
    SetHandler server-status
    Require local
</Location>
"""

Labels = frozenset[tuple[str, str]]
Start = Callable[[str], Gateway]


class Scrape:
    """One answer of ``/metrics``; every family in it keeps to promtool's rules."""

    def __init__(self, gateway: Gateway) -> None:
        response = get(gateway, "/metrics")
        assert response.status == 200
        self.families = list(text_string_to_metric_families(response.text))
        names = [family.name for family in self.families]
        assert len(names) == len(set(names))
        assert {family.name: found for family in self.families if (found := faults(family))} == {}
        self._values: dict[tuple[str, Labels], float] = {}
        for sample in [sample for family in self.families for sample in family.samples]:
            series = (sample.name, frozenset(sample.labels.items()))
            assert series not in self._values, series
            self._values[series] = sample.value

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of all series of that name that have these labels."""
        return sum(
            value
            for (known, series), value in self._values.items()
            if known == f"scgiproxy_{name}" and labels.items() <= dict(series).items()
        )

    def answers(self, mount: str) -> dict[tuple[str, str], float]:
        """Requests by method and status class, without those there were none of."""
        return {
            (dict(series)["method"], dict(series)["status"]): value
            for (name, series), value in self._values.items()
            if name == "scgiproxy_requests_total" and ("mount", mount) in series and value
        }


def get(gateway: Gateway, path: str) -> Response:
    return ask(
        gateway.http, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    )


def at_rest(gateway: Gateway) -> Scrape:
    """The numbers once all is done."""

    def is_over() -> bool:
        told = Scrape(gateway)
        # The scrape itself is answered by no mount.
        return told("requests_in_flight") == 0 and told("backend_requests_in_flight") == 0

    wait_until(is_over, "nothing in flight")
    return Scrape(gateway)


def member(name: str, port: int, folder: Path, seconds: float = 0) -> Process:
    """One that answers with its process id; yet to be started."""
    where = ("127.0.0.1", port)
    return Process(name, [sys.executable, MEMBER, f"127.0.0.1:{port}", str(seconds)], folder, where)


def send(gateway: Gateway, requests: list[tuple[str, str, bytes]]) -> int:
    """Send them on one connection, each when the one before is answered; the bytes of all bodies
    that came back."""
    connection = http.client.HTTPConnection(*gateway.http, timeout=60)
    received = 0
    for method, path, body in requests:
        connection.request(method, path, body or None)
        received += len(connection.getresponse().read())
    connection.close()
    return received


def test_what_was_sent_is_what_is_counted(start_gateway: Start, tmp_path: Path) -> None:
    """By several clients at a time, to mounts of all kinds, one of them with a dead member."""
    live, dead = free_port(), free_port()
    with (
        ScriptedBackend() as one,
        ScriptedBackend() as other,
        member("live", live, tmp_path),
    ):
        other.play(answer(b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno such\n"))
        gateway = start_gateway(
            PAGES
            + f"ProxyPass /one/ {one.url}/\nProxyPass /other/ {other.url}/\n"
            + "<Proxy balancer://pair>\n"
            + f"BalancerMember scgi://127.0.0.1:{dead} retry=0\n"
            + f"BalancerMember scgi://127.0.0.1:{live}\n"
            + "</Proxy>\nProxyPass /pair/ balancer://pair/\n"
        )
        requests = [
            ("GET", "/one/x", b""),
            ("POST", "/one/x", UPLOAD),
            ("HEAD", "/one/x", b""),
            ("DELETE", "/other/x", b""),
            ("GET", "/pair/x", b""),
            ("GET", "/nowhere", b""),
        ] * EACH
        with ThreadPoolExecutor(THREADS) as threads:
            received = sum(threads.map(lambda _: send(gateway, requests), range(THREADS)))
        told = at_rest(gateway)
    assert told.answers("/one/") == {("GET", "2xx"): N, ("POST", "2xx"): N, ("HEAD", "2xx"): N}
    assert told.answers("/other/") == {("DELETE", "4xx"): N}
    assert told.answers("/pair/") == {("GET", "2xx"): N}
    assert told.answers("none")["GET", "4xx"] == N
    assert told("responses_aborted_total") == 0
    assert told("request_body_bytes_total") == N * len(UPLOAD)
    for mount, count in (("/one/", 3 * N), ("/other/", N), ("/pair/", N)):
        assert told("request_duration_seconds_count", mount=mount) == count
        assert told("request_duration_seconds_sum", mount=mount) > 0
    # Of the gateway's own answers the scrapes are counted as well.
    sent = sum(told("response_body_bytes_total", mount=m) for m in ("/one/", "/other/", "/pair/"))
    assert sent == received - N * len(get(gateway, "/nowhere").body)
    for url, count in ((one.url, 3 * N), (other.url, N)):
        assert told("backend_requests_total", backend=f"{url}/") == count
        for phase in ("connect", "first_byte", "response"):
            name = f"backend_{phase}_duration_seconds_count"
            assert told(name, backend=f"{url}/") == count, phase
    # Each request that met the dead member went to the other.
    pair = "balancer://pair"
    in_vain = told("backend_requests_total", backend=f"scgi://127.0.0.1:{dead}")
    assert 0 < in_vain <= N
    assert told("retries_total", pool=pair) == in_vain
    errors = told("backend_errors_total", pool=pair, error="backend.connect")
    assert errors == told("backend_errors_total") == in_vain
    assert told("backend_requests_total", backend=f"scgi://127.0.0.1:{live}") == N
    assert told("backend_response_duration_seconds_count", pool=pair) == N
    assert told("retries_total") == in_vain
    assert told("queued_requests") == told("queue_duration_seconds_count") == 0


def test_under_load(start_gateway: Start, tmp_path: Path) -> None:
    """Also when a member dies among many requests."""
    ports = free_port(), free_port()
    with member("steady", ports[0], tmp_path, 0.005):
        killed = member("killed", ports[1], tmp_path, 0.005).__enter__()
        try:
            gateway = start_gateway(
                PAGES
                + "ProxyPass /metrics !\n<Proxy balancer://app>\n"
                + "".join(f"BalancerMember scgi://127.0.0.1:{port} retry=60\n" for port in ports)
                + "</Proxy>\nProxyPass / balancer://app/\n"
            )
            with Load(gateway.port, 16, bytes.strip) as load:
                wait_until(lambda: Scrape(gateway)("backend_requests_total") > 200, "load")
                os.kill(killed.pid, signal.SIGKILL)
                state = {"backend": f"scgi://127.0.0.1:{ports[1]}", "state": "down"}
                wait_until(lambda: Scrape(gateway)("backend_state", **state) == 1, "it is down")
                before = Scrape(gateway)("requests_total", mount="/")
                wait_until(
                    lambda: Scrape(gateway)("requests_total", mount="/") > before + 200, "more load"
                )
                report = load.stop()
        finally:
            killed.stop()
        told = at_rest(gateway)
    assert (dict(report.failures), report.cut_off) == ({}, 0)
    assert told.answers("/") == {("GET", "2xx"): report.answered}
    assert told("responses_aborted_total") == 0
    # Who was under way to the killed member went on to the other; each is one retry.
    errors = told("backend_errors_total")
    assert errors == told("retries_total") > 0
    assert told("backend_requests_total") == report.answered + errors
    assert told("backend_up", backend=f"scgi://127.0.0.1:{ports[0]}") == 1


def test_health_follows(start_gateway: Start, tmp_path: Path) -> None:
    port = free_port()
    gateway = start_gateway(
        PAGES + "<Proxy balancer://app>\n"
        f"BalancerMember scgi://127.0.0.1:{port} hcmethod=tcp hcinterval=100ms hcfails=2 hcpasses=2\n"
        "</Proxy>\nProxyPass /app/ balancer://app/\n"
    )

    def is_in(state: str, up: bool) -> Callable[[], bool]:
        def look() -> bool:
            told = Scrape(gateway)
            assert told("backend_state") == 1
            return told("backend_state", state=state) == 1 and told("backend_up") == up

        return look

    wait_until(is_in("unhealthy", False), "unhealthy")
    with member("member", port, tmp_path):
        wait_until(is_in("up", True), "up")
        assert get(gateway, "/app/").status == 200
    wait_until(is_in("unhealthy", False), "unhealthy again")
    status = get(gateway, "/server-status?auto").text
    assert "ProxyBalancer[0]Worker[0]Status: Init HcFl \n" in status
    assert get(gateway, "/app/").status == 503
    assert Scrape(gateway).answers("/app/") == {("GET", "2xx"): 1, ("GET", "5xx"): 1}


def test_what_is_under_way(start_gateway: Start) -> None:
    """In flight, in the queue, being uploaded into a spool: and nothing of it afterwards."""
    go_on = threading.Event()
    with ScriptedBackend() as slow:
        gateway = start_gateway(PAGES + f"ProxyPass /app/ {slow.url}/ max=1\n")
        ok = b"Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nyes"
        slow.play((ReadHead(), ReadBody(), Wait(go_on), Send(ok)), answer(ok))
        with Connection(gateway.http) as first, Connection(gateway.http) as second:
            first.send(b"GET /app/1 HTTP/1.1\r\nHost: a\r\n\r\n")
            slow.wait_for()
            second.send(b"GET /app/2 HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda: Scrape(gateway)("queued_requests") == 1, "one in the queue")
            with Connection(gateway.http) as third:
                third.send(b"PUT /app/3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                third.send(b"64000\r\n" + b"x" * 0x64000 + b"\r\n")
                wait_until(lambda: Scrape(gateway)("spooled_bytes") == 0x64000, "spooled")
                told = Scrape(gateway)
                assert told("spooled_bodies") == 1
                assert told("requests_in_flight", mount="/app/") == 3
                assert told("backend_requests_in_flight") == 1
                assert told("connections", phase="reading") == 1
                # The scrape is the third of them.
                assert told("connections", phase="waiting") == 3
                third.send(b"0\r\n\r\n")
                wait_until(lambda: Scrape(gateway)("queued_requests") == 2, "two in the queue")
                go_on.set()
                answers = [client.read() for client in (first, second, third)]
        told = at_rest(gateway)
    assert [one.body for one in answers] == [b"yes"] * 3
    assert (told("spooled_bodies"), told("spooled_bytes"), told("queued_requests")) == (0, 0, 0)
    # With several workers the first one may have waited, too, until its own had the place.
    waited = told("queue_duration_seconds_count")
    assert waited == 2 or (gateway.workers > 1 and waited == 3)
    assert told.answers("/app/") == {("GET", "2xx"): 2, ("PUT", "2xx"): 1}
    assert told("request_body_bytes_total") == 0x64000
