"""Answers that come before the request has: the client can read them, and no more is read of it."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from tests.smuggling.case import ADMIN
from tests.smuggling.conftest import Scene, read_all
from tests.web.answers import parse_answers

pytestmark = pytest.mark.e2e

BODY = ADMIN * 200_000
POST = b"POST %b HTTP/1.1\r\nHost: a\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(ADMIN) * 100, ADMIN * 100)

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
