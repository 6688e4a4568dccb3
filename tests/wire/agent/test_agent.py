"""treq's requests, answered by our own server: over a UNIX socket, TCP, and in memory."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
import pytest_twisted
import treq
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IClientRequest, IResponse
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer
from zope.interface.verify import verifyObject

from scgiproxy.errors import (
    BadRequest,
    BadResponse,
    BodyTooLarge,
    ConnectFailed,
    HeadTimeout,
    TruncatedResponse,
)
from scgiproxy.scgi.request import RequestParser
from scgiproxy.wire.agent import ScgiAgent
from scgiproxy.wire.agent.request import MeasuredBody
from scgiproxy.wire.server import ScgiServerFactory, ScgiServerRequest


class Application(Resource):
    """Tells what it was asked; ``/stream`` leaves that to the test."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.streams: list[ScgiServerRequest] = []

    def render(self, request: ScgiServerRequest) -> bytes | int:
        if request.path == b"/stream":
            self.streams.append(request)
            request.notifyFinish().addErrback(lambda _: None)
            return NOT_DONE_YET
        if request.path == b"/nothing":
            request.setResponseCode(204)
            return b""
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"X-Two", b"1")
        told = {
            name.decode(): value.decode("latin-1") for name, value in request.scgi_variables.items()
        }
        told["body"] = request.content.read().decode("latin-1")
        return json.dumps(told).encode()


