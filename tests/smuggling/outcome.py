"""What a reader makes of a stream that comes in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from scgiproxy.errors import ClientError
from scgiproxy.message.framing import BodyKind, RequestFraming
from scgiproxy.message.headers import HeaderList
from scgiproxy.rules.settings import ServerSettings
from scgiproxy.web.reader import RequestReader
from scgiproxy.web.site import ConnectionLimits

LIMITS = ConnectionLimits.of([ServerSettings()])


@dataclass
class Read:
    """One request; `body` as far as it came."""

    method: bytes
    target: bytes
    protocol: bytes
    headers: HeaderList
    framing: RequestFraming
    body: bytes = b""
    complete: bool = False


@dataclass
class Outcome:
    """The requests that are told of, in order, and the error that ends them, if one does.

    Of a request that an error interrupts, how much of the body was told of depends on the pieces.
    """

    requests: list[Read] = field(default_factory=list)
    error: int = 0
    between_requests: bool = False

    @property
    def essence(self) -> object:
        """What must not depend on the pieces."""
        heads = [(r.method, r.target, r.protocol, r.headers, r.framing) for r in self.requests]
        bodies = [r.body for r in self.requests if r.complete or not self.error]
        complete = [r.complete for r in self.requests]
        # Which bytes are a method is known only if it came whole.
        error = 400 if self.error == 501 else self.error
        return heads, bodies, complete, error, self.between_requests or bool(self.error)


class _Listener:
    def __init__(self, reader: RequestReader) -> None:
        self.reader = reader
        self.outcome = Outcome()
        self.ended = False

    def head_begun(self, size: int) -> None:
        """It comes in pieces."""

    def head_read(self, protocol: bytes, framing: RequestFraming) -> None:
        reader = self.reader
        read = Read(reader.method, reader.target, protocol, list(reader.headers), framing)
        read.complete = framing.kind is BodyKind.NONE
        self.outcome.requests.append(read)
        if read.complete:
            self._end(read)

    def body_read(self, data: bytes) -> None:
        assert data
        self.outcome.requests[-1].body += data

    def body_ended(self) -> None:
        read = self.outcome.requests[-1]
        assert not read.complete
        read.complete = True
        self._end(read)

    def _end(self, read: Read) -> None:
        if not read.framing.keep_alive:
            # As the channel does: nothing is read behind the last.
            self.ended = True
            self.reader.stop()


def read_pieces(pieces: Iterable[bytes], limits: ConnectionLimits = LIMITS) -> Outcome:
    """Feed a new reader as a channel does."""
    reader = RequestReader()
    listener = _Listener(reader)
    reader.begin(limits, listener)
    outcome = listener.outcome
    for piece in pieces:
        if listener.ended:
            break
        try:
            reader.feed(piece)
        except ClientError as error:
            outcome.error = error.status
            break
    outcome.between_requests = listener.ended or reader.between_requests
    return outcome
