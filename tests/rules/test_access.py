"""Tests for `scgiproxy.rules.access`."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from scgiproxy.rules.access import (
    LOOPBACK_HANDLERS,
    Outcome,
    RequireAll,
    RequireAllGranted,
    RequireAny,
    RequireIp,
    RequireLocal,
    RequireLoopback,
    Requirement,
    RequireNone,
    RequireNot,
    RequireUser,
    RequireValidUser,
)
from scgiproxy.rules.hostaccess import AccessOrder, HostAccess, parse_host_list
from scgiproxy.rules.networks import NetworkSet, parse_networks
from tests.rules.plain_facts import PlainFacts

GRANT = RequireAllGranted(True)
DENY = RequireAllGranted(False)
ALICE = RequireUser(frozenset({b"alice"}))


def flag(name: str) -> Requirement:
    """A requirement met by requests that have the variable `name`."""
    return HostAccess(AccessOrder.ALLOW_DENY, parse_host_list([f"env={name}"]))


def outcome(requirement: Requirement, flags: str = "", user: bytes | None = None) -> Outcome:
    facts = PlainFacts(environment={each.encode(): b"1" for each in flags})
    return requirement.check(facts, user)


def test_require_ip_needs_an_address() -> None:
    """``Require ip`` alone is an error."""
    with pytest.raises(ValueError, match="no address"):
        parse_networks([])


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (b"10.1.2.3", Outcome.GRANTED),
        (b"10.2.0.1", Outcome.DENIED),
        (b"::ffff:10.1.9.9", Outcome.GRANTED),
        (b"::ffff:10.2.9.9", Outcome.DENIED),
        (b"2001:db8::9", Outcome.GRANTED),
        (b"2001:db9::9", Outcome.DENIED),
        (b"", Outcome.DENIED),
    ],
)
def test_require_ip_compares_the_client(client: bytes, expected: Outcome) -> None:
    """Any network may match; mapped addresses are IPv4; a UNIX socket is nowhere."""
    rule = RequireIp(parse_networks(["10.1", "192.168.0.0/16", "2001:db8::/32"]))
    assert rule.check(PlainFacts(remote_addr=client), None) is expected


def test_ipv4_network_does_not_match_ipv6_client() -> None:
    """The whole of IPv4 is not the whole of IPv6."""
    assert ip_address("2001:db8::1") not in NetworkSet(parse_networks(["0.0.0.0/0"]))
    assert ip_address("10.0.0.1") not in NetworkSet(parse_networks(["::/0"]))


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        (b"127.0.0.1", b"127.0.0.1", Outcome.GRANTED),
        (b"127.9.9.9", b"127.0.0.1", Outcome.GRANTED),
        (b"::1", b"::1", Outcome.GRANTED),
        (b"::ffff:127.0.0.1", b"::", Outcome.GRANTED),
        (b"192.0.2.7", b"192.0.2.7", Outcome.GRANTED),
        (b"192.0.2.7", b"192.0.2.8", Outcome.DENIED),
        (b"", b"", Outcome.GRANTED),
    ],
)
def test_require_local(client: bytes, server: bytes, expected: Outcome) -> None:
    """Loopback, the server's own address and UNIX sockets are local."""
    facts = PlainFacts(remote_addr=client, server_addr=server)
    assert RequireLocal().check(facts, None) is expected


@pytest.mark.parametrize(
    ("rule", "user", "expected"),
    [
        (RequireValidUser(), None, Outcome.NEEDS_USER),
        (RequireValidUser(), b"bob", Outcome.GRANTED),
        (ALICE, None, Outcome.NEEDS_USER),
        (ALICE, b"alice", Outcome.GRANTED),
        (ALICE, b"Alice", Outcome.NEEDS_USER),
        (ALICE, b"bob", Outcome.NEEDS_USER),
        (RequireAll((ALICE, GRANT)), None, Outcome.NEEDS_USER),
        (RequireAll((GRANT, ALICE)), None, Outcome.NEEDS_USER),
        (RequireAll((ALICE, DENY)), None, Outcome.DENIED),
        (RequireAll((DENY, ALICE)), None, Outcome.DENIED),
        (RequireAll((GRANT, ALICE)), b"alice", Outcome.GRANTED),
        (RequireAny((ALICE, DENY)), None, Outcome.NEEDS_USER),
        (RequireAny((DENY, ALICE)), None, Outcome.NEEDS_USER),
        (RequireAny((ALICE, GRANT)), None, Outcome.GRANTED),
        (RequireAny((DENY, ALICE)), b"bob", Outcome.NEEDS_USER),
        # A user who is named in a `Require not` may log in as another: 401, not 403.
        (RequireAll((RequireValidUser(), RequireNot(ALICE))), None, Outcome.NEEDS_USER),
        (RequireAll((RequireValidUser(), RequireNot(ALICE))), b"alice", Outcome.NEEDS_USER),
        (RequireAll((RequireValidUser(), RequireNot(ALICE))), b"bob", Outcome.GRANTED),
        (RequireAll((RequireValidUser(), RequireNot(GRANT))), b"bob", Outcome.DENIED),
    ],
)
def test_users(rule: Requirement, user: bytes | None, expected: Outcome) -> None:
    """NEEDS_USER (401) exactly if a user name, or another one, could still change the answer."""
    assert outcome(rule, user=user) is expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", Outcome.DENIED),
        ("1", Outcome.GRANTED),
        ("2", Outcome.DENIED),
        ("12", Outcome.DENIED),
        ("3", Outcome.DENIED),
    ],
)
def test_all_with_not(flags: str, expected: Outcome) -> None:
    """authz_core.t: All(1, not 2)."""
    rule = RequireAll((flag("1"), RequireNot(flag("2"))))
    assert outcome(rule, flags) is expected


