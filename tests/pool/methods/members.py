"""Members to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock

from scgiproxy.interfaces import IBalancingMethod
from scgiproxy.message.backend_url import Address, UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.rules.backend import BackendSettings
from tests.rules.plain_facts import PlainFacts


def make_member(
    name: str,
    factor: float = 1,
    address: Address | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> Backend:
    return Backend(
        name,
        address or UnixAddress(f"/{name}"),
        b"/",
        BackendSettings(load_factor=factor, **settings),
        clock=clock or Clock(),
        balancer="b",
    )


def make_members(*factors: float) -> list[Backend]:
    """Members with these load factors, called a, b, c and so on."""
    return [make_member(name, factor) for name, factor in zip("abcdefgh", factors, strict=False)]


def choose(
    method: IBalancingMethod, candidates: Sequence[Backend], request: PlainFacts | None = None
) -> Backend:
    """One choice, which must be one."""
    chosen = method.choose(candidates, request)
    assert isinstance(chosen, Backend)
    return chosen


def order(method: IBalancingMethod, candidates: Sequence[Backend], count: int) -> str:
    """The names of the next members, whose requests end at once and have no size."""
    return " ".join(choose(method, candidates).label for _ in range(count))
