"""The SCGI client waits for its backend so long, and for nobody else."""

from __future__ import annotations

from scgiproxy.errors import (
    BodyTimeout,
    HeadTimeout,
)
from tests.wire.exchanging import HEAD, Upload, connect


def test_no_head_in_time() -> None:
    exchange = connect(timeout=10.0)
    exchange.advance(9)
    assert exchange.receiver.end is None
    exchange.advance(2)
    assert "no complete response head within 10 s" in exchange.failed(HeadTimeout)


def test_timeout_is_of_inactivity() -> None:
    exchange = connect(timeout=10.0)
    for piece in (b"Status: 200\r\n\r\n", b"1", b"2"):
        exchange.advance(8)
        exchange.answer(piece)
    exchange.advance(8)
    exchange.close()
    assert exchange.complete().body == b"12"


def test_a_head_in_drips_is_not_in_time() -> None:
    """Its bytes are no progress: somebody could send them for ever."""
    exchange = connect(timeout=10.0)
    for piece in (b"S", b"t"):
        exchange.advance(4)
        exchange.answer(piece)
    exchange.advance(4)
    assert "no complete response head within 10 s" in exchange.failed(HeadTimeout)


def test_body_that_stops() -> None:
    exchange = connect(timeout=10.0).answer(HEAD + b"hel")
    exchange.advance(11)
    exchange.failed(BodyTimeout)


def test_slow_upload_is_not_the_backends_fault() -> None:
    upload = Upload(5)
    exchange = connect(upload, timeout=10.0)
    exchange.advance(100)
    upload.received(b"hello")
    exchange.advance(100)
    upload.ended()
    exchange.advance(9)
    assert exchange.receiver.end is None
    exchange.advance(2)
    exchange.failed(HeadTimeout)


def test_backend_that_does_not_read() -> None:
    exchange = connect(Upload(), timeout=10.0)
    exchange.transport.block()
    exchange.advance(9)
    exchange.transport.unblock()
    exchange.advance(50)
    exchange.transport.block()
    exchange.advance(11)
    assert "did not read" in exchange.failed(HeadTimeout)


def test_backend_that_answers_while_it_does_not_read() -> None:
    """It streams its output meanwhile; that is no standstill."""
    exchange = connect(Upload(), timeout=10.0).answer(b"Status: 200\r\n\r\n")
    exchange.transport.block()
    for _ in range(5):
        exchange.advance(8)
        exchange.answer(b"x")
    assert exchange.receiver.end is None
    exchange.advance(11)
    exchange.failed(BodyTimeout)


def test_slow_client_is_not_the_backends_fault() -> None:
    exchange = connect(timeout=10.0).answer(HEAD)
    exchange.protocol.pause_response()
    exchange.protocol.pause_response()
    assert exchange.transport.producerState == "paused"
    exchange.advance(100)
    exchange.protocol.resume_response()
    assert exchange.transport.producerState == "producing"
    exchange.advance(9)
    exchange.answer(b"hello").complete()


def test_time_begins_again_when_the_client_reads_on() -> None:
    exchange = connect(timeout=10.0).answer(HEAD)
    exchange.protocol.pause_response()
    exchange.advance(100)
    exchange.protocol.resume_response()
    exchange.advance(11)
    exchange.failed(BodyTimeout)


def test_client_that_reads_on_while_it_uploads() -> None:
    """The upload is what is waited for, and that is the client's affair."""
    upload = Upload()
    exchange = connect(upload, timeout=10.0).answer(b"Content-Length: 50\r\n\r\nx")
    exchange.protocol.pause_response()
    exchange.protocol.resume_response()
    exchange.advance(100)
    assert exchange.receiver.end is None


def test_upload_that_ends_while_the_client_does_not_read() -> None:
    upload = Upload()
    exchange = connect(upload, timeout=10.0).answer(HEAD)
    exchange.protocol.pause_response()
    upload.ended()
    exchange.advance(100)
    assert exchange.receiver.end is None


def test_pauses_after_the_end_do_nothing() -> None:
    exchange = connect().answer(HEAD + b"hello")
    exchange.protocol.pause_response()
    exchange.protocol.resume_response()
    exchange.complete()


def test_backend_that_never_reads_the_last_bytes_of_the_request() -> None:
    """After a complete answer they get a moment to leave, no more."""
    exchange = connect()
    exchange.transport.blocked = True
    exchange.answer(HEAD + b"hello")
    assert exchange.receiver.end == "complete"
    assert exchange.transport.closed is None
    exchange.advance(6)
    assert exchange.transport.closed == "aborted"
    exchange.assert_over()
