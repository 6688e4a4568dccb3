"""The limits that are given, and what a Site is known for."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import Request
from zope.interface.verify import verifyObject

from scgiproxy.wire.server import ScgiServerFactory
from tests.conftest import LoggedErrors
from tests.wire.server.gateway import Gateway, request_bytes


class Empty(Resource):
    isLeaf = True

    def render(self, request: Request) -> bytes:
        request.setResponseCode(204)
        return b""


def test_it_is_a_protocol_factory() -> None:
    assert verifyObject(IProtocolFactory, ScgiServerFactory(Resource(), reactor=Clock()))


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"max_header": 0}, {"max_body": -1}, {"mount": b"app"}]
)
def test_senseless_limits_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        ScgiServerFactory(Resource(), reactor=Clock(), **options)


def test_there_is_no_access_log_unless_asked_for() -> None:
    clock = Clock()
    factory = ScgiServerFactory(Resource(), reactor=clock)
    factory.startFactory()
    assert not clock.getDelayedCalls()
    factory.stopFactory()


def test_an_access_log_has_the_client(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "access.log"
    factory = ScgiServerFactory(Empty(), reactor=clock, log_path=str(path))
    factory.startFactory()
    gateway = Gateway.of(factory, clock).send(request_bytes(REQUEST_URI="/"))
    gateway.close()
    factory.stopFactory()
    line = path.read_text()
    assert "192.0.2.7" in line
    assert '"GET / HTTP/1.1" 204' in line


def test_tracebacks_only_when_asked_for(logged_errors: LoggedErrors) -> None:
    """`displayTracebacks` is Site's own switch."""

    class Raises(Resource):
        isLeaf = True

        def render(self, request: object) -> bytes:
            raise LookupError("shown")

    gateway = Gateway.to(Raises())
    gateway.factory.displayTracebacks = True
    head, body = gateway.get()
    assert head.status == 500
    assert b"LookupError" in body
    assert logged_errors.flush()
