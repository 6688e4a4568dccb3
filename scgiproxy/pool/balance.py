"""The lbmethods: which of the usable members serves the next request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from scgiproxy.interfaces import IBalancingMethod
from scgiproxy.pool.backend import Backend


@implementer(IPlugin, IBalancingMethod)
class ByRequests:
    """``lbmethod=byrequests``: shares of the requests in the ratio of the load factors.

    Apache's arithmetic (mod_lbmethod_byrequests), so the order is the same as there: every
    candidate gains its factor, the first with the most is chosen and pays what all gained.
    """

    name = "byrequests"

    def choose(self, candidates: Sequence[Any]) -> Backend:
        """The next member. `candidates` are in the order of their definition, at least one."""
        total = 0
        best: Backend = candidates[0]
        most: int | None = None
        for candidate in candidates:
            candidate.load += candidate.factor
            total += candidate.factor
            if most is None or candidate.load > most:
                best, most = candidate, candidate.load
        best.load -= total
        return best


BUILT_IN: Mapping[str, IBalancingMethod] = {method.name: method for method in (ByRequests(),)}
"""The methods that a configuration can name. They keep what they count in the members."""
