"""The deadlines of a client connection: for its heads, its bodies, its silence, its reading."""

from __future__ import annotations

from scgiproxy.rules.connections import ReadTimeout
from tests.web.harness import (
    CHUNKED,
    GET,
    OK,
    POST,
    Gateway,
)

CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
# -- deadlines ---------------------------------------------------------------------------------


def test_idle_connection_is_closed_silently() -> None:
    gateway = Gateway(server={"keep_alive_timeout": 5.0})
    client, _ = gateway.exchange(GET, OK)
    client.take()
    gateway.advance(4)
    assert client.closed is None
    gateway.advance(2)
    assert (client.closed, client.received) == ("closed", b"")
    gateway.assert_idle()


def test_idle_time_begins_anew_with_each_answer() -> None:
    gateway = Gateway(server={"keep_alive_timeout": 5.0})
    client = gateway.client()
    for _ in range(5):
        gateway.advance(4)
        client.send(GET)
        gateway.backend.answer(OK)
    assert client.closed is None
    gateway.advance(6)
    assert client.closed == "closed"


def test_head_on_a_kept_connection_has_all_of_timeout() -> None:
    gateway = Gateway(server={"keep_alive_timeout": 5.0, "timeout": 60.0})
    client, _ = gateway.exchange(GET, OK)
    client.send(b"GET / HT")
    gateway.advance(30)
    client.send(b"TP/1.1\r\nHost: a\r\n\r\n")
    gateway.backend.answer(OK)
    assert len(client.answers) == 2


def test_head_begun_behind_a_slow_answer_has_all_of_timeout() -> None:
    gateway = Gateway(
        server={"keep_alive_timeout": 5.0, "timeout": 60.0}, backend={"timeout": 300.0}
    )
    client = gateway.client().send(GET + b"GET / HT")
    gateway.advance(100)
    gateway.backend.answer(OK)
    gateway.advance(30)
    client.send(b"TP/1.1\r\nHost: a\r\n\r\n")
    gateway.backend.answer(OK)
    assert len(client.answers) == 2


def test_body_that_stops_is_refused() -> None:
    gateway = Gateway(server={"timeout": 60.0, "read_timeouts": {"body": ReadTimeout(0)}})
    client = gateway.client().send(POST + b"Content-Length: 10\r\n\r\nhel")
    gateway.advance(50)
    client.send(b"l")
    gateway.advance(50)
    assert client.received == b""
    gateway.advance(15)
    assert client.answer.status == 408
    assert gateway.backend.closed == "aborted"
    gateway.advance(10)
    gateway.assert_idle()


def test_chunked_body_that_stops_is_refused() -> None:
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client().send(CHUNKED + b"5\r\nhel")
    gateway.advance(61)
    assert client.answer.status == 408
    assert not gateway.pool.ends
    gateway.advance(10)
    gateway.assert_idle()


def test_body_is_not_due_before_100_continue() -> None:
    """The client waits for us, however long the queue for a backend is."""
    gateway = Gateway(server={"timeout": 60.0})
    gateway.pool.hold = True
    client = gateway.client().send(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    gateway.advance(200)
    assert client.received == b""
    gateway.pool.connect(gateway.pool.held.pop())
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    gateway.advance(19)
    client.send(b"hello")
    gateway.backend.answer(OK)
    assert client.answer.status == 200


def test_body_that_does_not_come_after_100_continue_is_refused() -> None:
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client().send(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    gateway.advance(61)
    assert [answer.status for answer in client.answers] == [100, 408]


def test_waiting_body_that_is_not_read_does_not_time_out() -> None:
    """A pipelined upload that the gateway itself does not read has no deadline meanwhile."""
    gateway = Gateway(server={"timeout": 60.0}, backend={"timeout": 300.0})
    client = gateway.client().send(GET + POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 70000)
    assert client.paused
    gateway.advance(200)
    gateway.backend.answer(OK)
    gateway.settle()
    client.send(b"x" * 30000)
    gateway.backend.answer(OK)
    assert [answer.status for answer in client.answers] == [200, 200]


def test_waiting_for_the_backend_is_not_the_clients_deadline() -> None:
    gateway = Gateway(server={"timeout": 10.0}, backend={"timeout": 300.0})
    client = gateway.client().send(GET)
    gateway.advance(200)
    gateway.backend.answer(OK)
    assert client.answer.status == 200


def test_client_that_does_not_read_is_aborted() -> None:
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client().send(GET)
    backend = gateway.backend.answer(b"Content-Type: a/b\r\n\r\nhello")
    client.transport.block()
    assert backend.paused
    gateway.advance(59)
    assert client.closed is None
    gateway.advance(2)
    assert client.closed == "aborted"
    assert backend.closed == "aborted"
    gateway.assert_idle()


def test_client_that_reads_slowly_is_not_aborted() -> None:
    """Neither within an answer nor at its end, when what is left waits in the buffer."""
    gateway = Gateway(server={"timeout": 60.0, "keep_alive_timeout": 5.0})
    client = gateway.client().send(GET)
    backend = gateway.backend.answer(b"Content-Type: a/b\r\n\r\nhello")
    for _ in range(5):
        client.transport.block()
        gateway.advance(50)
        client.transport.unblock()
        backend.answer(b"hello")
    client.transport.block()
    backend.close()
    gateway.advance(50)
    assert client.closed is None
    client.transport.unblock()
    gateway.advance(4)
    assert client.closed is None
    gateway.advance(2)
    assert client.closed == "closed"
    assert client.answer.whole
    gateway.assert_idle()


def test_client_that_never_reads_the_end_is_aborted() -> None:
    gateway = Gateway(server={"timeout": 60.0})
    client = gateway.client().send(CLOSE)
    client.transport.block()
    gateway.backend.answer(OK)
    gateway.settle()
    assert client.closed is None
    gateway.advance(61)
    assert client.closed == "aborted"
    gateway.assert_idle()


def test_client_that_reads_nothing_is_answered_no_further() -> None:
    """Its next requests wait, so that no answers pile up here; and it is aborted in the end."""
    gateway = Gateway(server={"timeout": 60.0, "max_keep_alive_requests": 0})
    client = gateway.client().send(GET)
    client.transport.block()
    gateway.backend.answer(OK)
    gateway.settle()
    backends = len(gateway.pool.ends)
    for _ in range(10):
        client.send(GET)
    gateway.settle()
    assert len(gateway.pool.ends) == backends
    client.transport.unblock()
    gateway.settle()
    assert len(gateway.pool.ends) == backends + 1
    client.transport.block()
    gateway.backend.answer(OK)
    gateway.advance(61)
    assert client.closed == "aborted"
    gateway.assert_idle()
