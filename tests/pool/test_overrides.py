"""What was changed, against what was written; see `test_managed_saved` for all of a restart."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.task import Clock

from scgiproxy.message.backend_url import UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.overrides import Overrides
from scgiproxy.rules.backend import BackendSettings, Flag
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.rules.changes import MemberChange
from scgiproxy.rules.health import HealthCheck
from scgiproxy.rules.saved import SavedBalancer, SavedMember


def member(**settings: object) -> Backend:
    given = replace(BackendSettings(), **settings)  # type: ignore[arg-type]
    return Backend("unix:/a|scgi://a", UnixAddress("/a"), b"/", given, clock=Clock(), balancer="x")


def overrides(one: Backend, recorded: bool = False) -> Overrides:
    made = Overrides(BalancerSettings(), lambda _: recorded)
    made.adopt([one])
    return made


def test_what_is_changed_back_is_no_override() -> None:
    one = member(load_factor=2.0)
    known = overrides(one)
    known.add_to(one, MemberChange(load_factor=3.0, lbset=1))
    assert known.of(one.label) == {"w_lf": "3", "w_ls": "1"}
    known.add_to(one, MemberChange(load_factor=2.0))
    assert known.of(one.label) == {"w_ls": "1"}
    known.add({"b_tmo": "5"})
    assert known.saved([one], []).changed == {"b_tmo": "5"}
    known.add({"b_tmo": "0"})
    assert known.saved([one], []).changed == {}


def test_what_a_check_finds_out_is_no_override() -> None:
    one = member(health=HealthCheck())
    known = overrides(one)
    known.add_to(one, MemberChange(flags={Flag.CHECK_FAILED: True, Flag.DRAINING: True}))
    assert known.of(one.label) == {"w_status_N": "1"}


def test_against_a_record_stands_what_was_set_by_hand() -> None:
    one = member(load_factor=2.0)
    known = overrides(one, recorded=True)
    known.add_to(one, MemberChange(load_factor=2.0, route=b"r"))
    assert known.of_recorded(one.label) == {"w_lf": "2"}
    # What the record says may be another thing tomorrow.
    assert "w_lf" not in known.saved([one], []).members[one.label].configured


def test_one_that_is_not_there_is_kept_while_something_was_changed() -> None:
    one = member()
    known = overrides(one)
    changed = SavedMember(changed={"w_lf": "2"})
    known.keep("gone", changed)
    known.keep("gone too", SavedMember(counters={"elected": 9}))
    assert known.saved([one], [one]).members.keys() == {one.label, "gone"}
    assert known.saved([one], [one]).added == (one.label,)
    assert known.take("gone") is changed
    assert known.take("gone") is None


def test_another_configuration_does_not_fit() -> None:
    one = member()
    known = overrides(one)
    saved = known.saved([one], [])
    assert known.fits(saved)
    assert known.fits_member(saved.members[one.label], one)
    assert not known.fits(SavedBalancer(configured={"b_tmo": "7"}))
    assert not known.fits_member(SavedMember(configured={"w_lf": "7"}), one)
