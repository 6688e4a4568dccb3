"""The demo as a service, on the real reactor: a UNIX socket, a folder, and a gateway before it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web.client import HTTPConnectionPool

from scgiproxy.config.load import load_text
from scgiproxy.demo.service import DEMO_CONFIG, ApplicationService, DemoService
from scgiproxy.errors import ConfigError


@pytest.fixture
def reactor() -> object:
    return real_reactor


def test_the_folder_is_private(reactor: object) -> None:
    service = ApplicationService(reactor)
    folder = service.socket.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    service.stopService()
    assert not folder.exists()


def test_the_configuration_is_one(reactor: object) -> None:
    """What the start page shows can be put into a file as it is."""
    service = ApplicationService(reactor, "127.0.0.1:1")
    assert "${" not in service.configuration
    load_text(service.configuration)
    load_text(DEMO_CONFIG, defines=service.defines)
    service.stopService()


@pytest_twisted.ensureDeferred
async def test_the_socket_is_the_owners(reactor: object) -> None:
    service = ApplicationService(reactor)
    service.startService()
    assert stat.S_IMODE(service.socket.stat().st_mode) == 0o600
    assert sorted(path.name for path in service.files.iterdir()) == ["numbers.txt", "picture.svg"]
    await service.stopService()
    assert not service.files.exists()


def test_a_place_to_listen_that_is_none(reactor: object) -> None:
    with pytest.raises(ConfigError, match="Listen"):
        DemoService(reactor, "127.0.0.1:many")


class Browser:
    """treq on one running demo."""

    def __init__(self, service: DemoService, base: str) -> None:
        self.pool = HTTPConnectionPool(real_reactor, persistent=False)
        self.base = base
        self.service = service

    async def get(self, path: str, **options: object) -> treq.response._Response:
        return await treq.get(self.base + path, pool=self.pool, **options)

    async def post(self, path: str, **options: object) -> treq.response._Response:
        return await treq.post(self.base + path, pool=self.pool, **options)


@pytest.fixture
def browser(unused_port: int) -> Iterator[Browser]:
    before = set(real_reactor.getReaders())
    service = DemoService(real_reactor, f"127.0.0.1:{unused_port}")
    service.privilegedStartService()
    service.startService()
    yield Browser(service, f"http://127.0.0.1:{unused_port}")
    if service.running:
        pytest_twisted.blockon(service.stopService())
    pytest_twisted.blockon(Deferred.fromCoroutine(_connections_closed(before)))


async def _connections_closed(before: set[object]) -> None:
    """Each end notices in a turn of its own that the other has closed."""
    while (set(real_reactor.getReaders()) | set(real_reactor.getWriters())) - before:
        await deferLater(real_reactor, 0.01)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest_twisted.ensureDeferred
async def test_the_whole_way(browser: Browser) -> None:
    """Each of the demo's promises, through the gateway."""
    assert "It works" in await (await browser.get("/")).text()

    variables = await (await browser.get("/variables?q=1")).text()
    assert ">PATH_INFO<" in variables.replace('scope="row"', "").replace("th >", "th>")
    assert ">/variables<" in variables

    form = await browser.post("/form", data={"name": "Zoë"})
    assert "Zoë" in await form.text()

    upload = await browser.post("/upload", files={"files": ("a.txt", b"abc")})
    text = await upload.text()
    assert "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" in text

    redirected = await (await browser.get("/redirect", allow_redirects=False)).text()
    assert "REDIRECT_REQUEST_URI" in redirected

    part = await browser.get("/numbers.txt", headers={"Range": "bytes=8-15"})
    assert part.code == 206
    assert await part.content() == b"      2\n"
    assert not part.headers.hasHeader(b"X-Sendfile")


@pytest_twisted.ensureDeferred
async def test_stopping_ends_a_stream(browser: Browser) -> None:
    """A browser that listens to the counter does not hold the service up."""
    response = await browser.get("/ticks")
    first: Deferred[None] = Deferred()
    received: list[bytes] = []

    def collect(data: bytes) -> None:
        received.append(data)
        if not first.called:
            first.callback(None)

    ended = treq.collect(response, collect)
    await first
    folder: Path = browser.service.application.files
    await browser.service.stopService()
    await ended
    assert b"data: 1\n\n" in b"".join(received)
    assert not folder.exists()  # noqa: ASYNC240
