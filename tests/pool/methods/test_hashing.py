"""iphash and urihash: the same member for the same key, as far as its load allows."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.pool.backend import Backend
from scgiproxy.pool.methods.hashing import IPHash, URIHash
from tests.pool.methods.members import choose, make_member, make_members
from tests.rules.plain_facts import PlainFacts

PATHS = [b"/page/%d" % number for number in range(300)]

labels = st.lists(
    st.text("abcdefgh0123456789.:/", min_size=1, max_size=12), min_size=2, max_size=8, unique=True
)


def served(
    method: URIHash, members: Sequence[Backend], paths: Sequence[bytes] = PATHS
) -> dict[bytes, str]:
    """The member of each path while nothing is in flight."""
    return {path: choose(method, members, PlainFacts(decoded_path=path)).label for path in paths}


def by_address(method: IPHash, members: Sequence[Backend], address: str) -> Backend:
    return choose(method, members, PlainFacts(remote_addr=address.encode()))


class TestConsistent:
    @given(labels, st.data())
    def test_a_member_that_goes_away_moves_only_its_own_keys(
        self, names: list[str], data: st.DataObject
    ) -> None:
        """And gets them back. It makes no difference whether the ring knows the member."""
        members = [make_member(name, data.draw(st.sampled_from([1, 2, 1.5]))) for name in names]
        method = URIHash()
        before = served(method, members)
        gone = data.draw(st.sampled_from(members))
        left = [member for member in members if member is not gone]
        after = served(method, left)
        assert {path for path in PATHS if before[path] != after[path]} == {
            path for path in PATHS if before[path] == gone.label
        }
        assert served(URIHash(), left) == after
        assert served(method, members) == before == served(URIHash(), members)

    @given(labels)
    def test_a_new_member_takes_keys_and_moves_no_others(self, names: list[str]) -> None:
        *old, new = [make_member(name) for name in names]
        method = URIHash()
        before = served(method, old)
        after = served(method, [*old, new])
        assert {after[path] for path in PATHS if after[path] != before[path]} <= {new.label}

    @given(labels, st.integers(1, 400))
    def test_a_load_factor_moves_keys_only_from_and_to_its_member(
        self, names: list[str], factor: int
    ) -> None:
        """More, and it takes; less, and it gives. The order in which that happened is the same."""
        members = [make_member(name) for name in names]
        first = members[0]
        method = URIHash()
        before = served(method, members)
        first.factor = factor
        after = served(method, members)
        for path in PATHS:
            if after[path] != before[path]:
                gains, loses = after[path], before[path]
                assert first.label == (gains if factor > 100 else loses)
        assert served(URIHash(), members) == after
        first.factor = 100
        assert served(method, members) == before

    def test_the_order_of_definition_means_nothing(self) -> None:
        members = make_members(1, 2, 3)
        assert served(URIHash(), members) == served(URIHash(), members[::-1])

    def test_it_is_the_same_in_every_process(self) -> None:
        """And in the next release: the places do not depend on Python's own hash."""
        found = served(URIHash(), make_members(1, 1, 1), PATHS[:24])
        assert "".join(found.values()) == "abcbaaacbbbccacbccbacccc"

    def test_shares_by_load_factor(self) -> None:
        paths = [b"/%d" % number for number in range(6000)]
        found = Counter(served(URIHash(), make_members(1, 2, 3), paths).values())
        for name, factor in zip("abc", (1, 2, 3), strict=True):
            assert found[name] == pytest.approx(1000 * factor, rel=0.15)


class TestBounded:
    @given(
        st.lists(st.sampled_from([1, 2, 5, 0.5]), min_size=2, max_size=6),
        st.lists(st.integers(0, 5), max_size=60),
    )
    def test_nobody_has_more_than_a_quarter_over_its_share(
        self, factors: list[float], keys: list[int]
    ) -> None:
        """Whatever the keys are, the most popular member included."""
        members = make_members(*factors)
        total = sum(member.factor for member in members)
        method = URIHash()
        for in_flight, key in enumerate(keys, 1):
            chosen = choose(method, members, PlainFacts(decoded_path=b"/%d" % key))
            chosen.in_flight += 1
            assert chosen.in_flight <= ceil(1.25 * in_flight * chosen.factor / total)

    def test_the_next_on_the_ring_is_the_same_for_each_key(self) -> None:
        """Who takes the overflow is as if the busy member was not there."""
        members = make_members(1, 1, 1)
        before = served(URIHash(), members)
        for busy in members:
            busy.in_flight = 10
            left = [member for member in members if member is not busy]
            after = served(URIHash(), left)
            found = served(URIHash(), members)
            assert found == {**before, **{p: after[p] for p in PATHS if before[p] == busy.label}}
            busy.in_flight = 0

    def test_only_candidates_count(self) -> None:
        """A member that is full is none of them, and its requests are no one's average."""
        a, b, c = make_members(1, 1, 1)
        a.in_flight = 1000
        method = URIHash()
        b.in_flight = 3
        assert set(served(method, [b, c]).values()) == {"c"}


