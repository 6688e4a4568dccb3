"""One exchange on the wire: what is sent, what is told, how it ends."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from scgiproxy.errors import (
    BadResponse,
    ConnectFailed,
    HeadTimeout,
    SendFailed,
    TruncatedResponse,
)
from scgiproxy.interfaces import IDeadline, IWriteFailed
from scgiproxy.scgi.request import frame
from scgiproxy.wire.body import BytesBody, RequestBody
from scgiproxy.wire.client import Phase, ScgiRequest
from scgiproxy.wire.clientfactory import ScgiClientFactory
from scgiproxy.wire.deadline import DeadlineWheel
from tests.web.memory import TcpTransport
from tests.wire.exchanging import BLOCK, HEAD, Exchange, Receiver, Upload, connect


def test_provides_what_it_says() -> None:
    exchange = connect()
    assert verifyObject(IDeadline, exchange.protocol)
    assert verifyObject(IWriteFailed, exchange.protocol)


# -- without a body ----------------------------------------------------------------------------


def test_request_is_sent_at_once_and_the_answer_told() -> None:
    exchange = connect()
    assert exchange.transport.value() == frame(0, BLOCK)
    exchange.answer(HEAD + b"hello")
    receiver = exchange.complete()
    assert receiver.head is not None
    assert (receiver.head.status, receiver.head.content_length) == (200, 5)
    assert receiver.body == b"hello"
    assert exchange.transport.closed == "closed"
    assert exchange.protocol.sent == len(frame(0, BLOCK))
    assert exchange.protocol.received == len(HEAD) + 5
    assert exchange.protocol.last_phase is Phase.BODY


def test_answer_may_come_byte_by_byte() -> None:
    exchange = connect()
    data = HEAD + b"hello"
    exchange.answer(*(data[i : i + 1] for i in range(len(data))))
    assert exchange.complete().body == b"hello"
    assert exchange.protocol.first_bytes == b"S"


def test_first_bytes_are_kept_for_the_log() -> None:
    exchange = connect().answer(HEAD + b"x" * 200)
    assert exchange.protocol.first_bytes == (HEAD + b"x" * 200)[:80]


def test_backend_that_keeps_its_socket_open_after_its_length() -> None:
    exchange = connect().answer(HEAD + b"hel", b"lo and more", b"and more")
    assert exchange.complete().body == b"hello"


def test_body_without_a_length_ends_with_the_connection() -> None:
    exchange = connect().answer(b"Status: 200 OK\r\n\r\nhel", b"lo")
    assert exchange.receiver.end is None
    assert exchange.close().complete().body == b"hello"


def test_pieces_are_told_so_that_they_can_be_flushed() -> None:
    exchange = connect().answer(b"Status: 200 OK\r\n\r\n", b"data: 1\n\n", b"data: 2\n\n")
    assert exchange.receiver.flushes == 3


def test_answer_to_head_ends_with_its_head() -> None:
    exchange = connect(head_only=True).answer(HEAD)
    receiver = exchange.complete()
    assert receiver.head is not None
    assert receiver.head.content_length == 5


def test_complete_answer_and_then_a_reset() -> None:
    assert connect().answer(HEAD + b"hello").reset().complete().body == b"hello"


def test_half_close_follows_the_request() -> None:
    assert connect(half_close=True).transport.write_closed
    assert not connect().transport.write_closed


@pytest.mark.parametrize("how", ["close", "reset"])
def test_nothing_at_all(how: str) -> None:
    exchange = connect()
    getattr(exchange, how)()
    assert "reset" in exchange.failed(TruncatedResponse) or how == "close"
    assert exchange.protocol.last_phase is Phase.HEAD


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("head", [b"Status: 200", HEAD[:-2], HEAD + b"hel"])
def test_cut_answer(head: bytes, how: str) -> None:
    exchange = connect().answer(head)
    getattr(exchange, how)()
    exchange.failed(TruncatedResponse)


def test_reset_is_no_end_of_a_body_without_a_length() -> None:
    connect().answer(b"Status: 200 OK\r\n\r\nhel").reset().failed(TruncatedResponse)


def test_malformed_head() -> None:
    exchange = connect().answer(b"what is this\r\n\r\n")
    exchange.failed(BadResponse)
    assert exchange.transport.closed == "aborted"


def test_nothing_is_told_after_the_end() -> None:
    exchange = connect().answer(b"what is this\r\n\r\n")
    exchange.protocol.dataReceived(HEAD)
    exchange.protocol.connectionLost()
    exchange.protocol.cancel()
    exchange.protocol.write_failed()
    exchange.failed(BadResponse)


def test_cancel_tells_nobody() -> None:
    exchange = connect()
    exchange.protocol.cancel()
    assert exchange.transport.closed == "aborted"
    exchange.assert_over()
    assert exchange.receiver.end is None


def test_cancel_from_within_the_head() -> None:
    """The rest of what has come is not told any more."""
    exchange = connect()
    exchange.receiver.on_head = exchange.protocol.cancel
    exchange.answer(HEAD + b"hello")
    assert exchange.receiver.body == b""
    assert exchange.receiver.end is None
    assert exchange.receiver.flushes == 0
    exchange.assert_over()


# -- with a body -------------------------------------------------------------------------------


def test_bytes_go_out_with_the_head() -> None:
    writes: list[bytes] = []
    exchange = Exchange(BytesBody(b"hello"))
    exchange.transport.write = writes.append  # type: ignore[method-assign]
    exchange.connect()
    assert writes == [frame(5, BLOCK) + b"hello"]
    assert exchange.protocol.phase is Phase.HEAD


def test_live_upload_is_streamed() -> None:
    upload = Upload(10)
    exchange = connect(upload)
    assert upload.was_wanted
    assert exchange.transport.value() == frame(10, BLOCK)
    upload.received(b"hello")
    assert exchange.transport.value().endswith(b",hello")
    assert exchange.protocol.phase is Phase.SEND
    upload.received(b"world")
    upload.ended()
    assert exchange.protocol.phase is Phase.HEAD
    assert exchange.protocol.sent == len(frame(10, BLOCK)) + 10
    exchange.answer(HEAD + b"hello").complete()
    assert exchange.transport.closed == "closed"


def test_half_close_waits_for_the_body() -> None:
    upload = Upload(5)
    exchange = connect(upload, half_close=True)
    assert not exchange.transport.write_closed
    upload.received(b"hello")
    upload.ended()
    assert exchange.transport.write_closed


def test_backend_that_does_not_read_pauses_the_upload() -> None:
    upload = Upload()
    exchange = connect(upload)
    exchange.transport.block()
    assert upload.paused
    exchange.transport.unblock()
    assert not upload.paused


def test_backend_that_is_full_with_the_head_alone() -> None:
    """The transport may pause before the source has started."""
    upload = Upload(10)
    upload.received(b"hello")
    exchange = Exchange(upload)
    register = exchange.transport.registerProducer

    def register_and_block(producer: Any, streaming: bool) -> None:
        register(producer, streaming)
        exchange.transport.block()

    exchange.transport.registerProducer = register_and_block  # type: ignore[method-assign]
    exchange.connect()
    assert upload.paused
    exchange.transport.unblock()
    assert not upload.paused
    upload.received(b"world")
    assert exchange.transport.value() == frame(10, BLOCK) + b"helloworld"


def test_early_answer_wins() -> None:
    upload = Upload()
    exchange = connect(upload).answer(HEAD + b"hello")
    assert exchange.complete().body == b"hello"
    assert exchange.transport.closed == "aborted"
    upload.received(b"more")
    assert b"more" not in exchange.transport.value()


def test_answer_that_begins_early_goes_on_beside_the_upload() -> None:
    """An echo: reading and writing at the same time."""
    upload = Upload(10)
    exchange = connect(upload).answer(b"Content-Length: 10\r\n\r\n")
    upload.received(b"hello")
    exchange.answer(b"hello")
    upload.received(b"world")
    upload.ended()
    exchange.answer(b"world")
    assert exchange.complete().body == b"helloworld"
    assert exchange.transport.closed == "closed"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_backend_that_leaves_while_it_is_sent_to(how: str) -> None:
    upload = Upload()
    exchange = connect(upload)
    upload.received(b"hello")
    getattr(exchange, how)()
    exchange.failed(SendFailed)
    assert exchange.protocol.last_phase is Phase.SEND


@pytest.mark.parametrize("how", ["close", "reset"])
def test_answer_before_a_write_error_wins(how: str) -> None:
    """A backend that has said enough may leave the rest unread, and the kernel then resets."""
    exchange = connect(Upload()).answer(b"Status: 413 Too Large\r\n\r\ntoo much")
    getattr(exchange, how)()
    receiver = exchange.complete()
    assert receiver.head is not None
    assert (receiver.head.status, receiver.body) == (413, b"too much")


def test_answer_after_a_write_error_wins() -> None:
    upload = Upload()
    exchange = connect(upload)
    exchange.protocol.write_failed()
    upload.received(b"dropped")
    exchange.answer(HEAD + b"hello").complete()


def test_write_error_without_an_answer() -> None:
    exchange = connect(Upload())
    exchange.protocol.write_failed()
    exchange.close().failed(SendFailed)


@pytest.mark.parametrize(("unread", "sent"), [(True, 0), (False, 100)])
def test_what_nobody_has_read_was_not_sent(unread: bool, sent: int) -> None:
    exchange = connect(Upload())
    exchange.protocol.sent = 100
    exchange.protocol.write_failed()
    exchange.transport.unread = unread  # type: ignore[attr-defined]
    exchange.close().failed(SendFailed)
    assert exchange.protocol.sent == sent


def test_write_error_without_a_body_to_send() -> None:
    exchange = connect()
    exchange.protocol.write_failed()
    exchange.close().failed(SendFailed)


def test_write_error_and_then_silence() -> None:
    exchange = connect(Upload())
    exchange.protocol.write_failed()
    exchange.advance(61)
    exchange.failed(HeadTimeout)


def test_short_answer_to_an_upload_is_cut() -> None:
    """Whatever became of the upload, the length tells."""
    connect(BytesBody(b"x")).answer(HEAD + b"hel").reset().failed(TruncatedResponse)


def test_upload_that_fails_is_told_and_the_backend_left() -> None:
    upload = Upload()
    exchange = connect(upload)
    failure = Failure(ValueError("the client"))
    upload.failed(failure)
    assert exchange.receiver.end is failure
    assert exchange.transport.closed == "aborted"
    exchange.assert_over()


def test_upload_that_had_failed_before() -> None:
    upload = Upload()
    failure = Failure(ValueError("the client"))
    upload.failed(failure)
    exchange = connect(upload)
    assert exchange.receiver.end is failure
    exchange.assert_over()


def test_cancel_frees_the_upload() -> None:
    upload = Upload()
    exchange = connect(upload)
    exchange.transport.block()
    assert upload.paused
    exchange.protocol.cancel()
    assert not upload.paused
    exchange.assert_over()


def test_any_body_producer_will_do() -> None:
    """One of somebody else's, without our first_bytes."""

    class Plain:
        length = 5

        def __init__(self) -> None:
            self.inner: RequestBody = BytesBody(b"hello")

        def __getattr__(self, name: str) -> Any:
            if name == "first_bytes":
                raise AttributeError(name)
            return getattr(self.inner, name)

    exchange = connect(Plain())
    assert exchange.transport.value() == frame(5, BLOCK) + b"hello"


# -- the factory -------------------------------------------------------------------------------


def factory() -> tuple[ScgiClientFactory, Receiver, Clock]:
    clock = Clock()
    receiver = Receiver()
    made = ScgiClientFactory(
        ScgiRequest(BLOCK),
        receiver,  # type: ignore[arg-type]
        wheel=DeadlineWheel(clock),
        clock=clock,
    )
    return made, receiver, clock


def test_factory_makes_the_protocol() -> None:
    made, receiver, clock = factory()
    protocol = made.buildProtocol(None)
    transport = TcpTransport(protocol, clock)
    protocol.makeConnection(transport)  # type: ignore[arg-type]
    transport.deliver(HEAD + b"hello")
    assert receiver.end == "complete"
    assert protocol.factory is made


@pytest.mark.parametrize("error", [ConnectError(), ConnectFailed("no")])
def test_factory_tells_of_a_failed_connection(error: Exception) -> None:
    made, receiver, _ = factory()
    made.clientConnectionFailed(None, Failure(error))  # type: ignore[arg-type]
    assert isinstance(receiver.end, ConnectFailed)
