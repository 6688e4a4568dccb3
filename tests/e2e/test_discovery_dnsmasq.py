"""Members found by name, with a real name server whose records change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.logger import LogEvent, formatEvent

from scgiproxy.log.events import gateway_events
from scgiproxy.message.backend_url import parse_backend_url
from scgiproxy.pool.discovery import Discovery
from scgiproxy.pool.lookup import Found
from scgiproxy.pool.nameservers import ConfiguredServer
from scgiproxy.pool.resolve import Resolver
from scgiproxy.pool.stub_resolver import StubResolver
from scgiproxy.rules.discovery import discovery_settings, name_server
from tests.e2e.dnsmasq import Dnsmasq
from tests.e2e.in_process import pause, until

pytestmark = pytest.mark.e2e

SERVICE = "scgi://_app._tcp.example"


@pytest.fixture
def dnsmasq(tmp_path: Path) -> Iterator[Dnsmasq]:
    """A name server that runs; a test may stop it, and start it again."""
    server = Dnsmasq(tmp_path)
    with server:
        yield server


@pytest.fixture
def told() -> Iterator[list[str]]:
    """The log's lines."""
    lines: list[str] = []

    def observe(event: LogEvent) -> bool:
        lines.append(formatEvent(event))
        return False

    gateway_events.add(observe)
    yield lines
    gateway_events.remove(observe)


class Watched:
    """A discovery, and what it has applied last."""

    def __init__(self, server: str, word: str, url: str) -> None:
        written = name_server(server)
        self._names = Resolver(reactor)
        known = self._names.lookup(written)
        address = parse_backend_url(url).address
        assert address is not None
        self.found: tuple[Found, ...] = ()
        self.discovery = Discovery(
            discovery_settings(word, address),
            clock=reactor,
            resolver=StubResolver(reactor, ConfiguredServer(server, known)),
            apply=self._apply,
        )

    def _apply(self, found: tuple[Found, ...]) -> None:
        self.found = found

    def texts(self) -> list[str]:
        return [str(one.address) for one in self.found]

    def stop(self) -> None:
        self.discovery.stop()
        self._names.stop()


@pytest.fixture
def watch(dnsmasq: Dnsmasq) -> Iterator[Callable[..., Watched]]:
    """Starts the discovery of ``discover=word`` and a URL."""
    started: list[Watched] = []

    def start(word: str, url: str, host: str = "127.0.0.1") -> Watched:
        watched = Watched(f"{host}:{dnsmasq.port}", word, url)
        started.append(watched)
        watched.discovery.start()
        return watched

    yield start
    for watched in started:
        watched.stop()


async def becomes(watched: Watched, *texts: str) -> None:
    await until(lambda: watched.texts() == list(texts), watched.texts)


@pytest_twisted.ensureDeferred
async def test_addresses_come_and_go(
    dnsmasq: Dnsmasq, watch: Callable[..., Watched], told: list[str]
) -> None:
    dnsmasq.set_addresses({"app.example": ["192.0.2.1", "192.0.2.2", "2001:db8::1"]})
    watched = watch("a", "scgi://app.example:4001")
    await becomes(watched, "192.0.2.1:4001", "192.0.2.2:4001", "[2001:db8::1]:4001")
    dnsmasq.set_addresses({"app.example": ["192.0.2.2", "192.0.2.3"]})
    await becomes(watched, "192.0.2.2:4001", "192.0.2.3:4001")
    assert told == []


@pytest_twisted.ensureDeferred
async def test_a_name_that_is_gone_for_a_while(
    dnsmasq: Dnsmasq, watch: Callable[..., Watched], told: list[str]
) -> None:
    """Its members stay; that is logged once, and once when it is back."""
    dnsmasq.set_addresses({"app.example": ["192.0.2.1"]})
    watched = watch("a", "scgi://app.example")
    await becomes(watched, "192.0.2.1:4000")
    dnsmasq.set_addresses({})
    await until(lambda: told, watched.texts)
    answer = f"the name server 127.0.0.1:{dnsmasq.port} answers NXDOMAIN (there is no such name)"
    consequence = "its last members stay in use"
    assert told == [f"backend.name: app.example could not be resolved: {answer}; {consequence}"]
    await pause(1.2)
    assert watched.texts() == ["192.0.2.1:4000"]
    dnsmasq.set_addresses({"app.example": ["192.0.2.2"]})
    await becomes(watched, "192.0.2.2:4000")
    assert told[1:] == ["backend.name: app.example is resolved now"]