class Running:
    """The application on a UNIX socket, and how to ask it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.application = Application()
        self.factory = ScgiServerFactory(
            self.application, reactor=reactor, max_body=1 << 30, parse_forms=False
        )
        self.port = reactor.listenUNIX(path, self.factory)

    def client(self, **options: object) -> HTTPClient:
        return HTTPClient(ScgiAgent(reactor, self.path, **options))

    async def stream(self) -> ScgiServerRequest:
        """The request for ``/stream``, when it has come."""
        await until(lambda: bool(self.application.streams))
        return self.application.streams[0]


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await deferLater(reactor, 0.005)
    pytest.fail("it did not happen")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(str(tmp_path / "app.sock"))
    yield running
    pytest_twisted.blockon(running.port.stopListening())
    pytest_twisted.blockon(Deferred.fromCoroutine(until(lambda: not running.factory.channels)))
    pytest_twisted.blockon(deferLater(reactor, 0))


@implementer(IBodyProducer)
class Producer:
    """Writes `pieces` at once, and announces `length`."""

    def __init__(self, length: object, *pieces: bytes) -> None:
        self.length = length
        self.pieces = pieces
        self.stopped = False

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        try:
            for piece in self.pieces:
                consumer.write(piece)
        except Exception:
            failed: Deferred[None] = Deferred()
            failed.errback(Failure())
            return failed
        return succeed(None)

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None:
        self.stopped = True


# -- through treq --------------------------------------------------------------------------------


def test_it_is_an_agent() -> None:
    assert verifyObject(IAgent, ScgiAgent(MemoryReactorClock()))


@pytest_twisted.ensureDeferred
async def test_get(running: Running) -> None:
    """What the application is told of a URL, its query and its headers."""
    response = await running.client(variables={b"REMOTE_USER": b"ann"}).get(
        "scgi://app.example/a%20b/c?x=1", params={"y": "ä"}, headers={"X-A": ["1", "2"]}
    )
    assert response.code == 200
    assert response.headers.getRawHeaders("X-Two") == ["1"]
    told = await response.json()
    expected = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/a%20b/c?x=1&y=%C3%A4",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/c",
        "QUERY_STRING": "x=1&y=%C3%A4",
        "SERVER_NAME": "app.example",
        "HTTP_HOST": "app.example",
        "HTTP_X_A": "1, 2",
        "REMOTE_USER": "ann",
        "CONTENT_LENGTH": "0",
    }
    assert {name: told.get(name) for name in expected} == expected


@pytest_twisted.ensureDeferred
async def test_post_a_form(running: Running) -> None:
    response = await running.client().post("scgi://app/form", data={"name": "Zoë"})
    told = await response.json()
    assert told["body"] == "name=Zo%C3%AB"
    assert told["CONTENT_TYPE"] == "application/x-www-form-urlencoded"
    assert told["CONTENT_LENGTH"] == "13"


@pytest_twisted.ensureDeferred
async def test_a_large_upload(running: Running) -> None:
    data = b"0123456789" * 100_000
    response = await running.client().put("scgi://app/", data=BytesIO(data))
    assert len((await response.json())["body"]) == len(data)


@pytest_twisted.ensureDeferred
async def test_head_and_no_content(running: Running) -> None:
    """There is no body to read, and its length is still said where it is known."""
    head = await running.client().head("scgi://app/")
    assert head.length == 0
    assert int(head.headers.getRawHeaders("Content-Length")[0]) > 100
    assert await head.content() == b""
    nothing = await running.client().get("scgi://app/nothing")
    assert nothing.code == 204
    assert nothing.length == 0
    assert await nothing.content() == b""


@pytest_twisted.ensureDeferred
async def test_the_url_may_name_the_socket(running: Running) -> None:
    """Not through treq, which encodes the bar."""
    agent = ScgiAgent(reactor)
    response = await agent.request(b"GET", f"unix:{running.path}|scgi://app/x".encode())
    assert (await treq.json_content(response))["PATH_INFO"] == "/x"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest_twisted.ensureDeferred
async def test_tcp(running: Running, host: str) -> None:
    """An address, and a name that has to be looked up."""
    port = reactor.listenTCP(0, running.factory, interface="127.0.0.1")
    url = f"scgi://{host}:{port.getHost().port}/x"
    response = await HTTPClient(ScgiAgent(reactor)).get(url)
    assert (await response.json())["SERVER_NAME"] == host
    await port.stopListening()


# -- streams -------------------------------------------------------------------------------------


class Reader(Protocol):
    """Collects a body."""

    def __init__(self) -> None:
        self.data = b""
        self.ended: Deferred[tuple[Failure]] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure) -> None:
        self.ended.callback((reason,))


@pytest_twisted.ensureDeferred
async def test_a_streamed_answer(running: Running) -> None:
    """The head comes before the body is complete, and each piece when it is written."""
    asked = ScgiAgent(reactor, running.path).request(b"GET", b"scgi://app/stream")
    stream = await running.stream()
    stream.write(b"one")
    response = await asked
    assert verifyObject(IResponse, response)
    assert verifyObject(IClientRequest, response.request)
    assert response.length is UNKNOWN_LENGTH
    reader = Reader()
    response.deliverBody(reader)
    assert verifyObject(IPushProducer, reader.transport)
    await until(lambda: reader.data == b"one")
    stream.write(b"two")
    await until(lambda: reader.data == b"onetwo")
    stream.finish()
    assert (await reader.ended)[0].check(ResponseDone)
    with pytest.raises(RuntimeError):
        response.deliverBody(Reader())


@pytest_twisted.ensureDeferred
async def test_a_reader_that_pauses_holds_the_application_up(running: Running) -> None:
    """Backpressure, from the reader of the body to the producer in the application."""
    told: list[str] = []

    class Source:
        def pauseProducing(self) -> None:
            told.append("pause")

        def resumeProducing(self) -> None:
            told.append("resume")

        def stopProducing(self) -> None:
            told.append("stop")

    asked = ScgiAgent(reactor, running.path).request(b"GET", b"scgi://app/stream")
    stream = await running.stream()
    stream.registerProducer(Source(), True)
    stream.write(bytes(4 << 20))
    response = await asked
    assert told == ["pause"]
    reader = Reader()
    response.deliverBody(reader)
    await until(lambda: told == ["pause", "resume"])
    stream.unregisterProducer()
    stream.finish()
    await reader.ended
    assert len(reader.data) == 4 << 20


@pytest_twisted.ensureDeferred
async def test_a_reader_that_has_enough(running: Running) -> None:
    """The connection closes, and the application learns it."""
    asked = ScgiAgent(reactor, running.path).request(b"GET", b"scgi://app/stream")
    stream = await running.stream()
    gone = stream.notifyFinish()
    stream.write(b"one")
    reader = Reader()
    (await asked).deliverBody(reader)
    reader.transport.stopProducing()
    assert (await reader.ended)[0].check(ResponseFailed)
    with pytest.raises(Exception, match="Connection"):
        await gone


@pytest_twisted.ensureDeferred
async def test_cancelling_closes_the_connection(running: Running) -> None:
    asked = ScgiAgent(reactor, running.path).request(b"GET", b"scgi://app/stream")
    gone = (await running.stream()).notifyFinish()
    asked.cancel()
    with pytest.raises(CancelledError):
        await asked
    with pytest.raises(Exception, match="Connection"):
        await gone


@pytest_twisted.ensureDeferred
async def test_cancelling_before_there_is_a_connection() -> None:
    asked = ScgiAgent(reactor).request(b"GET", b"scgi://localhost:1/")
    asked.cancel()
    with pytest.raises(CancelledError):
        await asked


# -- bodies --------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_body_of_unknown_length_is_spooled(running: Running) -> None:
    """SCGI wants the length first."""
    agent = ScgiAgent(reactor, running.path)
    producer = Producer(UNKNOWN_LENGTH, b"some ", b"bytes")
    response = await agent.request(b"POST", b"scgi://app/", None, producer)
    told = await treq.json_content(response)
    assert (told["CONTENT_LENGTH"], told["body"]) == ("10", "some bytes")


@pytest_twisted.ensureDeferred
async def test_a_body_that_does_not_fit_in_the_spool(running: Running) -> None:
    agent = ScgiAgent(reactor, running.path, max_spool=5)
    producer = Producer(UNKNOWN_LENGTH, b"some ", b"bytes")
    with pytest.raises(BodyTooLarge):
        await agent.request(b"POST", b"scgi://app/", None, producer)
    assert producer.stopped


@pytest.mark.parametrize(
    ("length", "said"), [(4, "longer than the 4"), (6, "1 bytes short of its 6")]
)
@pytest_twisted.ensureDeferred
async def test_a_body_of_another_length_than_it_said(
    running: Running, length: int, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        await ScgiAgent(reactor, running.path).request(
            b"POST", b"scgi://app/", None, Producer(length, b"x" * 5)
        )


def test_a_measured_body_is_a_body_producer() -> None:
    assert verifyObject(IBodyProducer, MeasuredBody(Producer(1, b"x")))


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "uri", "said"),
    [
        (b"GET", b"http://example.com/", "expected scgi://"),
        (b"GET", b"/path", "no URL"),
        (b"GET", b"scgi://host:port/", "port"),
        (b"GET", b"scgi://h\xc3\xb6st/", "no URL"),
        (b"GET", b"balancer://pool/", "balancer"),
        (b"GET", b"scgi://host/%00", "NUL"),
        (b"GE T", b"scgi://host/", "no method"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_request_that_cannot_be_sent(method: bytes, uri: bytes, said: str) -> None:
    memory = MemoryReactorClock()
    with pytest.raises(BadRequest, match=said):
        await ScgiAgent(memory).request(method, uri)
    assert not memory.tcpClients


@pytest_twisted.ensureDeferred
async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(ConnectFailed, match=r"nothing\.sock"):
        await ScgiAgent(reactor, str(tmp_path / "nothing.sock")).request(b"GET", b"scgi://app/")


@pytest_twisted.ensureDeferred
async def test_nobody_listens_at_a_name() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ConnectFailed, match="refused"):
        await ScgiAgent(reactor).request(b"GET", b"scgi://localhost:%d/" % port)


# -- in memory -----------------------------------------------------------------------------------


class Scripted:
    """One request on a connection whose other side is the test."""

    def __init__(self, *, method: bytes = b"GET", headers: Headers | None = None) -> None:
        self.reactor = MemoryReactorClock()
        self.agent = ScgiAgent(self.reactor, timeout=10)
        self.asked = self.agent.request(method, b"scgi://192.0.2.1/x", headers)
        self.failure: Failure | None = None
        (host, port, factory, *_) = self.reactor.tcpClients[0]
        assert (host, port) == ("192.0.2.1", 4000)
        self.transport = AbortableTransport()
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def failed(self) -> BaseException:
        self.asked.addErrback(lambda failure: setattr(self, "failure", failure))
        assert self.failure is not None
        return self.failure.value


class AbortableTransport(StringTransport):
    def setTcpNoDelay(self, enabled: bool) -> None: ...

    def setTcpKeepAlive(self, enabled: bool) -> None: ...

    def abortConnection(self) -> None:
        self.disconnecting = True


def test_the_request_on_the_wire() -> None:
    """Credentials are passed on: here the caller is the gateway."""
    scripted = Scripted(headers=Headers({b"Authorization": [b"Basic eDp5"]}))
    head = RequestParser().feed(scripted.transport.value())
    assert head is not None
    assert head.variables[b"HTTP_AUTHORIZATION"] == b"Basic eDp5"
    assert head.variables[b"REQUEST_URI"] == b"/x"
    scripted.protocol.dataReceived(b"Status: 204\r\n\r\n")
    scripted.asked.addErrback(lambda _: None)


def test_a_malformed_answer() -> None:
    scripted = Scripted()
    scripted.protocol.dataReceived(b"no header\n\n")
    assert isinstance(scripted.failed(), BadResponse)


def test_no_answer_in_time() -> None:
    scripted = Scripted()
    scripted.reactor.advance(11)
    assert isinstance(scripted.failed(), HeadTimeout)
    assert scripted.transport.disconnecting


def test_an_answer_that_is_cut_short() -> None:
    """The body's reader is told, with the reason."""
    scripted = Scripted()
    scripted.protocol.dataReceived(b"Content-Length: 10\r\n\r\nhalf")
    responses: list[IResponse] = []
    scripted.asked.addCallback(responses.append)
    scripted.protocol.connectionLost()
    reader = Reader()
    responses[0].deliverBody(reader)
    assert reader.data == b"half"
    (reason,) = reader.ended.result[0].value.reasons
    assert isinstance(reason.value, TruncatedResponse)


