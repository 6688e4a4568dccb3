"""Request bodies that may have to be sent once more, because a backend went without an answer."""

from __future__ import annotations

from twisted.python.failure import Failure

from scgiproxy.wire.body import FileBody, RequestBody

KEPT = 1 << 16
"""Bytes that are kept of an upload that is sent on while it arrives."""


def repeatable(body: RequestBody, keep: bool) -> RequestBody:
    """`body` as one that can `rewind`, as long as that is possible; `settle` ends it.

    A spool has all of it anyway. Of what is sent on while it arrives the first `KEPT` bytes are
    kept, if `keep` says so. To be called before the first byte is given out; what this returns may
    be given to it again.
    """
    if isinstance(body, FileBody):
        body.keep()
    elif keep and not isinstance(body, Replay):
        return Replay(body)
    return body


class Replay(RequestBody):
    """Passes on what `source` produces, and keeps up to `most` bytes of it for `rewind`.

    Until `settle`, `stopProducing` lets go of the consumer only: the source is paused, and holds
    what it was given in one piece.
    """

    def __init__(self, source: RequestBody, most: int = KEPT) -> None:
        super().__init__(source.length)
        self._source = source
        self._most = most
        self._kept: list[bytes] | None = []
        self._size = 0
        self._settled = False
        self._started = False
        self._ended = False
        self._failure: Failure | None = None

    def first_bytes(self) -> bytes:
        data = b"".join(self._kept or ())
        if not self._started:
            more = self._source.first_bytes()
            self._keep(more)
            data += more
        return data

    def write(self, data: bytes) -> None:
        """For the source."""
        self._keep(data)
        if self._consumer is not None:
            self._consumer.write(data)

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """The source is told of pauses already: it was given to the constructor."""

    def unregisterProducer(self) -> None:
        """See `registerProducer`."""

    def pauseProducing(self) -> None:
        super().pauseProducing()
        self._source.pauseProducing()

    def stopProducing(self) -> None:
        super().stopProducing()
        if self._settled:
            self._source.stopProducing()
        elif self._started and not self._ended:
            self._source.pauseProducing()

    def rewind(self) -> bool:
        if self._kept is None:
            return False
        self.stopProducing()
        self._paused = False
        return True

    def settle(self) -> None:
        self._settled = True
        self._kept = None
        if self._consumer is None:
            self._source.stopProducing()

    def _produce(self) -> None:
        if self._ended:
            self._finished(self._failure)
        elif self._started:
            if not self._paused:
                self._source.resumeProducing()
        else:
            self._started = True
            self._source.startProducing(self).addCallbacks(self._over, self._over)  # type: ignore[arg-type]

    def _over(self, failure: Failure | None) -> None:
        self._ended = True
        self._failure = failure
        self._finished(failure)

    def _keep(self, data: bytes) -> None:
        if self._kept is None:
            return
        self._size += len(data)
        if self._size > self._most:
            self._kept = None
        else:
            self._kept.append(data)
