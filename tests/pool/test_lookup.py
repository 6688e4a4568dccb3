"""Members found by SRV records: what each record becomes, and what stays when one fails."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.names import dns
from twisted.names.error import DNSServerError

from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool.lookup import Found
from scgiproxy.rules.discovery import RecordKind
from tests.pool.discovering import SERVICE, Scene


@pytest.fixture
def services() -> Scene:
    return Scene(RecordKind.SERVICE)


def test_priority_is_lbset_and_weight_is_load_factor(services: Scene) -> None:
    services.names.services(
        SERVICE,
        (20, 7, 4000, "spare.example"),
        (10, 20, 4001, "b.example"),
        (10, 10, 4000, "A.example"),
        (300, 0, 4000, "last.example"),
    )
    services.names.addresses("a.example", "192.0.2.1")
    services.names.addresses("b.example", "192.0.2.2")
    services.names.addresses("spare.example", "192.0.2.3")
    services.names.addresses("last.example", "2001:db8::1")
    services.start()
    assert services.applied == [
        (
            Found(TcpAddress("192.0.2.2", 4001), 0, 2.0, "b.example"),
            Found(TcpAddress("192.0.2.1", 4000), 0, 1.0, "a.example"),
            Found(TcpAddress("192.0.2.3", 4000), 1, 1.0, "spare.example"),
            Found(TcpAddress("2001:db8::1", 4000), 2, 1.0, "last.example"),
        )
    ]


def test_the_addresses_of_a_target_share_its_weight(services: Scene) -> None:
    services.names.services(SERVICE, (0, 10, 4000, "one"), (0, 10, 4000, "two"))
    services.names.addresses("one", "192.0.2.1")
    services.names.addresses("two", "192.0.2.2", "192.0.2.3")
    services.start()
    assert services.shares() == [
        ("192.0.2.1:4000", 0, 2.0),
        ("192.0.2.2:4000", 0, 1.0),
        ("192.0.2.3:4000", 0, 1.0),
    ]


def test_a_change_of_weight_is_a_change(services: Scene) -> None:
    services.names.services(SERVICE, (0, 1, 4000, "a"), (0, 1, 4000, "b"))
    services.names.addresses("a", "192.0.2.1")
    services.names.addresses("b", "192.0.2.2")
    services.start()
    services.names.services(SERVICE, (0, 1, 4000, "a"), (0, 3, 4000, "b"))
    services.later(60)
    assert services.shares() == [("192.0.2.2:4000", 0, 3.0), ("192.0.2.1:4000", 0, 1.0)]


def test_a_target_on_two_ports(services: Scene) -> None:
    """It is looked up once."""
    services.names.services(SERVICE, (0, 1, 4001, "a"), (0, 1, 4000, "a"))
    services.names.addresses("a", "192.0.2.1")
    services.start()
    assert services.texts() == ["192.0.2.1:4000", "192.0.2.1:4001"]
    assert len(services.names.questions) == 3


def test_an_address_of_two_targets_is_one_member(services: Scene) -> None:
    """With the better priority, and there with the greater weight."""
    services.names.services(SERVICE, (0, 1, 4000, "a"), (0, 5, 4000, "b"), (1, 1, 4000, "c"))
    for target in "abc":
        services.names.addresses(target, "192.0.2.1")
    services.start()
    assert services.applied[-1] == (Found(TcpAddress("192.0.2.1", 4000), 0, 5.0, "b"),)


def test_over_a_hundred_priorities(services: Scene) -> None:
    services.names.services(SERVICE, *((n, 0, 4000 + n, "a") for n in range(120)))
    services.names.addresses("a", "192.0.2.1")
    services.start()
    assert [one.lbset for one in services.applied[-1]] == [*range(100), *[99] * 20]


def test_the_least_ttl_counts(services: Scene) -> None:
    services.names.services(SERVICE, (0, 1, 4000, "a"), (0, 1, 4000, "b"), ttl=50)
    services.names.addresses("a", "192.0.2.1", ttl=40)
    services.names.addresses("b", "192.0.2.2", ttl=70)
    services.start()
    assert services.wait() == 40


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([], "it has no SRV record"),
        ([(0, 0, 0, "")], "it has no SRV record"),
        ([(0, 0, 0, "a")], "1 of its SRV records cannot be used"),
        (DNSServerError("SERVFAIL"), "SERVFAIL"),
    ],
)
def test_the_last_good_members_stay(
    services: Scene, told: list[str], answer: Any, reason: str
) -> None:
    services.names.services(SERVICE, (0, 1, 4000, "a"))
    services.names.addresses("a", "192.0.2.1")
    services.start()
    if isinstance(answer, Exception):
        services.names.fail(SERVICE, dns.SRV, error=answer)
    else:
        services.names.services(SERVICE, *answer)
    services.later(60)
    services.later(1)
    assert len(services.applied) == 1
    assert told == [
        (
            f"warn: backend.name: {SERVICE} could not be resolved: {reason};"
            " its last members stay in use"
        )
    ]
    services.names.services(SERVICE, (0, 1, 4001, "a"))
    services.later(2)
    assert services.texts() == ["192.0.2.1:4001"]
    assert told[1:] == [f"info: backend.name: {SERVICE} is resolved now"]


def test_a_target_that_cannot_be_resolved_for_a_while(services: Scene, told: list[str]) -> None:
    """Its last addresses stay, while those of others change."""
    services.names.services(SERVICE, (0, 1, 4000, "a"), (0, 1, 4000, "b"))
    services.names.addresses("a", "192.0.2.1")
    services.names.addresses("b", "192.0.2.2")
    services.start()
    services.names.addresses("a", "192.0.2.9")
    services.names.remove("b")
    services.later(60)
    assert services.texts() == ["192.0.2.9:4000", "192.0.2.2:4000"]
    assert told == [
        (
            f"warn: backend.name: {SERVICE} could not be resolved: b: there is no b;"
            " what else is known of it is used"
        )
    ]
    services.names.services(SERVICE, (0, 1, 4000, "a"))
    services.later(1)
    assert services.texts() == ["192.0.2.9:4000"]
    assert told[1:] == [f"info: backend.name: {SERVICE} is resolved now"]


def test_a_target_that_was_never_resolved(services: Scene, told: list[str]) -> None:
    """The sets are numbered by the records all the same."""
    services.names.services(SERVICE, (0, 1, 4000, "a"), (1, 1, 4000, "b"))
    services.names.addresses("b", "192.0.2.2")
    services.start()
    assert services.shares() == [("192.0.2.2:4000", 1, 1.0)]
    services.names.addresses("a", "192.0.2.1")
    services.later(1)
    assert services.shares() == [("192.0.2.1:4000", 0, 1.0), ("192.0.2.2:4000", 1, 1.0)]


def test_no_target_was_ever_resolved(services: Scene, told: list[str]) -> None:
    targets = [f"t{n}" for n in range(6)]
    services.names.services(SERVICE, *((n, 1, 4000, one) for n, one in enumerate(targets)))
    services.start()
    assert services.applied == []
    assert told == [
        (
            f"warn: backend.name: {SERVICE} could not be resolved: t0: there is no t0,"
            " t1: there is no t1, t2: there is no t2, and 3 more; it stands for no member"
        )
    ]


def test_addresses_of_a_target_that_was_removed_are_forgotten(services: Scene) -> None:
    services.names.services(SERVICE, (0, 1, 4000, "a"), (0, 1, 4000, "b"))
    services.names.addresses("a", "192.0.2.1")
    services.names.addresses("b", "192.0.2.2")
    services.start()
    services.names.services(SERVICE, (0, 1, 4000, "a"))
    services.names.remove("b")
    services.later(60)
    services.names.services(SERVICE, (0, 1, 4000, "a"), (0, 1, 4000, "b"))
    services.later(60)
    assert services.texts() == ["192.0.2.1:4000"]


def test_targets_are_looked_up_a_few_at_a_time(services: Scene) -> None:
    services.names.services(SERVICE, *((0, 1, 4000, f"t{n}") for n in range(100)))
    for n in range(100):
        services.names.addresses(f"t{n}", f"192.0.2.{n}")
    services.discovery.start()
    services.clock.advance(0)
    most = 0
    while services.names.open():
        services.names._answer(services.names.open()[0])
        most = max(most, len(services.names.open()))
    assert most == 16
    assert len(services.texts()) == 100


@pytest.mark.parametrize("how", ["stopped", "too slow"])
def test_what_waits_for_its_turn_is_not_asked_after_the_end(services: Scene, how: str) -> None:
    services.names.services(SERVICE, *((0, 1, 4000, f"t{n}") for n in range(100)))
    services.names.addresses("t0", "192.0.2.1")
    services.discovery.start()
    services.clock.advance(0)
    for _ in range(3):
        services.names._answer(services.names.open()[0])
    assert len(services.names.questions) == 19
    if how == "stopped":
        services.discovery.stop()
        assert services.applied == []
    else:
        services.clock.advance(30)
        assert services.texts() == ["192.0.2.1:4000"]
    assert len(services.names.questions) == 19
    assert services.names.open() == []
