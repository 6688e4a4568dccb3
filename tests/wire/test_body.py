"""Body sources: order, pauses, ends, and that nothing is left open."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

from scgiproxy.errors import GatewayError
from scgiproxy.wire.body import FILE_PIECE, PIECE, BytesBody
from tests.wire.bodies import Consumer, Source, file_body, produce


@pytest.mark.parametrize(
    "make", [lambda: BytesBody(b"hello"), lambda: file_body(b"hello")[0], lambda: Source(5).body]
)
def test_sources_are_body_producers(make: Any) -> None:
    body = make()
    assert verifyObject(IBodyProducer, body)
    assert body.length == 5
    body.stopProducing()


@pytest.mark.parametrize("first", [True, False])
def test_bytes(first: bool) -> None:
    body = BytesBody(b"hello")
    front = body.first_bytes() if first else b""
    consumer, fired = produce(body)
    assert front + consumer.data == b"hello"
    assert fired == [None]


def test_bytes_may_be_none() -> None:
    consumer, fired = produce(BytesBody(b""))
    assert (consumer.data, fired) == (b"", [None])


@pytest.mark.parametrize("first", [True, False])
def test_file_is_read_in_pieces_and_closed(first: bool) -> None:
    data = bytes(range(256)) * 3000
    body, file = file_body(data)
    front = body.first_bytes() if first else b""
    assert len(front) <= PIECE
    consumer, fired = produce(body, room=1)
    assert len(consumer.data) == FILE_PIECE
    while not fired:
        before = len(consumer.data)
        consumer.drain()
        assert len(consumer.data) - before <= FILE_PIECE
    assert front + consumer.data == data
    assert fired == [None]
    assert file.closed


def test_file_is_not_read_further_than_its_length() -> None:
    body, _ = file_body(b"hello world", 5)
    consumer, fired = produce(body)
    assert (consumer.data, fired) == (b"hello", [None])


def test_file_that_ends_early_fails() -> None:
    body, file = file_body(b"hel", 5)
    consumer, fired = produce(body)
    assert consumer.data == b"hel"
    assert fired[0].check(GatewayError)
    assert "2 bytes early" in str(fired[0].value)
    assert file.closed


def test_stopped_file_is_closed_and_silent() -> None:
    body, file = file_body(b"x" * FILE_PIECE * 2)
    consumer, fired = produce(body, room=1)
    body.stopProducing()
    body.stopProducing()
    body.resumeProducing()
    assert file.closed
    assert fired == []
    assert len(consumer.data) == FILE_PIECE


def test_file_can_be_taken_over() -> None:
    body, file = file_body(b"hello")
    assert body.detach() is file


@pytest.mark.parametrize("first", [True, False])
def test_file_that_cannot_be_read_fails(first: bool) -> None:
    """With the reason, whoever asks for its bytes."""
    body, file = file_body(b"hello")

    def broken(size: int = -1) -> bytes:
        raise OSError(5, "Input/output error")

    file.read = broken  # type: ignore[assignment]
    if first:
        assert body.first_bytes() == b""
    consumer, fired = produce(body)
    assert fired[0].check(GatewayError)
    assert "could not be read: Input/output error" in str(fired[0].value)
    assert consumer.data == b""
    assert file.closed


# -- live --------------------------------------------------------------------------------------


def test_live_bytes_go_straight_through() -> None:
    source = Source()
    consumer, fired = produce(source.body)
    assert source.wanted == 1
    source.body.received(b"hello")
    assert consumer.data == b"hello"
    source.body.received(b"world")
    assert not source.body.complete
    source.body.ended()
    assert source.body.complete
    assert fired == [None]
    assert not source.paused


def test_live_bytes_wait_for_a_reader() -> None:
    source = Source()
    source.body.received(b"hello")
    consumer, fired = produce(source.body)
    assert consumer.data == b"hello"
    assert fired == []
    assert source.wanted == 1


def test_live_first_bytes_are_not_sent_twice() -> None:
    source = Source()
    source.body.received(b"he")
    source.body.received(b"llo")
    assert source.body.first_bytes() == b"hello"
    consumer, _ = produce(source.body)
    source.body.received(b"world")
    assert consumer.data == b"world"


def test_live_upload_that_nobody_reads_is_paused_at_a_bound() -> None:
    source = Source()
    source.body.received(b"x" * (PIECE - 1))
    assert not source.paused
    source.body.received(b"xx")
    assert source.paused
    consumer, _ = produce(source.body)
    assert len(consumer.data) == PIECE + 1
    assert not source.paused


def test_live_pause_reaches_the_source_and_back() -> None:
    source = Source()
    consumer, fired = produce(source.body, room=5)
    source.body.received(b"hello")
    assert source.paused
    source.body.received(b" still on its way")
    assert consumer.data == b"hello"
    consumer.room = None
    consumer.drain()
    assert consumer.data == b"hello still on its way"
    assert not source.paused
    source.body.ended()
    assert fired == [None]


def test_live_upload_that_ends_while_paused_lets_the_source_go_on() -> None:
    """Whoever delivers must see the client leave while the last bytes wait to be sent."""
    source = Source()
    consumer, fired = produce(source.body, room=5)
    source.body.received(b"hello")
    assert source.paused
    source.body.ended()
    assert not source.paused
    assert fired == [None]
    del consumer


def test_live_upload_with_held_bytes_ends_after_them() -> None:
    source = Source()
    consumer, fired = produce(source.body, room=5)
    source.body.received(b"hello")
    source.body.received(b"world")
    source.body.ended()
    assert not source.paused
    assert fired == []
    consumer.drain()
    assert consumer.data == b"helloworld"
    consumer.drain()
    assert fired == [None]


def test_live_upload_complete_before_it_is_read_wants_nothing() -> None:
    source = Source()
    source.body.received(b"hello")
    source.body.ended()
    consumer, fired = produce(source.body)
    assert (consumer.data, fired, source.wanted) == (b"hello", [None], 0)


@pytest.mark.parametrize("early", [True, False])
def test_live_failure_is_told(early: bool) -> None:
    source = Source()
    failure = Failure(ValueError("gone"))
    if early:
        source.body.failed(failure)
    _, fired = produce(source.body)
    if not early:
        source.body.failed(failure)
    assert fired == [failure]
    assert source.wanted == (0 if early else 1)
    assert not source.body.complete


def test_stopped_live_upload_lets_the_source_go_on_into_nothing() -> None:
    source = Source()
    source.body.received(b"x" * PIECE)
    assert source.paused
    source.body.stopProducing()
    source.body.stopProducing()
    assert not source.paused
    source.body.received(b"x" * PIECE * 3)
    assert not source.paused
    assert source.body.first_bytes() == b""
    source.body.ended()
    assert source.body.complete


def test_live_upload_stopped_by_its_first_bytes_wants_nothing() -> None:
    """The reader has seen enough: nobody is asked to send more."""
    source = Source()
    source.body.received(b"too much")
    consumer = Consumer(source.body)
    consumer.write = lambda data: source.body.stopProducing()  # type: ignore[method-assign]
    source.body.startProducing(consumer)  # type: ignore[arg-type]
    assert source.wanted == 0


@given(st.lists(st.sampled_from(["deliver", "drain", "start"]), max_size=40), st.integers(1, 4))
def test_live_upload_keeps_order_and_bounds(steps: list[str], room: int) -> None:
    """However deliveries and pauses follow each other, every byte comes once and in order."""
    source = Source()
    body = source.body
    consumer = Consumer(body, room * 1000)
    started = False
    fired: list[Any] = []
    sent = b""
    for number, step in enumerate(steps):
        if step == "deliver" and not source.paused:
            piece = b"%03d" % number * 7000
            sent += piece
            body.received(piece)
        elif step == "drain" and started:
            consumer.drain()
        elif step == "start" and not started:
            started = True
            body.startProducing(consumer).addBoth(fired.append)  # type: ignore[arg-type]
        assert sent.startswith(consumer.data)
        assert len(sent) - len(consumer.data) < PIECE + 3 * 7000
    if not started:
        body.startProducing(consumer).addBoth(fired.append)  # type: ignore[arg-type]
    body.ended()
    for _ in range(100):
        consumer.drain()
    assert consumer.data == sent
    assert fired == [None]
    assert not source.paused
