"""Bodies whose length is not known: collected whole, before a backend is asked."""

from __future__ import annotations

from io import BufferedRandom
from typing import IO

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from scgiproxy.errors import BodyTooLarge, ScgiProxyError
from scgiproxy.wire.body import FileBody, LiveUpload, RequestBody
from scgiproxy.wire.spoolspace import SpoolFile, SpoolMemory, SpoolShare, SpoolSpace

MEMORY_SPOOL = 1 << 20
"""Bytes of a spooled body that stay in memory; more goes to an unlinked temporary file."""

MEMORY_SPOOLS = 1 << 26
"""Bytes of all spooled bodies that stay in memory. While that is full, only small ones do."""

SMALL_SPOOL = 1 << 16
"""Bytes of a spooled body that stay in memory in any case."""


_OTHERS = SpoolSpace()
"""Of the spools that nobody counts, which share their memory all the same."""


class SpoolingConsumer:
    """Reads an upload of unknown length into a spool of at most `limit` bytes (0: any number)."""

    def __init__(self, upload: LiveUpload, limit: int, space: SpoolSpace | None = None) -> None:
        self._upload = upload
        self._spool = Spool(limit, space=space)
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

    `limit` is the most bytes it takes; 0 is no limit. `memory` is how many of them may stay in
    memory. `space` is where it is counted, and says where its file is.
    """

    def __init__(
        self, limit: int, memory: int = MEMORY_SPOOL, space: SpoolSpace | None = None
    ) -> None:
        self._limit = limit
        self._memory = memory
        self._share = SpoolShare(space or _OTHERS)
        self._held = SpoolMemory(self._share)
        self._file: SpoolFile | None = None
        self._buffered: BufferedRandom | None = None
        self.size = 0

    def write(self, data: bytes) -> None:
        """Keep `data`.

        Raises BodyTooLarge over the limit, SpoolError if it cannot be kept: DiskFull, SpoolFull
        when other bodies have taken what there is, or that itself when the folder is not as it
        should be.
        """
        self.size += len(data)
        if self._limit and self.size > self._limit:
            raise BodyTooLarge(f"the body is over LimitRequestBody ({self._limit} bytes)")
        if self._file is None and self._fits_in_memory(len(data)):
            self._share.take_memory(len(data))
            self._held.write(data)
            return
        try:
            if self._file is None:
                self._leave_memory()
            self._share.take_disk(len(data))
            assert self._file is not None
            self._file.write_all(data)
        except OSError as error:
            raise self._share.space.not_kept(error) from error

    @property
    def on_disk(self) -> bool:
        """Whether it is in a file."""
        return self._file is not None

    def _fits_in_memory(self, more: int) -> bool:
        if self.size > self._memory:
            return False
        return self.size <= SMALL_SPOOL or self._share.space.memory + more <= MEMORY_SPOOLS

    def _leave_memory(self) -> None:
        """Go on in a file. Raises OSError, SpoolFull, BodyTooLarge."""
        share = self._share
        with self._held.getbuffer() as held:
            share.take_disk(len(held))
            self._file = SpoolFile(share, share.space.open_file())
            share.leave_memory()
            self._file.write_all(held)
        self._held.leave()

    def body(self) -> RequestBody:
        """What was collected, as a source. The spool is not to be written to any more."""
        return FileBody(self.file(), self.size)

    def file(self) -> IO[bytes]:
        """The open file, at its beginning. Who closes it frees memory and disk."""
        if self._file is None:
            self._held.seek(0)
            return self._held
        if self._buffered is None:
            self._buffered = BufferedRandom(self._file)
        self._buffered.seek(0)
        return self._buffered

    def close(self) -> None:
        """Free memory and disk. Harmless when repeated."""
        self._held.close()
        if self._file is not None:
            self._file.close()
