"""One connection: what is answered, at which pace, and what happens when it breaks."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.protocols.basic import FileSender
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface.verify import verifyObject

from scgiproxy.wire.server import ScgiServerRequest
from scgiproxy.wire.server.channel import LINGER, PIECE
from scgiproxy.wire.spool import MEMORY_SPOOL
from scgiproxy.wire.spoolspace import SpoolSpace
from tests.conftest import LoggedErrors
from tests.wire.server.gateway import Gateway, header, request_bytes


class Page(Resource):
    """A resource that is one function."""

    isLeaf = True

    def __init__(self, render: Callable[[ScgiServerRequest], object]) -> None:
        super().__init__()
        self._render = render
        self.request: ScgiServerRequest | None = None

    def render(self, request: ScgiServerRequest) -> object:
        self.request = request
        return self._render(request)


def text(body: bytes) -> Page:
    def render(request: ScgiServerRequest) -> bytes:
        request.setHeader(b"Content-Type", b"text/plain")
        return body

    return Page(render)


def streaming() -> tuple[Page, Gateway]:
    """A page that is being answered, and who asked for it."""
    page = Page(lambda request: NOT_DONE_YET)
    gateway = Gateway.to(page).send(request_bytes())
    assert page.request is not None
    return page, gateway


class Producer:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


# -- answers -----------------------------------------------------------------------------------


def test_it_is_a_protocol_and_a_push_producer() -> None:
    channel = Gateway.to(Resource()).channel
    assert verifyObject(IProtocol, channel)
    assert verifyObject(IPushProducer, channel)
    channel.connectionLost()


def test_the_answer_is_in_cgi_form() -> None:
    """A Status line, no HTTP version, no Date and Server: those are the gateway's."""
    gateway = Gateway.to(text(b"hello")).send(request_bytes())
    assert gateway.transport.value() == (
        b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    )
    gateway.answer()


def test_a_long_answer_without_a_length_is_not_chunked() -> None:
    """SCGI ends a body by closing, whatever the client speaks."""

    def render(request: ScgiServerRequest) -> object:
        request.write(b"one ")
        request.write(b"two")
        request.finish()
        return NOT_DONE_YET

    head, body = Gateway.to(Page(render)).get()
    assert body == b"one two"
    assert header(head, b"transfer-encoding") is None


def test_what_the_gateway_decides_is_not_sent() -> None:
    """Headers of the connection, and a header that would pass for the status."""

    def render(request: ScgiServerRequest) -> bytes:
        for name in (b"Connection", b"Transfer-Encoding", b"Status", b"Keep-Alive", b"X-Mine"):
            request.setHeader(name, b"1")
        return b""

    head, _ = Gateway.to(Page(render)).get()
    assert [name for name, _ in head.headers] == [b"X-Mine"]


@pytest.mark.parametrize(
    ("code", "phrase", "line"),
    [
        (200, b"OK\r\nSet-Cookie: x=1", b"Status: 200 OK\r\n"),
        (404, b"No such thing", b"Status: 404 No such thing\r\n"),
        (599, b"", b"Status: 599\r\n"),
    ],
)
def test_a_reason_phrase_cannot_add_headers(code: int, phrase: bytes, line: bytes) -> None:
    def render(request: ScgiServerRequest) -> bytes:
        request.setResponseCode(code, phrase)
        return b"x"

    gateway = Gateway.to(Page(render)).send(request_bytes())
    assert gateway.transport.value().startswith(line)
    assert b"Set-Cookie" not in gateway.transport.value()
    gateway.close()


def test_control_bytes_in_a_header_become_blanks() -> None:
    """A strict gateway would refuse the whole answer for one."""

    def render(request: ScgiServerRequest) -> bytes:
        request.setHeader(b"X-A", b"a\x00b\x1b[1m\tc")
        return b""

    head, _ = Gateway.to(Page(render)).get()
    assert header(head, b"x-a") == b"a b [1m\tc"


def test_head_has_no_body() -> None:
    gateway = Gateway.to(text(b"hello")).send(request_bytes(REQUEST_METHOD="HEAD"))
    assert gateway.transport.value().endswith(b"Content-Length: 5\r\n\r\n")
    gateway.close()


# Twisted's own module uses what Twisted has deprecated, when it is imported.
@pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe:DeprecationWarning")
def test_a_file_with_a_range(tmp_path: Path) -> None:
    """twisted.web.static.File works, its pull producers too."""
    from twisted.web.static import File

    path = tmp_path / "x.bin"
    content = bytes(range(256)) * 1000
    path.write_bytes(content)
    gateway = Gateway.to(File(str(tmp_path)))
    gateway.send(
        request_bytes(REQUEST_URI="/x.bin", PATH_INFO="/x.bin", HTTP_RANGE="bytes=5-199999")
    )
    while not gateway.transport.disconnecting:
        gateway.clock.advance(0)
    head, body = gateway.answer()
    assert head.status == 206
    assert body == content[5:200000]


