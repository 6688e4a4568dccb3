"""Sockets that a parent has bound, and two workers accept from, in one process."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import deferLater

from scgiproxy.config.addresses import parse_listen
from scgiproxy.config.model import Listener, Position
from scgiproxy.errors import ConfigError
from scgiproxy.service.workers.held import HeldListeners
from scgiproxy.service.workers.inherited import InheritedListeners
from scgiproxy.web.accepting import Admission
from scgiproxy.wire.descriptors import descriptors_of
from tests.e2e.processes import free_port
from tests.e2e.test_listening import certificate as make_certificate

served: set[Protocol] = set()
"""The connections that a worker has now."""


class Greeting(Protocol):
    """Says whose it is, and the address that it was reached at, and closes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def connectionMade(self) -> None:
        assert self.transport is not None
        served.add(self)
        host = self.transport.getHost()
        where = getattr(host, "port", None) or host.name.decode()
        self.transport.write(f"{self._name} {where}".encode())
        self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        served.discard(self)


class Site(Factory[Greeting]):
    noisy = False

    def __init__(self, name: str) -> None:
        self._name = name

    def buildProtocol(self, addr: object) -> Greeting:
        return Greeting(self._name)


class Caller(Protocol):
    def __init__(self) -> None:
        self.said = b""
        self.ended: Deferred[str] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.said += data

    def connectionLost(self, reason: Any = None) -> None:
        self.ended.callback(self.said.decode())


def site(name: str) -> Callable[[bool], Any]:
    return lambda secure: Site(name)


def mode_of(path: Path) -> int | None:
    """None if there is no such file."""
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


def listener(word: str, line: int = 1) -> Listener:
    return parse_listen(word, Position("f", line))


class Shared:
    """A parent that holds sockets, and workers."""

    def __init__(self, *words: str) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.listeners = [listener(word, line) for line, word in enumerate(words, 1)]
        self.parent = HeldListeners(
            self.listeners, site("parent"), reactor, descriptors_of(reactor)
        )
        self.workers: list[InheritedListeners] = []

    def worker(self, name: str) -> InheritedListeners:
        made = InheritedListeners(
            self.listeners,
            [os.dup(fd) for fd in self.parent.descriptors()],
            self.parent.files,
            site(name),
            self.reactor,
            descriptors_of(self.reactor),
            Admission(self.reactor),
        )
        self.workers.append(made)
        return made

    async def ask(self, where: str) -> str:
        caller = Caller()
        await connectProtocol(clientFromString(self.reactor, where), caller)
        return await caller.ended

    async def stop(self) -> None:
        for service in (*self.workers, self.parent):
            if service.ports:
                await service.stopService()
        while served:
            await deferLater(self.reactor, 0.01)


@pytest.fixture
def share() -> Iterator[Callable[..., Shared]]:
    made: list[Shared] = []

    def make(*words: str) -> Shared:
        made.append(Shared(*words))
        made[-1].parent.privilegedStartService()
        return made[-1]

    yield make
    for shared in made:
        pytest_twisted.blockon(Deferred.fromCoroutine(shared.stop()))


@pytest_twisted.ensureDeferred
async def test_who_comes_early_waits_for_a_worker(share: Callable[..., Shared]) -> None:
    """The parent accepts nobody; a worker that begins serves who waits."""
    port = free_port()
    shared = share(f"127.0.0.1:{port}")
    answer = Deferred.fromCoroutine(shared.ask(f"tcp:127.0.0.1:{port}"))
    await deferLater(shared.reactor, 0.05)
    assert not answer.called
    shared.worker("one").startService()
    assert await answer == f"one {port}"


@pytest_twisted.ensureDeferred
async def test_one_that_ends_leaves_the_socket_to_the_others(
    share: Callable[..., Shared],
) -> None:
    port = free_port()
    shared = share(f"127.0.0.1:{port}")
    first, second = shared.worker("one"), shared.worker("two")
    first.startService()
    second.startService()
    await first.stopService()
    for _ in range(3):
        assert await shared.ask(f"tcp:127.0.0.1:{port}") == f"two {port}"
    await second.stopService()
    answer = Deferred.fromCoroutine(shared.ask(f"tcp:127.0.0.1:{port}"))
    await deferLater(shared.reactor, 0.05)
    assert not answer.called
    shared.worker("three").startService()
    assert await answer == f"three {port}"


