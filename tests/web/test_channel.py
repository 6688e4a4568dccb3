"""The channel: requests in order, and how a connection ends."""

from __future__ import annotations

from typing import Any

import pytest
from OpenSSL.SSL import Error, SysCallError

from scgiproxy.web.channel import GRACE
from tests.conftest import LoggedErrors
from tests.web.answers import Log, parse_answers
from tests.web.harness import CHUNKED, GET, OK, POST, Gateway
from tests.web.memory import MemoryTransport

CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

# -- whether there is a next request ------------------------------------------------------------


@pytest.mark.parametrize("request_", [CLOSE, b"GET / HTTP/1.0\r\n\r\n"], ids=["1.1", "1.0"])
@pytest.mark.parametrize("together", [True, False])
def test_bytes_behind_the_last_request_are_dropped(request_: bytes, together: bool) -> None:
    gateway = Gateway()
    client = gateway.client().send(request_ + GET if together else request_)
    if not together:
        client.send(GET)
    gateway.backend.answer(OK)
    client.send(GET)
    gateway.advance(5)
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
    assert client.half_closed
    gateway.finish(client)
    gateway.assert_idle()


def test_who_does_not_know_that_it_was_the_last() -> None:
    """It may send more: closed at once, the connection would be reset, and the answer lost."""
    gateway = Gateway(mounts=[("/there", "scgi://h/")], server={"max_keep_alive_requests": 2})
    client = gateway.client().send(GET)
    assert client.closed is None
    client.send(GET)
    assert client.half_closed
    client.send(GET)
    assert client.closed is None
    assert len(client.answers) == 2
    gateway.finish(client)
    gateway.assert_idle()
    client = gateway.client().send(GET)
    client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert client.closed == "closed"
    gateway.settle()
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


@pytest.mark.parametrize("requests", [2, 40])
def test_client_that_pipelines_beyond_the_last_gets_to_read_its_answers(requests: int) -> None:
    """It does not know yet that the connection ends: what it sends must not reset it."""
    gateway = Gateway(server={"max_keep_alive_requests": 1})
    client = gateway.client().send(GET)
    for _ in range(requests - 1):
        client.send(GET)
    gateway.answer_all()
    assert len(client.answers) == 1
    assert client.half_closed
    client.send(GET)
    assert client.closed is None
    gateway.finish(client)


def test_more_in_one_piece_than_is_answered() -> None:
    """The same if the answers are there at once, and the rest has not been looked at."""
    gateway = Gateway(mounts=[("/there", "scgi://h/")])
    client = gateway.client().send(GET * 1000)
    assert len(client.answers) == 100
    assert client.half_closed
    gateway.finish(client)
    client = gateway.client().send(GET * 100)
    assert client.half_closed
    gateway.finish(client)
    gateway.assert_idle()


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "body", [b"xyz\r\n", b"5\nhello", b"5;" + b"x" * 9000, b"0\r\nX : y\r\n\r\n"]
)
def test_body_of_an_answered_request_is_not_refused(body: bytes, together: bool) -> None:
    """One answer, one line in the log: what is wrong with the body comes too late."""
    gateway = Gateway(mounts=[("/there", "scgi://h/")])
    client = gateway.client()
    with Log() as log:
        if together:
            client.send(CHUNKED + body)
        else:
            client.send(CHUNKED).send(body)
        gateway.settle()
    assert client.answer.status == 404
    assert log.line().startswith("client.not_found")
    assert client.half_closed
    gateway.finish(client)


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