@pytest_twisted.ensureDeferred
async def test_a_name_server_that_is_gone_for_a_while(
    dnsmasq: Dnsmasq, watch: Callable[..., Watched], told: list[str]
) -> None:
    dnsmasq.set_addresses({"app.example": ["192.0.2.1"]})
    watched = watch("a", "scgi://app.example")
    await becomes(watched, "192.0.2.1:4000")
    dnsmasq.stop()
    await until(lambda: told, watched.texts)
    assert "cannot be reached" in told[0]
    assert watched.texts() == ["192.0.2.1:4000"]
    dnsmasq.set_addresses({"app.example": ["192.0.2.2"]})
    with dnsmasq:
        await becomes(watched, "192.0.2.2:4000")
    assert told[1:] == ["backend.name: app.example is resolved now"]


@pytest_twisted.ensureDeferred
async def test_an_alias(dnsmasq: Dnsmasq, watch: Callable[..., Watched]) -> None:
    dnsmasq.stop()
    dnsmasq.configure("cname=alias.example,app.example")
    dnsmasq.set_addresses({"app.example": ["192.0.2.1", "2001:db8::1"]})
    with dnsmasq:
        await becomes(watch("a", "scgi://alias.example"), "192.0.2.1:4000", "[2001:db8::1]:4000")


@pytest_twisted.ensureDeferred
async def test_more_addresses_than_a_datagram_holds(
    dnsmasq: Dnsmasq, watch: Callable[..., Watched]
) -> None:
    """The answer is truncated, and asked for over TCP."""
    texts = [f"192.0.2.{number}" for number in range(100)]
    dnsmasq.set_addresses({"app.example": texts})
    await becomes(watch("a", "scgi://app.example"), *(f"{text}:4000" for text in texts))


@pytest_twisted.ensureDeferred
async def test_services(dnsmasq: Dnsmasq, watch: Callable[..., Watched]) -> None:
    """The records change with a restart, the addresses of targets without."""
    addresses = {"a.example": ["192.0.2.1"], "b.example": ["192.0.2.2"], "c.example": ["::1"]}
    dnsmasq.stop()
    dnsmasq.configure(
        "srv-host=_app._tcp.example,a.example,4001,10,10",
        "srv-host=_app._tcp.example,b.example,4002,10,30",
        "srv-host=_app._tcp.example,c.example,4003,20,5",
    )
    dnsmasq.set_addresses(addresses)
    watched = watch("srv", SERVICE)
    with dnsmasq:
        await becomes(watched, "192.0.2.2:4002", "192.0.2.1:4001", "[::1]:4003")
        assert [(one.lbset, one.load_factor, one.name) for one in watched.found] == [
            (0, 3.0, "b.example"),
            (0, 1.0, "a.example"),
            (1, 1.0, "c.example"),
        ]
        dnsmasq.set_addresses({**addresses, "a.example": ["192.0.2.9"]})
        await becomes(watched, "192.0.2.2:4002", "192.0.2.9:4001", "[::1]:4003")
        dnsmasq.stop()
        dnsmasq.configure("srv-host=_app._tcp.example,a.example,4001,10,10")
    with dnsmasq:
        await becomes(watched, "192.0.2.9:4001")


@pytest_twisted.ensureDeferred
async def test_a_name_server_with_a_name(dnsmasq: Dnsmasq, watch: Callable[..., Watched]) -> None:
    """Of its addresses, those that nobody listens on are passed over."""
    dnsmasq.set_addresses({"app.example": ["192.0.2.1"]})
    await becomes(watch("a", "scgi://app.example", "localhost"), "192.0.2.1:4000")
