"""What was changed of a balancer, and what it has counted, on top of what the file says now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.message.backend_url import UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import Sticky
from scgiproxy.rules.saved import SavedBalancer, SavedMember, decode_saved, encode_saved
from tests.pool.managing import Managed, label

S = BackendSettings


def restarted(before: Managed, *settings: BackendSettings, **options: Any) -> Managed:
    """Another one, which has taken up what `before` has left, by way of the text."""
    text = encode_saved("o", {"app": before.balancer.saved()})
    after = Managed(*settings, **options)
    after.balancer.restore(decode_saved(text, "o")["app"])
    assert after.told == []
    return after


def state(managed: Managed) -> Any:
    return (
        managed.balancer.fields,
        [(one.label, managed.balancer.fields_of(one)) for one in managed.pool.backends],
        [(one.elected, one.errors, one.bytes_sent, one.load) for one in managed.pool.backends],
        managed.balancer.growth_left,
    )


def test_everything(told: list[str]) -> None:
    """Changes, members that were added and then changed, and counters; and again."""
    before = Managed(S(), S(standby=True))
    before.tune(lbm="bybusyness", ss="SID", max="2")
    before.balancer.add(label("c"))
    before.change("c", D="0", lf="2.5", wr="r3", hm="TCP")
    before.change("b", H="0", N="1", ls="4", C="1")
    before.turns(7)
    before.member("a").bytes_sent = 12345
    told.clear()
    after = restarted(before, S(), S(standby=True))
    assert state(after) == state(before)
    assert after.member("c").elected > 0
    assert after.pool._selection.method.name == "bybusyness"
    assert after.turns(6) == before.turns(6)
    assert state(restarted(after, S(), S(standby=True))) == state(after)
    assert told[:3] == [
        (
            "info: balancer.restore: balancer://app: lbmethod byrequests -> bybusyness, maxattempts none"
            " -> 2, stickysession none -> SID|SID"
        ),
        (
            "info: balancer.restore: unix:/b|scgi://b of balancer://app: set 0 -> 4, draining, no standby"
            " any more, failed its health check"
        ),
        (
            "info: balancer.restore: unix:/c|scgi://c of balancer://app: load factor 1 -> 2.5, route"
            " none -> r3, hcmethod NONE -> TCP, hcinterval (ms) none -> 30000, hcpasses none -> 1,"
            " hcfails none -> 1, enabled"
        ),
    ]
    assert len(told) == 6


def test_only_what_is_different_is_kept() -> None:
    """What is set back to what the file says follows the file again."""
    managed = Managed(S(load_factor=2.0), S())
    managed.change("a", lf="5", D="1")
    managed.change("a", lf="2", D="0")
    managed.tune(tmo="5")
    managed.tune(tmo="0")
    saved = managed.balancer.saved()
    assert saved.changed == {}
    assert saved.members[label("a")].changed == {}


def test_no_secret_is_kept() -> None:
    managed = Managed(S(), nonce="secret")
    assert b"secret" not in encode_saved("o", {"app": managed.balancer.saved()})


def test_a_verdict_of_a_check_is_not_kept() -> None:
    """The check finds out anew."""
    before = Managed(S())
    before.change("a", hm="TCP", C="1")
    assert not restarted(before, S()).member("a").check_failed


@pytest.mark.parametrize("loaded", [True, False])
def test_another_configuration_of_a_member(loaded: bool, told: list[str]) -> None:
    """What was changed of that one is dropped, with a note; its counters are not."""
    before = Managed(S(), S())
    before.change("a", lf="5")
    before.change("b", lf="3")
    before.turns(5)
    told.clear()
    now = S(load_factor=2.0) if loaded else S(route=b"r")
    after = restarted(before, now, S())
    assert [one.full_factor for one in after.pool.backends] == [200 if loaded else 100, 300]
    assert [one.elected for one in after.pool.backends] == [
        one.elected for one in before.pool.backends
    ]
    assert [line for line in told if "dropped" in line] == [
        (
            "info: balancer.restore: what was changed is dropped: unix:/a|scgi://a of"
            " balancer://app: its configuration is another one now"
        )
    ]


def test_another_configuration_of_the_balancer(told: list[str]) -> None:
    """Its members are another matter, but for accounts of another method."""
    before = Managed(S(), S())
    before.tune(tmo="5")
    before.change("a", lf="5")
    before.turns(3)
    told.clear()
    text = before.balancer.saved()
    other = {**text.configured, "b_lbm": "bytraffic"}
    after = Managed(S(), S())
    after.balancer.restore(replace(text, configured=other))
    assert after.pool.settings.wait == 0
    assert [one.full_factor for one in after.pool.backends] == [500, 100]
    assert [one.load for one in after.pool.backends] == [0, 0]
    assert [line for line in told if "dropped" in line] == [
        (
            "info: balancer.restore: what was changed is dropped: balancer://app: its configuration"
            " is another one now"
        )
    ]


def test_what_is_not_there_any_more(told: list[str]) -> None:
    before = Managed(S(), S())
    before.balancer.add(label("c"))
    before.change("b", lf="5")
    before.turns(2)
    told.clear()
    after = restarted(before, S(), growth=0)
    assert [one.label for one in after.pool.backends] == [label("a")]
    assert [line.rpartition("dropped: ")[2] for line in told] == [
        (
            "unix:/c|scgi://c of balancer://app: balancer://app has no place for another member"
            " (growth=0)"
        ),
        "unix:/b|scgi://b of balancer://app: there is no such member any more",
    ]


def test_an_added_member_that_the_file_has_now(told: list[str]) -> None:
    """It takes no place, and is as the file says."""
    before = Managed(S())
    before.balancer.add(label("b"))
    before.change("b", D="0", lf="5")
    told.clear()
    after = restarted(before, S(), S())
    assert after.balancer.growth_left == 3
    assert [one.full_factor for one in after.pool.backends] == [100, 100]
    assert ["its configuration is another one now" in line for line in told] == [True]


def test_words_that_mean_nothing_any_more(told: list[str]) -> None:
    """Such as a plugin's method that is gone; what the file says holds."""
    after = Managed(S())
    after.balancer.restore(
        SavedBalancer(
            {},
            {"b_lbm": "mine"},
            ("nonsense",),
            {label("a"): SavedMember({}, {"w_he": "gone", "w_lf": "5"})},
        )
    )
    assert after.member("a").full_factor == 100
    assert len(told) == 3