AUTHZ_INNER = {
    "any(2,3)": RequireAny((flag("2"), flag("3"))),
    "all(2,3)": RequireAll((flag("2"), flag("3"))),
    "any(any(1,2), all(3,4))": RequireAny(
        (RequireAny((flag("1"), flag("2"))), RequireAll((flag("3"), flag("4"))))
    ),
    "all(any(1,2), any(2,3))": RequireAll(
        (RequireAny((flag("1"), flag("2"))), RequireAny((flag("2"), flag("3"))))
    ),
    "all(any(1,2), all(2,3))": RequireAll(
        (RequireAny((flag("1"), flag("2"))), RequireAll((flag("2"), flag("3"))))
    ),
}


@pytest.mark.parametrize(
    ("rule", "granted"),
    [
        ("any(2,3)", {"2", "3", "12", "13", "23", "24", "34", "123", "234", "134", "124", "1234"}),
        ("all(2,3)", {"23", "123", "234", "1234"}),
        (
            "any(any(1,2), all(3,4))",
            {"1", "2", "12", "13", "14", "23", "24", "34", "123", "124", "134", "234", "1234"},
        ),
        (
            "all(any(1,2), any(2,3))",
            {"2", "12", "13", "23", "24", "123", "124", "134", "234", "1234"},
        ),
        ("all(any(1,2), all(2,3))", {"23", "123", "234", "1234"}),
    ],
)
def test_tables_of_authz_core(rule: str, granted: set[str]) -> None:
    """The inner sections of authz_core.t, and the ones its merging makes, for all 16 flag sets."""
    for number in range(16):
        flags = "".join(str(bit + 1) for bit in range(4) if number >> bit & 1)
        expected = Outcome.GRANTED if flags in granted else Outcome.DENIED
        assert outcome(AUTHZ_INNER[rule], flags) is expected, flags


def test_none_is_neutral_or_refuses() -> None:
    """RequireNone never grants; in RequireAll it takes away."""
    none = RequireNone((flag("1"), flag("2")))
    assert outcome(none) is Outcome.NEUTRAL
    assert outcome(none, "2") is Outcome.DENIED
    rule = RequireAll((none, GRANT))
    assert outcome(rule) is Outcome.GRANTED
    assert outcome(rule, "1") is Outcome.DENIED
    assert outcome(RequireNone((RequireValidUser(),)), user=b"bob") is Outcome.NEEDS_USER


def test_not_is_neutral_or_refuses() -> None:
    """RequireNot never grants, whatever kind of refusal is inside."""
    assert outcome(RequireNot(DENY)) is Outcome.NEUTRAL
    assert outcome(RequireNot(ALICE)) is Outcome.NEUTRAL
    assert outcome(RequireNot(GRANT)) is Outcome.DENIED


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RequireAll(()), "<RequireAll> is empty"),
        (lambda: RequireAny(()), "<RequireAny> is empty"),
        (lambda: RequireNone(()), "<RequireNone> is empty"),
        (lambda: RequireAll((RequireNot(GRANT),)), "contains only negative"),
        (lambda: RequireAll((RequireNone((GRANT,)), RequireNot(GRANT))), "contains only negative"),
        (lambda: RequireAny((GRANT, RequireNot(GRANT))), "no effect in <RequireAny>"),
        (lambda: RequireAny((RequireNone((GRANT,)),)), "no effect in <RequireAny>"),
        (lambda: RequireNone((RequireNot(GRANT),)), "no effect in <RequireNone>"),
    ],
)
def test_useless_containers_are_refused(make, message: str) -> None:
    """What Apache refuses at start is refused when it is made."""
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("facts", "granted"),
    [
        (PlainFacts(remote_addr=b"127.0.0.1"), True),
        (PlainFacts(remote_addr=b"127.8.9.1"), True),
        (PlainFacts(remote_addr=b"::1"), True),
        (PlainFacts(remote_addr=b"::ffff:127.0.0.1"), True),
        (PlainFacts(remote_addr=b""), True),
        (PlainFacts(remote_addr=b"192.0.2.1"), False),
        (PlainFacts(remote_addr=b"::ffff:192.0.2.1"), False),
        (PlainFacts(remote_addr=b"198.51.100.1"), False),
    ],
)
def test_loopback_only(facts: PlainFacts, granted: bool) -> None:
    """A UNIX socket is on this machine. The server's own address is no loopback address."""
    expected = Outcome.GRANTED if granted else Outcome.DENIED
    assert RequireLoopback().check(facts, None) is expected


@pytest.mark.parametrize("name", [b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"])
@pytest.mark.parametrize("address", [b"127.0.0.1", b""])
def test_what_a_proxy_has_passed_on_is_not_from_here(name: bytes, address: bytes) -> None:
    """Or everyone in front of a proxy on this machine would come from it."""
    facts = PlainFacts(remote_addr=address, headers={name: b""})
    assert RequireLoopback().check(facts, None) is Outcome.DENIED


def test_the_handlers_that_tell_of_the_gateway() -> None:
    assert {"balancer-manager", "metrics", "server-status"} == LOOPBACK_HANDLERS


def test_a_refusal_says_what_refused() -> None:
    """Where no Require is written, the log must not blame one."""
    assert RequireLocal().refusal == "access is denied by Require"
    assert "SetHandler" in RequireLoopback().refusal
