"""The methods that count: Apache's byrequests, bybusyness and bytraffic, with its arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zope.interface import implementer

from scgiproxy.interfaces import IBalancingMethod, ISessionAccounting
from scgiproxy.pool.backend import Backend
from scgiproxy.rules.facts import Facts


def _account(members: Sequence[Any], chosen: Any) -> None:
    """Everyone gains its factor; the chosen one pays what all have gained."""
    total = 0
    for member in members:
        member.load += member.factor
        total += member.factor
    chosen.load -= total


@implementer(IBalancingMethod, ISessionAccounting)
class ByRequests:
    """``lbmethod=byrequests``: shares of the requests in the ratio of the load factors.

    Every candidate gains its factor; the first of those that have the most is chosen, and pays
    what all have gained (mod_lbmethod_byrequests). So the order is the same as there.
    """

    name = "byrequests"

    def choose(self, candidates: Sequence[Any], request: Facts | None) -> Backend:  # noqa: ARG002
        """The next member; it is accounted in `Backend.load`."""
        total = 0
        best: Backend = candidates[0]
        most = best.load + best.factor
        for candidate in candidates:
            factor = candidate.factor
            total += factor
            load = candidate.load = candidate.load + factor
            if load > most:
                best, most = candidate, load
        best.load -= total
        return best

    def stuck(self, members: Sequence[Any], chosen: Any) -> None:
        """A session's request counts as a choice of `chosen` among all of `members`."""
        _account(members, chosen)


@implementer(IBalancingMethod, ISessionAccounting)
class ByBusyness:
    """``lbmethod=bybusyness``: the member with the fewest requests in flight.

    Among those that are equally busy it goes as with byrequests, whose account is kept at every
    choice (mod_lbmethod_bybusyness). The load factors decide only there.
    """

    name = "bybusyness"

    def choose(self, candidates: Sequence[Any], request: Facts | None) -> Backend:  # noqa: ARG002
        """The next member; it is accounted in `Backend.load`."""
        total = 0
        best: Backend = candidates[0]
        fewest = best.in_flight + best.elsewhere
        most = best.load + best.factor
        for candidate in candidates:
            factor = candidate.factor
            total += factor
            load = candidate.load = candidate.load + factor
            busy = candidate.in_flight + candidate.elsewhere
            if busy < fewest or (busy == fewest and load > most):
                best, fewest, most = candidate, busy, load
        best.load -= total
        return best

    def stuck(self, members: Sequence[Any], chosen: Any) -> None:
        """A session's request counts as a choice of `chosen` among all of `members`."""
        _account(members, chosen)


@implementer(IBalancingMethod)
class ByTraffic:
    """``lbmethod=bytraffic``: the member that has had the fewest bytes for its load factor.

    Those sent to it and those received from it, each divided by the factor and rounded down; the
    first of those that have the least is chosen (mod_lbmethod_bytraffic). The bytes count when a
    request has ended: of many that begin together all go to the same member.
    """

    name = "bytraffic"

    def choose(self, candidates: Sequence[Any], request: Facts | None) -> Backend:  # noqa: ARG002
        """The next member; nothing is to be accounted."""
        best: Backend = candidates[0]
        least = best.bytes_sent // best.factor + best.bytes_received // best.factor
        for candidate in candidates:
            factor = candidate.factor
            traffic = candidate.bytes_sent // factor + candidate.bytes_received // factor
            if traffic < least:
                best, least = candidate, traffic
        return best
