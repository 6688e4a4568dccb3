"""The pool of a mount or a balancer: who goes where, who waits, who goes elsewhere."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from scgiproxy.errors import BackendError, QueueTimeout, Unavailable
from scgiproxy.interfaces import IBalancingMethod, ICall
from scgiproxy.pool.attempt import Dispatch, Route, Stage
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.balance import BUILT_IN
from scgiproxy.pool.resolve import Resolver
from scgiproxy.pool.selection import Blocked, Selection
from scgiproxy.wire.dial import Dialer


class Pool:
    """One backend that stands alone, or the members of a balancer.

    - `name`: of the balancer (without ``balancer://``), or the backend's label. The attribute is
      what the log says: ``balancer://NAME``, or the label.
    - `backends`: in the order of their definition; they belong to this pool alone.
    - `dialer`: makes the connections; its reactor is the clock, its wheel has the deadlines.
    - `method`: the lbmethod of a balancer; None for a backend that stands alone.
    - `max_attempts`: *additional* members to try after a failure (``maxattempts``); None tries
      each once.
    - `wait`: seconds to wait for a member to become usable (a balancer's ``timeout``).
    - `force_recovery`: see `Selection`.
    - `connect_timeout`: seconds, for backends that set neither their own nor a `timeout`.

    Raises ValueError if `backends` and `method` do not fit together.
    """

    def __init__(
        self,
        name: str,
        backends: Sequence[Backend],
        *,
        dialer: Dialer,
        resolver: Resolver,
        method: IBalancingMethod | None = None,
        max_attempts: int | None = None,
        wait: float = 0.0,
        force_recovery: bool = True,
        connect_timeout: float = 60.0,
    ) -> None:
        if method is None and len(backends) != 1:
            raise ValueError(f"{name} has {len(backends)} backends and no balancing method")
        if any(backend.member != (method is not None) for backend in backends):
            raise ValueError(f"{name}: only the backends of a balancer are members")
        self.name = name if method is None else f"balancer://{name}"
        self.backends = tuple(backends)
        self.dialer = dialer
        self.clock = dialer.reactor
        self.routes = {
            backend: Route(
                backend,
                resolver.lookup(backend.address),
                connect_timeout,
                balancer=None if method is None else name,
            )
            for backend in backends
        }
        self._balanced = method is not None
        self._single = None if self._balanced else self.backends[0]
        self._selection = Selection(
            self.backends, method or BUILT_IN["byrequests"], force_recovery and self._balanced
        )
        self._attempts = len(self.backends) if max_attempts is None else 1 + max_attempts
        self._wait = wait
        # Ordered, not a plain dict: taking from the front of that gets slow.
        self._queue: OrderedDict[Dispatch, None] = OrderedDict()
        # How many of them have been tried elsewhere already.
        self._queued_again = 0
        self._draining = False
        self._drain_again = False

    def __repr__(self) -> str:
        members = ", ".join(map(repr, self.backends))
        return f"<Pool {self.name}: {members}; {len(self._queue)} waiting>"

    def dispatch(self, call: ICall) -> Dispatch:
        """Find a connection for `call`.

        ``call.dispatch`` is set to what this returns; ``call.connected`` or
        ``call.dispatch_failed`` may be called before it returns (a UNIX socket is connected at
        once; without a usable backend there is nothing to wait for).
        """
        dispatch = Dispatch(self, call)
        call.dispatch = dispatch
        single = self._single
        if single is not None and not (single.disabled or single.full()):
            # A queue here would mean that there is no free place.
            dispatch.begin(self.routes[single])
        elif self._queue and not self._has_free():
            self._enqueue(dispatch, Blocked.FULL, self.clock.seconds())
        else:
            self.offer(dispatch)
        return dispatch

    # -- for Dispatch --------------------------------------------------------------------------

    def offer(self, dispatch: Dispatch) -> bool:
        """Start on the next backend, or fail, or wait in the queue: then False."""
        now = self.clock.seconds()
        choice = self._selection.choose(now, dispatch.tried)
        if isinstance(choice, Backend):
            self.leave(dispatch)
            dispatch.begin(self.routes[choice])
            return True
        if choice is Blocked.NONE:
            since = dispatch.queued_at if dispatch.stage is Stage.QUEUED else now
            if now >= since + self._wait or len(dispatch.tried) == len(self.backends):
                self.leave(dispatch)
                dispatch.fail(self._unavailable(dispatch, now))
                return True
        self._enqueue(dispatch, choice, now)
        return False

    def attempt_failed(self, dispatch: Dispatch) -> None:
        """A backend was tried in vain; its place is free again."""
        if len(dispatch.tried) < self._attempts:
            self.offer(dispatch)
        else:
            dispatch.fail(self._unavailable(dispatch, self.clock.seconds()))
        self.drain()

    def leave(self, dispatch: Dispatch) -> None:
        """Wait no longer."""
        if dispatch.stage is Stage.QUEUED:
            dispatch.stage = Stage.CHOOSING
            del self._queue[dispatch]
            self._queued_again -= bool(dispatch.tried)
            self.dialer.wheel.forget(dispatch)

    def waited(self, dispatch: Dispatch) -> None:
        """The deadline of one in the queue has passed: a retry is due, or its patience is over."""
        if dispatch.blocked is Blocked.NONE or self.clock.seconds() < dispatch.gives_up:
            self.offer(dispatch)
            return
        self.leave(dispatch)
        dispatch.fail(self._queue_timeout(dispatch))
        self.drain()

    def drain(self) -> None:
        """Something has changed for the better: serve who can be served, first come first."""
        if not self._queue:
            return
        # Those who are served may end at once and come back here: one loop does it all.
        self._drain_again = True
        if self._draining:
            return
        self._draining = True
        try:
            while self._drain_again:
                self._drain_again = False
                self._serve_queue()
        finally:
            self._draining = False

    def may_go_elsewhere(self, dispatch: Dispatch) -> bool:
        """Whether another member is left, should the one at hand be busy."""
        if not self._balanced or len(dispatch.tried) + 1 >= self._attempts:
            return False
        assert dispatch.backend is not None  # asked while dialling it
        tried = (*dispatch.tried, dispatch.backend)
        return self._selection.has_usable(self.clock.seconds(), tried)

    # ------------------------------------------------------------------------------------------

    def _has_free(self) -> bool:
        return any(not backend.full() for backend in self.backends)

    def _serve_queue(self) -> None:
        while self._queue and not self._queued_again:
            if not self.offer(next(iter(self._queue))):
                return
        # What the first waits for need not be what those wait for who have been elsewhere; but
        # those who have been at the same members wait for the same.
        in_vain: set[tuple[Backend, ...]] = set()
        for dispatch in list(self._queue):
            if dispatch.stage is not Stage.QUEUED or dispatch.tried in in_vain:
                continue
            if not self.offer(dispatch):
                in_vain.add(dispatch.tried)

    def _enqueue(self, dispatch: Dispatch, blocked: Blocked, now: float) -> None:
        if dispatch.stage is not Stage.QUEUED:
            dispatch.stage = Stage.QUEUED
            dispatch.queued_at = now
            self._queue[dispatch] = None
            self._queued_again += bool(dispatch.tried)
        dispatch.blocked = blocked
        patience = self._wait
        if blocked is Blocked.FULL:
            patience = self._selection.patience(now, dispatch.tried)
        dispatch.gives_up = dispatch.queued_at + patience
        next_retry = self._selection.next_retry(now, dispatch.tried)
        dispatch.deadline = min(dispatch.gives_up, next_retry)
        self.dialer.wheel.watch(dispatch)

    def _queue_timeout(self, dispatch: Dispatch) -> BackendError:
        waited = self.clock.seconds() - dispatch.queued_at
        limits = " + ".join(str(backend.limit) for backend in self.backends if backend.full())
        error = QueueTimeout(
            f"no connection to {self.name} was free within {waited:.3g} s"
            f" (max={limits or 0}, all in use; see acquire)"
        )
        if not dispatch.reasons:
            return error
        return Unavailable(str(error), (*dispatch.reasons, error))

    def _unavailable(self, dispatch: Dispatch, now: float) -> Unavailable:
        reasons = dispatch.reasons
        told = "; ".join(str(reason) for reason in reasons)
        if self._single is not None:
            return Unavailable(f"{self.name}: {told or 'it is disabled (status=D)'}", reasons)
        told = told or self._selection.explain(now)
        return Unavailable(f"no member of {self.name} could be used: {told}", reasons)
