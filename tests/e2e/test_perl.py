"""Perl's SCGI module behind the gateway: one process, one request at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.contract import ApplicationContract
from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Browser
from tests.e2e.servers import mount, perl

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def perl_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    folder = tmp_path_factory.mktemp("perl")
    with perl(folder) as server:
        rule = f"ProxyPass /app/ {mount(server.address)} pathinfo=on max=1"
        with Gateway(folder, rule) as gateway:
            yield gateway.http


class TestPerl(ApplicationContract):
    @pytest.fixture
    def site(self, perl_address: tuple[str, int]) -> Browser:
        return Browser(perl_address)

    def test_requests_wait_for_their_turn(self, site: Browser) -> None:
        """With ``max=1`` they queue in the gateway, and none is lost."""
        with ThreadPoolExecutor(8) as pool:
            pages = pool.map(lambda n: Browser(site.address).get(f"/app/status/{n}"), [200] * 40)
            assert [page.status for page in pages] == [200] * 40
