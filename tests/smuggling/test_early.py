"""Answers that end a connection while the client sends: it can read them, and no more is read of it."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress

import pytest

from tests.smuggling.case import ADMIN
from tests.smuggling.conftest import Scene, read_all
from tests.web.answers import parse_answers

pytestmark = pytest.mark.e2e

BODY = ADMIN * 200_000
POST = b"POST %b HTTP/1.1\r\nHost: a\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(ADMIN) * 100, ADMIN * 100)

LARGE = b"GET /static/large HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 2000 + b"\r\n\r\n"

UPLOADS = {
    "length": (413, POST % b"/x" + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY),
    "chunks": (413, POST % b"/x" + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK * 2000),
    "no length that is one": (400, POST % b"/x" + b"Content-Length: x\r\n\r\n" + BODY),
    "denied": (403, POST % b"/admin" + b"Content-Length: 99999\r\n\r\n" + BODY[:99_999]),
    "answered early": (200, POST % b"/early" + b"Content-Length: 99999\r\n\r\n" + BODY[:90_000]),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_the_client_can_always_read_its_answer(scene: Scene, name: str) -> None:
    """Twenty of them at a time, who read nothing before they have sent everything."""
    status, data = UPLOADS[name]
    received: list[bytes | OSError] = []

    def upload() -> None:
        with closing(scene.connect("access")) as connection:
            try:
                connection.sendall(data)
                received.append(read_all(connection))
            except OSError as error:
                received.append(error)

    clients = [threading.Thread(target=upload) for _ in range(20)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    assert len(received) == 20
    for each in received:
        assert isinstance(each, bytes), each
        (answer,) = parse_answers(each)
        assert answer.status == status
        assert answer["connection"] == "close"
    asked = scene.backend.take()
    assert {str(each) for each in asked} <= {"POST /early"}


@pytest.mark.parametrize("pause", [0.0, 0.0005])
def test_whoever_pipelines_on_can_read_all_answers(scene: Scene, pause: float) -> None:
    """The last of them ends the connection, which the client does not know when it sends more."""
    with closing(scene.connect("static")) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

        def send() -> None:
            with suppress(OSError):
                for _ in range(300):
                    connection.sendall(LARGE)
                    time.sleep(pause)

        client = threading.Thread(target=send)
        client.start()
        received = read_all(connection)
        client.join(60)
    answers = parse_answers(received)
    assert [answer.status for answer in answers] == [200] * 100
    assert all(answer.whole for answer in answers)
    assert answers[-1]["connection"] == "close"