def test_an_answer_that_was_complete_before_anybody_read_it() -> None:
    scripted = Scripted()
    scripted.protocol.dataReceived(b"Status: 404 Not here\r\nContent-Length: 4\r\n\r\nbody")
    responses: list[IResponse] = []
    scripted.asked.addCallback(responses.append)
    (response,) = responses
    assert (response.code, response.phrase, response.length) == (404, b"Not here", 4)
    assert response.version == (b"HTTP", 1, 1)
    reader = Reader()
    response.deliverBody(reader)
    assert reader.data == b"body"
    assert reader.ended.result[0].check(ResponseDone)
    response.setPreviousResponse(response)
    assert response.previousResponse is response


def test_nothing_more_is_read_until_the_body_is_wanted() -> None:
    scripted = Scripted()
    scripted.protocol.dataReceived(b"\r\nfirst")
    responses: list[IResponse] = []
    scripted.asked.addCallback(responses.append)
    assert scripted.transport.producerState == "paused"
    reader = Reader()
    responses[0].deliverBody(reader)
    assert scripted.transport.producerState == "producing"
    reader.transport.pauseProducing()
    scripted.protocol.dataReceived(b" second")
    assert reader.data == b"first"
    reader.transport.resumeProducing()
    assert reader.data == b"first second"
    reader.transport.abortConnection()
    assert scripted.transport.disconnecting
