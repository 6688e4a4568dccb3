"""Who may be chosen: sets, standbys, retries, recovery by force."""

from __future__ import annotations

from twisted.internet.task import Clock

from scgiproxy.errors import ConnectFailed
from scgiproxy.message.backend_url import UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.methods.apache import ByRequests
from scgiproxy.pool.selection import Blocked, Selection
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import BalancerSettings

NOW = 0.0


def selection(*settings: BackendSettings, force_recovery: bool = False) -> Selection:
    clock = Clock()
    members = [
        Backend(name, UnixAddress(name), b"/", one, clock=clock, balancer="b")
        for name, one in zip("abcdefgh", settings, strict=False)
    ]
    of_balancer = BalancerSettings(force_recovery=force_recovery)
    return Selection(members, ByRequests(), of_balancer)


def member(of: Selection, name: str) -> Backend:
    return next(one for one in of.members if one.label == name)


def break_down(of: Selection, *names: str) -> None:
    for name in names:
        member(of, name).take()
        member(of, name).give_back(ConnectFailed("x"))


def order(of: Selection, count: int, now: float = NOW) -> str:
    return " ".join(getattr(of.choose(now), "label", "-") for _ in range(count))


S = BackendSettings


def test_lower_sets_first() -> None:
    of = selection(S(lbset=1), S(lbset=0), S(lbset=0))
    assert order(of, 4) == "b c b c"
    break_down(of, "b")
    assert order(of, 2) == "c c"
    break_down(of, "c")
    assert order(of, 2) == "a a"


def test_a_standby_serves_only_without_an_ordinary_member() -> None:
    of = selection(S(standby=True), S(), S(standby=True))
    assert order(of, 3) == "b b b"
    break_down(of, "b")
    assert order(of, 4) == "a c a c"


def test_a_standby_comes_before_a_higher_set() -> None:
    of = selection(S(standby=True), S(), S(lbset=1))
    break_down(of, "b")
    assert order(of, 2) == "a a"


def test_disabled_members_are_not_chosen() -> None:
    of = selection(S(), S(disabled=True), S(), S())
    assert order(of, 6) == "a c d a c d"


def test_full_members_do_not_compete_but_keep_the_standby_out() -> None:
    of = selection(S(max_connections=1), S(), S(standby=True))
    member(of, "a").take()
    assert order(of, 2) == "b b"
    break_down(of, "b")
    assert of.choose(NOW) is Blocked.FULL


def test_tried_members_are_not_chosen_again() -> None:
    of = selection(S(), S(), S(standby=True))
    a, b, c = of.members
    assert of.choose(NOW, (a,)) is b
    assert of.choose(NOW, (a, b)) is c
    assert of.choose(NOW, (a, b, c)) is Blocked.NONE


def test_without_force_members_stay_in_error_until_their_retry() -> None:
    of = selection(S(retry=2.0), S(retry=3.0))
    break_down(of, "a", "b")
    assert of.choose(1.9) is Blocked.NONE
    assert of.next_retry(1.9, ()) == 2.0
    assert of.next_retry(1.9, (member(of, "a"),)) == 3.0
    assert of.next_retry(2.0, ()) == 3.0
    assert of.next_retry(3.0, ()) == float("inf")
    assert order(of, 1, 2.0) == "a"


def test_force_brings_all_back_when_all_have_failed() -> None:
    of = selection(S(), S(), force_recovery=True)
    break_down(of, "a")
    assert order(of, 2) == "b b"
    break_down(of, "b")
    assert sorted(order(of, 2)) == sorted("a b")


def test_force_looks_at_enabled_members_only() -> None:
    """Apache is kept from it by one disabled member."""
    of = selection(S(), S(disabled=True), S(), force_recovery=True)
    break_down(of, "a", "c")
    assert sorted(order(of, 2)) == sorted("a c")


def test_force_waits_for_a_member_that_is_due() -> None:
    of = selection(S(retry=2.0), S(retry=60.0), force_recovery=True)
    break_down(of, "a", "b")
    assert order(of, 1, 2.0) == "a"
    assert not member(of, "b").usable(2.0)


def test_nobody_at_all() -> None:
    assert selection().choose(NOW) is Blocked.NONE
    assert selection(S(disabled=True), force_recovery=True).choose(NOW) is Blocked.NONE
    assert selection().explain(NOW) == "it has no member"


def test_patience_is_the_longest_of_those_waited_for() -> None:
    full = S(max_connections=1, acquire=1.0)
    of = selection(full, S(max_connections=1, acquire=3.0), S(disabled=True))
    assert of.patience(NOW, ()) == 3.0
    assert of.patience(NOW, (member(of, "b"),)) == 1.0
    assert selection(S(max_connections=1)).patience(NOW, ()) == float("inf")


def test_explanation() -> None:
    of = selection(S(retry=30.0), S(disabled=True), S(max_connections=1), S())
    break_down(of, "a")
    member(of, "c").take()
    assert of.explain(12.0) == (
        "a is in error for 18 s more, b is disabled, c is busy, d is usable"
    )
    member(of, "a").take()
    assert of.explain(12.0).startswith("a is being probed")
