"""A client may leave at any time: everything it had is free in that turn."""

from __future__ import annotations

from tests.web.answers import Log
from tests.web.harness import CHUNKED, GET, POST, STREAM, Client, Gateway

UPLOAD = POST + b"Content-Length: 10\r\n\r\n"


def left(gateway: Gateway, client: Client, end: list[str]) -> None:
    """After the client left: everything is freed in that turn, and nobody calls it an error."""
    with Log() as log:
        client.leave()
    assert [dispatch.ends for dispatch in gateway.pool.dispatches] == ([end] if end else [])
    assert all(backend.closed == "aborted" for backend in gateway.pool.ends)
    assert not log.events
    gateway.assert_idle()


def test_client_leaves_while_spooling() -> None:
    gateway = Gateway()
    left(gateway, gateway.client().send(CHUNKED + b"5\r\nhello"), [])


def test_client_leaves_while_queued() -> None:
    gateway = Gateway()
    gateway.pool.hold = True
    left(gateway, gateway.client().send(GET), ["cancelled"])


def test_client_leaves_while_queued_with_a_spool() -> None:
    gateway = Gateway()
    gateway.pool.hold = True
    client = gateway.client().send(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")
    file = gateway.pool.held[0]._body._file
    left(gateway, client, ["cancelled"])
    assert file.closed


def test_client_leaves_while_uploading() -> None:
    gateway = Gateway()
    left(gateway, gateway.client().send(UPLOAD + b"hello"), ["cancelled"])


def test_client_leaves_while_a_spool_is_sent() -> None:
    gateway = Gateway()
    gateway.pool.hold = True
    client = gateway.client().send(CHUNKED + b"%x\r\n" % 300_000)
    client.send(b"x" * 300_000 + b"\r\n0\r\n\r\n")
    call = gateway.pool.held.pop()
    file = call._body._file
    gateway.pool.connect(call)
    left(gateway, client, ["cancelled"])
    assert file.closed


def test_client_leaves_while_its_upload_is_paused() -> None:
    gateway = Gateway()
    client = gateway.client().send(UPLOAD + b"hello")
    gateway.backend.transport.block()
    left(gateway, client, ["cancelled"])


def test_client_leaves_while_waiting() -> None:
    gateway = Gateway()
    left(gateway, gateway.client().send(GET), ["cancelled"])


def test_client_leaves_while_downloading() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    gateway.backend.answer(STREAM + b"hel")
    left(gateway, client, ["cancelled"])


def test_client_leaves_while_it_does_not_read() -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    gateway.backend.answer(STREAM + b"hel")
    client.transport.block()
    left(gateway, client, ["cancelled"])


def test_client_that_has_sent_all_is_seen_leaving_though_the_backend_does_not_read() -> None:
    """The last bytes pause the upload; the connection is read all the same."""
    gateway = Gateway()
    client = gateway.client().send(UPLOAD)
    gateway.backend.transport.block()
    assert client.paused
    gateway.backend.transport.unblock()
    gateway.settle()

    def full_at_once(data: bytes) -> None:
        gateway.backend.transport.block()

    gateway.backend.transport.write = full_at_once  # type: ignore[method-assign]
    client.send(b"helloworld")
    assert not client.paused
    left(gateway, client, ["cancelled"])


def test_repr_tells_the_state() -> None:
    gateway = Gateway()
    gateway.pool.hold = True
    gateway.client().send(UPLOAD)
    assert "upload=ready download=waiting" in repr(gateway.pool.held[0])
