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
    of.recover(now)
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
    disabled = selection(S(disabled=True), force_recovery=True)
    assert not disabled.recover(NOW)
    assert disabled.choose(NOW) is Blocked.NONE
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


# -- spares ------------------------------------------------------------------------------------


def test_a_spare_takes_the_place_of_each_that_is_out() -> None:
    of = selection(S(), S(), S(spare=True), S(spare=True))
    assert order(of, 4) == "a b a b"
    break_down(of, "a")
    assert sorted(order(of, 4).split()) == ["b", "b", "c", "c"]
    break_down(of, "b")
    assert sorted(order(of, 4).split()) == ["c", "c", "d", "d"]


def test_a_spare_that_is_out_itself_leaves_it_to_the_next() -> None:
    of = selection(S(), S(), S(spare=True), S(spare=True))
    break_down(of, "a", "c")
    assert set(order(of, 4).split()) == {"b", "d"}


def test_a_spare_stands_in_for_one_that_is_disabled_or_drained() -> None:
    of = selection(S(disabled=True), S(), S(spare=True), S(spare=True))
    assert set(order(of, 4).split()) == {"b", "c"}
    of = selection(S(draining=True), S(), S(spare=True), S(spare=True))
    assert set(order(of, 4).split()) == {"b", "c"}


def test_a_spare_stands_in_within_its_set() -> None:
    of = selection(S(lbset=0), S(lbset=1), S(lbset=1, spare=True))
    break_down(of, "a")
    assert order(of, 2) == "b b"
    break_down(of, "b")
    assert order(of, 2) == "c c"


def test_a_spare_comes_before_a_standby() -> None:
    of = selection(S(), S(standby=True), S(spare=True))
    break_down(of, "a")
    assert order(of, 2) == "c c"
    break_down(of, "c")
    assert order(of, 2) == "b b"


def test_a_standby_is_no_spare() -> None:
    """With both flags it is a standby (as in Apache)."""
    of = selection(S(), S(), S(spare=True, standby=True))
    break_down(of, "a")
    assert order(of, 2) == "b b"


def test_a_full_member_needs_no_spare() -> None:
    of = selection(S(max_connections=1), S(spare=True))
    member(of, "a").take()
    assert of.choose(NOW) is Blocked.FULL


# -- draining ----------------------------------------------------------------------------------


def test_a_draining_member_gets_nothing_new() -> None:
    of = selection(S(draining=True), S(), S(standby=True))
    assert order(of, 3) == "b b b"
    break_down(of, "b")
    assert order(of, 2) == "c c"
    break_down(of, "c")
    assert of.choose(NOW) is Blocked.NONE


def test_a_draining_standby_neither() -> None:
    of = selection(S(), S(standby=True, draining=True), S(lbset=1))
    break_down(of, "a")
    assert order(of, 2) == "c c"


def test_a_flag_may_change() -> None:
    of = selection(S(), S())
    member(of, "a").draining = True
    member(of, "b").lbset = 3
    of.change(of.members)
    assert order(of, 2) == "b b"
    member(of, "a").draining = False
    of.change(of.members)
    assert order(of, 2) == "a a"


# -- after a failure ---------------------------------------------------------------------------


def test_who_else_there_is() -> None:
    of = selection(S(), S(), S(standby=True), S(draining=True))
    a, b, c, _ = of.members
    assert of.has_other(NOW, (a,))
    assert of.has_other(NOW, (a, b))
    assert not of.has_other(NOW, (a, b, c))
    break_down(of, "b")
    member(of, "c").disabled = True
    assert not of.has_other(NOW, (a,))


def recovers(of: Selection, *tried: str) -> bool:
    """Whether all are tried again if a fails too."""
    a, *_ = of.members
    return of.would_recover(a, NOW, (*(member(of, name) for name in tried), a), None)


def test_the_last_one_brings_the_others_back() -> None:
    of = selection(S(), S(), S(disabled=True), S(stopped=True), force_recovery=True)
    assert not recovers(of)
    break_down(of, "b")
    assert recovers(of)
    assert not recovers(of, "b")


def test_not_without_force() -> None:
    of = selection(S(), S())
    break_down(of, "b")
    assert not recovers(of)


def test_not_while_another_is_in_use() -> None:
    of = selection(S(), S(), S(draining=True), force_recovery=True)
    break_down(of, "b")
    assert not recovers(of)


def test_not_if_it_stays_in_use_itself() -> None:
    for settings in (S(ignore_errors=True), S(eject_rate=0.5)):
        of = selection(settings, S(), force_recovery=True)
        break_down(of, "b")
        assert not recovers(of)


def test_not_for_one_that_may_not_be_chosen() -> None:
    for flag in ("draining", "check_failed"):
        of = selection(S(), S(), force_recovery=True)
        break_down(of, "b")
        setattr(member(of, "b"), flag, True)
        assert not recovers(of)
