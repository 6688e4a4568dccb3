"""aioscgi, flup and the `scgi` package behind the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.contract import ApplicationContract, FrameworkContract
from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Browser, Connection
from tests.e2e.servers import aioscgi, flup, mount, nascheme

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def aioscgi_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    folder = tmp_path_factory.mktemp("aioscgi")
    with aioscgi(folder, folder / "aioscgi.sock") as server:
        rule = f"ProxyPass /app/ {mount(server.address)} pathinfo=on"
        with Gateway(folder, rule) as gateway:
            yield gateway.http


class TestAioscgi(ApplicationContract):
    """The strictest reader of SCGI requests, with an ASGI application."""

    @pytest.fixture
    def site(self, aioscgi_address: tuple[str, int]) -> Browser:
        return Browser(aioscgi_address)

    def test_the_application_is_not_told_that_the_client_left(
        self, site: Browser, tmp_path: Path
    ) -> None:
        """A half-close after the request would be an ``http.disconnect`` to it."""
        gate = tmp_path / "gate"
        with Connection(site.address) as connection:
            connection.send(
                f"GET /app/patient?gate={gate} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
            )
            # Other requests go to and fro meanwhile: time enough for a half-close to be seen.
            assert [site.get("/app/status/200").status for _ in range(5)] == [200] * 5
            gate.touch()
            assert connection.read().text == "still there"


@pytest.fixture(scope="module")
def flup_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    folder = tmp_path_factory.mktemp("flup")
    with flup(folder) as server:
        rule = f"ProxyPass /app/ {mount(server.address)} pathinfo=on"
        with Gateway(folder, rule) as gateway:
            yield gateway.http


class TestFlup(FrameworkContract):
    """flup's threads, which hand the socket itself to the application as its input."""

    @pytest.fixture
    def site(self, flup_address: tuple[str, int]) -> Browser:
        return Browser(flup_address)


@pytest.fixture(scope="module")
def nascheme_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    folder = tmp_path_factory.mktemp("nascheme")
    with nascheme(folder) as server:
        rules = f"ProxyPass /app/ {mount(server.address)}\nSetEnv proxy-scgi-pathinfo 1\n"
        with Gateway(folder, rules) as gateway:
            yield gateway.http


class TestNascheme(FrameworkContract):
    """The first SCGI server there was, which hands connections to its children."""

    @pytest.fixture
    def site(self, nascheme_address: tuple[str, int]) -> Browser:
        return Browser(nascheme_address)
