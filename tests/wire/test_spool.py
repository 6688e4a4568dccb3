"""Spools: what is kept, where, and what happens when there is no room."""

from __future__ import annotations

import gc
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import BodyTooLarge, SpoolFull
from scgiproxy.wire.spool import (
    MEMORY_SPOOL,
    MEMORY_SPOOLS,
    SMALL_SPOOL,
    Spool,
    SpoolingConsumer,
)
from scgiproxy.wire.spoolspace import SpoolSpace
from tests.wire.bodies import Source, produce


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 1000))
def test_spool_gives_back_what_it_took(pieces: list[bytes], memory: int) -> None:
    """In memory or on disk."""
    spool = Spool(0, memory=memory)
    for piece in pieces:
        spool.write(piece)
    body = spool.body()
    data = b"".join(pieces)
    assert body.length == spool.size == len(data)
    consumer, fired = produce(body)
    assert (consumer.data, fired) == (data, [None])


def test_spool_is_in_memory_first_and_then_in_a_file() -> None:
    spool = Spool(0)
    spool.write(b"x" * MEMORY_SPOOL)
    assert not spool.on_disk
    spool.write(b"y")
    assert spool.on_disk
    assert spool.file().read() == b"x" * MEMORY_SPOOL + b"y"
    assert spool.file().read(1) == b"x"
    spool.close()
    spool.close()


def test_spools_share_their_memory() -> None:
    """While it is full, only small ones stay in it, and each gives back what it had."""
    space = SpoolSpace()
    spools = [Spool(0, space=space) for _ in range(MEMORY_SPOOLS // MEMORY_SPOOL)]
    for spool in spools:
        spool.write(b"x" * MEMORY_SPOOL)
    assert (space.memory, space.bodies) == (MEMORY_SPOOLS, len(spools))
    small, large = Spool(0, space=space), Spool(0, space=space)
    small.write(b"x" * SMALL_SPOOL)
    large.write(b"x" * SMALL_SPOOL)
    assert (space.memory, space.disk) == (MEMORY_SPOOLS + 2 * SMALL_SPOOL, 0)
    large.write(b"x")
    assert (space.memory, space.disk) == (MEMORY_SPOOLS + SMALL_SPOOL, SMALL_SPOOL + 1)
    assert large.on_disk
    assert not small.on_disk
    spools[0].close()
    late = Spool(0, space=space)
    late.write(b"x" * (MEMORY_SPOOL - SMALL_SPOOL))
    assert not late.on_disk
    for spool in (*spools, small, large, late):
        spool.close()
    assert (space.bodies, space.bytes, space.memory, space.disk) == (0, 0, 0, 0)


def test_spool_has_a_limit() -> None:
    spool = Spool(10)
    spool.write(b"x" * 10)
    with pytest.raises(BodyTooLarge, match="10 bytes"):
        spool.write(b"x")
    spool.close()


@pytest.mark.parametrize("closing", ["the spool", "its file", "nobody"])
def test_who_closes_it_gives_everything_back(closing: str) -> None:
    """A body that somebody else reads and closes, or that is just dropped, is not counted for ever."""
    space = SpoolSpace()
    for size in (10, 100):
        spool = Spool(0, memory=50, space=space)
        spool.write(b"x" * size)
        file = spool.file()
        assert (space.bodies, space.bytes) == (1, size)
        if closing == "the spool":
            spool.close()
        elif closing == "its file":
            file.close()
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                del file, spool
                gc.collect()
        assert (space.bodies, space.memory, space.disk) == (0, 0, 0)


def test_consumer_that_is_told_to_stop_gives_everything_back() -> None:
    source, space = Source(), SpoolSpace()
    consumer = SpoolingConsumer(source.body, 0, space)
    consumer.start()
    source.body.received(b"x" * (MEMORY_SPOOL + 1))
    assert space.disk == MEMORY_SPOOL + 1
    consumer.stop()
    assert (space.bodies, space.disk) == (0, 0)


# -- SpoolMaxTotal -----------------------------------------------------------------------------


def test_all_files_together_have_a_limit() -> None:
    """What is in memory does not count, and there is room again when a body has been sent."""
    space = SpoolSpace(most=100)
    held, first, second = (Spool(0, memory=20, space=space) for _ in range(3))
    held.write(b"x" * 20)
    first.write(b"x" * 70)
    with pytest.raises(
        SpoolFull, match=r"have 70 bytes, and may have 100 \(SpoolMaxTotal\)"
    ) as full:
        second.write(b"x" * 31)
    assert (full.value.status, full.value.log_key) == (503, "gateway.spool_full")
    second.close()
    assert (space.disk, space.memory, space.bodies) == (70, 20, 2)
    first.close()
    third = Spool(0, memory=20, space=space)
    third.write(b"x" * 60)
    third.write(b"x" * 40)
    with pytest.raises(BodyTooLarge, match="over SpoolMaxTotal"):
        third.write(b"x")
    third.close()
    held.close()
    assert (space.disk, space.memory, space.bodies) == (0, 0, 0)


def test_a_limit_that_is_met_when_memory_is_left() -> None:
    space = SpoolSpace(most=100)
    spool = Spool(0, memory=50, space=space)
    spool.write(b"x" * 50)
    with pytest.raises(BodyTooLarge):
        spool.write(b"x" * 51)
    spool.close()
    assert (space.disk, space.memory, space.bodies) == (0, 0, 0)
