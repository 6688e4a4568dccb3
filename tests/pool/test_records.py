"""What is read from DNS answers, and what is left out."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.names import dns

from scgiproxy.pool.records import (
    MAX_ALIASES,
    MAX_MEMBERS,
    Service,
    load_factors,
    read_addresses,
    read_services,
)


def a(name: str, *addresses: str, ttl: int = 60, cls: int = dns.IN) -> list[dns.RRHeader]:
    return [dns.RRHeader(name, dns.A, cls, ttl, dns.Record_A(text)) for text in addresses]


def aaaa(name: str, *addresses: str, ttl: int = 60) -> list[dns.RRHeader]:
    return [dns.RRHeader(name, dns.AAAA, dns.IN, ttl, dns.Record_AAAA(text)) for text in addresses]


def cname(name: str, target: str, ttl: int = 60) -> list[dns.RRHeader]:
    return [dns.RRHeader(name, dns.CNAME, dns.IN, ttl, dns.Record_CNAME(target))]


def srv(
    name: str, priority: int, weight: int, port: int, target: str | bytes, ttl: int = 60
) -> list[dns.RRHeader]:
    payload = dns.Record_SRV(priority, weight, port, target)
    return [dns.RRHeader(name, dns.SRV, dns.IN, ttl, payload)]


def test_addresses() -> None:
    answers = a("app.example", "192.0.2.1", "192.0.2.2", "192.0.2.1")
    answers += a("app.example", "192.0.2.3", ttl=5)
    read = read_addresses(answers, "app.example", dns.A)
    assert read.addresses == ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    assert read.ttl == 5
    assert read.left_out == 0


def test_ipv6_addresses_in_one_form() -> None:
    answers = aaaa("app", "2001:DB8:0:0::1", "2001:db8::1", "::ffff:192.0.2.1")
    assert read_addresses(answers, "app", dns.AAAA).addresses == ("2001:db8::1", "192.0.2.1")


def test_no_record() -> None:
    read = read_addresses(aaaa("app", "2001:db8::1"), "app", dns.A)
    assert (read.addresses, read.ttl) == ((), inf)


def test_records_of_other_names_and_classes_are_not_taken() -> None:
    answers = a("app.evil.example", "192.0.2.66") + a("app", "192.0.2.67", cls=dns.CH)
    answers += a("app", "192.0.2.1")
    assert read_addresses(answers, "app", dns.A).addresses == ("192.0.2.1",)


@pytest.mark.parametrize(("asked", "owner"), [("app.example.", "App.Example"), ("APP", "app")])
def test_names_are_compared_as_names(asked: str, owner: str) -> None:
    assert read_addresses(a(owner, "192.0.2.1"), asked, dns.A).addresses == ("192.0.2.1",)


def test_aliases_are_followed() -> None:
    """Whatever the order of the records; the least TTL counts."""
    answers = a("c", "192.0.2.1", ttl=50) + cname("B", "C", ttl=7) + cname("a", "b", ttl=60)
    read = read_addresses(answers, "a", dns.A)
    assert (read.addresses, read.ttl) == (("192.0.2.1",), 7)


def test_an_alias_to_nowhere() -> None:
    assert read_addresses(cname("a", "b"), "a", dns.A).addresses == ()


@pytest.mark.parametrize("loop", [["a", "a"], ["a", "b", "a"]])
def test_aliases_in_a_circle(loop: list[str]) -> None:
    answers = [one for pair in pairwise(loop) for one in cname(*pair)]
    with pytest.raises(ValueError, match="aliases follow each other"):
        read_addresses(answers, "a", dns.A)


def test_so_many_aliases_and_no_more() -> None:
    names = [f"n{number}" for number in range(MAX_ALIASES + 2)]
    answers = [one for pair in pairwise(names) for one in cname(*pair)]
    answers += a(names[-1], "192.0.2.1")
    assert read_addresses(answers, names[1], dns.A).addresses == ("192.0.2.1",)
    with pytest.raises(ValueError, match="over 10 aliases"):
        read_addresses(answers, names[0], dns.A)


@pytest.mark.parametrize("nobody", ["0.0.0.0", "255.255.255.255", "224.0.0.1"])
def test_ipv4_addresses_of_nobody(nobody: str) -> None:
    read = read_addresses(a("app", nobody, "127.0.0.1"), "app", dns.A)
    assert (read.addresses, read.left_out) == (("127.0.0.1",), 1)


@pytest.mark.parametrize("nobody", ["::", "::ffff:0.0.0.0", "ff02::1", "fe80::1"])
def test_ipv6_addresses_of_nobody(nobody: str) -> None:
    read = read_addresses(aaaa("app", nobody, "::1"), "app", dns.AAAA)
    assert (read.addresses, read.left_out) == (("::1",), 1)


def test_services_in_order() -> None:
    answers = srv("_app", 20, 5, 4000, "c") + srv("_app", 10, 1, 4000, "B.Example", ttl=9)
    answers += srv("_app", 10, 3, 4001, "a") + srv("_app", 10, 3, 4001, "a")
    read = read_services(answers, "_app")
    assert read.services == (
        Service(10, 3, "a", 4001),
        Service(10, 1, "b.example", 4000),
        Service(20, 5, "c", 4000),
    )
    assert (read.ttl, read.left_out) == (9, 0)


@pytest.mark.parametrize(
    ("port", "target"),
    [(0, b"a"), (1, b"a b"), (1, b"a\n"), (1, b"\xff"), (1, b"x" * 64), (1, b"x." * 127 + b"y")],
)
def test_services_that_cannot_be_used(port: int, target: bytes) -> None:
    read = read_services(srv("_app", 0, 0, port, target), "_app")
    assert (read.services, read.left_out) == ((), 1)


def test_a_service_that_is_not_there() -> None:
    read = read_services(srv("_app", 0, 0, 0, b""), "_app")
    assert (read.services, read.left_out) == ((), 0)


def test_services_beyond_the_bound() -> None:
    """Those of the first priority and of the greatest weight stay."""
    answers = [one for n in range(MAX_MEMBERS) for one in srv("_app", 1, n, 4000, f"n{n}")]
    answers += srv("_app", 0, 0, 4000, "first") + srv("_app", 2, 9, 4000, "last")
    read = read_services(answers, "_app")
    assert len(read.services) == MAX_MEMBERS
    assert read.left_out == 2
    assert read.services[0].target == "first"
    assert {f"n{n}" for n in range(1, MAX_MEMBERS)} < {one.target for one in read.services}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([], []),
        ([0], [1]),
        ([0, 0], [1, 1]),
        ([7], [1]),
        ([10, 10, 10], [1, 1, 1]),
        ([10, 20, 25], [1, 2, 2.5]),
        ([3, 10], [1, 3.33]),
        ([0, 1], [1, 100]),
        ([0, 10, 20], [1, 50, 100]),
        ([1, 65535], [1, 100]),
        ([100, 65535, 32768], [1, 100, 50]),
    ],
)
def test_load_factors(weights: list[float], expected: list[float]) -> None:
    assert load_factors(weights) == expected


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=20))
def test_load_factors_are_allowed_ones_in_the_order_of_the_weights(weights: list[int]) -> None:
    factors = load_factors(weights)
    assert all(1 <= factor <= 100 for factor in factors)
    assert sorted(factors) == [factor for _, factor in sorted(zip(weights, factors, strict=True))]


@given(st.lists(st.integers(656, 65535), min_size=2, max_size=20))
def test_load_factors_are_in_proportion(weights: list[int]) -> None:
    """When the greatest is not over a hundred times the least, as here."""
    least = min(weights)
    for weight, factor in zip(weights, load_factors(weights), strict=True):
        assert factor == pytest.approx(weight / least, rel=0.02)
