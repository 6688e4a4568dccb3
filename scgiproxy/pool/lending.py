"""The places at one member (`max`), lent to the worker processes that use it.

The parent owns them, in a `Ledger`, and each worker holds some, in a `Lease`. A worker that has
a free one uses it without a word. One whose requests wait for a place says how many; while such
wants are open, the others hand over what is idle with them, and one that holds more than who
wants hands over what becomes free next, although its own requests wait for it.

At any moment the places that are lent are not more than there are, and a worker's requests in
flight not more than it holds. So is the sum. Only when `max` is lowered, what is in flight stays
until it ends, as without workers.

Nothing is sent from here: `Ledger` and `Lease` say to the other end's methods of the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from scgiproxy.pool.backend import Backend

ROTATE = 0.05
"""Seconds that a worker waits for a place before one is taken from another that does not hold much
more: with fewer places than workers they go round like this."""


class Borrower(Protocol):
    """The way to one worker's `Lease` of this member."""

    def granted(self, places: int) -> None:
        """It has as many more."""

    def lend_idle(self, wanted: bool) -> None:
        """From now on it hands over what it has no use for, or does not any more."""

    def pressed(self, places: int) -> None:
        """It hands over as many as soon as they are free, whoever waits for them there."""

    def spare(self, places: int) -> None:
        """It hands over as many if they are idle now."""


class Lender(Protocol):
    """The way to the parent's `Ledger` of this member; each call is this worker's."""

    def claimed(self, in_flight: int) -> None:
        """So many are in use already."""

    def wanted(self, places: int) -> None:
        """As many requests wait for one; it takes the place of what was said before."""

    def given_back(self, places: int) -> None:
        """They are not used here any more."""


