"""``?events``: the cells that have changed, each second, to everybody who looks (server-sent events).

There is one clock for all of them, which runs only while somebody looks. Who does not read misses
what there was meanwhile, and gets everything once he reads again: nothing is kept for him.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from twisted.web.server import Request
from zope.interface import implementer

from scgiproxy.log.events import Logger
from scgiproxy.web.gatewaynumbers import GatewayNumbers, NumbersSource
from scgiproxy.web.manager.cells import Cells, all_cells
from scgiproxy.web.manager.snapshot import Snapshot

MOST_VIEWERS = 32
INTERVAL = 1.0
"""Seconds between two events."""

AT_ONCE = 32
"""Elements that are put into words before requests have their turn."""

_RECONNECT = b"retry: 2000\n\n"
_END = b"event: end\ndata: {}\n\n"


class Events:
    """Sends what `take` shows of `numbers` to those who look. `clock` is the reactor.

    Those of `lately`, which everybody has who looks at the same moment, will do unless there is a
    hurry.
    """

    log = Logger()

    def __init__(
        self,
        take: Callable[[GatewayNumbers], Snapshot],
        numbers: NumbersSource,
        lately: NumbersSource,
        clock: IReactorTime,
    ) -> None:
        self._take = take
        self._numbers = numbers
        self._lately = lately
        self._clock = clock
        self._asked: Deferred[GatewayNumbers] | None = None
        self._viewers: dict[_Viewer, None] = {}
        self._sent: dict[str, Cells] = {}
        self._later: IDelayedCall | None = None

    @property
    def viewers(self) -> int:
        """How many look."""
        return len(self._viewers)

    def add(self, request: Request) -> bool:
        """Send events to a request whose headers are set; False if `MOST_VIEWERS` look already."""
        if len(self._viewers) >= MOST_VIEWERS:
            return False
        viewer = _Viewer(request)
        self._viewers[viewer] = None
        request.notifyFinish().addErrback(self._left, viewer)
        request.write(_RECONNECT)
        request.registerProducer(viewer, True)
        self.hurry()
        return True

    def hurry(self) -> None:
        """Something has changed: tell of it at once, if anybody looks."""
        if self._viewers:
            self._next(0.0, partial(self._begin, self._numbers))

    def stop(self) -> None:
        """Tell everybody that this is the end."""
        self._rest()
        while self._viewers:
            viewer, _ = self._viewers.popitem()
            viewer.end()

    def _left(self, reason: Failure, viewer: _Viewer) -> None:  # noqa: ARG002
        self._viewers.pop(viewer, None)
        if not self._viewers:
            self._rest()

    def _rest(self) -> None:
        self._wait_for_nothing()
        self._sent = {}

    def _wait_for_nothing(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.cancel()

    def _next(self, seconds: float, step: Callable[[], None]) -> None:
        self._wait_for_nothing()
        self._later = self._clock.callLater(seconds, step)

    def _begin(self, source: NumbersSource) -> None:
        self._later = None
        try:
            numbers = source()
            if not isinstance(numbers, Deferred):
                self._look(numbers)
                return
        except Exception:
            self._fail(Failure())
            return
        self._asked = numbers
        numbers.addCallback(self._there, numbers).addErrback(self._not_there, numbers)

    def _there(self, numbers: GatewayNumbers, asked: Deferred[GatewayNumbers]) -> None:
        if self._asked is asked:
            self._asked = None
            self._look(numbers)

    def _not_there(self, failure: Failure, asked: Deferred[GatewayNumbers]) -> None:
        if self._asked in (asked, None) and not failure.check(CancelledError):
            self._asked = None
            self._fail(failure)

    def _fail(self, failure: Failure) -> None:
        self.log.failure("while looking at the balancers", failure)
        # The next second may be better.
        self._next(INTERVAL, partial(self._begin, self._lately))

    def _look(self, numbers: GatewayNumbers) -> None:
        snapshot = self._take(numbers)
        elements = all_cells(snapshot)
        found: dict[str, Cells] = {}

        def some() -> None:
            self._later = None
            piece = dict(islice(elements, AT_ONCE))
            found.update(piece)
            if len(piece) == AT_ONCE:
                self._next(0.0, some)
            else:
                self._send(snapshot, found)

        some()

    def _send(self, snapshot: Snapshot, found: dict[str, Cells]) -> None:
        sent, self._sent = self._sent, found
        changes = _event(snapshot.structure, _changed(sent, found))
        everything = b""
        for viewer in list(self._viewers):
            if viewer.paused:
                continue
            if viewer.fresh:
                everything = everything or _event(snapshot.structure, found)
                viewer.fresh = False
                viewer.write(everything)
            else:
                viewer.write(changes)
        if self._viewers:
            self._next(INTERVAL, partial(self._begin, self._lately))


@implementer(IPushProducer)
class _Viewer:
    """One who looks. `fresh`: has missed something, or everything."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.paused = False
        self.fresh = True

    def write(self, event: bytes) -> None:
        self._request.write(event)

    def end(self) -> None:
        self._request.write(_END)
        self._request.unregisterProducer()
        self._request.finish()

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self.fresh = True

    def stopProducing(self) -> None:
        """The client has gone, which is told as well."""


def _changed(before: Mapping[str, Cells], now: Mapping[str, Cells]) -> dict[str, Cells]:
    changed: dict[str, Cells] = {}
    for element, cells in now.items():
        known = before.get(element, {})
        other = {name: value for name, value in cells.items() if known.get(name) != value}
        if other:
            changed[element] = other
    return changed


def _event(structure: str, cells: Mapping[str, Cells]) -> bytes:
    data = json.dumps({"structure": structure, "cells": cells}, separators=(",", ":"))
    return b"event: state\ndata: " + data.encode("ascii") + b"\n\n"
