"""An exchange at a balancer: uploads go to the next member whole, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.balanced import GOING, Balanced, chunked, each_way, leave, request
from tests.web.harness import OK, STREAM, BackendEnd

KIB_64 = 65536


@pytest.mark.parametrize("size", [0, 5, KIB_64])
@each_way
def test_upload_that_was_whole_is_sent_again(size: int, how: str) -> None:
    body = b"x" * size
    gateway = Balanced()
    client = gateway.ask(request("PUT", body=body))
    leave(gateway.backend, how)
    gateway.settle()
    assert gateway.reached == "ab"
    assert gateway.backend.variables["CONTENT_LENGTH"] == str(size)
    assert gateway.backend.body == body
    gateway.backend.answer(OK)
    assert client.answer["connection"] is None
    gateway.finish(client)


@each_way
def test_upload_under_way_goes_on_with_the_next(how: str) -> None:
    """From its beginning, and each byte once."""
    gateway = Balanced()
    client = gateway.ask(request("PUT", body=b"one ", length=14))
    client.send(b"two ")
    first = gateway.backend
    leave(first, how)
    gateway.settle()
    second = gateway.backend
    assert second.variables["CONTENT_LENGTH"] == "14"
    assert second.body == b"one two "
    client.send(b"three ")
    gateway.settle()
    assert first.body == b"one two "
    assert second.body == b"one two three "
    assert not client.paused
    second.answer(OK)
    assert client.answer.status == 200
    gateway.finish(client)


@each_way
def test_upload_of_which_too_much_was_sent_is_not_sent_again(how: str) -> None:
    """No half of it goes anywhere."""
    gateway = Balanced()
    client = gateway.ask(request("PUT", body=b"x" * KIB_64, length=KIB_64 + 1))
    client.send(b"x")
    leave(gateway.backend, how)
    gateway.gives_up(client)


@each_way
def test_large_upload_is_sent_again_while_little_of_it_was_sent(how: str) -> None:
    gateway = Balanced()
    client = gateway.ask(request("PUT", body=b"x" * 1000, length=1 << 30))
    leave(gateway.backend, how)
    gateway.settle()
    assert gateway.backend.body == b"x" * 1000
    for _ in range(3):
        client.send(b"y" * KIB_64)
        gateway.settle()
    assert gateway.backend.body == b"x" * 1000 + b"y" * 3 * KIB_64
    leave(gateway.backend, how)
    gateway.settle()
    assert gateway.reached == "ab"
    assert client.answer.status == 502
    gateway.finish(client)


@pytest.mark.parametrize("size", [5, 300_000])
@each_way
def test_spooled_upload_is_sent_again_whole(size: int, how: str) -> None:
    """From memory and from disk; the spool is freed at the end."""
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    gateway = Balanced({}, {}, {})
    client = gateway.ask(chunked("PUT", body))
    for _ in "abc":
        while gateway.backend.transport.producer is not None:
            gateway.backend.transport.producer.resumeProducing()
        assert gateway.backend.variables["CONTENT_LENGTH"] == str(size)
        assert gateway.backend.body == body
        if len(gateway.reached) < 3:
            file = gateway.backend.protocol._request.body._file
            assert not file.closed
            leave(gateway.backend, how)
            gateway.settle()
    assert gateway.reached == "abc"
    gateway.backend.answer(OK)
    assert file.closed
    assert client.answer.status == 200
    gateway.finish(client)


@each_way
def test_spooled_upload_that_was_half_sent_is_sent_again_whole(how: str) -> None:
    body = bytes(range(256)) * 2000
    gateway = Balanced()
    gateway.dialer.narrow = {"a"}
    client = gateway.ask(chunked("PUT", body))
    assert 0 < len(gateway.backend.body) < len(body)
    leave(gateway.backend, how)
    gateway.settle()
    while gateway.backend.transport.producer is not None:
        gateway.backend.transport.producer.resumeProducing()
    assert gateway.backend.body == body
    gateway.backend.answer(OK)
    assert client.answer.status == 200
    gateway.finish(client)


def test_spooled_post_of_which_nothing_was_sent_goes_to_the_next() -> None:
    gateway = Balanced()
    client = gateway.ask(chunked("POST", b"hello"))
    gateway.backend.protocol.sent = 0
    gateway.backend.reset()
    gateway.settle()
    assert gateway.backend.body == b"hello"
    gateway.backend.answer(OK)
    assert client.answer.status == 200
    gateway.finish(client)


@pytest.mark.parametrize(("kind", "sent"), [("length", True), ("length", False), ("chunked", True)])
def test_post_with_a_body_is_not_repeated(kind: str, sent: bool) -> None:
    """It was sent; or it is gone, since of one that goes on while it arrives nothing is kept."""
    gateway = Balanced()
    data = {"length": request("POST", body=b"hello"), "chunked": chunked("POST", b"hello")}
    client = gateway.ask(data[kind])
    if not sent:
        gateway.backend.protocol.sent = 0
    gateway.backend.reset()
    gateway.gives_up(client)


@each_way
def test_100_continue_is_sent_once(how: str) -> None:
    gateway = Balanced()
    client = gateway.ask(request("PUT", "Expect: 100-continue", body=b"", length=5))
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    leave(gateway.backend, how)
    gateway.settle()
    assert gateway.reached == "ab"
    assert client.take() == b""
    client.send(b"hello")
    gateway.settle()
    assert gateway.backend.body == b"hello"
    gateway.backend.answer(OK)
    assert client.answer.status == 200
    gateway.finish(client)


def test_upload_waits_while_there_is_no_connection() -> None:
    """No more than a piece is taken from the client between two members."""
    gateway = Balanced()
    client = gateway.ask(request("PUT", body=b"x", length=1 << 30))
    gateway.dialer.held = {"b"}
    gateway.backend.reset()
    assert client.paused
    for _ in range(10):
        client.send(b"y" * KIB_64)
    assert len(client.transport.incoming) == 10
    gateway.dialer.attempts[-1].accept()
    gateway.settle()
    assert gateway.backend.body == b"x" + b"y" * 10 * KIB_64
    gateway.finish(client)


def test_backpressure_holds_for_the_next_as_well() -> None:
    gateway = Balanced()
    client = gateway.ask(request("PUT", body=b"x", length=1 << 30))
    gateway.backend.transport.block()
    assert client.paused
    gateway.backend.reset()
    gateway.settle()
    assert not client.paused
    gateway.backend.transport.block()
    assert client.paused
    gateway.backend.transport.unblock()
    assert not client.paused
    gateway.finish(client)


def test_early_answer_to_an_upload_wins() -> None:
    gateway = Balanced()
    client = gateway.ask(request("PUT", body=b"x" * 10, length=1000))
    gateway.backend.answer(OK)
    gateway.settle()
    assert (client.answer.body, client.answer["connection"]) == (b"hello", "close")
    client.send(b"x" * 500)
    assert gateway.reached == "a"
    gateway.finish(client)


def test_answer_beside_an_upload_settles_it() -> None:
    """Nothing is kept from then on, and nothing is sent again."""
    gateway = Balanced()
    client = gateway.ask(request("PUT", body=b"hello", length=10))
    backend = gateway.backend.answer(STREAM)
    assert backend.protocol._request.body._kept is None
    client.send(b"world")
    assert backend.body == b"helloworld"
    backend.answer(b"done").close()
    gateway.settle()
    assert client.answer.body == b"done"
    gateway.finish(client)


def play(end: BackendEnd, step: str) -> None:
    """What a backend may do."""
    if step == "block":
        end.transport.block()
    elif step == "unblock":
        end.transport.unblock()
    elif step == "answer":
        end.answer(OK)
    elif step in GOING:
        leave(end, step)


@given(
    st.sampled_from(["GET", "PUT", "POST"]),
    st.sampled_from(["", "length", "chunked"]),
    st.lists(st.sampled_from(["send", "block", "unblock", "answer", *GOING])),
    st.booleans(),
)
def test_no_half_body_is_ever_taken_for_a_whole_one(
    method: str, kind: str, steps: list[str], leaves: bool
) -> None:
    """Each member sees a beginning of the body, who answers last may see all of it, a POST goes
    out once, and nothing is left over."""
    gateway = Balanced({}, {}, {})
    body = bytes(range(256)) * 1200
    size = len(body) if kind else 0
    at = 0
    if kind == "chunked":
        gateway.dialer.narrow = {"a", "b", "c"}
        client = gateway.ask(chunked(method, body))
        at = size
    elif kind:
        client = gateway.ask(request(method, body=b"", length=size))
    else:
        client = gateway.ask(request(method))
    for step in steps:
        end = gateway.backend
        if step == "send" and at < size and not client.received:
            client.send(body[at : at + 20_000])
            at += 20_000
        elif end.closed is None:
            play(end, step)
        gateway.settle()
    seen = gateway.reached
    assert len(set(seen)) == len(seen)
    assert method != "POST" or len(seen) == 1
    for end in gateway.dialer.ends:
        assert end.variables["CONTENT_LENGTH"] == str(size)
        assert body[:size].startswith(end.body)
    if leaves:
        client.leave()
    elif gateway.backend.closed is None:
        gateway.backend.answer(OK)
        gateway.settle()
    gateway.finish(client)
