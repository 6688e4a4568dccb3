"""One backend: where it is, what it has done, and whether it may be used."""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol

from automat import TypeMachineBuilder
from twisted.internet.interfaces import IReactorTime

from scgiproxy.errors import BackendError
from scgiproxy.message.backend_url import Address
from scgiproxy.rules.backend import BackendSettings


class Condition(Enum):
    """What is known of a balancer member."""

    UP = "up"
    DOWN = "down"
    """Failed, and left alone until its retry time."""
    PROBATION = "probation"
    """The retry time has come, and one request is finding out."""


# Looking a member up in its class costs more than the comparison.
_UP: Final = Condition.UP
_DOWN: Final = Condition.DOWN
_PROBATION: Final = Condition.PROBATION


class Backend:
    """A backend of one `pool.dispatch.Pool`.

    - `label`: the URL as the user knows it.
    - `clock`: where the time of failures comes from.
    - `member`: whether it belongs to a balancer. A backend that stands alone is never put in
      error: with nobody else to ask, each request tries again (as in Apache, status ``I``).

    Counters: `in_flight` (requests that hold a connection or are getting one), `elected` (times
    it was chosen), `errors` (faults), `bytes_sent`, `bytes_received`. `load` and `factor` belong
    to the balancing method: ``lbstatus``, and the load factor in hundredths.
    """

    def __init__(
        self,
        label: str,
        address: Address,
        path: bytes,
        settings: BackendSettings,
        *,
        clock: IReactorTime,
        member: bool = False,
    ) -> None:
        self.label = label
        self.address = address
        self.path = path
        self.settings = settings
        self.member = member
        self.disabled = settings.disabled
        self.limit = settings.max_connections
        self.factor = round(settings.load_factor * 100)
        self.load = 0
        self.in_flight = 0
        self.elected = 0
        self.errors = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.condition = _UP
        self.down_until = 0.0
        self._clock = clock
        self._life = _life(self)

    def __repr__(self) -> str:
        state = self.condition.value
        if self.condition is _DOWN:
            left = self.down_until - self._clock.seconds()
            state = f"down for {left:.0f} s more" if left > 0 else "down, due for a retry"
        if self.disabled:
            state += ", disabled"
        limit = "" if self.limit is None else f" of {self.limit}"
        return (
            f"<Backend {self.label} {state}, {self.in_flight}{limit} in flight,"
            f" {self.elected} elected, {self.errors} errors>"
        )

    def usable(self, now: float) -> bool:
        """Whether a request may go there: up, or due for its probing request."""
        if self.disabled:
            return False
        if self.condition is _UP:
            return True
        return self.condition is _DOWN and now >= self.down_until

    def full(self) -> bool:
        """Whether all of its `max` connections are taken."""
        return self.limit is not None and self.in_flight >= self.limit

    def take(self) -> bool:
        """Take one connection's place. True if this is the request that probes a failed member."""
        self.in_flight += 1
        self.elected += 1
        if self.condition is _UP:
            return False
        self._life.probed()
        return True

    def give_back(self, fault: Exception | None = None, probing: bool = False) -> None:
        """Give the place back; `fault` is what went wrong, whoever's fault it was.

        Only a `BackendError` that `counts` is held against the backend. A probing request that
        ends with neither a fault nor `answered` leaves the probing to the next one.
        """
        self.in_flight -= 1
        if fault is not None and isinstance(fault, BackendError) and fault.counts:
            self.errors += 1
            if self.member:
                self._life.failed(self._clock.seconds() + self.settings.retry)
        elif probing and self.condition is _PROBATION:
            self._life.unproved()

    def answered(self) -> None:
        """A response head has come: that ends a probation."""
        if self.condition is not _UP:
            self._life.answered()

    def recover(self) -> None:
        """Use it again at once, whatever happened (``forcerecovery``)."""
        if self.condition is not _UP:
            self._life.recovered()


class _Life(Protocol):
    """What happens to a member."""

    def failed(self, until: float) -> None: ...

    def probed(self) -> None: ...

    def answered(self) -> None: ...

    def unproved(self) -> None: ...

    def recovered(self) -> None: ...


_builder = TypeMachineBuilder(_Life, Backend)
_up = _builder.state("up")
_down = _builder.state("down")
_probation = _builder.state("probation")


@_up.upon(_Life.failed).to(_down)
@_down.upon(_Life.failed).to(_down)
@_probation.upon(_Life.failed).to(_down)
def _leave_alone(_: _Life, backend: Backend, until: float) -> None:
    backend.condition = _DOWN
    backend.down_until = until


@_down.upon(_Life.probed).to(_probation)
def _probe(_: _Life, backend: Backend) -> None:
    backend.condition = _PROBATION


@_probation.upon(_Life.unproved).to(_down)
def _leave_to_next(_: _Life, backend: Backend) -> None:
    backend.condition = _DOWN


@_probation.upon(_Life.answered).to(_up)
@_down.upon(_Life.recovered).to(_up)
@_probation.upon(_Life.recovered).to(_up)
def _use(_: _Life, backend: Backend) -> None:
    backend.condition = _UP


# A request from before the failure: that it is answered does not say that new ones would be.
_down.upon(_Life.answered).loop().returns(None)

_life = _builder.build()