def test_an_idle_connection_is_closed_in_the_end() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.channel.shut_down()
    assert client.closed is None
    client.channel.close_idle()
    assert client.closed == "closed"
    gateway.assert_idle()


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("begun", [b"", GET[:9]])
def test_what_is_on_its_way_at_a_shut_down_is_served(used: bool, begun: bytes) -> None:
    """It is the last: the answer says so, and what comes behind it is nobody's."""
    gateway = Gateway()
    client = gateway.client()
    if used:
        client.send(GET)
        gateway.answer_all()
    client.send(begun)
    client.channel.shut_down()
    client.send(GET[len(begun) :])
    client.channel.close_idle()
    client.send(GET)
    gateway.answer_all()
    assert [answer["connection"] for answer in client.answers] == [None, "close"][not used :]
    assert client.half_closed
    gateway.advance(5)
    assert client.closed == "closed"
    assert len(gateway.pool.ends) == 1 + used
    gateway.assert_idle()


def test_shut_down_lets_the_answers_end_that_are_due() -> None:
    """Of all requests that have come; behind the last of them nothing is read."""
    gateway = Gateway()
    client = gateway.client().send(GET + GET)
    client.channel.shut_down()
    client.channel.close_idle()
    client.send(GET)
    gateway.answer_all()
    assert [answer["connection"] for answer in client.answers] == [None, "close"]
    assert len(gateway.pool.ends) == 2
    assert client.half_closed
    gateway.advance(5)
    assert client.closed == "closed"
    gateway.assert_idle()


def test_shut_down_in_an_upload() -> None:
    """Its body is read to the end."""
    gateway = Gateway()
    client = gateway.client().send(POST + b"Content-Length: 5\r\n\r\nab")
    client.channel.shut_down()
    client.channel.close_idle()
    client.send(b"cde" + GET)
    gateway.answer_all()
    assert client.answer["connection"] == "close"
    assert len(gateway.pool.ends) == 1
    gateway.advance(5)
    assert client.closed == "closed"
    gateway.assert_idle()


@pytest.mark.parametrize("another", [False, True])
def test_shut_down_behind_a_head_that_promised_more(another: bool) -> None:
    """The connection is closed a moment after that answer; a request that comes first is served."""
    gateway = Gateway()
    client = gateway.client().send(GET)
    gateway.backend.answer(OK[:-2])
    gateway.settle()
    client.channel.shut_down()
    client.channel.close_idle()
    gateway.backend.answer(OK[-2:])
    gateway.settle()
    assert client.closed is None
    if another:
        client.send(GET)
        gateway.answer_all()
    else:
        gateway.advance(GRACE + 0.2)
    assert [answer["connection"] for answer in client.answers] == [None, "close"][: 1 + another]
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
    client = gateway.client()
    with monkeypatch.context() as patch:
        patch.setattr(gateway.site, "seconds", lambda: 1 / 0)
        client.send(GET)
    assert client.closed == "aborted"
    gateway.assert_idle()
    (event,) = logged_errors.flush()
    assert event["log_failure"].check(ZeroDivisionError)


def test_error_while_serving_is_a_page(monkeypatch: pytest.MonkeyPatch, logged_errors: Any) -> None:
    gateway = Gateway()
    monkeypatch.setattr(gateway.pool, "dispatch", lambda call: 1 / 0)
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


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Error([("SSL routines", "", "http request")]), "http request"),
        (Error([("a", "b", "one"), ("a", "b", "two")]), "one; two"),
        (Error([]), "unexpected end"),
        (Error(), "unexpected end"),
        (SysCallError(104, "ECONNRESET"), "ECONNRESET"),
    ],
)
def test_a_client_without_tls_is_told_of(error: Exception, why: str) -> None:
    """Whatever form OpenSSL's error has; and nothing is left of the connection."""
    gateway = Gateway(secure=True)
    client = gateway.client()
    with Log() as log:
        client.transport.peer_closes(error)
    assert log.line() == f"client.tls: no TLS with 192.0.2.7:50000: {why}"
    gateway.assert_idle()


def test_a_client_that_leaves_after_tls_is_not_told_of() -> None:
    gateway = Gateway(secure=True)
    with Log() as log:
        gateway.client().leave()
    assert log.events == []


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
