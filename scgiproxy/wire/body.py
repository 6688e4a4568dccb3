"""Where the bytes of a request body come from.

Each source is an ordinary `IBodyProducer` whose length is known before it starts, since SCGI wants
CONTENT_LENGTH first. All of them are push producers: while paused they hold at most what they were
given in one piece. `wire.spool` collects bodies whose length is not known, `wire.replay` keeps those
that may have to be sent once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from scgiproxy.errors import GatewayError

PIECE = 1 << 16
"""Bytes that go with the header block, and that are held of a live upload that nobody reads."""

FILE_PIECE = 1 << 18
"""Bytes read from a spool at a time."""


@implementer(IBodyProducer)
class RequestBody:
    """What the sources share: the consumer, the pause, and the Deferred that fires at the end."""

    length: int
    """Bytes in all."""

    def __init__(self, length: int) -> None:
        self.length = length
        self._consumer: IConsumer | None = None
        self._done: Deferred[None] | None = None
        self._paused = False

    def first_bytes(self) -> bytes:
        """What is in hand right now, to be sent together with the header block.

        Called at most once, before `startProducing`, which goes on behind these bytes.
        """
        return b""

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write the body to `consumer`; the Deferred fires when the last byte is written, or
        fails with the reason why the body will not be complete. It does not fire any more after
        `stopProducing`."""
        self._consumer = consumer
        self._done = Deferred()
        done = self._done
        self._produce()
        return done

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        if self._consumer is not None:
            self._produce()

    def stopProducing(self) -> None:
        """Forget the consumer and free what is held. Harmless when repeated."""
        self._consumer = None
        self._done = None
        self._close()

    def rewind(self) -> bool:
        """Let go of the consumer, and begin anew: `first_bytes` and `startProducing` may be called
        once more. False, and nothing happens, if not all that was given out is still held."""
        return False

    def settle(self) -> None:
        """Nobody will `rewind` any more: hold only what the consumer is still to get."""

    def _produce(self) -> None:
        """Write until paused or at the end."""
        raise NotImplementedError

    def _close(self) -> None:
        """Free what is held."""

    def _finished(self, failure: Failure | None = None) -> None:
        done, self._done, self._consumer = self._done, None, None
        self._close()
        if done is not None:
            done.callback(None) if failure is None else done.errback(failure)


class BytesBody(RequestBody):
    """A body that is wholly in memory."""

    def __init__(self, data: bytes) -> None:
        super().__init__(len(data))
        self._data = data

    def first_bytes(self) -> bytes:
        data, self._data = self._data, b""
        return data

    def _produce(self) -> None:
        if self._data and self._consumer is not None:
            self._consumer.write(self.first_bytes())
        self._finished()


class FileBody(RequestBody):
    """`length` bytes of an open file, from where it stands. Closes the file when it is done.

    A file that turns out shorter, or that cannot be read, fails the body with GatewayError.
    """

    def __init__(self, file: IO[bytes], length: int) -> None:
        super().__init__(length)
        self._file = file
        self._left = length
        self._start: int | None = None
        self._error: GatewayError | None = None

    def first_bytes(self) -> bytes:
        return self._read(PIECE)

    def _read(self, size: int) -> bytes:
        try:
            data = self._file.read(min(size, self._left))
        except OSError as error:
            self._error = GatewayError(f"spool file could not be read: {error.strerror}")
            return b""
        self._left -= len(data)
        return data

    def _produce(self) -> None:
        while self._left and not self._paused and self._consumer is not None:
            data = self._read(FILE_PIECE)
            if not data:
                short = GatewayError(f"spool file ended {self._left} bytes early")
                self._finished(Failure(self._error or short))
                return
            self._consumer.write(data)
        if not self._left and self._consumer is not None:
            self._finished()

    def detach(self) -> IO[bytes]:
        """The file itself, for somebody who reads and closes it in another way."""
        return self._file

    def keep(self) -> None:
        """Leave the file open for `rewind`, from before the first byte until `settle`."""
        if self._start is None:
            self._start = self._file.tell()

    def rewind(self) -> bool:
        if self._start is None:
            return False
        self.stopProducing()
        self._paused = False
        self._file.seek(self._start)
        self._left = self.length
        return True

    def settle(self) -> None:
        if self._start is not None:
            self._start = None
            if self._consumer is None:
                self._close()

    def _close(self) -> None:
        if self._start is None:
            self._file.close()


class LiveUpload(RequestBody):
    """A body that arrives while it is sent on.

    `pause` and `resume` stop and start whoever delivers; they are called in turn, never twice the
    same. `wanted` is called once, when somebody begins to read (that is when ``100 Continue`` is
    due).
    """

    def __init__(
        self,
        length: int,
        pause: Callable[[], None],
        resume: Callable[[], None],
        wanted: Callable[[], None],
    ) -> None:
        super().__init__(length)
        self._pause_source = pause
        self._resume_source = resume
        self._wanted = wanted
        self._held: list[bytes] = []
        self._held_size = 0
        self._source_paused = False
        self._ended = False
        self._failure: Failure | None = None
        self._stopped = False

    @property
    def complete(self) -> bool:
        """True once the last byte has arrived here."""
        return self._ended

    def received(self, data: bytes) -> None:
        """The next bytes. Dropped after `stopProducing`."""
        if self._stopped:
            return
        if self._consumer is not None and not self._paused:
            self._consumer.write(data)
            return
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size >= PIECE and not self._source_paused:
            self._source_paused = True
            self._pause_source()

    def ended(self) -> None:
        """All bytes have arrived."""
        self._ended = True
        if self._source_paused:
            # Nothing more of this body is to come, but whoever delivers may have to see the
            # client leave.
            self._source_paused = False
            self._resume_source()
        if self._consumer is not None and not self._held:
            self._finished()

    def failed(self, failure: Failure) -> None:
        """No more bytes will arrive, and they are not all there."""
        self._failure = failure
        if self._consumer is not None:
            self._finished(failure)

    def first_bytes(self) -> bytes:
        data = b"".join(self._held)
        self._held.clear()
        self._held_size = 0
        return data

    def pauseProducing(self) -> None:
        self._paused = True
        if not self._source_paused and not self._ended:
            self._source_paused = True
            self._pause_source()

    def stopProducing(self) -> None:
        self._stopped = True
        super().stopProducing()
        if self._source_paused:
            self._source_paused = False
            self._resume_source()

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        done = super().startProducing(consumer)
        if not self._ended and not self._stopped and self._failure is None:
            self._wanted()
        return done

    def _produce(self) -> None:
        if self._failure is not None:
            self._finished(self._failure)
            return
        if self._held and self._consumer is not None and not self._paused:
            self._consumer.write(self.first_bytes())
        if self._paused:
            return
        if self._source_paused:
            self._source_paused = False
            self._resume_source()
        if self._ended and self._consumer is not None:
            self._finished()

    def _close(self) -> None:
        self._held.clear()
        self._held_size = 0
