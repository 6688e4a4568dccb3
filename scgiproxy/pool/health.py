"""Which members are probed and when, and what becomes of them (mod_proxy_hcheck)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from scgiproxy.log.events import Logger
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.condition import Condition
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.probe import Probe, check_block
from scgiproxy.pool.turns import Subject, Turns
from scgiproxy.rules.health import CheckMethod, HealthCheck
from scgiproxy.wire.dial import Dialer

FIRST_CHECK = 1.0
"""Seconds within which the first check of a member begins."""

SPREAD = 0.1
"""By which part of the interval the time between two checks differs at most."""

LONGEST_CHECK = 60.0
"""Seconds for the check of a member without a `timeout` of its own."""

FIRST_PAUSE = 1.0
"""Seconds until a member is first looked for that could not be connected to; doubled each time."""

LONGEST_PAUSE = 8.0

_log = Logger()


class HealthChecks:
    """Probes the members of `pools` while it runs.

    A member with `BackendSettings.health` is checked at its interval, disabled and draining ones
    too, stopped ones not. When as many checks in a row have failed as it says, it is not used any
    more (`Backend.check_failed`); when as many have passed, it is, and it is not in error either.

    One without, that has come into error because it could not be connected to, is looked for by
    connecting: after 1, 2, 4, and then every 8 seconds, until its retry time has come. Once that
    works, its next request may find out (`Backend.due`).

    - `dialer`: that of the pools.
    - `at_once`: how many probes there are at the same time (0 is one), of one member never more
      than one.
    - `server_software`: what members are told (SERVER_SOFTWARE).
    - `random`: numbers from 0 to 1, which spread the checks in time.

    `pools` may grow, and their members may change, or how they are checked, if `update` is called
    then.
    """

    def __init__(
        self,
        pools: Iterable[Pool],
        *,
        dialer: Dialer,
        at_once: int = 16,
        server_software: bytes = b"scgiproxy",
        random: Callable[[], float] = random.random,
    ) -> None:
        self._pools = pools
        self._turns = Turns(dialer, at_once)
        self._server_software = server_software
        self._random = random
        self._running = False
        self._subjects: dict[Backend, Subject] = {}
        self._checks: dict[Backend, HealthCheck | None] = {}

    def start(self) -> None:
        """Begin; nothing happens if it has begun already."""
        self._running = True
        self.update()

    def stop(self) -> None:
        """End, and break off what is going on. Members stay as they are."""
        self._running = False
        self._turns.clear()
        while self._subjects:
            self._subjects.popitem()[1].end()
        self._checks.clear()

    def change(self, pools: Iterable[Pool], at_once: int, server_software: bytes) -> None:
        """Another configuration says so; `update` is to follow. What is checked already goes on."""
        self._pools = pools
        self._turns.at_once = max(at_once, 1)
        self._server_software = server_software

    def update(self) -> None:
        """Have the members that the pools have now, as they are to be checked now. Does nothing
        while it is not running."""
        if not self._running:
            return
        members = {one: pool for pool in self._pools for one in pool.backends if one.member}
        for backend, check in list(self._checks.items()):
            pool = members.get(backend)
            if (
                pool is None
                or backend.settings.health != check
                or self._subjects[backend].route is not pool.routes[backend]
            ):
                del self._checks[backend]
                self._subjects.pop(backend).end()
        for backend, pool in members.items():
            if backend not in self._subjects:
                self._checks[backend] = backend.settings.health
                self._subjects[backend] = subject = self._subject(pool, backend)
                subject.begin()

    def _subject(self, pool: Pool, backend: Backend) -> Subject:
        check = backend.settings.health
        if check is None:
            return _Unreachable(self._turns, pool, backend)
        block = check_block(backend, check, self._server_software) if check.method.asks else b""
        return _Checked(self._turns, pool, backend, check, block, self._random)


class _Checked(Subject):
    """A member with a health check."""

    def __init__(
        self,
        turns: Turns,
        pool: Pool,
        backend: Backend,
        check: HealthCheck,
        block: bytes,
        random: Callable[[], float],
    ) -> None:
        super().__init__(turns, pool, backend)
        self._check = check
        self._block = block
        self._random = random
        self._timeout = min(backend.settings.timeout or LONGEST_CHECK, check.interval)
        self._is_first = True
        self._passes = 0
        self._fails = 0

    def begin(self) -> None:
        self.wait(self._random() * min(self._check.interval, FIRST_CHECK))

    def _wait_for_next(self) -> None:
        # The first checks of all members are close to each other, the second ones anywhere.
        share = self._random()
        if not self._is_first:
            share = 1 + SPREAD * (2 * share - 1)
        self._is_first = False
        self.wait(self._check.interval * share)

    def make_probe(self) -> Probe | None:
        if self.backend.stopped:
            self._wait_for_next()
            return None
        return Probe(
            self.route,
            self.done,
            dialer=self.turns.dialer,
            timeout=self._timeout,
            check=self._check,
            block=self._block,
        )

    def judge(self, passed: bool | None, told: str) -> None:
        self._wait_for_next()
        if passed:
            self._passed()
        elif passed is None:
            self.tell(told)
        else:
            self._failed(told)

    def _passed(self) -> None:
        self._fails = 0
        backend = self.backend
        if not backend.check_failed and backend.condition is Condition.UP:
            self._passes = 0
            return
        self._passes += 1
        if self._passes < self._check.passes:
            return
        self._passes = 0
        if backend.check_failed:
            backend.checked(True)
            _log.info(
                "backend.check: {label} of balancer://{balancer} has passed its health check, and"
                " is used again",
                label=backend.label,
                balancer=backend.balancer,
            )
        if self._check.method is CheckMethod.TCP:
            # Whether it answers is for a request to find out.
            backend.recover()
        else:
            backend.proved()
        self.pool.drain()

    def _failed(self, told: str) -> None:
        self._passes = 0
        backend = self.backend
        if not backend.check_failed:
            self._fails += 1
            if self._fails >= self._check.fails:
                self._fails = 0
                backend.checked(False)
                _log.warn(
                    "backend.check: {label} of balancer://{balancer} has failed its health check,"
                    " and is not used until it passes: {told}",
                    label=backend.label,
                    balancer=backend.balancer,
                    told=told,
                )
                return
        self.tell(told)


class _Unreachable(Subject):
    """A member without a health check: looked for while it cannot be connected to."""

    _pause = 0.0
    """Seconds between two probes; 0 while it is not looked for."""

    def begin(self) -> None:
        backend = self.backend
        backend.on_unreachable = self._lost
        fault = backend.last_fault
        if backend.condition is Condition.DOWN and fault is not None and fault.unreachable:
            self._lost(backend)

    def end(self) -> None:
        self.backend.on_unreachable = None
        super().end()

    def _lost(self, backend: Backend) -> None:  # noqa: ARG002  there is one only
        if not self._pause:
            self._look_after(FIRST_PAUSE)

    def _look_after(self, seconds: float) -> None:
        """Look for it then, or no more if its retry time comes first."""
        is_before = self.now() + seconds < self.backend.down_until
        self._pause = seconds if is_before else 0.0
        if is_before:
            self.wait(seconds)

    def make_probe(self) -> Probe | None:
        backend = self.backend
        unused = backend.disabled or backend.stopped or backend.check_failed
        if unused or backend.condition is not Condition.DOWN or self.now() >= backend.down_until:
            self._pause = 0.0
            return None
        route = self.route
        return Probe(route, self.done, dialer=self.turns.dialer, timeout=route.timeout)

    def judge(self, passed: bool | None, told: str) -> None:
        self.tell(told)
        if self.backend.condition is not Condition.DOWN:
            self._pause = 0.0
        elif not passed:
            self._look_after(min(self._pause * 2, LONGEST_PAUSE))
        else:
            self._pause = 0.0
            self.backend.due()
            self.pool.drain()
