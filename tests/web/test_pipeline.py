"""The requests of one connection: each in its turn, and not too many of them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.web.harness import GET, OK, POST, Gateway


def test_pipelined_requests_are_answered_in_order() -> None:
    """The second does not even start before the first is answered."""
    gateway = Gateway()
    client = gateway.client()
    client.send(
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo"
        b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert len(gateway.pool.ends) == 1
    gateway.advance(30)
    gateway.backend.answer(b"Content-Length: 1\r\n\r\n1")
    assert len(gateway.pool.ends) == 2
    assert gateway.backend.body == b"two"
    gateway.backend.answer(b"Content-Length: 1\r\n\r\n2")
    gateway.backend.answer(b"Content-Length: 1\r\n\r\n3")
    assert [answer.body for answer in client.answers] == [b"1", b"2", b"3"]
    assert [end.variables["REQUEST_URI"] for end in gateway.pool.ends] == ["/1", "/2", "/3"]
    client.leave()
    gateway.assert_idle()


def test_many_tiny_pipelined_requests_need_no_stack() -> None:
    """They wait behind a slow one, and are then answered in one go."""
    gateway = Gateway(mounts=[("/slow", "scgi://h/")], server={"max_keep_alive_requests": 0})
    client = gateway.client().send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(100):
        client.send(GET)
    gateway.backend.answer(OK)
    gateway.settle()
    assert [answer.status for answer in client.answers] == [200] + [404] * 100
    client.send(GET * 2000)
    assert len(client.answers) == 2101


def test_waiting_requests_are_bounded() -> None:
    """The connection ends behind the last that is taken; the rest never starts."""
    gateway = Gateway(mounts=[("/slow", "scgi://h/")], server={"max_keep_alive_requests": 0})
    client = gateway.client().send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + GET * 5000)
    gateway.backend.answer(OK)
    gateway.settle()
    answers = client.answers
    assert 100 < len(answers) < 1000
    assert answers[-1]["connection"] == "close"
    assert client.half_closed
    gateway.finish(client)


def test_bytes_ahead_are_bounded() -> None:
    """While a request waits, the connection is read only so far."""
    gateway = Gateway()
    client = gateway.client().send(GET)
    for _ in range(20):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 8000 + b"\r\n\r\n")
    assert client.paused
    gateway.answer_all()
    assert not client.paused
    assert len(client.answers) == 21


def test_what_is_ahead_does_not_reset_the_last_answer() -> None:
    """The connection is not being read when it ends: the client may have sent more."""
    gateway = Gateway(mounts=[("/slow", "scgi://h/")], server={"max_keep_alive_requests": 11})
    client = gateway.client().send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(10):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 8000 + b"\r\n\r\n")
    assert client.paused
    gateway.backend.answer(OK)
    gateway.settle()
    assert [answer.status for answer in client.answers] == [200] + [404] * 10
    assert client.half_closed
    assert not client.paused
    gateway.finish(client)


def test_client_that_pipelines_is_seen_leaving() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET + GET)
    assert not client.paused
    client.leave()
    assert gateway.backend.closed == "aborted"
    gateway.assert_idle()


def test_refusal_waits_for_its_turn() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET + b"BAD\r\n\r\n")
    assert client.received == b""
    gateway.backend.answer(OK)
    gateway.settle()
    assert [answer.status for answer in client.answers] == [200, 501]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.data())
def test_pipelined_bodies_are_never_mixed(kinds: list[int], data: st.DataObject) -> None:
    """Any mixture of framings, cut anywhere: each backend sees its own body, in order."""
    stream = b""
    bodies = []
    for number, kind in enumerate(kinds):
        body = b"%d:" % number + b"GET / HTTP/1.1\r\n\r\n" * kind
        upgrade = b"Connection: upgrade\r\nUpgrade: h2c\r\n" if kind % 2 else b""
        if kind % 3 == 0:
            framing = b"Content-Length: %d\r\n\r\n" % len(body) + body
        elif kind % 3 == 1:
            framing = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            framing, body = b"\r\n", b""
        stream += POST + upgrade + framing
        bodies.append(body)
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(stream)), max_size=30))), len(stream)]
    gateway = Gateway()
    client = gateway.client()
    for start, end in pairwise(cuts):
        client.send(stream[start:end])
        gateway.answer_all()
    gateway.answer_all()
    assert [end.body for end in gateway.pool.ends] == bodies
    assert [answer.status for answer in client.answers] == [200] * len(kinds)
    client.leave()
    gateway.assert_idle()
