"""Mounts in a stock twisted.web server."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.settings import Settings
from scgiproxy.web.mount import ProxyPassResource
from tests.web.harness import Client, FakePool
from tests.web.memory import REMOTE

OK = b"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


class StockServer:
    """A stock site with a mount at /app, a page at /page, and a backend that the test plays."""

    def __init__(self, **settings: Any) -> None:
        self.reactor = MemoryReactorClock()
        self.mount = ProxyPassResource.for_url(
            self.reactor, "scgi://127.0.0.1:4000/", settings=Settings(**settings)
        )
        self.pool = FakePool(self.reactor)
        self.mount.pool = self.pool  # type: ignore[assignment]
        root = Resource()
        root.putChild(b"app", self.mount)
        root.putChild(b"page", Data(b"a page", "text/plain"))
        self.site = Site(root, reactor=self.reactor)
        self.site.clock = self.reactor  # what the harness asks of a site
        self.site.startFactory()

    def client(self) -> Client:
        return Client(self.site)  # type: ignore[arg-type]

    def close(self) -> None:
        self.site.stopFactory()


@pytest.fixture
def server() -> Any:
    server = StockServer()
    yield server
    server.close()


def test_the_prepath_is_the_script_name(server: StockServer) -> None:
    client = server.client().get("/app/a%20b/c?q=1", "X-A: 1")
    backend = server.pool.ends[-1]
    backend.answer(OK).close()
    answer = client.answer
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer["content-type"] == "text/plain"
    variables = backend.variables
    assert variables["SCRIPT_NAME"] == "/app"
    assert variables["PATH_INFO"] == "/a b/c"
    assert variables["QUERY_STRING"] == "q=1"
    assert variables["HTTP_X_A"] == "1"
    assert variables["REMOTE_ADDR"] == REMOTE.host
    assert server.pool.dispatches[-1].ends == ["released"]


def test_a_body_is_sent_on(server: StockServer) -> None:
    server.client().send(
        b"POST /app/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
        b"Content-Type: text/plain\r\n\r\nabcde"
    )
    backend = server.pool.ends[-1]
    assert backend.variables["CONTENT_LENGTH"] == "5"
    assert backend.variables["CONTENT_TYPE"] == "text/plain"
    assert backend.body == b"abcde"


def test_a_short_answer_does_not_look_whole(server: StockServer) -> None:
    client = server.client().get("/app/")
    server.pool.ends[-1].answer(b"Content-Length: 10\r\n\r\nhello").close()
    assert client.closed == "aborted"


def test_a_refused_connection_is_an_error_page(server: StockServer) -> None:
    server.pool.refuse = True
    client = server.client().get("/app/")
    assert client.answer.status == 503


def test_an_invalid_head_is_an_error_page(server: StockServer) -> None:
    client = server.client().get("/app/")
    server.pool.ends[-1].answer(b"no colon here\r\n\r\n")
    assert client.answer.status == 502


def test_a_client_that_leaves_releases_the_backend(server: StockServer) -> None:
    client = server.client().get("/app/")
    client.leave()
    assert server.pool.ends[-1].closed == "aborted"
    assert server.pool.dispatches[-1].ends == ["cancelled"]


def test_an_internal_redirect_goes_through_the_tree(server: StockServer) -> None:
    client = server.client().get("/app/")
    server.pool.ends[-1].answer(b"Location: /page\r\nSet-Cookie: a=1\r\n\r\n").close()
    answer = client.answer
    assert (answer.status, answer.body) == (200, b"a page")
    assert answer["set-cookie"] == "a=1"


def test_redirects_into_the_mount_end(server: StockServer) -> None:
    client = server.client().get("/app/")
    for hop in range(11):
        assert len(server.pool.ends) == hop + 1
        server.pool.ends[-1].answer(b"Location: /app/again\r\n\r\n").close()
    assert client.answer.status == 500


def test_head_has_no_body(server: StockServer) -> None:
    client = server.client().send(b"HEAD /app/ HTTP/1.1\r\nHost: a\r\n\r\n")
    server.pool.ends[-1].answer(b"Content-Length: 5\r\n\r\n").close()
    head, _, body = client.received.partition(b"\r\n\r\n")
    assert b"Content-Length: 5" in head
    assert body == b""


def test_only_one_backend_can_be_named() -> None:
    with pytest.raises(ValueError, match="expected one backend"):
        ProxyPassResource.for_url(MemoryReactorClock(), "balancer://many/")


def test_worker_parameters_are_taken() -> None:
    mount = ProxyPassResource.for_url(
        MemoryReactorClock(), "scgi://h/", BackendSettings(max_header=2000)
    )
    assert mount.max_header == 2000
