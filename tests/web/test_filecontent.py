"""The pieces of an answer, and reading them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import GatewayError
from scgiproxy.message.ranges import ByteRange
from scgiproxy.web.filecontent import FileContent

DATA = bytes(range(256)) * 2000  # 512 000 bytes


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    number = os.open(path, os.O_RDWR)
    yield number
    os.close(number)


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


def test_pieces_are_taken_in_order_and_what_is_empty_is_left_out() -> None:
    content = FileContent(-1, "data", [b"", b"head", ByteRange(5, 5), ByteRange(10, 20), b""])
    assert content.take() == b"head"
    assert content.take() == ByteRange(10, 20)
    content.put_back(ByteRange(13, 20))
    assert content.take() == ByteRange(13, 20)
    content.put_back(ByteRange(20, 20))
    assert content.take() is None
    assert content.take() is None


def test_what_was_put_back_is_read_next(fd: int) -> None:
    content = FileContent(fd, "data", [ByteRange(0, 10), b"tail"])
    content.take()
    content.put_back(ByteRange(4, 10))
    assert content.read(3) == DATA[4:7]
    assert content.read_all() == DATA[7:10] + b"tail"
