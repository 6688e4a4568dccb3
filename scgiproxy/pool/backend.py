"""One backend: where it is, what it has done, and whether it may be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

from scgiproxy.errors import BackendError
from scgiproxy.message.backend_url import Address, TcpAddress
from scgiproxy.pool.condition import Condition, Member, make_life
from scgiproxy.pool.ejection import ErrorRate
from scgiproxy.pool.statistics import BackendStatistics
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.health import ProbeResult

# Looking a member up in its class costs more than the comparison.
_UP: Final = Condition.UP
_DOWN: Final = Condition.DOWN
_PROBATION: Final = Condition.PROBATION
_RECOVERING: Final = Condition.RECOVERING

_UNKNOWN: Final = BackendError("another process has found it failing")


class Sharing(Protocol):
    """Whom a backend tells that several processes use: what the others are to know of it."""

    def taken(self) -> None:
        """There is one more request in flight."""

    def given_back(self) -> None:
        """There is one less. Those who wait here have not been asked yet."""

    def judged(self) -> None:
        """Its condition, its last fault or its check is another one now."""


class Backend(Member):
    """A backend of one `pool.dispatch.Pool`.

    - `label`: the URL as the user knows it.
    - `clock`: where the time of failures comes from.
    - `server_name`: what its certificate is for (TLS), if that is not the host of `address`.
    - `balancer`: the name of the balancer that it is a `member` of, None if it stands alone. Then
      it is never put in error: with nobody else to ask, each request tries again (as in Apache,
      status ``I``).

    A member that goes into error is logged once (warn), and once when it is up again (info): when
    it has answered, not when it is merely tried again. Failures in between are logged at debug.

    What may change while it runs, each by assignment: the flags `disabled`, `stopped`, `draining`,
    `standby`, `spare`, `ignore_errors` and `check_failed` (a health check's verdict; see `checked`),
    `route`, `redirect`, `lbset`, `limit` and `full_factor`; the selection is to be told of it.

    `settings` may be changed while it runs; `written` is then what the configuration says, for a
    change leaves out what it does not mention. None until somebody keeps it (`pool.overrides`).

    `last_fault` is what went wrong last, `last_fault_at` when; None and 0 if nothing has.
    `last_probe` is how the last probe went, None if there was none. `on_unreachable` is called with
    the member when it is in error since there was no connection to it.

    Counters: `in_flight` (requests that hold a connection or are getting one), `elected` (times
    it was chosen), `errors` (faults), `bytes_sent`, `bytes_received`. For the balancing method:
    `factor`, the load factor in hundredths at the moment (slow start lowers it), and what it keeps
    itself, `load` (``lbstatus``), `latency` (seconds to the first byte) and `latency_at` (when).

    Where several processes use it: `places` is how many of the connections of its `limit` this one
    has (None: all, if there is a limit), `elsewhere` how many requests the others have in flight
    there, `sharing` is told what they are to know, and with `is_copy` another one writes the log.
    """

    def __init__(
        self,
        label: str,
        address: Address,
        path: bytes,
        settings: BackendSettings,
        *,
        clock: IReactorTime,
        balancer: str | None = None,
        server_name: str = "",
    ) -> None:
        self.label = label
        self.address = address
        self._server_name = server_name
        self.path = path
        self.balancer = balancer
        self.member = balancer is not None
        self.check_failed = False
        self.places: int | None = None
        self.elsewhere = 0
        self.sharing: Sharing | None = None
        self.is_copy = False
        self.factor = self.full_factor = 0
        self.load = 0
        self.latency = 0.0
        self.latency_at = 0.0
        self.in_flight = 0
        self.elected = 0
        self.errors = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.condition = _UP
        self.down_since = 0.0
        self.down_until = 0.0
        self.up_since = 0.0
        self.last_fault: BackendError | None = None
        self.last_fault_at = 0.0
        self.last_probe: ProbeResult | None = None
        self.on_unreachable: Callable[[Backend], object] | None = None
        self.statistics = BackendStatistics()
        self._rate: ErrorRate | None = None
        self._clock = clock
        self._life = make_life(self)
        self.configure(settings)

    def configure(self, settings: BackendSettings) -> None:
        """Be as `settings` say, whatever was changed meanwhile. What was found out and counted stays.
        The pool is to be told of it (see `Pool.change`)."""
        self.settings = settings
        self.written: BackendSettings | None = None
        self.disabled = settings.disabled
        self.stopped = settings.stopped
        self.draining = settings.draining
        self.standby = settings.standby
        self.spare = settings.spare
        self.ignore_errors = settings.ignore_errors or not self.member
        self.route = settings.route
        self.redirect = settings.redirect
        self.lbset = settings.lbset
        self.limit = settings.max_connections
        is_warm = self.factor == self.full_factor
        self.factor = self.full_factor = round(settings.load_factor * 100)
        if not is_warm:
            self.warm(self._clock.seconds())
        if settings.health is None:
            # Nobody else would ever take it back.
            self.check_failed = False
        limit = settings.eject_rate
        if limit is None:
            self._rate = None
        elif self._rate is None or self._rate.limit != limit:
            self._rate = ErrorRate(limit)

    def __repr__(self) -> str:
        limit = "" if self.limit is None else f" of {self.limit}"
        return (
            f"<Backend {self.label} {self.state(self._clock.seconds())},"
            f" {self.in_flight}{limit} in flight, {self.elected} elected, {self.errors} errors>"
        )

    @property
    def host(self) -> str:
        """What it is called in its certificate: its host, or whose address that is."""
        return self._server_name or (
            self.address.host if isinstance(self.address, TcpAddress) else ""
        )

    def state(self, now: float) -> str:
        """How it is, in words."""
        if self.stopped:
            return "stopped"
        if self.disabled:
            return "disabled"
        if self.check_failed:
            return "failed by its health check"
        if self.condition is _DOWN:
            left = self.down_until - now
            return f"in error for {left:.0f} s more" if left > 0 else "in error, due for a retry"
        if self.condition is _PROBATION:
            return "being probed"
        if self.full():
            return "busy"
        return "draining" if self.draining else "usable"

    @property
    def state_name(self) -> str:
        """One of `pool.condition.BACKEND_STATES`: `state` in one word, for programs."""
        if self.stopped:
            return "stopped"
        if self.disabled:
            return "disabled"
        if self.check_failed:
            return "unhealthy"
        if self.condition is _UP and self.draining:
            return "draining"
        return self.condition.value

    @property
    def status_words(self) -> str:
        """The status as Apache's balancer-manager shows it, such as ``Init Ok ``."""
        failed = self.condition in (_DOWN, _PROBATION)
        flags = (
            (self.ignore_errors, "Ign"),
            (self.draining, "Drn"),
            (self.disabled, "Dis"),
            (self.stopped, "Stop"),
            (failed, "Err"),
            (self.standby, "Stby"),
            (self.spare, "Spar"),
            (self.check_failed, "HcFl"),
        )
        words = ["Init", *(word for is_set, word in flags if is_set)]
        if not (self.disabled or self.stopped or failed or self.check_failed):
            words.append("Ok")
        return " ".join(words) + " "

    def usable(self, now: float) -> bool:
        """Whether a request may go there: up, recovering, or due for its probing request."""
        if self.disabled or self.stopped or self.check_failed:
            return False
        if self.condition is _UP:
            return True
        if self.condition is _DOWN:
            return now >= self.down_until
        return self.condition is _RECOVERING

    def full(self) -> bool:
        """Whether all of its `max` connections are taken, as far as they are for this process."""
        if self.limit is None:
            return False
        return self.in_flight >= (self.limit if self.places is None else self.places)

    def take(self) -> bool:
        """Take one connection's place. True if the request finds out about a failed member."""
        self.in_flight += 1
        self.elected += 1
        if self.sharing is not None:
            self.sharing.taken()
        if self.condition is _UP:
            return False
        self._life.probed()
        self.tell()
        return True

    def give_back(self, fault: Exception | None = None, probing: bool = False) -> None:
        """Give the place back; `fault` is what went wrong, whoever's fault it was.

        Only a `BackendError` that `counts` is held against the backend. A probing request that
        ends with neither a fault nor `answered` leaves the probing to the next one.
        """
        self.in_flight -= 1
        if self.sharing is not None:
            self.sharing.given_back()
        if fault is not None and isinstance(fault, BackendError) and fault.counts:
            self.fail(fault)
            return
        if self._rate is not None and fault is None:
            self._rate.add(self._clock.seconds(), False)
        if probing:
            self.unproved()

    def unproved(self) -> None:
        """The request that was to find out has not: the next one may."""
        if self.condition is _PROBATION:
            self._life.unproved()
            self.tell()

    def fail(self, fault: BackendError) -> None:
        """Put it in error while an exchange is still going on (``failonstatus``)."""
        self.errors += 1
        self.last_fault = fault
        self.last_fault_at = self._clock.seconds()
        if not self.ignore_errors:
            self._fault(fault)
        self.tell()

    def _fault(self, fault: BackendError) -> None:
        now = self._clock.seconds()
        # Who cannot be connected to is down, whatever the rate says of its answers.
        tolerant = self._rate is not None and not fault.unreachable and self.condition is _UP
        if not tolerant or (self._rate is not None and self._rate.add(now, True)):
            self._life.failed(fault, now)

    def answered(self) -> None:
        """A response head has come: that ends a probation or a recovery."""
        if self.condition is not _UP:
            self._life.answered(self._clock.seconds())
            self.tell()

    def recover(self) -> None:
        """Use it again at once, whatever happened (``forcerecovery``)."""
        if self.condition not in (_UP, _RECOVERING):
            self._life.recovered()
            self.tell()

    def proved(self) -> None:
        """A health check has had a good answer: it is up."""
        if self.condition is not _UP:
            self._life.proved(self._clock.seconds())
            self.tell()

    def checked(self, passed: bool) -> None:
        """What its health check has found at last: `check_failed`."""
        self.check_failed = not passed
        self.tell()

    def due(self) -> None:
        """It can be reached again: the next request may find out before the retry time."""
        if self.condition is _DOWN:
            self.down_until = min(self.down_until, self._clock.seconds())
            self.tell()

    def tell(self) -> None:
        """Have other processes know how it is."""
        if self.sharing is not None:
            self.sharing.judged()

    def follow(self, condition: Condition, fault: BackendError | None, now: float) -> None:
        """Be in the condition that another process has found; nobody is told. `fault` is why, None
        if nothing has failed that is not known. The times are the caller's affair."""
        life, own = self._life, self.condition
        if condition is _UP:
            if own is not _UP:
                life.proved(now)
            return
        if own is _PROBATION and condition is _DOWN and fault is None:
            life.unproved()
            return
        fails = own is _UP or (own is _RECOVERING and condition is not own)
        if fails or (condition is _DOWN and (own is not _DOWN or fault is not None)):
            life.failed(fault or self.last_fault or _UNKNOWN, now)
        if condition is not self.condition:
            (life.probed if condition is _PROBATION else life.recovered)()

    def warm(self, now: float) -> bool:
        """Set `factor` for the time since it is up again; False once it is the whole (slow start)."""
        span = self.settings.slow_start
        share = (now - self.up_since) / span if span else 1.0
        self.factor = max(1, min(self.full_factor, round(self.full_factor * share)))
        return share < 1.0
