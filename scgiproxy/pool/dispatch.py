"""The pool of a mount or a balancer: who goes where, who waits, who goes elsewhere."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from scgiproxy.errors import BackendError, QueueTimeout, Unavailable
from scgiproxy.interfaces import IBalancingMethod, ICall, IResponseTimes
from scgiproxy.pool.attempt import Dispatch, Route, Stage
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.budget import RetryBudget
from scgiproxy.pool.methods.apache import ByRequests
from scgiproxy.pool.resolve import Resolver
from scgiproxy.pool.selection import Blocked, Selection
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.rules.sticky import find_session
from scgiproxy.wire.dial import Dialer

# What a backend that stands alone has of a balancer: nothing. Each request tries it anew.
_ALONE = BalancerSettings(force_recovery=False)


class Pool:
    """One backend that stands alone, or the members of a balancer.

    - `name`: of the balancer (without ``balancer://``), or the backend's label.
    - `backends`: in the order of their definition; they belong to this pool alone.
    - `dialer`: makes the connections; its reactor is the clock, its wheel has the deadlines.
    - `settings`: of a balancer; None for a backend that stands alone.
    - `method`: the balancer's; by default `ByRequests`, whatever `settings` name.
    - `connect_timeout`: seconds, for backends that set neither their own nor a `timeout`.

    Raises ValueError if `backends` and `settings` do not fit together.
    """

    def __init__(
        self,
        name: str,
        backends: Sequence[Backend],
        *,
        dialer: Dialer,
        resolver: Resolver,
        settings: BalancerSettings | None = None,
        method: IBalancingMethod | None = None,
        connect_timeout: float = 60.0,
    ) -> None:
        balanced = settings is not None
        if not balanced and len(backends) != 1:
            raise ValueError(f"{name} has {len(backends)} backends and is no balancer")
        if any(backend.member != balanced for backend in backends):
            raise ValueError(f"{name}: only the backends of a balancer are members")
        self.name = f"balancer://{name}" if balanced else name
        self.dialer = dialer
        self.clock = dialer.reactor
        self.settings = settings or _ALONE
        self.budget = RetryBudget()
        self._resolver = resolver
        self._connect_timeout = connect_timeout
        self._balancer = name if balanced else None
        self._single = None if balanced else backends[0]
        self.routes: dict[Backend, Route] = {}
        self.backends: tuple[Backend, ...] = ()
        self._selection = Selection(backends, method or ByRequests(), self.settings)
        # Ordered, not a plain dict: taking from the front of that gets slow.
        self._queue: OrderedDict[Dispatch, None] = OrderedDict()
        # How many of them do not wait for just any member.
        self._queued_apart = 0
        self._draining = False
        self._drain_again = False
        self.set_method(self._selection.method)
        self.set_backends(backends)

    def set_backends(self, backends: Sequence[Backend]) -> None:
        """Have these members from now on; exchanges with one that is gone end in peace.

        Also to be called when flags, routes or sets of members have changed.
        """
        for backend in self.routes.keys() - set(backends):
            del self.routes[backend]
        for backend in backends:
            if backend not in self.routes:
                self.routes[backend] = Route(
                    backend,
                    self._resolver.lookup(backend.address),
                    self._connect_timeout,
                    balancer=self._balancer,
                )
        self.backends = tuple(backends)
        most = self.settings.max_attempts
        self._attempts = len(self.backends) if most is None else 1 + most
        self._selection.change(backends)
        self.drain()

    def set_settings(self, settings: BalancerSettings) -> None:
        """Other parameters of the balancer; its method stays (see `set_method`)."""
        self.settings = self._selection.settings = settings
        self.set_backends(self.backends)

    def set_method(self, method: IBalancingMethod) -> None:
        """Choose by `method` from now on."""
        self._selection.method = method
        self.times = method if IResponseTimes.providedBy(method) else None

    def __repr__(self) -> str:
        members = ", ".join(map(repr, self.backends))
        return f"<Pool {self.name}: {members}; {len(self._queue)} waiting>"

    def dispatch(self, call: ICall) -> Dispatch:
        """Find a connection for `call`.

        ``call.dispatch`` is set to what this returns; ``call.connected`` or
        ``call.dispatch_failed`` may be called before it returns (a UNIX socket is connected at
        once; without a usable backend there is nothing to wait for).
        """
        session = None
        if self.settings.sticky is not None and call.request is not None:
            session = find_session(
                self.settings.sticky,
                call.request.uri,
                call.request.header(b"cookie"),
                self._selection.routes,
            )
        dispatch = Dispatch(self, call, session)
        call.dispatch = dispatch
        single = self._single
        if single is not None and not (single.disabled or single.stopped or single.full()):
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
        choice = self._selection.choose(now, dispatch.tried, dispatch.session, dispatch.request)
        if isinstance(choice, Backend):
            self.leave(dispatch)
            dispatch.begin(self.routes[choice])
            return True
        if choice is Blocked.NONE:
            since = dispatch.queued_at if dispatch.stage is Stage.QUEUED else now
            if now >= since + self.settings.wait or len(dispatch.tried) == len(self.backends):
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
            self._queued_apart -= self._waits_apart(dispatch)
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
        """Whether another member is left, should the one at hand not do."""
        if self._balancer is None or len(dispatch.tried) + 1 >= self._attempts:
            return False
        assert dispatch.backend is not None  # asked while there is one
        tried = (*dispatch.tried, dispatch.backend)
        return self._selection.has_other(self.clock.seconds(), tried, dispatch.session)

    def may_repeat(self, dispatch: Dispatch) -> bool:
        """Whether what was sent to one member may be sent to another; counts it then."""
        if not self.may_go_elsewhere(dispatch):
            return False
        in_flight = sum(backend.in_flight for backend in self.backends)
        return self.budget.take(self.clock.seconds(), in_flight)

    # ------------------------------------------------------------------------------------------

    def _has_free(self) -> bool:
        return any(not backend.full() for backend in self.backends)

    def _waits_apart(self, dispatch: Dispatch) -> bool:
        """Whether it waits for other members than the first in the queue does."""
        return bool(dispatch.tried) or dispatch.session is not None

    def _serve_queue(self) -> None:
        while self._queue and not self._queued_apart:
            if not self.offer(next(iter(self._queue))):
                return
        # What the first waits for need not be what those wait for who have been elsewhere, or have
        # a member of their own; but those who have the same in common wait for the same.
        in_vain: set[tuple[object, ...]] = set()
        for dispatch in list(self._queue):
            route = b"" if dispatch.session is None else dispatch.session.route
            kind = (route, *dispatch.tried)
            if dispatch.stage is not Stage.QUEUED or kind in in_vain:
                continue
            if not self.offer(dispatch):
                in_vain.add(kind)

    def _enqueue(self, dispatch: Dispatch, blocked: Blocked, now: float) -> None:
        if dispatch.stage is not Stage.QUEUED:
            dispatch.stage = Stage.QUEUED
            dispatch.queued_at = now
            self._queue[dispatch] = None
            self._queued_apart += self._waits_apart(dispatch)
        dispatch.blocked = blocked
        patience = self.settings.wait
        if blocked is Blocked.FULL:
            patience = self._selection.patience(now, dispatch.tried, dispatch.session)
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
            told = told or f"it is {self._single.state(now)}"
            return Unavailable(f"{self.name}: {told}", reasons)
        told = told or self._selection.explain(now, dispatch.session)
        return Unavailable(f"no member of {self.name} could be used: {told}", reasons)