class Ledger:
    """The parent's: who has how many of `limit` places.

    - `share`: how many a worker gets before it has asked, as far as they are there.
    - `unclaimed`: workers that may have requests in flight already. Nothing is lent before each of
      them has said how many; until `forget_unclaimed`.

    `waits`: a want is open, and `rotate` is to be called every `ROTATE` seconds.
    """

    def __init__(self, limit: int, share: int, unclaimed: Iterable[Borrower] = ()) -> None:
        self.limit = limit
        self.share = share
        self.lent: dict[Borrower, int] = {}
        self._unclaimed = set(unclaimed)
        self._wants: dict[Borrower, int] = {}
        self._pressed: dict[Borrower, int] = {}
        self._collecting = False
        self._ahead: Borrower | None = None

    def __repr__(self) -> str:
        return f"<Ledger {sum(self.lent.values())} of {self.limit} lent, {self._wants} wanted>"

    @property
    def free(self) -> int:
        """How many can be lent; below zero after `limit` was lowered."""
        return 0 if self._unclaimed else self.limit - sum(self.lent.values())

    @property
    def waits(self) -> bool:
        return bool(self._wants)

    def join(self, worker: Borrower) -> None:
        """A worker has started, and has nothing in flight."""
        self.lent[worker] = 0
        if self._collecting:
            worker.lend_idle(True)
        self._grant(worker, min(self.free, self.share))

    def await_claim(self, worker: Borrower) -> None:
        """It may have requests in flight, and says how many: see `unclaimed`."""
        self._unclaimed.add(worker)

    def leave(self, worker: Borrower) -> None:
        """It has ended, and so have its connections."""
        self._unclaimed.discard(worker)
        self._wants.pop(worker, None)
        self._pressed.pop(worker, None)
        self.lent.pop(worker, None)
        self._serve()

    def set_limit(self, limit: int) -> None:
        """There are as many from now on."""
        self.limit = limit
        self._serve()

    def forget_unclaimed(self) -> None:
        """Who has not said what he has in flight is taken to have nothing."""
        left, self._unclaimed = self._unclaimed, set()
        for worker in left:
            self.lent.setdefault(worker, 0)
        self._serve()

    # -- what a worker says --------------------------------------------------------------------

    def claimed(self, worker: Borrower, in_flight: int) -> None:
        self._unclaimed.discard(worker)
        self.lent[worker] = in_flight
        if not self._unclaimed:
            for one, held in self.lent.items():
                self._grant(one, min(self.free, self.share - held))
        self._serve()

    def wanted(self, worker: Borrower, places: int) -> None:
        if worker not in self.lent:
            return  # of a ledger before this one
        if places:
            self._wants[worker] = places
        else:
            self._wants.pop(worker, None)
        self._serve()
        if worker in self._wants:
            self._press(worker, at_least=0)

    def given_back(self, worker: Borrower, places: int) -> None:
        if worker not in self.lent:
            return
        self.lent[worker] -= places
        self._pressed[worker] = max(0, self._pressed.get(worker, 0) - places)
        self._serve()
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead in self.lent:
            self._grant(ahead, -(-self.free // 2))
            return
        for one, held in self.lent.items():
            self._grant(one, min(self.free, self.share - held))

    def used(self, worker: Borrower, in_flight: int, others: dict[Borrower, int]) -> None:
        """A worker has that many in flight, and `others` (all) have had so when they told: who has
        none left gets some in advance, if they are free or idle elsewhere; who does nothing gives
        back what is over its share."""
        held = self.lent.get(worker, 0)
        if self._wants or worker not in self.lent:
            return
        if in_flight == 0 and held > self.share:
            worker.spare(held - self.share)
        if in_flight < held:
            return
        free = self.free
        if free > 0:
            self._grant(worker, -(-free // 2))
            return
        self._ahead = worker
        for other, held in self.lent.items():
            idle = held - others.get(other, 0)
            if other is not worker and idle > 1:
                other.spare(idle // 2)

    def rotate(self) -> None:
        """A want has been open for `ROTATE` seconds."""
        for worker in list(self._wants):
            if self._press(worker, at_least=1):
                return

    # ------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while self._wants and self.free > 0:
            worker, places = next(iter(self._wants.items()))
            given = min(places, self.free)
            del self._wants[worker]
            if places > given:
                # The next time others come first.
                self._wants[worker] = places - given
            self._grant(worker, given)
        self._collect(self.waits)
        # Over a lower limit whatever is free next goes, whoever has it.
        excess = -self.free
        for worker, held in self.lent.items():
            self._push(worker, min(excess, held) - self._pressed.get(worker, 0))

    def _collect(self, collecting: bool) -> None:
        if collecting != self._collecting:
            self._collecting = collecting
            for worker in list(self.lent):
                worker.lend_idle(collecting)

    def _press(self, worker: Borrower, at_least: int) -> int:
        """Have who holds the most hand over half of what that is more; how many that are."""
        others = [one for one in self.lent if one is not worker]
        if not others:
            return 0
        most = max(others, key=self._left)
        more = self._left(most) - self.lent[worker]
        open_wants = sum(self._wants.values()) - sum(self._pressed.values())
        return self._push(most, min(max(more // 2, at_least if more > 0 else 0), open_wants))

    def _push(self, worker: Borrower, places: int) -> int:
        if places <= 0:
            return 0
        self._pressed[worker] = self._pressed.get(worker, 0) + places
        worker.pressed(places)
        return places

    def _left(self, worker: Borrower) -> int:
        """What a worker has when it has handed over what it is to."""
        return self.lent[worker] - self._pressed.get(worker, 0)

    def _grant(self, worker: Borrower, places: int) -> None:
        if places > 0:
            self.lent[worker] += places
            worker.granted(places)


class Lease:
    """A worker's: `Backend.places` of a member with a limit; `lender` is the way to the parent.

    - `serve`: has those who wait for a place look for one.
    - `later`: calls in a later turn of the reactor, when those who wait have had theirs.
    - `make_room`: closes connections that are kept ready for no request, if they are too many now.
    """

    def __init__(
        self,
        backend: Backend,
        lender: Lender,
        *,
        serve: Callable[[], object],
        later: Callable[[Callable[[], object]], object],
        make_room: Callable[[], object] = lambda: None,
    ) -> None:
        self._backend = backend
        self._lender = lender
        self._serve = serve
        self._later = later
        self._make_room = make_room
        self._held = backend.in_flight
        backend.places = self._held
        self._wanted = 0
        self._pressed = 0
        self._lends_idle = False
        self._looks = False
        self._ended = False

    def __repr__(self) -> str:
        return f"<Lease of {self._held} places at {self._backend.label}>"

    @property
    def held(self) -> int:
        """How many it has."""
        return self._held

    def end(self) -> None:
        """There is no limit any more."""
        self._ended = True
        self._backend.places = None

    def want(self, places: int) -> None:
        """So many requests wait, among others for a place here."""
        if places > self._wanted:
            self._wanted = places
            self._lender.wanted(places)

    def freed(self) -> None:
        """A place is free, and those who wait here have not been asked yet."""
        if self._pressed:
            self._hand_over(min(self._pressed, self._idle))
        if (self._lends_idle or self._wanted) and not self._looks:
            self._looks = True
            self._later(self._look)

    # -- what the parent says ------------------------------------------------------------------

    def granted(self, places: int) -> None:
        self._wanted = max(0, self._wanted - places)
        self._hold(self._held + places)
        if self._pressed:
            self._hand_over(min(self._pressed, self._idle))
        self._serve()
        if self._lends_idle:
            self._hand_over(self._idle)

    def lend_idle(self, wanted: bool) -> None:
        self._lends_idle = wanted
        if wanted:
            self._hand_over(self._idle)

    def pressed(self, places: int) -> None:
        self._pressed += places
        self._hand_over(min(self._pressed, self._idle))

    def spare(self, places: int) -> None:
        self._hand_over(min(places, self._idle))

    # ------------------------------------------------------------------------------------------

    @property
    def _idle(self) -> int:
        return self._held - self._backend.in_flight

    def _look(self) -> None:
        self._looks = False
        if self._idle > 0 and not self._ended:
            if self._wanted:
                # Those who waited are gone.
                self._wanted = 0
                self._lender.wanted(0)
            if self._lends_idle:
                self._hand_over(self._idle)

    def _hand_over(self, places: int) -> None:
        if places > 0:
            self._pressed = max(0, self._pressed - places)
            self._hold(self._held - places)
            self._make_room()
            self._lender.given_back(places)

    def _hold(self, places: int) -> None:
        self._held = self._backend.places = places
