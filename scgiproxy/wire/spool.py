"""Bodies whose length is not known: collected whole, before a backend is asked."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from typing import IO, Any, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from scgiproxy.errors import BodyTooLarge, GatewayError, ScgiProxyError
from scgiproxy.wire.body import FileBody, LiveUpload, RequestBody

MEMORY_SPOOL = 1 << 20
"""Bytes of a spooled body that stay in memory; more goes to an unlinked temporary file."""

MEMORY_SPOOLS = 1 << 26
"""Bytes of all spooled bodies that stay in memory. While that is full, only small ones do."""

SMALL_SPOOL = 1 << 16
"""Bytes of a spooled body that stay in memory in any case."""


class SpoolUse:
    """How many bodies are kept in spools, their bytes, and how many of these are in memory."""

    __slots__ = ("bodies", "bytes", "memory")

    def __init__(self) -> None:
        self.bodies = 0
        self.bytes = 0
        self.memory = 0


_OTHERS = SpoolUse()
"""Of the spools that nobody counts, which share their memory all the same."""


class SpoolingConsumer:
    """Reads an upload of unknown length into a spool of at most `limit` bytes (0: any number)."""

    def __init__(self, upload: LiveUpload, limit: int, use: SpoolUse | None = None) -> None:
        self._upload = upload
        self._spool = Spool(limit, use=use)
        self._fired: Deferred[RequestBody] = Deferred()

    def start(self) -> Deferred[RequestBody]:
        """Fires with what was collected, as a source of its true length. Fails as `Spool.write`
        raises, or with what made the upload fail. It does not fire any more after `stop`."""
        self._upload.startProducing(self).addCallbacks(self._done, self._failed)  # type: ignore[arg-type]
        return self._fired

    def write(self, data: bytes) -> None:
        """For the upload."""
        try:
            self._spool.write(data)
        except ScgiProxyError:
            failure = Failure()
            self._upload.stopProducing()
            self._failed(failure)

    def stop(self) -> None:
        """Forget everything. Harmless when it is done already, but it frees what it gave away."""
        self._spool.close()
        self._upload.stopProducing()

    def _done(self, _: None) -> None:
        self._fired.callback(self._spool.body())

    def _failed(self, failure: Failure) -> None:
        self._spool.close()
        self._fired.errback(failure)


class Spool:
    """Collects a body of unknown length: in memory at first, then in an unlinked file.

    `limit` is the most bytes it takes; 0 is no limit.
    """

    def __init__(
        self,
        limit: int,
        memory: int = MEMORY_SPOOL,
        directory: str | None = None,
        use: SpoolUse | None = None,
    ) -> None:
        self._limit = limit
        self._file = _SpoolFile(use or _OTHERS, max_size=memory, dir=directory)
        self.size = 0

    def write(self, data: bytes) -> None:
        """Keep `data`. Raises BodyTooLarge over the limit, GatewayError if the disk is full."""
        self.size += len(data)
        if self._limit and self.size > self._limit:
            raise BodyTooLarge(f"the body is over LimitRequestBody ({self._limit} bytes)")
        try:
            self._file.keep(data)
            # What stays in the file's buffer would fail later: at seek() or close().
            self._file.flush()
        except OSError as error:
            raise GatewayError(f"the body could not be spooled: {error.strerror}") from error

    def body(self) -> RequestBody:
        """What was collected, as a source. The spool is not to be written to any more."""
        return FileBody(self.file(), self.size)

    def file(self) -> IO[bytes]:
        """The open file, at its beginning."""
        self._file.seek(0)
        return cast("IO[bytes]", self._file)

    def close(self) -> None:
        """Free memory and disk. Harmless when repeated."""
        # A buffer that the disk did not take is written once more, and fails once more.
        with suppress(OSError):
            self._file.close()


class _SpoolFile(tempfile.SpooledTemporaryFile[bytes]):
    """Counts what it keeps until it is closed, whoever closes it."""

    _rolled: bool  # it is a file on disk

    def __init__(self, use: SpoolUse, **options: Any) -> None:
        super().__init__(**options)
        self._use = use
        self._kept = 0
        self._in_memory = 0
        use.bodies += 1

    def keep(self, data: bytes) -> None:
        use = self._use
        self.write(data)
        self._kept += len(data)
        use.bytes += len(data)
        if not self._rolled:
            self._in_memory += len(data)
            use.memory += len(data)
            if use.memory > MEMORY_SPOOLS and self._kept > SMALL_SPOOL:
                self.rollover()

    def rollover(self) -> None:
        super().rollover()
        self._use.memory -= self._in_memory
        self._in_memory = 0

    def close(self) -> None:
        if not self.closed:
            self._use.bodies -= 1
            self._use.bytes -= self._kept
            self._use.memory -= self._in_memory
        super().close()
