"""The pool of a mount or a balancer: who goes where, who waits, who goes elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from zope.interface import classImplements

from scgiproxy.errors import BackendError, QueueTimeout, Unavailable
from scgiproxy.interfaces import IBalancingMethod, ICall, IPool, IResponseTimes
from scgiproxy.pool.attempt import Dispatch
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.budget import RetryBudget
from scgiproxy.pool.methods.apache import ByRequests
from scgiproxy.pool.place import Stage
from scgiproxy.pool.queue import Queue
from scgiproxy.pool.resolve import Resolver
from scgiproxy.pool.route import Route
from scgiproxy.pool.selection import Blocked, Selection
from scgiproxy.pool.statistics import PoolStatistics
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.rules.sticky import find_session
from scgiproxy.wire.dial import Dialer

# What a backend that stands alone has of a balancer: nothing. Each request tries it anew.
_ALONE: Final = BalancerSettings(force_recovery=False)


class Pool:
    """One backend that stands alone, or the members of a balancer.

    - `name`: of the balancer (without ``balancer://``), or the backend's label.
    - `backends`: in the order of their definition; they belong to this pool alone.
    - `dialer`: makes the connections; its reactor is the clock, its wheel has the deadlines.
    - `settings`: of a balancer; None for a backend that stands alone.
    - `method`: the balancer's; by default `ByRequests`, whatever `settings` name.
    - `connect_timeout`: seconds, for backends that set neither their own nor a `timeout`.

    `routes` are the ways to its backends, `statistics` and `budget` what is counted of all of them,
    and `times` is the method if that goes by response times, else None. `on_full` is called when
    one has to wait since the places of all that could be used are taken, None if nobody cares.

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
        self.statistics = PoolStatistics()
        self._resolver = resolver
        self._connect_timeout = connect_timeout
        self._balancer = name if balanced else None
        self._single = None if balanced else backends[0]
        self.routes: dict[Backend, Route] = {}
        self.backends: tuple[Backend, ...] = ()
        self._selection = Selection(backends, method or ByRequests(), self.settings)
        self._queue = Queue()
        self.on_full: Callable[[], object] | None = None
        self._draining = False
        self._drain_again = False
        self.set_method(self._selection.method)
        self.set_backends(backends)

    def set_backends(self, backends: Sequence[Backend], *, drain: bool = True) -> None:
        """Have these members from now on; exchanges with one that is gone end in peace.

        Also to be called when flags, routes or sets of members have changed. Without `drain` who
        waits is not served yet: something else is about to change.
        """
        there = set(backends)
        for backend, route in list(self.routes.items()):
            if backend not in there or not route.fits(self._connect_timeout):
                del self.routes[backend]
        for backend in backends:
            if backend not in self.routes:
                self.routes[backend] = Route(
                    backend,
                    self._resolver.lookup(backend.address),
                    self._connect_timeout,
                    balancer=self._balancer,
                    dialer=self.dialer,
                )
        self.backends = tuple(backends)
        self._selection.change(backends)
        self._queue.sort(self._selection.routes)
        if drain:
            self.drain()

    def change(self, settings: BalancerSettings | None, connect_timeout: float) -> None:
        """Another configuration says so; `set_backends` is to follow."""
        self._connect_timeout = connect_timeout
        self.settings = self._selection.settings = settings or _ALONE

    def set_settings(self, settings: BalancerSettings) -> None:
        """Other parameters of the balancer; its method stays (see `set_method`)."""
        self.settings = self._selection.settings = settings
        self.set_backends(self.backends)

    def set_method(self, method: IBalancingMethod) -> None:
        """Choose by `method` from now on."""
        self._selection.use(method)
        self.times = method if IResponseTimes.providedBy(method) else None

    @property
    def balanced(self) -> bool:
        """Whether it is a balancer, and not a backend that stands alone."""
        return self._balancer is not None

    def __repr__(self) -> str:
        members = ", ".join(map(repr, self.backends))
        return f"<Pool {self.name}: {members}; {self.queued} waiting>"

    @property
    def queued(self) -> int:
        """How many wait for a connection to be free, or for a member that can be used."""
        return len(self._queue)

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
        elif self._queue.kinds and not self._has_free():
            self._enqueue(dispatch, Blocked.FULL, self.clock.seconds())
        else:
            self.offer(dispatch)
        return dispatch

    def turn_away(self) -> None:
        """The gateway ends: who still waits for a connection is told so (503), since nothing of
        the request has been sent."""
        for dispatch in self._queue.in_order():
            # What was told to one may have made another one leave.
            if dispatch.stage is Stage.QUEUED:
                self.leave(dispatch)
                error = Unavailable(
                    f"no connection to {self.name} was free before the gateway stopped"
                )
                dispatch.fail(error)

    # -- for Dispatch --------------------------------------------------------------------------

    def offer(self, dispatch: Dispatch) -> bool:
        """Start on the next backend, or fail, or wait in the queue: then False."""
        now = self.clock.seconds()
        if self._selection.recover(now) and self._queue.kinds:
            # Who waits for a member that can be used comes first.
            stage = dispatch.stage
            self.drain()
            if dispatch.stage is not stage:
                return True
        choice = self._selection.choose(now, dispatch.tried, dispatch.session, dispatch.request)
        if isinstance(choice, Backend):
            self.leave(dispatch)
            dispatch.begin(self.routes[choice])
            return True
        if choice is Blocked.NONE and not self._may_wait(dispatch, now):
            self.leave(dispatch)
            if dispatch.come_back():
                return self.offer(dispatch)
            dispatch.fail(self._unavailable(dispatch, now))
            return True
        self._enqueue(dispatch, choice, now)
        return False

    def attempt_failed(self, dispatch: Dispatch) -> None:
        """A backend was tried in vain; its place is free again."""
        tried = dispatch.tried
        # Without this, members that all have failed would be brought back, for nobody.
        left = any(one not in tried for one in self.backends) or dispatch.come_back()
        if left and self._may_try_more(dispatch.attempts):
            self.offer(dispatch)
        else:
            dispatch.fail(self._unavailable(dispatch, self.clock.seconds()))
        self.drain()

    def leave(self, dispatch: Dispatch) -> None:
        """Wait no longer."""
        if dispatch.stage is Stage.QUEUED:
            self._queue.remove(dispatch)
            self.statistics.queue.record(self.clock.seconds() - dispatch.queued_at)
            self.dialer.wheel.forget(dispatch)

    def waited(self, dispatch: Dispatch) -> None:
        """The deadline of one in the queue has passed: a retry is due, or its patience is over."""
        if dispatch.blocked is Blocked.NONE or self.clock.seconds() < dispatch.gives_up:
            # Those who came before it are first, whose turn it was to look.
            self.drain()
            if dispatch.stage is Stage.QUEUED:
                self.offer(dispatch)
            return
        self.leave(dispatch)
        dispatch.fail(self._queue_timeout(dispatch))
        self.drain()

    def drain(self) -> None:
        """Something has changed for the better: serve who can be served, first come first."""
        if not self._queue.kinds:
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
        if self._balancer is None or not self._may_try_more(dispatch.attempts + 1):
            return False
        assert dispatch.backend is not None  # asked while there is one
        tried = (*dispatch.tried, dispatch.backend)
        return self._selection.has_other(self.clock.seconds(), tried, dispatch.session)

    def may_repeat(self, dispatch: Dispatch, fault: BackendError) -> bool:
        """Whether what was sent to one member, which has failed with `fault`, may be sent to
        another; counts it then, and else says why not."""
        failing = dispatch.backend
        if self._balancer is None or failing is None:
            return False
        if not self._may_try_more(dispatch.attempts + 1):
            dispatch.not_repeated = f"maxattempts={self.settings.max_attempts}"
            return False
        now = self.clock.seconds()
        tried = (*dispatch.tried, failing)
        selection, session = self._selection, dispatch.session
        if (
            not selection.has_other(now, tried, session)
            and not dispatch.busy
            and not (fault.counts and selection.would_recover(failing, now, tried, session))
        ):
            dispatch.not_repeated = "no other member can be used"
            return False
        in_flight = sum(backend.in_flight for backend in self.backends)
        if not self.budget.take(now, in_flight):
            dispatch.not_repeated = "too many are"
            return False
        return True

    # ------------------------------------------------------------------------------------------

    def _has_free(self) -> bool:
        return any(not backend.full() for backend in self.backends)

    def _may_try_more(self, attempts: int) -> bool:
        """Whether `maxattempts` allows one more than these."""
        most = self.settings.max_attempts
        return most is None or attempts <= most

    def _serve_queue(self) -> None:
        in_vain: set[tuple[object, ...]] = set()
        while True:
            first = self._queue.first(in_vain)
            if first is None:
                return
            if not self.offer(first):
                in_vain.add(first.kind)

    def _may_wait(self, dispatch: Dispatch, now: float) -> bool:
        """Whether a usable member is waited for (``timeout``); with ``nofailover`` a session that
        has lost its own is told so at once, as in Apache."""
        if self._selection.bound(dispatch.session):
            return False
        since = dispatch.queued_at if dispatch.stage is Stage.QUEUED else now
        tried = dispatch.tried
        return now < since + self.settings.wait and any(one not in tried for one in self.backends)

    def _enqueue(self, dispatch: Dispatch, blocked: Blocked, now: float) -> None:
        if dispatch.stage is not Stage.QUEUED:
            self._queue.enter(dispatch, self._selection.routes, now)
        dispatch.blocked = blocked
        patience = self.settings.wait
        if blocked is Blocked.FULL:
            patience = self._selection.patience(now, dispatch.tried, dispatch.session)
            if self.on_full is not None:
                self.on_full()
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
        reasons = (*dispatch.reasons, error)
        return Unavailable("; ".join(map(str, reasons)), reasons)

    def _unavailable(self, dispatch: Dispatch, now: float) -> Unavailable:
        reasons = dispatch.reasons
        told = "; ".join(str(reason) for reason in reasons)
        if self._single is not None:
            told = told or f"it is {self._single.state(now)}"
            return Unavailable(f"{self.name}: {told}", reasons)
        told = told or self._selection.explain(now, dispatch.session)
        return Unavailable(f"no member of {self.name} could be used: {told}", reasons)


classImplements(Pool, IPool)