FIELDS = st.dictionaries(
    st.sampled_from(
        [
            "w_lf",
            "w_ls",
            "w_wr",
            "w_rr",
            "w_max",
            "w_hm",
            "w_hi",
            "w_hp",
            "w_hf",
            "w_hu",
            "w_he",
            "w_status_D",
            "w_status_C",
            "w_x",
        ]
    ),
    st.text(max_size=5) | st.integers(0, 300).map(str) | st.sampled_from(["GET", "TCP", "NONE"]),
)


@given(FIELDS, FIELDS, st.dictionaries(st.sampled_from(["b_lbm", "b_ss"]), st.text(max_size=5)))
def test_any_words_are_survived(
    changed: dict[str, str], configured: dict[str, str], own: dict[str, str]
) -> None:
    """They are taken whole or not at all, and then survive the next restart as well."""
    managed = Managed(S())
    before = managed.balancer.fields_of(managed.member("a"))
    member = SavedMember(configured, changed)
    managed.balancer.restore(SavedBalancer({}, own, (), {label("a"): member}))
    taken = managed.balancer.saved().members[label("a")].changed
    if not taken and "w_status_C" not in changed:
        assert managed.balancer.fields_of(managed.member("a")) == before
    assert state(restarted(managed, S())) == state(managed) or "w_status_C" in changed


class TestDiscovered:
    """Members that name servers know of: `find` says which."""

    @staticmethod
    def find(managed: Managed, *names: str, **settings: Any) -> list[Backend]:
        known = {one.label: one for one in managed.pool.backends}
        backends = [
            known.get(label(name))
            or Backend(
                label(name),
                UnixAddress(f"/{name}"),
                b"/",
                S(**settings),
                clock=managed.scene.clock,  # type: ignore[arg-type]
                balancer="app",
            )
            for name in names
        ]
        managed.balancer.prepare(backends)
        managed.pool.set_backends(backends)
        return backends

    def test_what_was_set_stays(self) -> None:
        """Of one that comes back, too."""
        managed = Managed(S(), discovers=True)
        self.find(managed, "a", "b")
        managed.change("b", D="1", lf="5")
        managed.member("b").elected = 9
        self.find(managed, "a")
        assert managed.balancer.saved().members[label("b")].changed == {
            "w_status_D": "1",
            "w_lf": "5",
        }
        *_, b = self.find(managed, "a", "b")
        assert (b.disabled, b.full_factor, b.elected) == (True, 500, 0)

    def test_what_was_set_wins_over_a_record(self) -> None:
        managed = Managed(S(), discovers=True, recorded=lambda _: True)
        (member,) = self.find(managed, "a")
        managed.change("a", lf="5")
        member.full_factor, member.lbset = 200, 3  # as service.members follows a record
        self.find(managed, "a")
        assert (member.full_factor, member.lbset) == (500, 3)

    def test_after_a_restart(self, told: list[str]) -> None:
        """They are not there yet; who never comes is not forgotten."""
        before = Managed(S(), discovers=True)
        self.find(before, "a", "b", "c")
        before.change("b", D="1")
        before.change("c", lf="5")
        before.member("b").elected = 9
        told.clear()
        after = restarted(before, S(), discovers=True)
        _, b = self.find(after, "a", "b")
        assert (b.disabled, b.elected) == (True, 9)
        again = restarted(after, S(), discovers=True)
        *_, c = self.find(again, "a", "b", "c")
        assert c.full_factor == 500
        assert told == []

    def test_a_record_is_no_configuration(self, told: list[str]) -> None:
        """Another weight than at the time is no reason to drop what was set."""
        before = Managed(S(), discovers=True, recorded=lambda _: True)
        self.find(before, "a", "b", load_factor=2.0)
        before.change("b", D="1")
        told.clear()
        after = restarted(before, S(), discovers=True, recorded=lambda _: True)
        _, b = self.find(after, "a", "b", load_factor=3.0)
        assert (b.disabled, b.full_factor, told) == (True, 300, [])

    def test_another_configuration(self, told: list[str]) -> None:
        before = Managed(S(), discovers=True)
        self.find(before, "a", "b")
        before.change("b", D="1")
        told.clear()
        after = restarted(before, S(), discovers=True)
        _, b = self.find(after, "a", "b", route=b"r")
        assert not b.disabled
        assert ["its configuration is another one now" in line for line in told] == [True]


def test_a_session_parameter() -> None:
    before = Managed(S(), sticky=Sticky(b"A", b"A", b"!"))
    before.tune(ss="-")
    after = restarted(before, S(), sticky=Sticky(b"A", b"A", b"!"))
    assert after.pool.settings.sticky is None
    after.tune(ss="B")
    assert after.pool.settings.sticky == Sticky(b"B", b"B", b"!")
