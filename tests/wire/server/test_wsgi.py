"""WSGI applications, in a real thread pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock, deferLater
from twisted.python.threadpool import ThreadPool
from twisted.web.resource import IResource
from zope.interface.verify import verifyObject

from scgiproxy.wire.server import ScgiServerFactory, WsgiResource, scgi_wsgi
from tests.conftest import LoggedErrors
from tests.wire.server.gateway import Gateway, header, request_bytes


@pytest.fixture
def threadpool() -> Iterator[ThreadPool]:
    pool = ThreadPool(0, 2)
    pool.start()
    yield pool
    pool.stop()


async def until(condition: Callable[[], object]) -> None:
    """Wait, in the reactor, for what a thread does."""
    from twisted.internet import reactor

    for _ in range(2000):
        if condition():
            return
        await deferLater(reactor, 0.005)
    pytest.fail("it did not happen")


def serve(application: Any, threadpool: ThreadPool) -> Gateway:
    from twisted.internet import reactor

    factory = scgi_wsgi(application, reactor, threadpool)
    clock = Clock()
    factory.reactor = clock
    return Gateway.of(factory, clock)


def test_it_is_a_leaf() -> None:
    resource = WsgiResource(lambda environ, start: [], Clock(), ThreadPool())
    assert verifyObject(IResource, resource)
    with pytest.raises(RuntimeError):
        resource.getChildWithDefault(b"x", None)
    with pytest.raises(RuntimeError):
        resource.putChild(b"x", resource)


def test_the_factory_takes_limits() -> None:
    factory = scgi_wsgi(lambda environ, start: [], Clock(), ThreadPool(), max_body=5)
    assert isinstance(factory, ScgiServerFactory)
    assert factory.max_body == 5


@pytest_twisted.ensureDeferred
async def test_an_application_finds_its_environ(threadpool: ThreadPool) -> None:
    """What PEP 3333 asks for, and what only the gateway knows."""
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ, body=environ["wsgi.input"].read())
        start_response("201 Made", [("Content-Type", "text/plain"), ("X-A", "b")])
        return [b"one ", b"two"]

    gateway = serve(application, threadpool).send(
        request_bytes(
            b"a=1",
            REQUEST_METHOD="POST",
            CONTENT_TYPE="application/x-www-form-urlencoded",
            SCRIPT_NAME="/app",
            PATH_INFO="/x y",
            REQUEST_URI="/app/x%20y?q=1",
            QUERY_STRING="q=1",
            HTTPS="on",
            REMOTE_USER="ann",
            HTTP_HOST="example.com",
            HTTP_PROXY="http://evil/",
        )
    )
    await until(lambda: gateway.transport.disconnecting)
    head, body = gateway.answer()
    assert (head.status, head.reason, header(head, b"x-a"), body) == (
        201,
        b"Made",
        b"b",
        b"one two",
    )
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/app",
        "PATH_INFO": "/x y",
        "QUERY_STRING": "q=1",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": "3",
        "SERVER_NAME": "example.com",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_USER": "ann",
        "HTTPS": "on",
        "wsgi.url_scheme": "https",
        "body": b"a=1",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert "HTTP_PROXY" not in seen


@pytest_twisted.ensureDeferred
async def test_an_application_waits_for_the_gateway(threadpool: ThreadPool) -> None:
    """The next piece is asked for when the last one was taken."""
    asked: list[int] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for number in range(3):
            asked.append(number)
            yield b"piece"

    gateway = serve(application, threadpool)
    gateway.transport.full = True
    gateway.send(request_bytes())
    await until(lambda: gateway.transport.value())
    from twisted.internet import reactor

    await deferLater(reactor, 0.05)
    assert asked == [0]
    gateway.transport.drain()
    await until(lambda: gateway.transport.disconnecting)
    assert gateway.answer()[1] == b"piece" * 3


@pytest_twisted.ensureDeferred
async def test_an_application_ends_when_the_gateway_goes(threadpool: ThreadPool) -> None:
    """Also one that waits for the gateway; its iterable is closed."""
    closed = Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"x"

        def close(self) -> None:
            closed.set()

    def application(environ: dict[str, Any], start_response: Any) -> Endless:
        start_response("200 OK", [])
        return Endless()

    gateway = serve(application, threadpool)
    gateway.transport.full = True
    gateway.send(request_bytes())
    await until(lambda: gateway.transport.value())
    gateway.close()
    await until(closed.is_set)


@pytest_twisted.ensureDeferred
async def test_an_application_that_raises_is_500(
    threadpool: ThreadPool, logged_errors: LoggedErrors
) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise LookupError

    gateway = serve(application, threadpool).send(request_bytes())
    await until(lambda: gateway.transport.disconnecting)
    assert gateway.answer()[0].status == 500
    assert logged_errors.flush()[0]["log_failure"].check(LookupError)


@pytest_twisted.ensureDeferred
async def test_an_application_that_raises_late_is_broken_off(
    threadpool: ThreadPool, logged_errors: LoggedErrors
) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"half"
        raise LookupError

    gateway = serve(application, threadpool).send(request_bytes())
    await until(lambda: gateway.transport.aborted)
    gateway.close()
    assert logged_errors.flush()
