"""The producers that send a file: by reading it, and by sendfile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import GatewayError
from scgiproxy.message.ranges import ByteRange
from scgiproxy.web.filecontent import FileContent
from scgiproxy.web.filesender import ReadingSender, send_content
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
    """The answer to a request, whose body is `content`."""

    def __init__(
        self,
        content: FileContent,
        buffer_size: int | None = 65536,
        sendfile: Callable[[int, int], int | None] | None = None,
    ) -> None:
        self.closed = 0
        self.request = RecordedRequest(buffer_size=buffer_size, sendfile=sendfile)
        self.request.send_head(200, None, [], content.length)
        self.content = content

    def close(self) -> None:
        self.closed += 1

    def send(self) -> None:
        send_content(self.request, self.content, self.close)


class TestReading:
    def test_everything_is_sent_then_finished_and_closed(self, fd: int) -> None:
        sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
        sending.send()
        sending.request.drain_all()
        assert sending.request.finished
        assert sending.request.body == DATA
        assert sending.request.producer is None
        assert sending.closed == 1

    def test_it_reads_no_more_than_the_client_takes(self, fd: int) -> None:
        """One chunk fills the buffer; nothing more is read until it is empty."""
        sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
        sending.send()
        assert len(sending.request.body) == ReadingSender.CHUNK_SIZE
        sending.request.drain()
        assert len(sending.request.body) == 2 * ReadingSender.CHUNK_SIZE
        sending.request.client_leaves()

    def test_a_client_that_is_not_reading_at_the_start_gets_nothing_yet(self, fd: int) -> None:
        """A consumer that is full pauses the producer when it is registered."""
        sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
        sending.request.paused = True
        sending.send()
        assert sending.request.body == b""
        sending.request.drain_all()
        assert sending.request.body == DATA

    def test_the_file_is_closed_at_once_when_the_client_leaves(self, fd: int) -> None:
        sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
        sending.send()
        sent = len(sending.request.body)
        assert sending.closed == 0
        sender: Any = sending.request.producer
        sending.request.client_leaves()
        assert sending.closed == 1
        sender.resumeProducing()
        sender.stopProducing()
        assert len(sending.request.body) == sent
        assert sending.closed == 1

    def test_a_client_that_leaves_within_a_write(self, fd: int) -> None:
        class Leaving(RecordedRequest):
            def write(self, data: bytes) -> None:
                super().write(data)
                self.client_leaves()

        closed: list[bool] = []
        request = Leaving()
        request.send_head(200, None, [], len(DATA))
        content = FileContent(fd, "data", [ByteRange(0, len(DATA))])
        send_content(request, content, lambda: closed.append(True))
        assert len(request.written) == 1
        assert closed == [True]

    def test_a_client_that_has_left_already(self, fd: int) -> None:
        """Nothing is read for nobody."""
        sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
        sending.request.client_leaves()
        sending.send()
        assert sending.request.written == []
        assert sending.closed == 1

    def test_a_file_truncated_while_it_is_sent_is_an_abort(self, fd: int) -> None:
        """What is short must not look whole."""
        sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
        sending.send()
        os.ftruncate(fd, 200_000)
        sending.request.drain_all()
        assert not sending.request.finished
        assert isinstance(sending.request.aborted, GatewayError)
        assert "truncated" in str(sending.request.aborted)
        assert sending.request.logged is sending.request.aborted
        assert sending.request.body == DATA[:200_000]
        assert sending.closed == 1

    def test_a_file_that_grows_is_sent_as_announced(self, fd: int) -> None:
        sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]))
        sending.send()
        os.pwrite(fd, b"more", len(DATA))
        sending.request.drain_all()
        assert sending.request.finished
        assert sending.request.body == DATA


class System:
    """Stands for sendfile(2): sends as many bytes as the next of `plan` says, then all; None fails."""

    def __init__(self, *plan: int | None) -> None:
        self.asked: list[tuple[int, int]] = []
        self._plan = list(plan)

    def __call__(self, start: int, count: int) -> int | None:
        self.asked.append((start, count))
        sent = self._plan.pop(0) if self._plan else count
        return None if sent is None else min(sent, count)


class TestSendfile:
    def test_a_file_goes_in_as_many_pieces_as_the_client_takes(self, fd: int) -> None:
        system = System(100_000, 0, 400_000)
        sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]), sendfile=system)
        sending.send()
        assert system.asked == [(0, 512_000)]
        sending.request.drain_all()
        assert system.asked[1:] == [(100_000, 412_000), (100_000, 412_000), (500_000, 12_000)]
        assert sending.request.body == DATA
        assert (sending.request.finished, sending.closed) == (True, 1)
        assert sending.request.producer is None

    def test_what_fits_is_answered_at_once(self, fd: int) -> None:
        sending = Sending(FileContent(fd, "data", [ByteRange(7, 50_000)]), sendfile=System())
        sending.send()
        assert sending.request.body == DATA[7:50_000]
        assert (sending.request.finished, sending.closed) == (True, 1)

    def test_what_is_bytes_is_written(self, fd: int) -> None:
        """The parts of multipart/byteranges, each with a head of its own."""
        system = System(30_000)
        pieces = [b"first", ByteRange(0, 40_000), b"second", ByteRange(9, 10), b"", b"end"]
        sending = Sending(FileContent(fd, "data", pieces), sendfile=system)
        sending.send()
        sending.request.drain_all()
        assert sending.request.body == b"first" + DATA[:40_000] + b"second" + DATA[9:10] + b"end"
        assert system.asked == [(0, 40_000), (30_000, 10_000), (9, 1)]

    def test_a_client_that_is_not_reading_at_the_start_gets_nothing_yet(self, fd: int) -> None:
        system = System()
        sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]), sendfile=system)
        sending.request.paused = True
        sending.send()
        assert system.asked == []
        sending.request.drain_all()
        assert sending.request.body == DATA

    def test_the_file_is_closed_at_once_when_the_client_leaves(self, fd: int) -> None:
        system = System(1000)
        sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]), sendfile=system)
        sending.send()
        sender: Any = sending.request.producer
        assert sending.closed == 0
        sending.request.client_leaves()
        assert sending.closed == 1
        sender.resumeProducing()
        sender.stopProducing()
        assert (len(system.asked), sending.closed) == (1, 1)
        assert not sending.request.finished

    @pytest.mark.parametrize("sent", [None, 0, 1000, len(DATA)])
    def test_a_client_that_leaves_meanwhile(self, fd: int, sent: int | None) -> None:
        """Nobody reads the file for it either."""

        def leave(_start: int, _count: int) -> int | None:
            sending.request.client_leaves()
            return sent

        sending = Sending(FileContent(fd, "data", [ByteRange(0, len(DATA))]), sendfile=leave)
        sending.send()
        assert sending.closed == 1
        assert not sending.request.finished
        assert len(sending.request.body) == (sent or 0)

    def test_a_client_that_has_left_already(self, fd: int) -> None:
        system = System()
        sending = Sending(FileContent(fd, "data", [ByteRange(0, 10)]), sendfile=system)
        sending.request.client_leaves()
        sending.send()
        assert (system.asked, sending.closed) == ([], 1)

    def test_what_cannot_be_sent_like_this_is_read(self, fd: int) -> None:
        """As on a file system that has no sendfile; it is not tried again."""
        system = System(1000, None)
        pieces = [ByteRange(0, len(DATA) - 1), ByteRange(0, 5)]
        sending = Sending(FileContent(fd, "data", pieces), sendfile=system)
        sending.send()
        sending.request.drain_all()
        assert sending.request.body == DATA[:-1] + DATA[:5]
        assert len(system.asked) == 2
        assert (sending.request.finished, sending.closed) == (True, 1)

    def test_a_file_truncated_while_it_is_sent_is_an_abort(self, fd: int) -> None:
        """sendfile sends nothing there, and reading tells why."""
        system = System(200_000, None)
        sending = Sending(FileContent(fd, "/srv/data", [ByteRange(0, 512_000)]), sendfile=system)
        sending.send()
        os.ftruncate(fd, 200_000)
        sending.request.drain_all()
        assert not sending.request.finished
        assert isinstance(sending.request.aborted, GatewayError)
        assert "'/srv/data' ends at byte 200000" in str(sending.request.aborted)
        assert sending.closed == 1

    def test_a_file_that_cannot_be_read_any_more_is_an_abort(self, tmp_path: Path) -> None:
        folder = os.open(tmp_path, os.O_RDONLY)
        try:
            content = FileContent(folder, "/srv", [ByteRange(0, 10)])
            sending = Sending(content, sendfile=System(None))
            sending.send()
        finally:
            os.close(folder)
        assert "cannot be read: Is a directory" in str(sending.request.aborted)
        assert sending.closed == 1

    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=20),
                st.tuples(st.integers(0, 60), st.integers(0, 60)).map(
                    lambda pair: ByteRange(*sorted(pair))
                ),
            ),
            max_size=6,
        ),
        st.lists(st.one_of(st.integers(0, 70), st.none()), max_size=12),
    )
    def test_any_pieces_and_any_luck_give_the_same_bytes(
        self, pieces: Sequence[bytes | ByteRange], plan: list[int | None]
    ) -> None:
        number = os.memfd_create("data")
        try:
            os.write(number, DATA[:60])
            sending = Sending(FileContent(number, "data", pieces), 16, System(*plan))
            sending.send()
            sending.request.drain_all()
        finally:
            os.close(number)
        expected = [DATA[slice(*p)] if isinstance(p, ByteRange) else p for p in pieces]
        assert sending.request.body == b"".join(expected)
        assert (sending.request.finished, sending.closed) == (True, 1)
