"""The body of an answer that comes from a file: what there is to send, and reading it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from scgiproxy.errors import GatewayError
from scgiproxy.message.ranges import ByteRange


class FileContent:
    """Pieces of an answer, some of them ranges of an open file, to be sent once from front to end.

    They are read by position and never past the end of a range, so the file may be shared and may
    grow. `fd` is the file, `length` what all pieces have.
    """

    def __init__(self, fd: int, path: str, pieces: Sequence[bytes | ByteRange]) -> None:
        self.fd = fd
        self._path = path
        self._left = list(reversed(pieces))
        self.length = sum(_length(piece) for piece in pieces)

    def take(self) -> bytes | ByteRange | None:
        """What is to be sent next, not empty; None at the end."""
        left = self._left
        while left:
            piece = left.pop()
            if _length(piece):
                return piece
        return None

    def put_back(self, piece: bytes | ByteRange) -> None:
        """The rest of what was taken last is to be sent next."""
        self._left.append(piece)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, and none only at the end.

        Raises `GatewayError` if the file ends before its range does, or cannot be read.
        """
        piece = self.take()
        if piece is None:
            return b""
        if isinstance(piece, bytes):
            data = piece[:size]
            self.put_back(piece[size:])
        else:
            data = self._read_range(piece, size)
            self.put_back(ByteRange(piece.start + len(data), piece.stop))
        return data

    def read_all(self) -> bytes:
        """All that is left. Raises as `read` does."""
        return b"".join(iter(lambda: self.read(self.length), b""))

    def _read_range(self, part: ByteRange, size: int) -> bytes:
        try:
            data = os.pread(self.fd, min(size, part.length), part.start)
        except OSError as error:
            raise GatewayError(f"{self._path!a} cannot be read: {error.strerror}") from error
        if not data:
            raise GatewayError(
                f"{self._path!a} ends at byte {part.start}, and {part.stop} were announced:"
                " it was truncated while it was sent"
            )
        return data


def _length(piece: bytes | ByteRange) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.length
