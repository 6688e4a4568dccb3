"""Uploads: streamed or spooled, with backpressure, limits, and answers that come early."""

from __future__ import annotations

import pytest

from scgiproxy.errors import BackendError
from scgiproxy.wire.spool import MEMORY_SPOOL
from scgiproxy.wire.spoolspace import SpoolSpace
from tests.web.answers import Log
from tests.web.harness import CHUNKED, GET, OK, POST, STREAM, Gateway


def upload(length: int = 10, *headers: bytes) -> bytes:
    return (
        POST
        + b"".join(header + b"\r\n" for header in headers)
        + b"Content-Length: %d\r\n\r\n" % length
    )


def test_upload_with_a_length_is_streamed() -> None:
    """The backend sees the head before any byte of the body, and then each piece as it comes."""
    gateway = Gateway()
    client = gateway.client().send(upload())
    backend = gateway.backend
    assert backend.variables["CONTENT_LENGTH"] == "10"
    assert backend.body == b""
    client.send(b"hello")
    assert backend.body == b"hello"
    client.send(b"world")
    assert backend.body == b"helloworld"
    backend.answer(OK)
    assert client.answer.body == b"hello"
    assert client.answer["connection"] is None
    gateway.finish(client)


def test_first_bytes_of_an_upload_go_out_with_the_head() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload() + b"hello")
    assert gateway.backend.body == b"hello"
    gateway.finish(client)


def test_upload_has_backpressure() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload(1 << 30))
    gateway.backend.transport.block()
    assert client.paused
    gateway.backend.transport.unblock()
    assert not client.paused
    gateway.finish(client)


def test_upload_into_a_queue_is_bounded() -> None:
    """While no backend is free, no more than a piece is held."""
    gateway = Gateway()
    gateway.pool.hold = True
    client = gateway.client().send(upload(1 << 30))
    for _ in range(10):
        client.send(b"x" * 65536)
    assert client.paused
    assert len(client.transport.incoming) == 9
    gateway.pool.connect(gateway.pool.held.pop())
    gateway.settle()
    assert not client.paused
    assert len(gateway.backend.body) == 655360
    gateway.finish(client)


def test_large_upload_to_a_slow_backend_holds_little() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload(1 << 30))
    backend = gateway.backend
    backend.transport.block()
    client.send(b"x" * 1000)
    for _ in range(100):
        backend.transport.unblock()
        gateway.settle()
        backend.transport.block()
        client.send(b"x" * 65536)
        assert len(client.transport.incoming) == 1
        backend.transport.clear()
    gateway.finish(client)


@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_chunked_upload_has_its_true_length(size: int) -> None:
    """From memory and from disk."""
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    gateway = Gateway()
    client = gateway.client().send(CHUNKED)
    for start in range(0, size, 50_000):
        piece = body[start : start + 50_000]
        client.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
    assert not gateway.pool.ends
    client.send(b"0\r\n\r\n")
    while gateway.backend.transport.producer is not None:
        gateway.backend.transport.producer.resumeProducing()
    variables = gateway.backend.variables
    assert variables["CONTENT_LENGTH"] == str(size)
    assert "HTTP_TRANSFER_ENCODING" not in variables
    assert gateway.backend.body == body
    gateway.backend.answer(OK)
    assert client.answer.body == b"hello"
    gateway.finish(client)


def test_spooled_upload_has_backpressure_to_its_backend() -> None:
    gateway = Gateway()
    client = gateway.client().send(CHUNKED + b"%x\r\n" % 300_000)
    client.send(b"x" * 300_000)
    gateway.pool.hold = True
    client.send(b"\r\n0\r\n\r\n")
    call = gateway.pool.held.pop()
    gateway.pool.connect(call)
    gateway.backend.transport.block()
    assert not client.paused
    gateway.backend.transport.unblock()
    gateway.finish(client)


EXPECT = b"Expect: 100-continue"


def test_100_continue_comes_when_the_backend_is_there() -> None:
    gateway = Gateway()
    gateway.pool.hold = True
    client = gateway.client().send(upload(5, EXPECT))
    assert client.received == b""
    gateway.pool.connect(gateway.pool.held.pop())
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"hello")
    gateway.backend.answer(OK)
    assert client.answers[0].status == 200
    assert "HTTP_EXPECT" not in gateway.backend.variables
    gateway.finish(client)


def test_100_continue_for_a_chunked_upload_comes_at_once() -> None:
    gateway = Gateway()
    gateway.pool.hold = True
    client = gateway.client().send(POST + EXPECT + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"5\r\nhello\r\n0\r\n\r\n")
    gateway.pool.connect(gateway.pool.held.pop())
    gateway.backend.answer(OK)
    assert client.answer.status == 200
    gateway.finish(client)


def test_100_continue_is_not_for_old_clients_and_not_without_a_body() -> None:
    gateway = Gateway()
    client = gateway.client().send(
        b"POST / HTTP/1.0\r\n" + EXPECT + b"\r\nContent-Length: 5\r\n\r\n"
    )
    client2 = gateway.client().send(GET[:-2] + EXPECT + b"\r\n\r\n")
    assert client.received == client2.received == b""
    gateway.finish(client, client2)


