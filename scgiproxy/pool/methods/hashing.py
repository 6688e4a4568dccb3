"""lbmethod=iphash and urihash: the same member for the same client, or for the same path."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import chain
from struct import Struct
from typing import Any
from weakref import ref

from zope.interface import implementer

from scgiproxy.interfaces import IBalancingMethod
from scgiproxy.pool.backend import Backend
from scgiproxy.rules.facts import Facts

_PLACES = Struct("<8Q")
"""A digest of 64 bytes has eight places."""


class Ring:
    """Points of members on a circle of 64-bit numbers: one for each hundredth of a load factor.

    The place of a point is a hash of the member's label and the point's number, so it is the same
    in every process, and does not depend on the other members. Members that are no candidates are
    passed over, and so are the points whose number is over the load factor of the moment: the
    ring is made anew only when a member comes that it does not know, or has got a higher load
    factor. Members that are gone for good leave it then.
    """

    def __init__(self) -> None:
        self._of: dict[ref[Backend], tuple[int, ...]] = {}
        self._points: dict[int, tuple[ref[Backend], int]] = {}
        self._places: list[int] = []

    def find(
        self, key: bytes, candidates: Sequence[Backend], in_flight: int, factors: int
    ) -> Backend:
        """The first of `candidates` from the place of `key` on that has room.

        `in_flight` and `factors` are the candidates' sums. There is room up to 1.25 times the
        average number of requests in flight, this one included and by load factor, rounded up
        (consistent hashing with bounded loads, Mirrokni, Thorup and Zadimoghaddam, 2016).
        """
        present = {ref(candidate): candidate for candidate in candidates}
        self._cover(present)
        places, points = self._places, self._points
        place = int.from_bytes(blake2b(key, digest_size=8).digest(), "little")
        start = bisect_left(places, place)
        share = 5 * (in_flight + 1)
        for index in chain(range(start, len(places)), range(start)):
            owner, number = points[places[index]]
            candidate = present.get(owner)
            if (
                candidate is not None
                and number < candidate.factor
                and 4 * (candidate.in_flight + candidate.elsewhere) * factors
                < share * candidate.factor
            ):
                return candidate
        raise AssertionError("all of them are over their average")

    def _cover(self, present: Mapping[ref[Backend], Backend]) -> None:
        """Have the points of all that are present."""
        known = self._of
        is_new = False
        for owner, candidate in present.items():
            if len(known.get(owner, ())) < candidate.factor:
                # Slow start will raise the factor step by step.
                count = max(candidate.factor, candidate.full_factor)
                known[owner] = _places_of(candidate.label, count)
                is_new = True
        if is_new:
            self._of = {owner: places for owner, places in known.items() if owner() is not None}
            self._points = {
                place: (owner, number)
                for owner, places in self._of.items()
                for number, place in enumerate(places)
            }
            self._places = sorted(self._points)


def _places_of(label: str, count: int) -> tuple[int, ...]:
    """At least `count` places."""
    name = label.encode(errors="surrogateescape")
    digests = (blake2b(b"%d %b" % (number, name)).digest() for number in range(-(-count // 8)))
    return tuple(chain.from_iterable(map(_PLACES.unpack, digests)))


class _Hashing(ABC):
    """A method that follows a key of the request; without a key the least busy member serves."""

    def __init__(self) -> None:
        self._ring = Ring()

    def choose(self, candidates: Sequence[Any], request: Facts | None) -> Backend:
        """The member that `request` belongs to, or the next one on the ring that has room."""
        first: Backend = candidates[0]
        if len(candidates) == 1:
            return first
        key = None if request is None else self._key(request)
        if key is None:
            return min(candidates, key=_busyness)  # type: ignore[no-any-return]
        in_flight = factors = 0
        for candidate in candidates:
            in_flight += candidate.in_flight + candidate.elsewhere
            factors += candidate.factor
        return self._ring.find(key, candidates, in_flight, factors)

    @abstractmethod
    def _key(self, request: Facts) -> bytes | None: ...


def _busyness(member: Any) -> float:
    return (member.in_flight + member.elsewhere + 1) / member.factor  # type: ignore[no-any-return]


@implementer(IBalancingMethod)
class IPHash(_Hashing):
    """``lbmethod=iphash``: one member for one client address, or one IPv6 network of 64 bits.

    Consistent: a member that goes away moves only its own clients, and gets them back. Bounded: a
    member with more than 1.25 times its share of the requests in flight is passed over. Clients
    of a UNIX socket have no address; the least busy member serves them.
    """

    name = "iphash"

    def _key(self, request: Facts) -> bytes | None:
        address = request.remote_ip
        # A client with IPv6 has a network of that size, and takes new addresses in it.
        return None if address is None else address.packed[:8]


@implementer(IBalancingMethod)
class URIHash(_Hashing):
    """``lbmethod=urihash``: one member for one path (decoded, normalised, without the query).

    Consistent and bounded as `IPHash`: each member's own caches see the same paths.
    """

    name = "urihash"

    def _key(self, request: Facts) -> bytes | None:
        return request.decoded_path
