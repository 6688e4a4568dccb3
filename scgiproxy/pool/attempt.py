"""One call on its way to a backend: the attempts to connect.

When nothing is limited and the backend is there, the way from `Pool.dispatch` to the socket is a
handful of calls: `begin`, ``Dialer.dial``, `buildProtocol`, ``call.connected``.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, ClassVar, Final

from twisted.internet.interfaces import IAddress, IProtocol
from twisted.python.failure import Failure
from zope.interface import classImplements

from scgiproxy.errors import (
    BackendBusy,
    BackendError,
    ConnectFailed,
    NameNotFound,
    Unavailable,
)
from scgiproxy.interfaces import ICall, IDeadline
from scgiproxy.log.events import Logger
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.place import NO_VERDICT, Place, Stage
from scgiproxy.pool.route import Route
from scgiproxy.pool.selection import Blocked
from scgiproxy.rules.facts import IDEMPOTENT, Facts
from scgiproxy.rules.sticky import Session
from scgiproxy.wire.dial import Dialling
from scgiproxy.wire.streamsocket import SocketAddress

if TYPE_CHECKING:
    from scgiproxy.pool.dispatch import Pool


# Looking a member up in its class costs more than the comparison.
_CHOOSING: Final = Stage.CHOOSING
_QUEUED: Final = Stage.QUEUED
_RESOLVING: Final = Stage.RESOLVING
_DIALLING: Final = Stage.DIALLING
_CONNECTED: Final = Stage.CONNECTED
_NOT_BLOCKED: Final = Blocked.NONE


class Dispatch(Place):
    """What `Pool.dispatch` returns; also the factory of the attempts to connect.

    `backend` is the one that is being dialled or is connected, None while there is none. While
    there is one, one of its places is taken: until `release`, `cancel` or a failed attempt.
    `tried` are the members that have been given up, `busy` those of them whose listen queue was
    full, `reasons` why, and `repeats` how often `retry` was granted; `not_repeated` is why it was
    not. `kind` and `number` say for whom it waits in the queue, and since when. `kept` says that its
    connection had been kept ready.
    """

    __slots__ = (
        "_addresses",
        "_call",
        "_dialling",
        "_index",
        "_patient",
        "_retried",
        "_route",
        "blocked",
        "busy",
        "deadline",
        "gives_up",
        "kept",
        "kind",
        "not_repeated",
        "number",
        "queued_at",
        "reasons",
        "session",
        "tried",
    )

    # Set when it is put into the queue.
    kind: tuple[object, ...]
    number: int
    queued_at: float

    _log: ClassVar[Logger] = Logger()

    def __init__(self, pool: Pool, call: ICall, session: Session | None = None) -> None:
        self._pool = pool
        self._call = call
        self.session = session
        self._begun_at = 0.0
        self._connected_at = 0.0
        self._answered_at: float | None = None
        self._retried = 0
        self._judged = False
        self._patient = False
        self._route: Route | None = None
        self._dialling: Dialling | None = None
        self._addresses: tuple[SocketAddress, ...] = ()
        self._index = 0
        self._probing = False
        self.backend: Backend | None = None
        self.blocked = _NOT_BLOCKED
        self.deadline = inf
        self.gives_up = inf
        self.stage = _CHOOSING
        self.kept = False
        self.repeats = 0
        self.not_repeated = ""
        self.busy: tuple[Backend, ...] = ()
        self.tried: tuple[Backend, ...] = ()
        self.reasons: tuple[Exception, ...] = ()

    def __repr__(self) -> str:
        return f"<Dispatch {self.stage.value}, {self.backend or 'no backend'}>"

    @property
    def request(self) -> Facts | None:
        """What the request is that it is for, as far as the call knows."""
        return self._call.request

    @property
    def attempts(self) -> int:
        """How many members have failed; one that was busy has not been tried."""
        return len(self.tried) - len(self.busy)

    # -- for the call --------------------------------------------------------------------------

    def cancel(self) -> None:
        """The client has left: stop, give everything back, call nobody. Safe at any time."""
        stage = self.stage
        if stage is _QUEUED:
            self._pool.leave(self)
            # The first in the queue looks out for retries that come due; now it is another.
            self._pool.drain()
        elif stage is _RESOLVING:
            self._stop_resolving()
        elif stage is _DIALLING and self._dialling is not None:
            self._dialling.stopConnecting()
            self._dialling = None
        self._end(NO_VERDICT, 0, 0)

    def retry(
        self, fault: BackendError, *, phase: str = "head", sent: int = 0, received: int = 0
    ) -> bool:
        """Try the next member after all, since this one has gone without a byte of an answer.

        Only the call can know whether its request may be repeated. False, and nothing happens, if
        no member or no attempt is left, or the budget for repeated requests is spent; then there
        is still `release` to be called. Otherwise `call.connected` or `call.dispatch_failed` is
        called once more, maybe before this returns. `phase` and `sent` are for the reason.

        A connection that had been kept ready is replaced by a new one to the same member, whatever
        is left: that the member had closed it is no fault, and says nothing.
        """
        backend, route = self.backend, self._route
        if self.stage is not _CONNECTED or backend is None or route is None:
            return False
        stale, self.kept = self.kept, False
        if not stale and not self._pool.may_repeat(self, fault):
            return False
        backend.bytes_sent += sent
        backend.bytes_received += received
        if stale:
            self._dial(route)
            return True
        self.repeats += 1
        # Unlike those of a failed connection these do not say whose they are.
        told = f"{backend.label}: {fault} (phase={phase} sent={sent})"
        self.reasons += (type(fault)(told),)
        self._record()
        self._attempt_failed(fault)
        return True

    def environment(self) -> dict[bytes, bytes]:
        """The variables of a balancer, ``BALANCER_*``; empty for a backend that stands alone."""
        route = self._route
        return {} if route is None else route.variables(self._pool.settings.sticky, self.session)

    # -- for the pool --------------------------------------------------------------------------

    def begin(self, route: Route) -> None:
        """Take a place of that backend and connect to it."""
        self._route = route
        self.backend = route.backend
        self._probing = route.backend.take()
        self._addresses = route.addresses.current()
        self._index = 0
        pool = self._pool
        self._begun_at = pool.clock.seconds()
        self._answered_at = None
        if self.tried and self.attempts > self._retried:
            self._retried = self.attempts
            pool.statistics.retries += 1
        if self._addresses:
            if route.ready is None:
                self._dial(route)
            else:
                self.stage = _DIALLING
                pool.dialer.put_off(partial(self._take_ready, route))
            return
        self.stage = _RESOLVING
        self.deadline = self._begun_at + route.timeout
        pool.dialer.wheel.watch(self)
        route.addresses.wait(self)

    def come_back(self) -> bool:
        """Take those that were only busy for untried, now that there is nobody else; False if
        there are none. Then it waits for a place in their listen queues."""
        busy, self.busy = self.busy, ()
        if not busy:
            return False
        self._patient = True
        self.tried = tuple(backend for backend in self.tried if backend not in busy)
        return True

    def fail(self, error: BackendError) -> None:
        """There will be no connection."""
        self._over()
        try:
            self._call.dispatch_failed(error)
        except Exception:
            self._log.failure("{call!r} did not take its failure", call=self._call)

    # -- attempts ------------------------------------------------------------------------------

    def _take_ready(self, route: Route) -> None:
        """Use a connection that is there, or else make one."""
        if self.stage is not _DIALLING:
            return
        request = self._call.request
        kept = None
        if route.ready is not None:
            repeatable = request is not None and request.method in IDEMPOTENT
            kept = route.ready.take(self._addresses[self._index], repeatable)
        if kept is None:
            self._dial(route)
        else:
            self.kept = True
            kept.hand_over(self)

    def _dial(self, route: Route) -> None:
        self.stage = _DIALLING
        dialling = route.dialer.dial(
            self._addresses[self._index],
            self,
            route.timeout,
            keepalive=route.keepalive,
            # Rather another member now than this one later.
            wait_for_backlog=self._patient
            or not (route.on_unix and self._pool.may_go_elsewhere(self)),
        )
        if self.stage is _DIALLING:
            self._dialling = dialling

    def resolved(self, addresses: tuple[SocketAddress, ...]) -> None:
        """The first answer of the name server (see `Addresses.wait`)."""
        if self.stage is not _RESOLVING or self._route is None:
            return
        self._pool.dialer.wheel.forget(self)
        if addresses:
            self._addresses = addresses
            self._dial(self._route)
        else:
            self._no_address("its host name has no address")

    def deadline_passed(self) -> None:
        """Of the queue, or of the name server; connecting has its own in the dialer."""
        if self.stage is _QUEUED:
            self._pool.waited(self)
        elif self.stage is _RESOLVING and self._route is not None:
            self._stop_resolving()
            seconds = self._route.timeout
            self._no_address(f"its host name could not be resolved within {seconds:g} s")

    def _stop_resolving(self) -> None:
        self._pool.dialer.wheel.forget(self)
        if self._route is not None:
            self._route.addresses.forget(self)

    def _no_address(self, why: str) -> None:
        error = NameNotFound(
            f"cannot connect to {self._route and self._route.backend.label}: {why}"
        )
        self.reasons += (error,)
        self._attempt_failed(error)

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """The connection is up: the call says what to put on it."""
        if self.stage is not _DIALLING or self._route is None:
            return None
        self.stage = _CONNECTED
        self._connected_at = self._pool.clock.seconds()
        self._dialling = None
        if self._index:
            self._route.addresses.prefer(self._addresses[self._index])
        try:
            return self._call.connected(self._route.backend, addr)
        except Exception:
            self._log.failure("{call!r} did not take its connection", call=self._call)
            self.cancel()
            self.fail(Unavailable("the gateway could not use its connection to the backend"))
            return None

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:  # noqa: ARG002
        """An address did not work; the next one may."""
        if self.stage is not _DIALLING or self._route is None:
            return
        self._dialling = None
        error = reason.value
        if not isinstance(error, ConnectFailed):
            error = ConnectFailed(str(error))
        self.reasons += (error,)
        self._index += 1
        if self._index < len(self._addresses):
            self._dial(self._route)
        else:
            self._attempt_failed(error)

    def _attempt_failed(self, error: BackendError) -> None:
        backend = self.backend
        if backend is None:
            return
        self.stage = _CHOOSING
        self.backend = None
        self.tried += (backend,)
        if isinstance(error, BackendBusy) and not self._patient:
            self.busy += (backend,)
        self._give_back(backend, error)
        self._pool.attempt_failed(self)


classImplements(Dispatch, IDeadline)