def test_an_internal_redirect_keeps_status_200() -> None:
    """mod_proxy_scgi redirects internally for a 200 whose Location is a path."""

    def render(request: ScgiServerRequest) -> bytes:
        request.setHeader(b"Location", b"/elsewhere")
        return b""

    head, _ = Gateway.to(Page(render)).get()
    assert (head.status, header(head, b"location")) == (200, b"/elsewhere")


# -- refusals and failures ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, b"netstring"),
        (b"99999:", 400, b"over the limit"),
        (request_bytes(b"x" * 101), 413, b"over the limit of 100"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(data: bytes, status: int, said: bytes) -> None:
    page = Page(lambda request: b"rendered")
    gateway = Gateway.to(page, max_body=100).send(data)
    gateway.send(b"and more")
    head, body = gateway.answer()
    assert head.status == status
    assert said in body
    assert page.request is None


def test_nothing_is_rendered_before_the_body_is_complete() -> None:
    page = Page(lambda request: request.content.read())
    data = request_bytes(b"whole", REQUEST_METHOD="PUT")
    gateway = Gateway.to(page)
    for byte in data[:-1]:
        gateway.send(bytes([byte]))
    assert page.request is None
    gateway.send(data[-1:] + b"trailing")
    assert gateway.answer()[1] == b"whole"


def test_a_gateway_that_leaves_within_its_request() -> None:
    """Nothing is rendered, and nothing is left of it."""
    page = Page(lambda request: b"")
    gateway = Gateway.to(page).send(request_bytes(b"body")[:-1])
    gateway.close()
    assert page.request is None
    assert not gateway.clock.getDelayedCalls()


def test_a_full_disk_is_507(monkeypatch: pytest.MonkeyPatch, logged_errors: LoggedErrors) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    gateway = Gateway.to(Page(lambda request: b""))
    monkeypatch.setattr(SpoolSpace, "open_file", full)
    head, _ = gateway.send(request_bytes(bytes(MEMORY_SPOOL + 1))).answer()
    assert head.status == 507
    assert "No space" in str(logged_errors.flush()[0]["reason"])


def test_a_resource_that_raises_is_500_and_logged(logged_errors: LoggedErrors) -> None:
    """The client learns nothing of the reason, nor of headers that were meant for the page."""

    def render(request: ScgiServerRequest) -> bytes:
        request.setHeader(b"X-Secret", b"1")
        request.addCookie(b"a", b"b")
        raise LookupError("the secret")

    head, body = Gateway.to(Page(render)).get()
    assert head.status == 500
    assert b"Internal Server Error" in body
    assert b"secret" not in body
    assert [name.lower() for name, _ in head.headers] == [b"content-type"]
    (event,) = logged_errors.flush()
    assert event["log_failure"].check(LookupError)


def test_a_resource_that_raises_after_its_first_byte_is_broken_off(
    logged_errors: LoggedErrors,
) -> None:
    """An error page behind half an answer would look like a part of it."""

    def render(request: ScgiServerRequest) -> bytes:
        request.write(b"half")
        raise LookupError

    gateway = Gateway.to(Page(render)).send(request_bytes())
    assert gateway.transport.aborted
    assert gateway.transport.value().endswith(b"half")
    gateway.close()
    assert len(logged_errors.flush()) == 1


# -- the gateway leaves ------------------------------------------------------------------------


def test_a_resource_learns_that_the_gateway_has_gone() -> None:
    page, gateway = streaming()
    page.request.write(b"x")
    gone = page.request.notifyFinish()
    failures: list[object] = []
    gone.addErrback(failures.append)
    gateway.close()
    assert len(failures) == 1
    page.request.write(b"y")
    page.request.unregisterProducer()


def test_a_producer_is_stopped_when_the_gateway_goes() -> None:
    page, gateway = streaming()
    page.request.notifyFinish().addErrback(lambda _: None)
    producer = Producer()
    page.request.registerProducer(producer, True)
    gateway.close()
    assert producer.told == ["stop"]
    late = Producer()
    page.request.producer = None
    page.request.registerProducer(late, True)
    assert late.told == ["stop"]


def test_a_finished_answer_tells_so() -> None:
    page, gateway = streaming()
    done: Deferred[None] = page.request.notifyFinish()
    results: list[object] = []
    done.addCallback(results.append)
    page.request.finish()
    assert results == [None]
    gateway.answer()


# -- pace --------------------------------------------------------------------------------------


def test_a_push_producer_is_paused_while_the_gateway_does_not_read() -> None:
    page, gateway = streaming()
    producer = Producer()
    page.request.registerProducer(producer, True)
    gateway.transport.full = True
    page.request.write(b"a")
    assert producer.told == ["pause"]
    page.request.write(b"b")
    assert gateway.transport.value().endswith(b"\r\n\r\n")
    gateway.transport.drain()
    assert producer.told == ["pause", "resume"]
    assert gateway.transport.value().endswith(b"ab")
    page.request.unregisterProducer()
    page.request.finish()
    gateway.answer()


def test_a_push_producer_that_comes_late_is_paused_at_once() -> None:
    page, gateway = streaming()
    gateway.transport.full = True
    page.request.write(b"a")
    producer = Producer()
    page.request.registerProducer(producer, True)
    assert producer.told == ["pause"]
    page.request.unregisterProducer()
    gateway.transport.drain()
    page.request.finish()
    gateway.answer()


def test_a_pull_producer_is_asked_as_fast_as_the_gateway_reads(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(5 * PIECE))
    page, gateway = streaming()
    with open(path, "rb") as file:
        sending = FileSender().beginFileTransfer(file, page.request)
        sending.addCallback(lambda _: page.request.finish())
        gateway.transport.full = True
        for _ in range(10):
            gateway.clock.advance(0)
        assert file.tell() < 2 * PIECE
        while not gateway.transport.disconnecting:
            gateway.transport.drain()
            gateway.clock.advance(0)
    assert len(gateway.answer()[1]) == 5 * PIECE


def test_one_large_write_goes_out_in_pieces() -> None:
    """So that a gateway that reads slowly is not taken for one that does not read."""
    page, gateway = streaming()
    page.request.write(b"")
    gateway.transport.clear()
    gateway.transport.full = True
    page.request.write(bytes(3 * PIECE))
    page.request.finish()
    assert len(gateway.transport.value()) == PIECE
    for pieces in (2, 3):
        gateway.clock.advance(59)
        gateway.channel.resumeProducing()
        assert len(gateway.transport.value()) == pieces * PIECE
    assert not gateway.transport.aborted
    gateway.transport.drain()
    assert len(gateway.transport.value()) == 3 * PIECE
    assert gateway.transport.disconnecting
    gateway.close()


def test_a_producer_that_raises_breaks_the_answer_off(logged_errors: LoggedErrors) -> None:
    class Broken(Producer):
        def resumeProducing(self) -> None:
            raise LookupError

    page, gateway = streaming()
    page.request.notifyFinish().addErrback(lambda _: None)
    page.request.registerProducer(Broken(), False)
    gateway.clock.advance(0)
    assert gateway.transport.aborted
    gateway.close()
    assert logged_errors.flush()[0]["log_failure"].check(LookupError)


# -- time --------------------------------------------------------------------------------------


def test_a_request_that_stops_coming_is_408() -> None:
    gateway = Gateway.to(Resource(), timeout=10).send(request_bytes(b"body")[:-2])
    gateway.clock.advance(9)
    gateway.send(b"d")
    gateway.clock.advance(9)
    assert not gateway.transport.disconnecting
    gateway.clock.advance(1)
    assert gateway.answer()[0].status == 408


def test_a_resource_may_take_its_time() -> None:
    page, gateway = streaming()
    gateway.clock.advance(100_000)
    page.request.finish()
    assert gateway.answer()[0].status == 200


def test_a_gateway_that_stops_reading_is_cut_off() -> None:
    page, gateway = streaming()
    gateway.transport.full = True
    page.request.write(b"x")
    gateway.clock.advance(61)
    assert gateway.transport.aborted
    gateway.close()


def test_a_gateway_that_does_not_take_the_end_is_cut_off() -> None:
    gateway = Gateway.to(text(b"x")).send(request_bytes())
    assert gateway.transport.disconnecting
    gateway.clock.advance(61)
    assert gateway.transport.aborted
    gateway.close()


def test_without_a_timeout_nothing_is_cut_off() -> None:
    gateway = Gateway.to(Resource(), timeout=None)
    assert not gateway.clock.getDelayedCalls()
    gateway.close()


def test_a_refused_gateway_gets_time_to_read_why() -> None:
    """On a real socket the writing side closes first; what the gateway still sends is dropped."""
    from twisted.internet.interfaces import ITCPTransport
    from zope.interface import directlyProvides

    gateway = Gateway.to(Resource(), max_body=1)
    transport = gateway.transport
    closed: list[bool] = []
    directlyProvides(transport, ITCPTransport)
    transport.loseWriteConnection = lambda: closed.append(True)
    gateway.send(request_bytes(b"xx"))
    gateway.send(b"x" * 1000)
    assert closed == [True]
    assert not transport.disconnecting
    gateway.clock.advance(LINGER)
    assert transport.aborted
    gateway.close()
