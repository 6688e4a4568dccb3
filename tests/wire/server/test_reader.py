"""A request put together from pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import BadRequest, BodyTooLarge
from scgiproxy.wire.server.reader import RequestReader
from scgiproxy.wire.spool import MEMORY_SPOOL
from tests.wire.server.gateway import request_bytes


@given(
    body=st.binary(max_size=300),
    trailing=st.binary(max_size=5),
    size=st.integers(min_value=1, max_value=400),
)
def test_however_it_is_cut(body: bytes, trailing: bytes, size: int) -> None:
    """The pieces do not matter, and what follows the body is dropped."""
    data = request_bytes(body, REQUEST_URI="/x") + trailing
    reader = RequestReader(65536, 1000)
    received = None
    for start in range(0, len(data), size):
        received = reader.feed(data[start : start + size])
        if received is not None:
            break
    assert received is not None
    variables, file = received
    assert variables[b"REQUEST_URI"] == b"/x"
    assert file.tell() == len(body)
    file.seek(0)
    assert file.read() == body
    file.close()


def test_a_large_body_leaves_memory() -> None:
    """Over 1 MiB the body is in a file, which has no name."""
    body = bytes(MEMORY_SPOOL + 1)
    received = RequestReader(65536, 2 * MEMORY_SPOOL).feed(request_bytes(body))
    assert received is not None
    file = received[1]
    assert isinstance(file.fileno(), int)
    file.seek(0)
    assert file.read() == body
    file.close()


def test_a_body_over_the_limit_is_refused_before_it_comes() -> None:
    data = request_bytes(b"x" * 11)
    reader = RequestReader(65536, 10)
    with pytest.raises(BodyTooLarge, match="11 bytes is over the limit of 10"):
        reader.feed(data[:-11])
    reader.close()


def test_a_header_over_the_limit_is_refused() -> None:
    reader = RequestReader(20, 10)
    with pytest.raises(BadRequest, match="over the limit of 20"):
        reader.feed(request_bytes())
    reader.close()
