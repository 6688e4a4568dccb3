"""Tests for `scgiproxy.rules.hostaccess`."""

from __future__ import annotations

import pytest

from scgiproxy.rules.access import Outcome
from scgiproxy.rules.hostaccess import AccessOrder, HostAccess, parse_host_list
from tests.rules.plain_facts import PlainFacts


@pytest.mark.parametrize(
    ("order", "allow", "deny", "granted"),
    [
        # neither, allow only, deny only, both
        (AccessOrder.DENY_ALLOW, False, False, True),
        (AccessOrder.DENY_ALLOW, True, False, True),
        (AccessOrder.DENY_ALLOW, False, True, False),
        (AccessOrder.DENY_ALLOW, True, True, True),
        (AccessOrder.ALLOW_DENY, False, False, False),
        (AccessOrder.ALLOW_DENY, True, False, True),
        (AccessOrder.ALLOW_DENY, False, True, False),
        (AccessOrder.ALLOW_DENY, True, True, False),
        (AccessOrder.MUTUAL_FAILURE, False, False, False),
        (AccessOrder.MUTUAL_FAILURE, True, False, True),
        (AccessOrder.MUTUAL_FAILURE, False, True, False),
        (AccessOrder.MUTUAL_FAILURE, True, True, False),
    ],
)
def test_order(order: AccessOrder, allow: bool, deny: bool, granted: bool) -> None:
    """The table of the Order directive's manual page."""
    everyone = parse_host_list(["all"])
    nobody = parse_host_list(["203.0.113.9"])
    rule = HostAccess(order, everyone if allow else nobody, everyone if deny else nobody)
    expected = Outcome.GRANTED if granted else Outcome.DENIED
    assert rule.check(PlainFacts(), None) is expected


@pytest.mark.parametrize(
    ("word", "facts", "matches"),
    [
        ("ALL", PlainFacts(), True),
        ("10.1", PlainFacts(remote_addr=b"10.1.2.3"), True),
        ("10.1.", PlainFacts(remote_addr=b"10.2.2.3"), False),
        ("10.0.0.0/8", PlainFacts(remote_addr=b"10.2.2.3"), True),
        ("2001:db8::/32", PlainFacts(remote_addr=b"2001:db8::1"), True),
        ("10.0.0.0/8", PlainFacts(remote_addr=b""), False),
        ("localhost", PlainFacts(remote_addr=b"127.0.0.1"), True),
        ("localhost", PlainFacts(remote_addr=b"::1"), True),
        ("localhost", PlainFacts(), False),
        ("env=LET_IN", PlainFacts(environment={b"LET_IN": b""}), True),
        ("env=let_in", PlainFacts(environment={b"LET_IN": b""}), False),
        ("env=!BAD", PlainFacts(), True),
        ("env=!BAD", PlainFacts(environment={b"BAD": b"1"}), False),
        ("example.com", PlainFacts(environment={b"REMOTE_HOST": b"www.Example.com"}), True),
        ("Example.com", PlainFacts(environment={b"REMOTE_HOST": b"example.com"}), True),
        (".example.com", PlainFacts(environment={b"REMOTE_HOST": b"www.example.com"}), True),
        (".example.com", PlainFacts(environment={b"REMOTE_HOST": b"example.com"}), False),
        ("good.com", PlainFacts(environment={b"REMOTE_HOST": b"nogood.com"}), False),
        ("example.com", PlainFacts(), False),
    ],
)
def test_host_list(word: str, facts: PlainFacts, matches: bool) -> None:
    """Every kind of word after ``from``."""
    assert parse_host_list([word]).matches(facts) is matches


def test_host_list_takes_several_words() -> None:
    """All words of all lines make one list."""
    hosts = parse_host_list(["10.1", "192.0.2.1", "env=X"])
    assert hosts.matches(PlainFacts(remote_addr=b"192.0.2.1"))
    assert hosts.matches(PlainFacts(environment={b"X": b""}))
    assert not hosts.matches(PlainFacts(remote_addr=b"192.0.2.2"))


@pytest.mark.parametrize("word", ["env=", "env=!", "10.0.0.1,10.0.0.2", "10.0.0.0/99", "#all", "*"])
def test_bad_host_word_is_refused(word: str) -> None:
    """A word that could never match is an error, not a hole."""
    with pytest.raises(ValueError, match="expected"):
        parse_host_list([word])
