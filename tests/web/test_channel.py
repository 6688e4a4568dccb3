"""The channel: requests in order, and how a connection ends."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import LoggedErrors
from tests.web.answers import parse_answers
from tests.web.harness import GET, OK, POST, Gateway
from tests.web.memory import MemoryTransport

CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
# -- several requests --------------------------------------------------------------------------


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
    for _ in range(200):
        client.send(GET)
    gateway.backend.answer(OK)
    gateway.settle()
    assert [answer.status for answer in client.answers] == [200] + [404] * 200
    client.send(GET * 2000)
    assert len(client.answers) == 2201


def test_waiting_requests_are_bounded() -> None:
    """The connection ends behind the last that is taken; the rest never starts."""
    gateway = Gateway(mounts=[("/slow", "scgi://h/")], server={"max_keep_alive_requests": 0})
    client = gateway.client().send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + GET * 5000)
    gateway.backend.answer(OK)
    gateway.settle()
    answers = client.answers
    assert 100 < len(answers) < 1000
    assert answers[-1]["connection"] == "close"
    assert client.closed == "closed"


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


@pytest.mark.parametrize("request_", [CLOSE, b"GET / HTTP/1.0\r\n\r\n"], ids=["1.1", "1.0"])
@pytest.mark.parametrize("together", [True, False])
def test_bytes_behind_the_last_request_are_dropped(request_: bytes, together: bool) -> None:
    gateway = Gateway()
    client = gateway.client().send(request_ + GET if together else request_)
    if not together:
        client.send(GET)
    gateway.backend.answer(OK)
    client.send(GET)
    gateway.settle()
    assert len(gateway.pool.ends) == 1
    assert client.answer["connection"] == "close"
    assert client.closed == "closed"
    gateway.assert_idle()


@pytest.mark.parametrize("value", [b"close", b"Close", b"TE, close", b"close,TE"])
def test_close_is_found_in_a_list(value: bytes) -> None:
    gateway = Gateway()
    client = gateway.client().send(GET[:-2] + b"Connection: keep-alive\r\n")
    client.send(b"Connection: " + value + b"\r\n\r\n")
    gateway.answer_all()
    assert client.closed == "closed"


def test_request_behind_an_answered_error_is_not_served() -> None:
    """An answer that closes is the last one, also when the next request came along with it."""
    gateway = Gateway()
    client = gateway.client().send(b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n" + GET + GET)
    gateway.settle()
    assert client.answer.status == 400
    assert not gateway.pool.ends


def test_max_keep_alive_requests() -> None:
    gateway = Gateway(server={"max_keep_alive_requests": 2})
    client = gateway.client().send(GET + GET + GET + GET)
    gateway.answer_all()
    assert [answer["connection"] for answer in client.answers] == [None, "close"]
    assert len(gateway.pool.ends) == 2
    gateway.assert_idle()


def test_keep_alive_off() -> None:
    gateway = Gateway(server={"keep_alive": False})
    client = gateway.client().send(GET + GET)
    gateway.answer_all()
    assert client.answer["connection"] == "close"
    gateway.assert_idle()


def test_http10_is_kept_alive_if_it_asks() -> None:
    gateway = Gateway()
    client = gateway.client().send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    gateway.answer_all()
    assert client.answer["connection"] == "keep-alive"
    assert client.closed is None
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    gateway.answer_all()
    assert client.closed == "closed"
    gateway.assert_idle()


def test_http10_without_a_length_ends_with_the_connection() -> None:
    gateway = Gateway()
    client = gateway.client().send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    gateway.backend.answer(b"Content-Type: a/b\r\n\r\nhello").close()
    gateway.settle()
    answer = client.answer
    assert (answer["connection"], answer.body) == ("close", b"hello")
    assert client.closed == "closed"


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


# -- closing -----------------------------------------------------------------------------------


def test_client_that_is_still_sending_gets_to_read_its_answer() -> None:
    """Lingering close: half-closed, read and dropped, then closed in order."""
    gateway = Gateway(limit_request_body=100)
    client = gateway.client().send(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 50)
    assert client.answer.status == 413
    assert client.half_closed
    assert client.closed is None
    for _ in range(10):
        client.send(b"x" * 10000)
        gateway.advance(1)
    assert client.closed is None
    gateway.advance(3)
    assert client.closed == "closed"
    assert len(client.answers) == 1
    gateway.assert_idle()


def test_lingering_has_an_end() -> None:
    gateway = Gateway(limit_request_body=100)
    client = gateway.client().send(POST + b"Content-Length: 1000000000\r\n\r\n")
    for _ in range(40):
        client.send(b"x" * 10000)
        gateway.advance(1)
    assert client.closed == "closed"
    gateway.assert_idle()


def test_lingering_waits_for_the_answer_to_leave() -> None:
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client().send(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 50)
    backend = gateway.backend.answer(b"Content-Type: a/b\r\n\r\nhello")
    client.transport.block()
    backend.close()
    gateway.advance(30)
    assert client.closed is None
    assert not client.half_closed
    client.transport.unblock()
    assert client.half_closed
    gateway.advance(3)
    assert client.closed == "closed"
    assert client.answer.body == b"hello"
    gateway.assert_idle()


def test_lingering_ends_when_the_client_has_read() -> None:
    gateway = Gateway(limit_request_body=100)
    client = gateway.client().send(POST + b"Content-Length: 1000000\r\n\r\n")
    client.leave()
    gateway.assert_idle()


def test_transport_without_half_close_is_closed() -> None:
    gateway = Gateway(limit_request_body=100)
    client = gateway.client(transport=MemoryTransport)
    client.send(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 50)
    assert client.answer.status == 413
    assert client.closed == "closed"
    gateway.assert_idle()


def test_upload_left_paused_is_read_while_lingering() -> None:
    gateway = Gateway()
    client = gateway.client().send(POST + b"Content-Length: 1000000\r\n\r\n")
    gateway.backend.transport.block()
    client.send(b"x" * 70000)
    assert client.paused
    gateway.backend.answer(OK)
    gateway.settle()
    assert not client.paused
    client.send(b"x" * 70000)
    assert client.answer.body == b"hello"
    gateway.advance(5)
    gateway.assert_idle()


def test_shut_down_closes_an_idle_connection() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.channel.shut_down()
    assert client.closed == "closed"
    gateway.assert_idle()


def test_shut_down_lets_the_running_answer_end() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET + GET)
    client.channel.shut_down()
    gateway.backend.answer(OK)
    gateway.settle()
    assert client.answer["connection"] == "close"
    assert client.closed == "closed"
    gateway.assert_idle()


def test_tcp_delay_is_off() -> None:
    """A chunk is to leave at once."""
    calls = []

    class Recorded(MemoryTransport):
        def setTcpNoDelay(self, enabled: bool) -> None:
            calls.append(enabled)

    Gateway().client(transport=Recorded)
    assert calls == [True]


def test_error_in_a_callback_ends_the_connection_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, logged_errors: Any
) -> None:
    """A defect of ours must not leave a client waiting."""
    gateway = Gateway()
    monkeypatch.setattr(gateway.site, "make_request", lambda *args: 1 / 0)
    client = gateway.client().send(GET)
    assert client.closed == "aborted"
    gateway.assert_idle()
    (event,) = logged_errors.flush()
    assert event["log_failure"].check(ZeroDivisionError)


def test_error_while_serving_is_a_page(monkeypatch: pytest.MonkeyPatch, logged_errors: Any) -> None:
    gateway = Gateway()
    monkeypatch.setattr("scgiproxy.web.site.parse_target", lambda *args: 1 / 0)
    client = gateway.client().send(GET)
    assert client.answer.status == 500
    assert len(logged_errors.flush()) == 1
    client.leave()
    gateway.assert_idle()


def test_parse_answers_is_strict() -> None:
    """The harness's own reading of answers can fail."""
    with pytest.raises(AssertionError):
        parse_answers(b"HTTP/1.1 200 OK\r\n\r\n")
    cut = parse_answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
    assert not cut[0].whole


def test_tls_is_half_closed_a_turn_after_the_answer() -> None:
    """Twisted's TLS holds what was written until then, and a half-close would overtake it."""
    gateway = Gateway(limit_request_body=100, secure=True)
    client = gateway.client().send(POST + b"Content-Length: 1000000\r\n\r\n")
    assert client.answer.status == 413
    assert not client.half_closed
    gateway.settle()
    assert client.half_closed
    client.leave()
    gateway.assert_idle()


def test_tls_that_has_gone_is_not_half_closed() -> None:
    gateway = Gateway(limit_request_body=100, secure=True)
    client = gateway.client().send(POST + b"Content-Length: 1000000\r\n\r\n")
    client.leave()
    gateway.advance(1)
    assert not client.half_closed
    gateway.assert_idle()


def test_an_answer_that_cannot_be_stopped(logged_errors: LoggedErrors) -> None:
    """The connection ends all the same."""

    class Stubborn:
        def stopProducing(self) -> None:
            raise RuntimeError("no")

    gateway = Gateway()
    client = gateway.client().send(GET)
    client.channel.producer = Stubborn()
    client.leave()
    assert len(logged_errors.flush()) == 1
    gateway.assert_idle()