@pytest_twisted.ensureDeferred
async def test_the_parents_end_is_none_for_workers(share: Callable[..., Shared]) -> None:
    """They close their sockets when they are told, and not because it has."""
    port = free_port()
    shared = share(f"127.0.0.1:{port}")
    shared.worker("one").startService()
    await shared.parent.stopService()
    assert await shared.ask(f"tcp:127.0.0.1:{port}") == f"one {port}"


@pytest_twisted.ensureDeferred
async def test_a_burst_is_shared(share: Callable[..., Shared]) -> None:
    """Nobody takes all that waits at once."""
    port = free_port()
    shared = share(f"127.0.0.1:{port}")
    asked = [Deferred.fromCoroutine(shared.ask(f"tcp:127.0.0.1:{port}")) for _ in range(20)]
    await deferLater(shared.reactor, 0.05)
    shared.worker("one").startService()
    shared.worker("two").startService()
    answers = [await answer for answer in asked]
    counts = sorted(answers.count(f"{name} {port}") for name in ("one", "two"))
    assert sum(counts) == 20
    assert counts[0] >= 5


@pytest_twisted.ensureDeferred
async def test_a_unix_socket(share: Callable[..., Shared], tmp_path: Path) -> None:
    """Its file, with its mode, stays when a worker ends, and goes with the parent."""
    path = tmp_path / "socket"
    shared = share(f"unix:{path}:mode=600")
    first, second = shared.worker("one"), shared.worker("two")
    first.startService()
    second.startService()
    assert mode_of(path) == 0o600
    await first.stopService()
    assert await shared.ask(f"unix:{path}") == f"two {path}"
    await second.stopService()
    assert mode_of(path) is not None
    await shared.parent.stopService()
    assert mode_of(path) is None


@pytest_twisted.ensureDeferred
async def test_ipv6(share: Callable[..., Shared]) -> None:
    if not socket.has_ipv6:
        pytest.skip("this system has no IPv6")
    port = free_port()
    try:
        shared = share(f"[::1]:{port}")
    except ConfigError:
        pytest.skip("this machine has no ::1")
    shared.worker("one").startService()
    assert await shared.ask(rf"tcp:\:\:1:{port}") == f"one {port}"


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL")  # Twisted's own
@pytest_twisted.ensureDeferred
async def test_tls_with_files_that_a_worker_may_not_read(
    share: Callable[..., Shared], tmp_path: Path
) -> None:
    """The parent has read them; they may be gone."""
    file = make_certificate(tmp_path / "keys")
    port = free_port()
    shared = share(f"ssl:{port}:privateKey={file}:interface=127.0.0.1")
    file.unlink()
    shared.worker("one").startService()
    caller = Caller()
    endpoint = wrapClientTLS(
        CertificateOptions(), clientFromString(shared.reactor, f"tcp:127.0.0.1:{port}")
    )
    await connectProtocol(endpoint, caller)
    assert await caller.ended == f"one {port}"


def test_files_that_nobody_can_read(tmp_path: Path) -> None:
    """Are told when the parent is made, with the line."""
    with pytest.raises(ConfigError) as raised:
        Shared(f"ssl:443:privateKey={tmp_path}/none")
    assert os.strerror(errno.ENOENT) in str(raised.value)


@pytest_twisted.ensureDeferred
async def test_the_proxy_protocol(share: Callable[..., Shared]) -> None:
    """What is around the socket in an endpoint string is the worker's."""
    port = free_port()
    shared = share(f"haproxy:tcp:{port}:interface=127.0.0.1")
    shared.worker("one").startService()

    class Proxied(Caller):
        def connectionMade(self) -> None:
            assert self.transport is not None
            self.transport.write(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\nx")

    caller = Proxied()
    await connectProtocol(clientFromString(shared.reactor, f"tcp:127.0.0.1:{port}"), caller)
    # The greeting goes out before the header is read, with what the socket says.
    assert (await caller.ended).startswith("one")
