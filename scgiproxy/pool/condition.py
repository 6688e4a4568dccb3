"""The life of a balancer's member: what is known of it, what happens to it, and what follows."""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

from automat import TypeMachineBuilder

from scgiproxy.errors import BackendError
from scgiproxy.log.events import Logger
from scgiproxy.rules.backend import BackendSettings

_log = Logger(namespace="scgiproxy.pool.backend")


class Condition(Enum):
    """What is known of a balancer member."""

    UP = "up"
    DOWN = "down"
    """Failed, and left alone until its retry time."""
    PROBATION = "probation"
    """The retry time has come, and one request is finding out."""
    RECOVERING = "recovering"
    """Used again before its retry time (``forcerecovery``); it has not answered yet."""


BACKEND_STATES = (
    "up",
    "recovering",
    "probation",
    "down",
    "unhealthy",
    "draining",
    "disabled",
    "stopped",
)
"""The words for `pool.backend.Backend.state_name`. The first four are those of `Condition`;
unhealthy is what health checks say, the rest is what somebody has set."""

USED_STATES = frozenset(("up", "recovering"))
"""The states in which any request may go there."""


class Member:
    """What of a backend its life reads and changes; `pool.backend.Backend` is one."""

    label: str
    balancer: str | None
    settings: BackendSettings
    is_copy: bool
    condition: Condition
    down_since: float
    down_until: float
    up_since: float
    on_unreachable: Any

    def warm(self, now: float) -> bool:
        raise NotImplementedError


class Life(Protocol):
    """What happens to a member."""

    def failed(self, fault: BackendError, now: float) -> None: ...

    def probed(self) -> None: ...

    def answered(self, now: float) -> None: ...

    def proved(self, now: float) -> None: ...

    def unproved(self) -> None: ...

    def recovered(self) -> None: ...


_builder = TypeMachineBuilder(Life, Member)
_up = _builder.state("up")
_down = _builder.state("down")
_probation = _builder.state("probation")
_recovering = _builder.state("recovering")


@_up.upon(Life.failed).to(_down)
def _put_in_error(_: Life, member: Member, fault: BackendError, now: float) -> None:
    member.down_since = now
    _leave_alone(member, fault, now)
    if member.is_copy:
        return
    _log.warn(
        "{log_key}: {label} of balancer://{balancer} is in error, and tried again after"
        " {retry:g} s: {fault}",
        log_key=fault.log_key,
        label=member.label,
        balancer=member.balancer,
        retry=member.settings.retry,
        fault=str(fault),
    )


@_down.upon(Life.failed).to(_down)
@_probation.upon(Life.failed).to(_down)
@_recovering.upon(Life.failed).to(_down)
def _keep_in_error(_: Life, member: Member, fault: BackendError, now: float) -> None:
    _leave_alone(member, fault, now)
    if member.is_copy:
        return
    _log.debug(
        "{log_key}: {label} of balancer://{balancer} is still in error: {fault}",
        log_key=fault.log_key,
        label=member.label,
        balancer=member.balancer,
        fault=str(fault),
    )


def _leave_alone(member: Member, fault: BackendError, now: float) -> None:
    member.condition = Condition.DOWN
    member.down_until = now + member.settings.retry
    if fault.unreachable and member.on_unreachable is not None:
        member.on_unreachable(member)


@_down.upon(Life.probed).to(_probation)
def _probe(_: Life, member: Member) -> None:
    member.condition = Condition.PROBATION


@_probation.upon(Life.unproved).to(_down)
def _leave_to_next(_: Life, member: Member) -> None:
    member.condition = Condition.DOWN


@_probation.upon(Life.answered).to(_up)
@_recovering.upon(Life.answered).to(_up)
@_down.upon(Life.proved).to(_up)
@_probation.upon(Life.proved).to(_up)
@_recovering.upon(Life.proved).to(_up)
def _use(_: Life, member: Member, now: float) -> None:
    member.condition = Condition.UP
    member.up_since = now
    member.warm(now)
    if member.is_copy:
        return
    _log.info(
        "backend.up: {label} of balancer://{balancer} is up again; it was in error for"
        " {seconds:.0f} s",
        label=member.label,
        balancer=member.balancer,
        seconds=now - member.down_since,
    )


@_down.upon(Life.recovered).to(_recovering)
@_probation.upon(Life.recovered).to(_recovering)
def _try_again(_: Life, member: Member) -> None:
    member.condition = Condition.RECOVERING


# A request from before the failure: that it is answered does not say that new ones would be.
_down.upon(Life.answered).loop().returns(None)
# All requests that go to it find out.
_recovering.upon(Life.probed).loop().returns(None)
_recovering.upon(Life.recovered).loop().returns(None)

make_life = _builder.build()
"""The life of a member that is up."""
