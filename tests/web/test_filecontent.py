"""Reading the pieces of an answer, and the producer that sends them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import GatewayError
from scgiproxy.message.ranges import ByteRange
from scgiproxy.web.filecontent import FileContent, FileContentSender
from tests.web.fakes import RecordedRequest

DATA = bytes(range(256)) * 2000  # 512 000 bytes


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    number = os.open(path, os.O_RDWR)
    yield number
    os.close(number)


class Sending:
    """A sender at work on an answer of `length` bytes."""

    def __init__(self, content: FileContent, buffer_size: int | None = 65536) -> None:
        self.closed = 0
        self.request = RecordedRequest(buffer_size=buffer_size)
        self.request.send_head(200, None, [], content.length)
        self.sender = FileContentSender(self.request, self.close)
        self.content = content

    def close(self) -> None:
        self.closed += 1

    def send(self) -> None:
        self.sender.send(self.content)


def test_pieces_are_read_in_order(fd: int) -> None:
    content = FileContent(fd, "data", [b"head", ByteRange(10, 20), b"", b"tail", ByteRange(5, 5)])
    assert content.length == 18
    assert content.read_all() == b"head" + DATA[10:20] + b"tail"
    assert content.read(10) == b""


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.tuples(st.integers(0, 250), st.integers(0, 50)).map(
                lambda pair: ByteRange(pair[0], sum(pair))
            ),
        ),
        max_size=6,
    ),
    st.integers(1, 64),
)
def test_any_size_of_read_gives_the_same_bytes(pieces: list[bytes | ByteRange], size: int) -> None:
    with open("/dev/zero", "rb") as zero:
        content = FileContent(zero.fileno(), "zero", pieces)
        read = list(iter(lambda: content.read(size), b""))
    expected = b"".join(bytes(p.length) if isinstance(p, ByteRange) else p for p in pieces)
    assert b"".join(read) == expected
    assert content.length == len(expected)
    assert all(len(data) <= size for data in read)


def test_a_file_that_ends_early_is_an_error_that_names_it(fd: int) -> None:
    content = FileContent(fd, "/srv/data", [ByteRange(len(DATA) - 1, len(DATA) + 1)])
    with pytest.raises(GatewayError, match="'/srv/data' ends at byte 512000"):
        content.read_all()


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(GatewayError, match="cannot be read: Is a directory"):
            FileContent(directory, "/srv", [ByteRange(0, 1)]).read(1)
    finally:
        os.close(directory)


def test_everything_is_sent_then_finished_and_closed(fd: int) -> None:
    sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
    sending.send()
    sending.request.drain_all()
    assert sending.request.finished
    assert sending.request.body == DATA
    assert sending.request.producer is None
    assert sending.closed == 1


def test_it_reads_no_more_than_the_client_takes(fd: int) -> None:
    """One chunk fills the buffer; nothing more is read until it is empty."""
    sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
    sending.send()
    assert len(sending.request.body) == FileContentSender.CHUNK_SIZE
    sending.request.drain()
    assert len(sending.request.body) == 2 * FileContentSender.CHUNK_SIZE
    sending.request.client_leaves()


def test_a_client_that_is_not_reading_at_the_start_gets_nothing_yet(fd: int) -> None:
    """A consumer that is full pauses the producer when it is registered."""
    sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
    sending.request.paused = True
    sending.send()
    assert sending.request.body == b""
    sending.request.drain_all()
    assert sending.request.body == DATA


def test_the_file_is_closed_at_once_when_the_client_leaves(fd: int) -> None:
    sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
    sending.send()
    sent = len(sending.request.body)
    assert sending.closed == 0
    sending.request.client_leaves()
    assert sending.closed == 1
    sending.sender.resumeProducing()
    sending.sender.stopProducing()
    assert len(sending.request.body) == sent
    assert sending.closed == 1


def test_a_client_that_leaves_within_a_write(fd: int) -> None:
    class Leaving(RecordedRequest):
        def write(self, data: bytes) -> None:
            super().write(data)
            self.client_leaves()

    closed: list[bool] = []
    request = Leaving()
    request.send_head(200, None, [], len(DATA))
    sender = FileContentSender(request, lambda: closed.append(True))
    sender.send(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
    assert len(request.written) == 1
    assert closed == [True]


def test_a_client_that_has_left_already(fd: int) -> None:
    """Nothing is read for nobody."""
    sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
    sending.request.client_leaves()
    sending.send()
    assert sending.request.written == []
    assert sending.closed == 1


def test_a_file_truncated_while_it_is_sent_is_an_abort(fd: int) -> None:
    """What is short must not look whole."""
    sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
    sending.send()
    os.ftruncate(fd, 200_000)
    sending.request.drain_all()
    assert not sending.request.finished
    assert isinstance(sending.request.aborted, GatewayError)
    assert "truncated" in str(sending.request.aborted)
    assert sending.request.body == DATA[:200_000]
    assert sending.closed == 1


def test_a_file_that_grows_is_sent_as_announced(fd: int) -> None:
    sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
    sending.send()
    os.pwrite(fd, b"more", len(DATA))
    sending.request.drain_all()
    assert sending.request.finished
    assert sending.request.body == DATA
