"""A place of a backend that is held for a request, and what comes of it.

How long everything took is counted, and the backend is told how it went, when the place is given back.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from scgiproxy.errors import BackendError, ClientGone, FailedStatus
from scgiproxy.pool.backend import Backend

if TYPE_CHECKING:
    from scgiproxy.pool.dispatch import Pool


class Stage(Enum):
    """How far a dispatch has come."""

    CHOOSING = "choosing"
    QUEUED = "queued"
    RESOLVING = "resolving"
    DIALLING = "dialling"
    CONNECTED = "connected"
    ENDED = "ended"


# Looking a member up in its class costs more than the comparison.
_CONNECTED: Final = Stage.CONNECTED
_ENDED: Final = Stage.ENDED

NO_VERDICT: Final = ClientGone("how it would have ended is not known")


class Place:
    """The base of `pool.attempt.Dispatch`, which takes the place and sets what is declared here.

    `backend` is the one whose place it is, None while none is held; `repeats` is how often the
    budget has allowed to repeat the request.
    """

    __slots__ = (
        "_answered_at",
        "_begun_at",
        "_connected_at",
        "_judged",
        "_pool",
        "_probing",
        "backend",
        "repeats",
        "stage",
    )

    stage: Stage
    backend: Backend | None
    repeats: int
    _pool: Pool
    _begun_at: float
    _connected_at: float
    _answered_at: float | None
    _judged: bool
    _probing: bool

    def release(
        self, fault: BackendError | None = None, *, sent: int = 0, received: int = 0
    ) -> None:
        """The exchange has ended; to be called once after ``call.connected``.

        `fault` is what the backend did wrong, if anything; `sent` and `received` are the bytes of
        its counters. The place goes to the next in the queue. Does nothing a second time. For an
        exchange that was broken off without a verdict (the client left) there is `cancel`.
        """
        if self.stage is not _CONNECTED:
            return
        if self._probing and fault is None:
            self.answered(200)
        self._record()
        self._end(fault, sent, received)

    def answered(self, status: int) -> None:
        """A response head has come: a member on probation is up again, before the answer ends,
        unless `status` is one that counts as a failure (``failonstatus``)."""
        backend = self.backend
        if self.stage is not _CONNECTED or backend is None:
            return
        pool = self._pool
        now = self._answered_at = pool.clock.seconds()
        failed = status in pool.settings.fail_on_status
        proved = self._probing and not failed
        self._probing = False
        if failed:
            self._judged = True
            backend.statistics.record_error(now, FailedStatus.log_key)
            backend.fail(FailedStatus(f"it answered with status {status}"))
        elif proved:
            backend.answered()
        times = pool.times
        if times is not None:
            (times.failed if failed else times.observe)(backend, now - self._begun_at, now)
        if proved or failed:
            # Who waits for a member that can be used may have one now, or a time when to look.
            pool.drain()

    def _record(self) -> None:
        """An exchange with `backend` has ended."""
        assert self.backend is not None  # while it is connected
        self.backend.statistics.record(
            self._pool.clock.seconds(), self._begun_at, self._connected_at, self._answered_at
        )

    def _end(self, fault: Exception | None, sent: int, received: int) -> None:
        """Give back what is held."""
        self._over()
        backend, self.backend = self.backend, None
        if backend is not None:
            backend.bytes_sent += sent
            backend.bytes_received += received
            self._give_back(backend, fault)
            self._pool.drain()

    def _over(self) -> None:
        if self.repeats and self.stage is not _ENDED:
            self._pool.budget.give_back(self.repeats)
        self.stage = _ENDED

    def _give_back(self, backend: Backend, fault: Exception | None) -> None:
        pool = self._pool
        if self._judged:
            # By its status, which counts once.
            self._judged = False
            backend.give_back(NO_VERDICT, self._probing)
            return
        counts = False
        if isinstance(fault, BackendError):
            counts = fault.counts
            settings = pool.settings
            backend.statistics.record_error(pool.clock.seconds(), fault.log_key)
            if fault.too_slow and not (
                settings.fail_on_timeout or fault.status in settings.fail_on_status
            ):
                fault = NO_VERDICT
        backend.give_back(fault, self._probing)
        if counts and pool.times is not None:
            now = pool.clock.seconds()
            pool.times.failed(backend, now - self._begun_at, now)
