"""Bodies that can be sent once more: from the beginning, whole, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

from scgiproxy.wire.body import FILE_PIECE, PIECE, BytesBody, RequestBody
from scgiproxy.wire.replay import KEPT, Replay, repeatable
from tests.wire.bodies import Consumer, Source, file_body, produce


def begin(body: RequestBody, room: int | None = None) -> tuple[Consumer, list[Any]]:
    """What a connection does with a body: its first bytes go out with the head."""
    first = body.first_bytes()
    consumer, fired = produce(body, room)
    consumer.data = first + consumer.data
    return consumer, fired


# -- which -------------------------------------------------------------------------------------


def test_a_spool_is_kept_as_it_is() -> None:
    body, _ = file_body(b"hello")
    assert repeatable(body, False) is body
    assert body.rewind()


def test_an_upload_is_kept_if_wanted() -> None:
    upload = Source().body
    assert repeatable(upload, False) is upload
    assert not upload.rewind()
    kept = repeatable(upload, True)
    assert isinstance(kept, Replay)
    assert kept.length == upload.length
    assert repeatable(kept, True) is kept
    assert repeatable(kept, False) is kept


def test_others_cannot_be_sent_again() -> None:
    body = BytesBody(b"hello")
    body.settle()
    assert not body.rewind()
    assert body.first_bytes() == b"hello"
    spool, file = file_body(b"hello")
    spool.settle()
    assert not spool.rewind()
    assert not file.closed


# -- a file ------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_file_is_sent_from_where_it_stood(times: int) -> None:
    """However often, and closed when nobody is to begin anew."""
    data = bytes(range(256)) * 1000
    body, file = file_body(b"before" + data, len(data))
    file.seek(6)
    repeatable(body, False)
    for _ in range(times):
        consumer, fired = begin(body)
        assert (consumer.data, fired) == (data, [None])
        assert not file.closed
        assert body.rewind()
    body.settle()
    assert file.closed
    assert not body.rewind()


def test_a_file_that_is_being_sent_is_closed_at_its_end() -> None:
    """An answer may begin before: it settles the matter."""
    data = bytes(FILE_PIECE + PIECE * 2)
    body, file = file_body(data)
    repeatable(body, False)
    consumer, fired = begin(body, room=1)
    body.settle()
    assert not file.closed
    assert not body.rewind()
    consumer.drain()
    assert (consumer.data, fired) == (data, [None])
    assert file.closed


@pytest.mark.parametrize("settled", [True, False])
def test_a_file_that_nobody_reads_any_more(settled: bool) -> None:
    body, file = file_body(bytes(FILE_PIECE * 3))
    repeatable(body, False)
    _, fired = begin(body, room=1)
    if settled:
        body.settle()
    body.stopProducing()
    assert file.closed is settled
    body.settle()
    assert file.closed
    assert fired == []


def test_a_file_begins_anew_in_the_middle_and_while_paused() -> None:
    data = bytes(range(256)) * 3000
    body, _ = file_body(data)
    repeatable(body, False)
    first, fired = begin(body, room=1)
    assert body.rewind()
    assert first.data == data[: PIECE + FILE_PIECE]
    second, fired_then = begin(body)
    assert (second.data, fired_then) == (data, [None])
    assert (first.data, fired) == (data[: PIECE + FILE_PIECE], [])


# -- an upload ---------------------------------------------------------------------------------


def replay(length: int = 10, most: int = KEPT) -> tuple[Source, Replay]:
    source = Source(length)
    return source, Replay(source.body, most)


def test_it_is_a_body_producer() -> None:
    assert verifyObject(IBodyProducer, replay()[1])


def test_bytes_go_straight_through() -> None:
    source, body = replay()
    source.body.received(b"he")
    consumer, fired = begin(body)
    assert source.wanted == 1
    assert consumer.data == b"he"
    source.body.received(b"llo")
    assert consumer.data == b"hello"
    assert not source.paused
    source.body.ended()
    assert fired == [None]


def test_a_whole_upload_is_sent_again() -> None:
    source, body = replay()
    source.body.received(b"hello")
    begin(body)
    source.body.received(b"world")
    source.body.ended()
    for _ in range(2):
        assert body.rewind()
        consumer, fired = begin(body)
        assert (consumer.data, fired) == (b"helloworld", [None])
    assert source.wanted == 1


def test_an_upload_goes_on_with_the_next() -> None:
    """Between the two the client is not read."""
    source, body = replay()
    first, fired_first = begin(body)
    source.body.received(b"hello")
    body.stopProducing()
    assert source.paused
    assert body.rewind()
    assert source.paused
    second, fired = begin(body)
    assert second.data == b"hello"
    assert not source.paused
    source.body.received(b"world")
    source.body.ended()
    assert (first.data, fired_first) == (b"hello", [])
    assert (second.data, fired) == (b"helloworld", [None])


def test_what_comes_while_nobody_reads_waits() -> None:
    source, body = replay()
    begin(body)
    source.body.received(b"hello")
    assert body.rewind()
    source.body.received(b"wor")
    consumer, fired = begin(body)
    assert consumer.data == b"hellowor"
    source.body.received(b"ld")
    source.body.ended()
    assert (consumer.data, fired) == (b"helloworld", [None])
    assert body.rewind()
    assert begin(body)[0].data == b"helloworld"


def test_an_upload_that_ends_while_nobody_reads() -> None:
    source, body = replay()
    begin(body)
    source.body.received(b"hello")
    assert body.rewind()
    source.body.received(b"world")
    source.body.ended()
    assert not source.paused
    consumer, fired = begin(body)
    assert (consumer.data, fired) == (b"helloworld", [None])


@pytest.mark.parametrize("between", [True, False])
def test_an_upload_that_breaks(between: bool) -> None:
    """Whoever sends it, now or next, is told."""
    source, body = replay()
    _, fired = begin(body)
    failure = Failure(ValueError("gone"))
    if not between:
        source.body.failed(failure)
        assert fired == [failure]
        assert body.rewind()
    else:
        assert body.rewind()
        source.body.failed(failure)
        assert fired == []
    _, fired = begin(body)
    assert fired == [failure]


@pytest.mark.parametrize("at", ["first", "later"])
def test_no_more_than_a_bound_is_kept(at: str) -> None:
    """One byte over it, and it cannot be sent again; nothing is held then."""
    source, body = replay(1000, most=10)
    if at == "first":
        source.body.received(b"x" * 11)
    consumer, _ = begin(body)
    if at == "later":
        source.body.received(b"x" * 10)
        assert body.rewind()
        consumer, _ = begin(body)
        source.body.received(b"x")
    assert consumer.data == b"x" * 11
    assert not body.rewind()
    assert body._kept is None
    source.body.received(b"y")
    assert consumer.data == b"x" * 11 + b"y"


def test_the_bound_is_64_kib() -> None:
    source, body = replay(1 << 20)
    begin(body)
    source.body.received(b"x" * 65536)
    assert body.rewind()
    begin(body)
    source.body.received(b"x")
    assert not body.rewind()


def test_settled_it_keeps_nothing_and_goes_on() -> None:
    source, body = replay()
    consumer, fired = begin(body)
    source.body.received(b"hello")
    body.settle()
    assert body._kept is None
    assert not body.rewind()
    source.body.received(b"world")
    source.body.ended()
    assert (consumer.data, fired) == (b"helloworld", [None])


@pytest.mark.parametrize("settled", ["before", "after"])
def test_stopped_for_good(settled: str) -> None:
    """Whoever delivers is let go on, into nothing."""
    source, body = replay()
    consumer, fired = begin(body, room=1)
    source.body.received(b"hello")
    assert source.paused
    if settled == "before":
        body.settle()
    body.stopProducing()
    assert source.paused is (settled == "after")
    body.settle()
    body.settle()
    assert not source.paused
    source.body.received(b"x" * PIECE * 3)
    assert not source.paused
    assert (consumer.data, fired) == (b"hello", [])


def test_settled_before_anybody_has_read() -> None:
    source, body = replay()
    source.body.received(b"x" * PIECE)
    assert source.paused
    body.settle()
    assert not source.paused
    assert source.wanted == 0


def test_paused_by_its_first_bytes() -> None:
    """Now and when it is sent again."""
    source, body = replay()
    source.body.received(b"hello")
    for _ in range(2):
        consumer = Consumer(body)
        fired: list[Any] = []
        consumer.write(body.first_bytes())
        body.pauseProducing()
        body.startProducing(consumer).addBoth(fired.append)  # type: ignore[arg-type]
        assert source.paused
        source.body.received(b"world" if not source.body.complete else b"")
        assert consumer.data == b"hello"
        assert body.rewind()
    consumer, fired = begin(body)
    assert consumer.data == b"helloworldworld"
    assert not source.paused


@given(
    st.lists(st.sampled_from(["deliver", "drain", "again", "room", "end"]), max_size=40),
    st.integers(1, 4),
)
def test_any_order_of_events(steps: list[str], room: int) -> None:
    """Each consumer gets a beginning of the body, the last one all of it, unless it is over the
    bound; and what is held stays within it."""
    source, body = replay(1 << 20, most=30_000)
    consumer, fired = begin(body, room * 1000)
    sent = b""
    ended = False
    for number, step in enumerate(steps):
        if step == "deliver" and not source.paused and not ended:
            piece = b"%03d" % number * 1000
            sent += piece
            source.body.received(piece)
        elif step == "drain":
            consumer.drain()
        elif step == "room":
            consumer.room = None
        elif step == "end" and not ended and not source.paused:
            ended = True
            source.body.ended()
        elif step == "again" and body.rewind():
            assert sent.startswith(consumer.data)
            consumer, fired = begin(body, room * 1000)
        assert sent.startswith(consumer.data)
        assert sum(map(len, body._kept or ())) <= 30_000
    if not ended:
        source.body.ended()
    if body.rewind():
        consumer, fired = begin(body)
    for _ in range(50):
        consumer.drain()
    assert (consumer.data, fired) == (sent, [None])
    body.settle()
    assert not source.paused
