"""Spools: what is kept, where, and what happens when there is no room."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import BodyTooLarge, GatewayError
from scgiproxy.wire.spool import MEMORY_SPOOL, MEMORY_SPOOLS, SMALL_SPOOL, Spool, SpoolUse
from tests.wire.bodies import produce


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


def test_spool_is_in_memory_first_and_then_in_an_unlinked_file(tmp_path: Any) -> None:
    spool = Spool(0, directory=str(tmp_path))
    spool.write(b"x" * MEMORY_SPOOL)
    assert not spool.file()._rolled  # type: ignore[attr-defined]
    spool.file().seek(0, 2)
    spool.write(b"x")
    assert spool.file()._rolled  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []
    spool.close()
    spool.close()


def test_spools_share_their_memory() -> None:
    """While it is full, only small ones stay in it, and each gives back what it had."""
    use = SpoolUse()
    spools = [Spool(0, use=use) for _ in range(MEMORY_SPOOLS // MEMORY_SPOOL)]
    for spool in spools:
        spool.write(b"x" * MEMORY_SPOOL)
    assert (use.memory, use.bodies) == (MEMORY_SPOOLS, len(spools))
    small, large = Spool(0, use=use), Spool(0, use=use)
    small.write(b"x" * SMALL_SPOOL)
    large.write(b"x" * SMALL_SPOOL)
    assert use.memory == MEMORY_SPOOLS + 2 * SMALL_SPOOL
    large.write(b"x")
    assert use.memory == MEMORY_SPOOLS + SMALL_SPOOL
    assert large.file()._rolled  # type: ignore[attr-defined]
    assert not small.file()._rolled  # type: ignore[attr-defined]
    spools[0].close()
    late = Spool(0, use=use)
    late.write(b"x" * (MEMORY_SPOOL - SMALL_SPOOL))
    assert not late.file()._rolled  # type: ignore[attr-defined]
    for spool in (*spools, small, large, late):
        spool.close()
    assert (use.bodies, use.bytes, use.memory) == (0, 0, 0)


def test_spool_has_a_limit() -> None:
    spool = Spool(10)
    spool.write(b"x" * 10)
    with pytest.raises(BodyTooLarge, match="10 bytes"):
        spool.write(b"x")
    spool.close()


def test_spool_without_a_folder_fails(tmp_path: Any) -> None:
    """And says why."""
    spool = Spool(0, memory=1, directory=str(tmp_path / "gone"))
    with pytest.raises(GatewayError, match="could not be spooled: No such file"):
        spool.write(b"xx")
    spool.close()


def test_spool_on_a_full_disk_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kw: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    spool = Spool(0, memory=1)
    with pytest.raises(GatewayError, match="could not be spooled: No space left"):
        spool.write(b"xx")
    spool.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("size", [100, 100_000])
def test_spool_whose_disk_is_full_before_its_buffer(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """It fails with what does not fit, not later; and closing is not hindered."""
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "w+b"))  # noqa: SIM115
    spool = Spool(0, memory=10)
    with pytest.raises(GatewayError, match="could not be spooled: No space left"):
        spool.write(b"x" * size)
    spool.close()
    spool.close()
