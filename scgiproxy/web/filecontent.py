"""The body of an answer that comes from a file: what to read, and the producer that sends it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure

from scgiproxy.errors import ClientGone, GatewayError
from scgiproxy.interfaces import IGatewayRequest
from scgiproxy.message.ranges import ByteRange


class FileContent:
    """Pieces of an answer, some of them ranges of an open file, to be read once from front to end.

    It reads by position and never past the end of a range, so the file may be shared and may grow.
    """

    def __init__(self, fd: int, path: str, pieces: Sequence[bytes | ByteRange]) -> None:
        self._fd = fd
        self._path = path
        self._left = list(reversed(pieces))
        self.length = sum(
            len(piece) if isinstance(piece, bytes) else piece.length for piece in pieces
        )

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, and none only at the end.

        Raises `GatewayError` if the file ends before its range does, or cannot be read.
        """
        while self._left:
            piece = self._left.pop()
            if isinstance(piece, bytes):
                data, rest = piece[:size], piece[size:]
                if rest:
                    self._left.append(rest)
            else:
                data = self._read_range(piece, size)
            if data:
                return data
        return b""

    def read_all(self) -> bytes:
        """All that is left. Raises as `read` does."""
        return b"".join(iter(lambda: self.read(self.length), b""))

    def _read_range(self, part: ByteRange, size: int) -> bytes:
        if part.length <= 0:
            return b""
        try:
            data = os.pread(self._fd, min(size, part.length), part.start)
        except OSError as error:
            raise GatewayError(f"{self._path!a} cannot be read: {error.strerror}") from error
        if not data:
            raise GatewayError(
                f"{self._path!a} ends at byte {part.start}, and {part.stop} were announced:"
                " it was truncated while it was sent"
            )
        if len(data) < part.length:
            self._left.append(ByteRange(part.start + len(data), part.stop))
        return data


class FileContentSender(FileSender):
    """Sends a `FileContent` as the body of an answer whose head has been sent.

    `close` is called once, when the file is needed no longer: sent, unreadable, or the client has
    left.
    """

    CHUNK_SIZE = 1 << 17
    """Bytes; what Twisted hands to the system in one piece (`FileDescriptor.SEND_LIMIT`)."""

    def __init__(self, request: IGatewayRequest, close: Callable[[], None]) -> None:
        self._request = request
        self._close = close
        self.file: FileContent | None = None

    def send(self, body: FileContent) -> None:
        """Send `body`, then finish the answer; abort it if the file cannot give what it should."""
        if self._request.gone:
            self._close()
            return
        self._request.on_gone(self.stopProducing)
        sent: Deferred[bytes] = self.beginFileTransfer(  # type: ignore[no-untyped-call]
            body, self._request
        )
        sent.addCallbacks(self._finish, self._abort)

    def resumeProducing(self) -> None:
        """The client takes more: the next piece."""
        if self.file is None:
            return
        try:
            super().resumeProducing()  # type: ignore[no-untyped-call]
        except GatewayError as error:
            self._give_up(error)

    def stopProducing(self) -> None:
        """The client has left. Again, or after the end, is harmless."""
        self._give_up(ClientGone("the client left before the end of the file"))

    def _give_up(self, error: Exception) -> None:
        self.file = None
        if self.deferred is not None:
            deferred, self.deferred = self.deferred, None
            self.consumer.unregisterProducer()
            deferred.errback(error)

    def _finish(self, _last: bytes) -> None:
        self._close()
        self._request.finish()

    def _abort(self, failure: Failure) -> None:
        self._close()
        error = failure.value
        self._request.abort(error if isinstance(error, Exception) else GatewayError(str(error)))
