"""A gateway whose members a real name server knows, while its records change."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.dnsmasq import Dnsmasq
from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Browser
from tests.e2e.processes import wait_until
from tests.e2e.scripted import Pause, ReadBody, ReadHead, ScriptedBackend, Send

pytestmark = pytest.mark.e2e

_CONFIGURATION = """\
ProxyResolver 127.0.0.1:{port}
ProxyPass / balancer://app/
<Proxy balancer://app>
    BalancerMember "scgi://_app._tcp.example" discover=srv
</Proxy>
"""
# Slow enough for some to be under way at any moment.
_SLOW = (ReadHead(), ReadBody(), Pause(0.02), Send(b"Content-Type: text/plain\r\n\r\nhello\n"))


@contextmanager
def _clients(gateway: Gateway, number: int) -> Iterator[list[int]]:
    """Clients that ask all the time, and the statuses that they get."""
    statuses: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            statuses.append(Browser(gateway.http).get("/").status)

    threads = [threading.Thread(target=ask) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_no_request_is_lost(tmp_path: Path) -> None:
    """The service moves from one member to another, and the name server is away meanwhile."""
    with ScriptedBackend() as first, ScriptedBackend() as second:
        for backend in (first, second):
            backend.play(_SLOW)
        names = Dnsmasq(tmp_path)
        names.set_addresses({"app.example": ["127.0.0.1"]})
        names.configure(f"srv-host=_app._tcp.example,app.example,{first.port},10,10")
        configuration = _CONFIGURATION.format(port=names.port)
        with names, Gateway(tmp_path, configuration) as gateway:
            wait_until(lambda: Browser(gateway.http).get("/").status == 200, "the first answer")
            with _clients(gateway, 4) as statuses:
                names.stop()
                names.configure(f"srv-host=_app._tcp.example,app.example,{second.port},10,10")
                with names:
                    wait_until(second.requests, "requests at the second member")
                    wait_until(lambda: all(told.is_over for told in first.told), "the last one")
                    before = len(first.told), len(second.told)
                    wait_until(lambda: len(second.told) > before[1] + 20, "more of them")
                    assert len(first.told) == before[0]
            assert set(statuses) == {200}
            assert gateway.logged().count("could not be resolved") <= 1