def test_100_continue_is_not_sent_after_all_has_come() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload(5, EXPECT) + b"hello")
    gateway.backend.answer(OK)
    assert client.answers[-1].status == 200


def test_100_continue_is_never_sent_after_the_answer() -> None:
    gateway = Gateway(limit_request_body=4)
    client = gateway.client().send(upload(5, EXPECT))
    assert client.answer.status == 413
    assert not gateway.pool.ends
    gateway = Gateway()
    gateway.pool.hold = True
    client = gateway.client().send(upload(5, EXPECT))
    gateway.pool.held.pop().dispatch_failed(BackendError("no"))
    assert client.answer.status == 502


def test_body_over_its_limit_is_413() -> None:
    gateway = Gateway(limit_request_body=5)
    client = gateway.client().send(upload(6))
    assert client.answer.status == 413
    assert client.answer["connection"] == "close"
    assert not gateway.pool.dispatches
    client = gateway.client().send(upload(5) + b"hello")
    gateway.backend.answer(OK)
    assert client.answer.status == 200


def test_chunked_body_over_its_limit_is_413() -> None:
    gateway = Gateway(limit_request_body=5)
    client = gateway.client().send(CHUNKED + b"5\r\nhello\r\n")
    assert client.received == b""
    client.send(b"1\r\nx")
    assert client.answer.status == 413
    assert client.answer["connection"] == "close"
    assert client.half_closed
    client.send(b"\r\n0\r\n\r\n" + GET)
    assert not gateway.pool.dispatches
    assert len(client.answers) == 1
    gateway.finish(client)


def test_chunked_body_at_its_limit_is_served() -> None:
    gateway = Gateway(limit_request_body=5)
    client = gateway.client().send(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")
    gateway.backend.answer(OK)
    assert client.answer.status == 200


def test_chunks_over_the_limit_in_one_piece_with_an_expectation() -> None:
    """Refused at once: no 100 either."""
    gateway = Gateway(limit_request_body=5)
    client = gateway.client().send(
        POST + EXPECT + b"\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n\r\n"
    )
    assert client.answers[-1].status == 413


def test_no_limit() -> None:
    gateway = Gateway(limit_request_body=0)
    client = gateway.client().send(upload(1 << 40))
    assert gateway.backend.variables["CONTENT_LENGTH"] == str(1 << 40)
    gateway.finish(client)


def test_early_answer_wins() -> None:
    """The backend has decided; what is still coming is read and dropped, never parsed."""
    gateway = Gateway()
    client = gateway.client().send(upload(1000) + b"x" * 10)
    gateway.backend.answer(OK)
    gateway.settle()
    client.send(GET * 5)
    answer = client.answer
    assert (answer.body, answer["connection"]) == (b"hello", "close")
    assert len(gateway.pool.ends) == 1
    assert gateway.backend.closed == "aborted"
    assert gateway.pool.dispatches[0].ends == ["released"]
    gateway.finish(client)


def test_answer_that_begins_early_goes_on_beside_the_upload() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload(10) + b"hello")
    backend = gateway.backend.answer(STREAM + b"HELLO")
    client.send(b"world")
    assert backend.body == b"helloworld"
    backend.answer(b"WORLD").close()
    gateway.settle()
    answer = client.answer
    assert (answer.body, answer.whole) == (b"HELLOWORLD", True)
    gateway.finish(client)


def test_early_answer_wins_over_a_write_error() -> None:
    gateway = Gateway()
    client = gateway.client().send(upload(1000) + b"x" * 10)
    gateway.backend.protocol.write_failed()
    client.send(b"x" * 10)
    gateway.backend.answer(b"Status: 413 Too big\r\n\r\ntoo big").reset()
    gateway.settle()
    assert (client.answer.status, client.answer.body) == (413, b"too big")
    gateway.finish(client)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_backend_that_leaves_in_an_upload_without_an_answer_is_502(how: str) -> None:
    gateway = Gateway()
    client = gateway.client().send(upload(1000) + b"x" * 10)
    with Log() as log:
        getattr(gateway.backend, how)()
    assert client.answer.status == 502
    assert "backend.send" in log.line()
    assert "phase=send" in log.line()
    gateway.finish(client)


def test_malformed_chunk_is_refused_while_it_is_spooled() -> None:
    gateway = Gateway()
    client = gateway.client().send(CHUNKED + b"5\r\nhello\r\nxyz\r\n")
    assert client.answer.status == 400
    assert client.answer["connection"] == "close"
    assert not gateway.pool.ends
    gateway.finish(client)


def test_disk_that_is_full_is_507(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the others are served."""
    gateway = Gateway()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SpoolSpace, "open_file", full)
    client = gateway.client().send(CHUNKED + b"%x\r\n" % (MEMORY_SPOOL + 1))
    with Log() as log:
        client.send(b"x" * (MEMORY_SPOOL + 1))
    assert client.answer.status == 507
    assert "gateway.disk_full: the body could not be spooled in /" in log.line()
    other = gateway.client().send(GET)
    gateway.backend.answer(OK)
    assert other.answer.status == 200
    gateway.finish(client, other)
