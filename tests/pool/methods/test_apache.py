"""byrequests, bybusyness and bytraffic choose in the order in which Apache does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.pool.backend import Backend
from scgiproxy.pool.methods.apache import ByBusyness, ByRequests, ByTraffic
from tests.pool.methods.members import choose, make_members, order

SEQUENCES = [
    ((1, 1), "a b a b a b"),
    ((1, 1, 1), "a b c a b c"),
    ((1, 2), "b a b b a b"),
    ((3, 2), "a b a b a a b a b a"),
    ((1, 1, 1, 2), "d a b c d d a b c d"),
    ((1, 1, 3), "c a c b c c a c b c"),
    ((5, 1, 1), "a a b a c a a"),
    ((1.5, 1), "a b a b a"),
    ((7,), "a a a"),
]


@pytest.mark.parametrize("method", [ByRequests(), ByBusyness()])
@pytest.mark.parametrize(("factors", "expected"), SEQUENCES)
def test_the_order_of_idle_members(
    method: ByRequests | ByBusyness, factors: tuple[float, ...], expected: str
) -> None:
    """bybusyness has the account of byrequests for those that are equally busy."""
    assert order(method, make_members(*factors), len(expected.split())) == expected


@pytest.mark.parametrize("method", [ByRequests(), ByBusyness()])
def test_a_member_that_is_no_candidate_gains_nothing(method: ByRequests | ByBusyness) -> None:
    four = make_members(1, 1, 1, 1)
    del four[1]
    assert order(method, four, 6) == "a c d a c d"


@pytest.mark.parametrize("method", [ByRequests(), ByBusyness()])
def test_requests_of_sessions_count(method: ByRequests | ByBusyness) -> None:
    """Three to a; then those that are free to go anywhere make up for it."""
    a, b = members = make_members(1, 1)
    for _ in range(3):
        method.stuck(members, a)
    assert (a.load, b.load) == (-300, 300)
    assert order(method, members, 6) == "b b b a b a"


def test_a_session_counts_for_members_that_were_not_candidates() -> None:
    """All usable ones of the balancer gain, also those of a higher lbset."""
    a, b, c = make_members(1, 1, 2)
    ByRequests().stuck([a, b, c], c)
    assert [member.load for member in (a, b, c)] == [100, 100, -200]


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_a_round_gives_each_its_factor(factors: list[int]) -> None:
    """After as many requests as the factors add up to, all is even again."""
    candidates = make_members(*factors)
    served = order(ByRequests(), candidates, sum(factors)).split()
    assert [served.count(member.label) for member in candidates] == factors
    assert [member.load for member in candidates] == [0] * len(factors)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=6),
    st.data(),
)
def test_the_busiest_is_never_chosen_before_another(
    members: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Whatever happened before; and the sum of the loads stays what it was."""
    candidates = make_members(*(factor for factor, _ in members))
    for candidate, (_, busy) in zip(candidates, members, strict=True):
        candidate.in_flight = busy
        candidate.load = data.draw(st.integers(-500, 500))
    before = sum(candidate.load for candidate in candidates)
    chosen = choose(ByBusyness(), candidates)
    assert chosen.in_flight == min(candidate.in_flight for candidate in candidates)
    assert sum(candidate.load for candidate in candidates) == before


def test_while_one_member_is_busy_the_other_serves() -> None:
    method = ByBusyness()
    candidates = make_members(1, 1)
    busy = choose(method, candidates)
    busy.in_flight += 1
    assert order(method, candidates, 4) == "b b b b"
    busy.in_flight -= 1
    assert order(method, candidates, 4) == "a a a a", "the account was kept all the time"


def test_busyness_knows_no_load_factor() -> None:
    """Two requests on the strong one, one on the weak: the weak one is next."""
    a, b = make_members(10, 1)
    a.in_flight, b.in_flight = 2, 1
    assert choose(ByBusyness(), [a, b]) is b


def served_bytes(
    candidates: list[Backend], sizes: list[tuple[int, int]], method: ByTraffic | None = None
) -> str:
    """The members that serve requests with these bytes sent and received, one after the other."""
    method = method or ByTraffic()
    names = []
    for sent, received in sizes:
        chosen = choose(method, candidates)
        chosen.bytes_sent += sent
        chosen.bytes_received += received
        names.append(chosen.label)
    return " ".join(names)


@pytest.mark.parametrize(
    ("factors", "size", "expected"),
    [
        ((1, 1), (300, 1000), "a b a b"),
        ((1, 3), (300, 1000), "a b b b a b b b a"),
        ((1, 1, 3), (300, 1000), "a b c c c a b c c c"),
        # Below a hundredth of the factor nothing counts: rounded down, both apart.
        ((1, 1), (99, 99), "a a b b a b a b"),
        ((1, 1), (0, 0), "a a a a"),
    ],
)
def test_traffic_of_equal_requests(
    factors: tuple[float, ...], size: tuple[int, int], expected: str
) -> None:
    count = len(expected.split())
    assert served_bytes(make_members(*factors), [size] * count) == expected


def test_a_large_answer_is_made_up_for() -> None:
    sizes = [(100, 5000)] + [(100, 900)] * 6
    assert served_bytes(make_members(1, 1), sizes) == "a b b b b b b"
    sizes = [(100, 1900), (100, 900), (100, 900), (100, 900)]
    assert served_bytes(make_members(1, 1), sizes) == "a b b a"


def test_traffic_counts_both_directions_and_each_is_rounded() -> None:
    """150 + 150 bytes are 1 + 1, 200 + 0 are 2, and the first of equals is chosen."""
    a, b = make_members(1, 1)
    a.bytes_sent = a.bytes_received = 150
    b.bytes_sent = 200
    assert choose(ByTraffic(), [a, b]) is a
    b.bytes_sent = 199
    assert choose(ByTraffic(), [a, b]) is b


def test_requests_that_have_not_ended_have_no_traffic() -> None:
    candidates = make_members(1, 1)
    assert order(ByTraffic(), candidates, 3) == "a a a"
    assert [candidate.load for candidate in candidates] == [0, 0]
