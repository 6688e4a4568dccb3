"""uWSGI behind the gateway: a Flask application on TCP, a Django application on a UNIX socket."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.contract import FrameworkContract
from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Browser, ask
from tests.e2e.processes import wait_until
from tests.e2e.servers import mount, uwsgi

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def flask_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("flask")
    with uwsgi(folder, "tests.e2e.apps.flask_app") as server:
        rule = f"ProxyPass /app/ {mount(server.address)} pathinfo=on"
        with Gateway(folder, rule) as gateway:
            yield gateway


class TestFlask(FrameworkContract):
    """Mounted by the worker parameter that sends a PATH_INFO."""

    @pytest.fixture
    def site(self, flask_gateway: Gateway) -> Browser:
        return Browser(flask_gateway.http)

    def test_a_block_over_its_buffer_is_an_error_that_is_told(
        self, site: Browser, flask_gateway: Gateway
    ) -> None:
        """uWSGI closes without a word on over 4096 bytes of variables; the client gets 502, the
        log says which backend, and the next request is served."""
        lines = [
            "GET /app/variables HTTP/1.1",
            "Host: 127.0.0.1",
            f"X-Large: {'x' * 6000}",
            "Connection: close",
        ]
        response = ask(site.address, "\r\n".join([*lines, "", ""]).encode())
        assert response.status == 502
        wait_until(lambda: "scgi://127.0.0.1" in flask_gateway.logged(), "the line in the log")
        assert site.get("/app/variables").status == 200


@pytest.fixture(scope="module")
def django_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("django")
    with uwsgi(folder, "tests.e2e.apps.django_app", folder / "uwsgi.sock") as server:
        rules = f"ProxyPass /app/ {mount(server.address)}\n"
        rules += "SetEnvIf Request_URI . proxy-scgi-pathinfo\n"
        with Gateway(folder, rules) as gateway:
            yield gateway


class TestDjango(FrameworkContract):
    """Mounted by Apache's environment variable, on a UNIX socket."""

    @pytest.fixture
    def site(self, django_gateway: Gateway) -> Browser:
        return Browser(django_gateway.http)

    def test_the_csrf_token_and_its_cookie_agree(self, site: Browser) -> None:
        token = site.get("/app/guarded").text
        refused = Browser(site.address).post("/app/guarded", {"word": "w"})
        assert refused.status == 403
        form = {"csrfmiddlewaretoken": token, "word": "w"}
        assert site.post("/app/guarded", form).text == "accepted w"

    def test_encoded_paths_and_queries_arrive_decoded_once(self, site: Browser) -> None:
        """Django answers 404 with a path that it has decoded from PATH_INFO."""
        told = json.loads(site.get("/app/variables?q=%2525").body)
        assert told["QUERY_STRING"] == "q=%2525"
        assert told["REQUEST_URI"] == "/app/variables?q=%2525"
        assert site.get("/app/%76ariables").status == 200
