"""What both ends of the gateway have in common: reads that grow while a large body passes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost

from scgiproxy.wire.descriptors import ReactorDescriptors
from scgiproxy.wire.stream import StreamConnection
from scgiproxy.wire.streamsocket import MOST_READ, READ_SIZE


class Socket:
    """What has arrived, and maybe the end."""

    def __init__(self) -> None:
        self.arrived = b""
        self.end: bytes | OSError = BlockingIOError()

    def fileno(self) -> int:
        return -1

    def recv(self, size: int) -> bytes:
        if not self.arrived:
            if isinstance(self.end, OSError):
                raise self.end
            return self.end
        data, self.arrived = self.arrived[:size], self.arrived[size:]
        return data


class Connection:
    """Reads from `socket`, and notes what it gets."""

    def __init__(self) -> None:
        self.socket = Socket()
        skt: Any = self.socket
        self.transport = StreamConnection(skt, self, ReactorDescriptors(reactor), UNIXAddress(None))
        self.pieces: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)

    def sizes(self, arriving: int) -> list[int]:
        """The sizes of the reads of so many bytes that have arrived together."""
        self.pieces.clear()
        self.socket.arrived = b"x" * arriving
        while self.socket.arrived:
            assert self.transport.doRead() is None
        return [len(piece) for piece in self.pieces]


def test_reads_grow_while_there_is_more() -> None:
    """Up to a bound, however much waits."""
    first = [READ_SIZE, 2 * READ_SIZE, 4 * READ_SIZE]
    assert first[-1] == MOST_READ
    assert Connection().sizes(10 * MOST_READ) == [*first, *[MOST_READ] * 8, READ_SIZE]


def test_a_small_piece_ends_that() -> None:
    """What follows it is the beginning of something else, which nobody may be waiting for."""
    connection = Connection()
    assert connection.sizes(3 * READ_SIZE + 10) == [READ_SIZE, 2 * READ_SIZE, 10]
    assert connection.sizes(2 * READ_SIZE) == [READ_SIZE, READ_SIZE]


def test_nothing_an_end_and_an_error() -> None:
    """Each is told as reactors expect it."""
    connection = Connection()
    assert connection.transport.doRead() is None
    connection.socket.end = b""
    assert isinstance(connection.transport.doRead(), ConnectionDone)
    connection.socket.end = ConnectionResetError()
    assert isinstance(connection.transport.doRead(), ConnectionLost)
    assert connection.pieces == []


@given(st.lists(st.integers(0, 5 * MOST_READ // 2), max_size=8))
def test_no_byte_is_lost(arriving: list[int]) -> None:
    """However the bytes come, they are read in order, in reads that stay within their bounds."""
    connection = Connection()
    expected = b""
    for number, size in enumerate(arriving):
        piece = bytes([number]) * size
        connection.socket.arrived += piece
        expected += piece
        connection.transport.doRead()
    while connection.socket.arrived:
        connection.transport.doRead()
    assert b"".join(connection.pieces) == expected
    assert all(len(piece) <= MOST_READ for piece in connection.pieces)
