"""Chunked bodies: what is dropped of them, and how much of what is no data there may be."""

from __future__ import annotations

import pytest

from scgiproxy.web.reader import CHUNK_LINE
from tests.web.harness import CHUNKED, Gateway
from tests.web.test_reader import SMUGGLED, Heard, feed, new_reader


def test_trailers_are_dropped() -> None:
    gateway, _ = feed(CHUNKED + b"5\r\nhello\r\n0\r\nX-Evil: y\r\nAuthorization: x\r\n\r\n")
    variables = gateway.backend.variables
    assert "HTTP_X_EVIL" not in variables
    assert "HTTP_AUTHORIZATION" not in variables
    assert "HTTP_TRANSFER_ENCODING" not in variables
    assert variables["CONTENT_LENGTH"] == "5"


@pytest.mark.parametrize(
    "start", [b"5;", b"5\r\nhello\r\n0\r\nX: ", b"5\r\nhello\r\n0\r\nX"], ids=repr
)
def test_chunk_extension_or_trailer_without_an_end_is_refused(start: bytes) -> None:
    gateway = Gateway()
    client = gateway.client().send(CHUNKED + start)
    sent = 0
    while not client.received:
        client.send(b"a" * 5000)
        sent += 5000
        assert sent < 200_000
    assert client.answer.status in (400, 431)
    assert not gateway.pool.ends
    client.leave()
    gateway.assert_idle()


LINES = {
    "extension": lambda size: b"5;" + b"x" * (size - 4) + b"\r\n",
    "quoted": lambda size: b'5;x="' + b";" * (size - 8) + b'"\r\n',
    "zeros": lambda size: b"0" * (size - 3) + b"5\r\n",
}
CHUNK_OF_A = b"1\r\na\r\n"


@pytest.mark.parametrize("before", [0, 1, 300, 5000])
@pytest.mark.parametrize("step", [1, 100, CHUNK_LINE, 100_000])
@pytest.mark.parametrize("kind", LINES)
def test_a_chunk_s_line_is_bounded(kind: str, step: int, before: int) -> None:
    """However it comes, and wherever in the body it is; each line by itself."""
    line = LINES[kind]
    sent = CHUNKED + CHUNK_OF_A * before
    fair = sent + (line(CHUNK_LINE) + b"hello\r\n") * 3 + b"0\r\n\r\n"
    gateway, _ = feed(fair, step)
    assert gateway.backend.body == b"a" * before + b"hello" * 3
    refused, client = feed(sent + line(4 * CHUNK_LINE) + b"hello\r\n0\r\n\r\n" + SMUGGLED, step)
    assert client.answer.status == 400
    assert not refused.pool.ends


def test_a_trailer_may_be_as_long_as_a_field() -> None:
    """It is no chunk's line, and no longer than a field of a head may be."""
    sent = CHUNKED + b"5\r\nhello\r\n0\r\nX: "
    for step in (1, 1000, 100_000):
        gateway, _ = feed(sent + b"y" * 8187 + b"\r\n\r\n", step)
        assert gateway.backend.body == b"hello"
        refused, client = feed(sent + b"y" * 20_000 + b"\r\n\r\n", step)
        assert client.answer.status == 431
        assert not refused.pool.ends


def test_ten_megabytes_of_chunks_of_a_byte_are_told_as_pieces() -> None:
    """What is done for a chunk does not grow with the body, and nothing of them is kept."""
    heard = Heard()
    told: list[int] = []
    heard.body_read = lambda data: told.append(len(data))  # type: ignore[method-assign]
    reader = new_reader(heard)
    reader.feed(CHUNKED)
    piece = CHUNK_OF_A * 10_000
    for _ in range(170):
        reader.feed(piece)
    reader.feed(b"0\r\n\r\n")
    assert told == [10_000] * 170
    assert heard.complete == 1
    assert reader.between_requests


def test_endless_trailers_are_refused() -> None:
    gateway = Gateway()
    client = gateway.client().send(CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 102)
    assert client.answer.status == 431
    assert not gateway.pool.ends
