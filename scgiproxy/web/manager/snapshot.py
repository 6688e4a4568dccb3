"""The state of the balancers at one moment, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from scgiproxy.pool.backend import Backend
from scgiproxy.pool.condition import USED_STATES
from scgiproxy.pool.managed import ManagedBalancer
from scgiproxy.pool.timeline import Chart
from scgiproxy.rules.backend import BackendSettings, Flag
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.rules.health import ProbeResult
from scgiproxy.rules.parameters import as_text
from scgiproxy.web.gatewaynumbers import GatewayNumbers, MemberNumbers, PoolNumbers

_MINUTE = 60


@dataclass(frozen=True, slots=True)
class LastFailure:
    """What went wrong with a member last: the `log_key`, in words, and when."""

    kind: str
    text: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberState:
    """One member. Times are seconds since the epoch, durations seconds.

    - `id`: names it on the page; made of the names, and of nothing that could be mistaken there.
    - `state`: one of `pool.condition.BACKEND_STATES`; `status_words`: as Apache tells it.
    - `weight`: the load factor; `weight_now`: while it is slowly started, else the same.
    - `load`: what the method keeps, Apache's lbstatus; 0 if that is no number.
    - `percentiles`: p50, p90 and p99 of the last minute; None without a request.
    - `rate`: requests a second, in the last minute or since the start of the gateway.
    - `retry_at`: when it is tried again, None unless it is in error.
    """

    id: str
    name: str
    state: str
    status_words: str
    flags: Mapping[Flag, bool]
    route: str
    redirect: str
    lbset: int
    weight: float
    weight_now: float
    limit: int | None
    in_flight: int
    elected: int
    load: int
    bytes_sent: int
    bytes_received: int
    errors: int
    errors_by_kind: Mapping[str, int]
    percentiles: tuple[float | None, float | None, float | None]
    chart: Chart
    rate: float
    last_failure: LastFailure | None
    retry_at: float | None
    last_probe: ProbeResult | None
    settings: BackendSettings

    @property
    def used(self) -> bool:
        """Whether any request may go there."""
        return self.state in USED_STATES

    @property
    def left(self) -> int | None:
        """Requests that are left of one that is given no new ones; None if it is."""
        flags = self.flags
        idle = flags[Flag.DRAINING] or flags[Flag.DISABLED] or flags[Flag.STOPPED]
        return self.in_flight if idle else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerState:
    """One balancer. `name` is without ``balancer://``; `queue_wait` are seconds, p90 of all who
    waited; `retries` are attempts after the first one of a request."""

    id: str
    name: str
    nonce: str
    methods: Sequence[str]
    settings: BalancerSettings
    growth_left: int
    queued: int
    queue_wait: float | None
    retries: int
    members: Sequence[MemberState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All balancers at the time `now`."""

    now: float
    software: str
    uptime: int
    balancers: Sequence[BalancerState]

    @property
    def structure(self) -> str:
        """Another text when the page has to be made anew: there are others, or other nonces."""
        parts = [
            (balancer.id, balancer.nonce, *(member.id for member in balancer.members))
            for balancer in self.balancers
        ]
        return _digest(*("\0".join(part) for part in parts))


def take_snapshot(balancers: Sequence[ManagedBalancer], numbers: GatewayNumbers) -> Snapshot:
    """The state of `balancers` at the time of `numbers`."""
    return Snapshot(
        now=numbers.now,
        software=numbers.software,
        uptime=numbers.uptime,
        balancers=[_balancer(balancer, numbers) for balancer in balancers],
    )


def member_id(balancer: str, label: str) -> str:
    """`MemberState.id`."""
    return "m" + _digest(balancer, label)


def _balancer(balancer: ManagedBalancer, numbers: GatewayNumbers) -> BalancerState:
    pool = balancer.pool
    counted: PoolNumbers = numbers.of_all.get(pool, pool)
    of_members = {member.label: member for member in counted.backends}
    return BalancerState(
        id="b" + _digest(balancer.name),
        name=balancer.name,
        nonce=balancer.nonce,
        methods=balancer.methods,
        settings=pool.settings,
        growth_left=balancer.growth_left,
        queued=counted.queued,
        queue_wait=counted.statistics.queue.percentile(90),
        retries=counted.statistics.retries,
        members=[
            _member(balancer.name, member, of_members.get(member.label, member), numbers)
            for member in pool.backends
        ],
    )


def _member(
    balancer: str, member: Backend, counted: MemberNumbers, numbers: GatewayNumbers
) -> MemberState:
    """What `member` is set to, with what is `counted` and known of it."""
    now = numbers.now
    statistics = counted.statistics
    recent = statistics.recent(now)
    chart = statistics.chart(now)
    fault = counted.last_fault
    return MemberState(
        id=member_id(balancer, member.label),
        name=member.label,
        state=counted.state_name,
        status_words=counted.status_words,
        flags={flag: getattr(member, flag.attribute) for flag in Flag},
        route=as_text(member.route),
        redirect=as_text(member.redirect),
        lbset=member.lbset,
        weight=member.full_factor / 100,
        weight_now=counted.factor / 100,
        limit=counted.limit,
        in_flight=counted.in_flight,
        elected=counted.elected,
        load=counted.load if isinstance(counted.load, int) else 0,
        bytes_sent=counted.bytes_sent,
        bytes_received=counted.bytes_received,
        errors=counted.errors,
        errors_by_kind=dict(statistics.errors),
        percentiles=(recent.percentile(50), recent.percentile(90), recent.percentile(99)),
        chart=chart,
        rate=chart.rate(_MINUTE, numbers.covered(_MINUTE)),
        last_failure=None
        if fault is None
        else LastFailure(fault.log_key, str(fault), counted.last_fault_at),
        retry_at=counted.down_until if counted.state_name == "down" else None,
        last_probe=counted.last_probe,
        settings=member.settings,
    )


def _digest(*texts: str) -> str:
    whole = "\0\0".join(texts).encode("utf-8", "surrogateescape")
    return blake2b(whole, digest_size=8).hexdigest()