class TestKeys:
    def test_one_member_for_one_address(self) -> None:
        members = make_members(1, 1, 1, 1)
        method = IPHash()
        addresses = [f"192.0.2.{number}" for number in range(100)]
        first = [by_address(method, members, address) for address in addresses]
        assert [by_address(method, members, address) for address in addresses] == first
        assert {member.label for member in first} == set("abcd")

    def test_one_member_for_one_network_of_ipv6(self) -> None:
        """64 bits; the next network is another client."""
        members = make_members(1, 1, 1, 1)
        method = IPHash()
        for network in range(50):
            found = {
                by_address(method, members, f"2001:db8:0:{network:x}::{host:x}").label
                for host in (0, 1, 0xFFFF)
            }
            assert len(found) == 1
        found = {by_address(method, members, f"2001:db8:0:{n:x}::1").label for n in range(50)}
        assert found == set("abcd")

    def test_the_path_is_no_part_of_an_address(self) -> None:
        members = make_members(1, 1, 1, 1)
        method = IPHash()
        found = {choose(method, members, PlainFacts(decoded_path=path)).label for path in PATHS}
        assert len(found) == 1

    def test_the_address_is_no_part_of_a_path(self) -> None:
        members = make_members(1, 1, 1, 1)
        method = URIHash()
        requests = [PlainFacts(remote_addr=b"192.0.2.%d" % number) for number in range(50)]
        assert len({choose(method, members, request).label for request in requests}) == 1

    @pytest.mark.parametrize(
        ("method", "request_"),
        [(IPHash(), PlainFacts(remote_addr=b"")), (IPHash(), None), (URIHash(), None)],
    )
    def test_without_a_key_the_least_busy_member_serves(
        self, method: IPHash | URIHash, request_: PlainFacts | None
    ) -> None:
        """By its load factor."""
        a, b = members = make_members(1, 3)
        a.in_flight, b.in_flight = 1, 3
        assert choose(method, members, request_) is b
        b.in_flight = 6
        assert choose(method, members, request_) is a

    def test_one_alone(self) -> None:
        (a,) = make_members(1)
        a.in_flight = 50
        assert choose(URIHash(), [a], PlainFacts()) is a


class TestTheRing:
    def test_it_is_made_once_for_a_set_of_members(self) -> None:
        """Also if some of them are no candidates for a while, or begin slowly."""
        members = make_members(1, 1, 1)
        method = URIHash()
        served(method, members)
        points = method._ring._points
        served(method, members[1:])
        served(method, members[::-1])
        for factor in (1, 20, 99, 100):
            members[0].factor = factor
            served(method, members)
        assert method._ring._points is points

    def test_slow_start_does_not_make_it_again(self) -> None:
        """A member that is new begins with a hundredth of its load factor."""
        members = make_members(10, 10)
        a = members[0]
        a.factor = 1
        method = URIHash()
        assert Counter(served(method, members).values())["a"] < 5
        points = method._ring._points
        a.factor = 1000
        assert served(method, members) == served(URIHash(), make_members(10, 10))
        assert method._ring._points is points

    def test_a_higher_load_factor_does(self) -> None:
        members = make_members(1, 1)
        a = members[0]
        method = URIHash()
        served(method, members)
        a.factor = a.full_factor = 300
        assert served(method, members) == served(URIHash(), make_members(3, 1))

    def test_a_member_that_has_gone_for_good_leaves_it(self) -> None:
        """When the next one comes; the ring keeps nobody alive."""
        members = make_members(1, 1)
        method = URIHash()
        served(method, members)
        assert len(method._ring._of) == 2
        del members[0]
        gc.collect()
        members.append(make_member("x"))
        assert set(served(method, members).values()) == {"b", "x"}
        assert len(method._ring._of) == 2

    def test_a_name_that_is_no_utf8(self) -> None:
        members = [make_member("a\udcff"), make_member("b")]
        assert len(set(served(URIHash(), members).values())) == 2
