"""Connections that are made before there is a request for them (``preconnect=N``).

SCGI has one request for each connection, so a request to another machine first waits for the way
there and back. With a connection that is kept ready it does not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from math import inf

from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from scgiproxy.interfaces import IDeadline
from scgiproxy.log.events import Logger
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.condition import Condition
from scgiproxy.pool.connecting import Connecting
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.route import Route
from scgiproxy.wire.dial import Dialer
from scgiproxy.wire.ready import ReadyConnection
from scgiproxy.wire.streamsocket import SocketAddress

LONGEST_IDLE = 30.0
"""Seconds after which a connection that nobody has used is replaced: before a firewall forgets it."""

LOOK = 1.0
"""Seconds between two looks at what is kept, and whether it is still wanted."""

LONGEST_DELAY = 1.0
"""Seconds by which a busy backend may be late to close one."""

AT_ONCE = 16
"""Connections under way to one backend, at most."""

FIRST_PAUSE = 1.0
"""Seconds without new ones when one could not be made, or the backend has closed one; doubled each
time until there is a request."""

LONGEST_PAUSE = 60.0

_log = Logger()


class Readiness:
    """Keeps connections ready for the backends of `pools` that say so, while it runs.

    - `dialer`: that of the pools.
    - `processes`: how many keep connections ready for the same backends, and `process`: which of them
      this is, from 1. Each has its part of them. May be changed before `start`.

    `pools` may grow, and their members may change, if `update` is called then. What else may change
    of a backend (its flags, `limit`, its condition, the addresses of its name) is noticed within a
    second, and when it is used.
    """

    def __init__(self, pools: Iterable[Pool], *, dialer: Dialer) -> None:
        self.processes = self.process = 1
        self._pools = pools
        self._dialer = dialer
        self._running = False
        self._kept: dict[Backend, ReadyConnections] = {}

    def start(self) -> None:
        """Begin, in a later turn of the reactor; nothing happens if it has begun already."""
        self._running = True
        self.update()

    def stop(self) -> None:
        """End, and close all that nobody uses."""
        self._running = False
        while self._kept:
            self._kept.popitem()[1].end()

    def change(self, pools: Iterable[Pool]) -> None:
        """Another configuration has these; `update` is to follow."""
        self._pools = pools

    def update(self) -> None:
        """Have the backends that the pools have now. Does nothing while it is not running."""
        if not self._running:
            return
        routes = {
            one: pool.routes[one]
            for pool in self._pools
            for one in pool.backends
            if one.settings.preconnect
        }
        for backend, kept in list(self._kept.items()):
            # One that was away and is back has another route.
            if kept.route is not routes.get(backend):
                del self._kept[backend]
                kept.end()
        for backend, route in routes.items():
            if backend not in self._kept:
                # Of three connections and two processes the first one has two.
                count = backend.settings.preconnect + self.processes - self.process
                kept = ReadyConnections(route, self._dialer, count // self.processes)
                self._kept[backend] = kept
                kept.begin()


@implementer(IDeadline)
class ReadyConnections:
    """Those of one backend, which takes them by `Route.ready`; `count` is how many there are to be.

    The oldest is the first to be used: so none gets old, and a backend that takes one connection
    after the other waits for its request on the one that the next request comes on.
    """

    def __init__(self, route: Route, dialer: Dialer, count: int) -> None:
        self.route = route
        self.deadline = inf
        self._backend = route.backend
        self._count = count
        self._dialer = dialer
        self._reactor = dialer.reactor
        # Ordered, not a plain dict: taking from the front of that gets slow.
        self._ready: OrderedDict[ReadyConnection, None] = OrderedDict()
        self._attempts: dict[Connecting, None] = {}
        self._filling: IDelayedCall | None = None
        self._pause = 0.0
        self._rests_since = 0.0
        self._not_before = 0.0
        self._closes_at = inf

    def __repr__(self) -> str:
        return f"<ReadyConnections {self._backend.label}: {len(self)}>"

    def __len__(self) -> int:
        """How many are ready."""
        return len(self._ready)

    def begin(self) -> None:
        """Fill, in a later turn."""
        self.route.ready = self
        self._look_later()
        self._fill_later()

    def end(self) -> None:
        """Close all."""
        self.route.ready = None
        self.route.addresses.forget(self)
        self._dialer.wheel.forget(self)
        if self._filling is not None:
            self._filling.cancel()
            self._filling = None
        self._close_all()

    # -- for Dispatch --------------------------------------------------------------------------

    def take(self, address: SocketAddress, repeatable: bool) -> ReadyConnection | None:
        """One to `address` that the backend has not closed, as far as can be known; else None.

        It may close it the moment after this. With a request that is not `repeatable` none is used
        that is of an age at which the backend has closed others. The caller has taken its place at
        the backend already.
        """
        ready = self._ready
        now = self._reactor.seconds()
        found = None
        while ready and found is None:
            one, _ = ready.popitem(last=False)
            if one.address == address and self._is_good(one, now - one.since, repeatable):
                found = one
            else:
                one.close()
        if found is None:
            self.make_room()
            self._pause = min(self._pause, FIRST_PAUSE)
            self._not_before = self._rests_since + self._pause
        else:
            self._pause = self._not_before = 0.0
        if self._filling is None and now >= self._not_before:
            self._fill_later()
        return found

    def _is_good(self, one: ReadyConnection, age: float, repeatable: bool) -> bool:
        if not repeatable and self._closes_at / 2 <= age < self._surely_closed_at:
            return False
        if one.is_alive():
            self._outlived(age)
            return True
        self._closed(age)
        return False

    def _closed(self, age: float) -> None:
        self._closes_at = min(self._closes_at, age)

    def _outlived(self, age: float) -> None:
        """It was no habit of the backend's: it was stopped, perhaps."""
        if age >= self._surely_closed_at:
            self._closes_at = inf

    @property
    def _surely_closed_at(self) -> float:
        """The age at which a backend with that habit has closed all, even if it is held up."""
        return max(self._closes_at * 2, self._closes_at + LONGEST_DELAY)

    # -- filling -------------------------------------------------------------------------------

    def _fill_later(self) -> None:
        """Not in the turn of a request."""
        if self._filling is None:
            self._filling = self._reactor.callLater(0, self._fill)

    def _fill(self) -> None:
        self._filling = None
        missing = self._missing()
        if missing <= 0 or self._reactor.seconds() < self._not_before:
            return
        addresses = self.route.addresses.current()
        if not addresses:
            self.route.addresses.wait(self)
            return
        for _ in range(min(missing, AT_ONCE - len(self._attempts))):
            attempt = Connecting(
                self.route,
                addresses,
                timeout=self.route.timeout,
                connected=self._connected,
                failed=self._failed,
            )
            self._attempts[attempt] = None
            attempt.start()
        # On the same machine they are up by now. The rest comes in a turn of its own.
        if len(self._attempts) < AT_ONCE and self._missing() > 0:
            self._fill_later()

    def resolved(self, addresses: tuple[SocketAddress, ...]) -> None:
        """The first answer of the name server (see `pool.resolve.Addresses.wait`)."""
        if addresses:
            self._fill_later()

    def _is_wanted(self) -> bool:
        backend = self._backend
        return (
            backend.condition is Condition.UP
            and not backend.draining
            and backend.usable(self._reactor.seconds())
        )

    def _missing(self) -> int:
        """How many are to be made; below zero if there are too many."""
        backend = self._backend
        wanted = self._count if self._is_wanted() else 0
        if backend.limit is not None:
            places = backend.limit if backend.places is None else backend.places
            wanted = min(wanted, places - backend.in_flight)
        return wanted - len(self._ready) - len(self._attempts)

    def make_room(self) -> None:
        """Close what is too much: `max` counts what is ready, and what is under way, too."""
        while self._attempts and self._missing() < 0:
            self._attempts.popitem()[0].stop()
        while self._ready and self._missing() < 0:
            self._ready.popitem()[0].close()

    def _rest(self) -> None:
        """Make no new ones for a while."""
        now = self._reactor.seconds()
        # Those that go together count once.
        if now >= self._not_before:
            self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
            self._rests_since = now
            self._not_before = now + self._pause

    def _failed(self, attempt: Connecting, error: BaseException | None) -> None:
        del self._attempts[attempt]
        self._rest()
        _log.debug(
            "backend.preconnect: no connection to {label} can be kept ready: {error}",
            label=self._backend.label,
            error=str(error),
        )

    def _connected(self, attempt: Connecting, address: SocketAddress) -> ReadyConnection:
        del self._attempts[attempt]
        return ReadyConnection(self, address)

    def made(self, connection: ReadyConnection) -> None:
        """See `wire.ready.Keeper`."""
        connection.since = self._reactor.seconds()
        self._ready[connection] = None
        if self._filling is None and self._missing() > 0:
            self._fill_later()

    def lost(self, connection: ReadyConnection) -> None:
        """See `wire.ready.Keeper`."""
        del self._ready[connection]
        age = self._reactor.seconds() - connection.since
        self._closed(age)
        self._rest()
        _log.debug(
            "backend.preconnect: {label} has closed a connection that was kept ready for"
            " {seconds:.3g} s",
            label=self._backend.label,
            seconds=age,
        )

    # -- looking after them --------------------------------------------------------------------

    def _look_later(self) -> None:
        self.deadline = self._reactor.seconds() + LOOK
        self._dialer.wheel.watch(self)

    def deadline_passed(self) -> None:
        """Close what is not wanted any more, or is too old, and fill up."""
        self._look_later()
        if not self._is_wanted():
            self._close_all()
            return
        now = self._reactor.seconds()
        addresses = self.route.addresses.current()
        for one in list(self._ready):
            age = now - one.since
            if age >= LONGEST_IDLE or one.address not in addresses:
                del self._ready[one]
                one.close()
                self._outlived(age)
        self.make_room()
        self._fill_later()

    def _close_all(self) -> None:
        while self._attempts:
            self._attempts.popitem()[0].stop()
        while self._ready:
            self._ready.popitem()[0].close()
