"""The block of variables, when what goes into it does not keep still."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scgiproxy.message.environ import StaticEnviron, request_block
from scgiproxy.scgi.request import frame
from tests.smuggling.recording import read_block


class Growing(Mapping[bytes, bytes]):
    """A variable whose value is longer each time it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def __getitem__(self, name: bytes) -> bytes:
        self.reads += 1
        return b"x" * self.reads * 100

    def __iter__(self) -> Iterator[bytes]:
        yield b"GROWS"

    def __len__(self) -> int:
        return 1


def test_the_length_is_that_of_the_bytes_that_are_sent() -> None:
    """Counted first and written later, they would not be the same (CVE-2026-42533)."""
    growing = Growing()
    for _ in range(3):
        block = request_block(
            StaticEnviron({}),
            b"GET",
            b"/",
            b"HTTP/1.1",
            [(b"Host", b"a")],
            growing,
            query=b"",
            script_name=b"/",
            path_info=None,
            server_name=b"a",
            server_port=b"80",
            server_addr=b"127.0.0.1",
            remote_addr=b"127.0.0.1",
            remote_port=b"1",
        )
        size, colon, rest = frame(0, block).partition(b":")
        assert colon
        assert rest[int(size) :] == b","
        variables = read_block(rest[: int(size)])
        assert len(variables["GROWS"]) == growing.reads * 100
