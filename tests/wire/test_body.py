"""Body sources: order, pauses, ends, and that nothing is left open."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

from scgiproxy.errors import BodyTooLarge, GatewayError
from scgiproxy.wire.body import MEMORY_SPOOL, PIECE, BytesBody, Spool
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
    data = bytes(range(256)) * 1000
    body, file = file_body(data)
    front = body.first_bytes() if first else b""
    assert len(front) <= PIECE
    consumer, fired = produce(body, room=1)
    assert len(consumer.data) == PIECE
    while not fired:
        before = len(consumer.data)
        consumer.drain()
        assert len(consumer.data) - before <= PIECE
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
    body, file = file_body(b"x" * PIECE * 2)
    consumer, fired = produce(body, room=1)
    body.stopProducing()
    body.stopProducing()
    body.resumeProducing()
    assert file.closed
    assert fired == []
    assert len(consumer.data) == PIECE


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


# -- the spool ---------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 1000))
def test_spool_gives_back_what_it_took(pieces: list[bytes], memory: int) -> None:
    """In memory or on disk."""
    spool = Spool(0, memory=memory)
    for piece in pieces:
        spool.write(piece)
    body = spool.body()
    data = b"".join(pieces)
    assert body.length == spool.size == len(data)
    consumer, fired = produce(body)
    assert (consumer.data, fired) == (data, [None])


def test_spool_is_in_memory_first_and_then_in_an_unlinked_file(tmp_path: Any) -> None:
    spool = Spool(0, directory=str(tmp_path))
    spool.write(b"x" * MEMORY_SPOOL)
    assert not spool.file()._rolled  # type: ignore[attr-defined]
    spool.file().seek(0, 2)
    spool.write(b"x")
    assert spool.file()._rolled  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []
    spool.close()
    spool.close()


def test_spool_has_a_limit() -> None:
    spool = Spool(10)
    spool.write(b"x" * 10)
    with pytest.raises(BodyTooLarge, match="10 bytes"):
        spool.write(b"x")
    spool.close()


def test_spool_without_a_folder_fails(tmp_path: Any) -> None:
    """And says why."""
    spool = Spool(0, memory=1, directory=str(tmp_path / "gone"))
    with pytest.raises(GatewayError, match="could not be spooled: No such file"):
        spool.write(b"xx")
    spool.close()


def test_spool_on_a_full_disk_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kw: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    spool = Spool(0, memory=1)
    with pytest.raises(GatewayError, match="could not be spooled: No space left"):
        spool.write(b"xx")
    spool.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("size", [100, 100_000])
def test_spool_whose_disk_is_full_before_its_buffer(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """It fails with what does not fit, not later; and closing is not hindered."""
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "w+b"))  # noqa: SIM115
    spool = Spool(0, memory=10)
    with pytest.raises(GatewayError, match="could not be spooled: No space left"):
        spool.write(b"x" * size)
    spool.close()
    spool.close()
