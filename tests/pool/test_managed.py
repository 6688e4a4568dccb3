"""Balancers that are changed while they run."""

from __future__ import annotations

from typing import Any

import pytest

from scgiproxy.config.expressions import compile_expression
from scgiproxy.errors import ConnectFailed
from scgiproxy.pool.balance import BUILT_IN
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import Sticky
from scgiproxy.rules.changes import MemberChange, described_balancer, described_member
from scgiproxy.rules.expression import parse_condition
from scgiproxy.rules.health import VOCABULARY, CheckMethod, HealthCheck, HealthCondition
from tests.pool.fakes import Call, Request
from tests.pool.managing import Managed, label
from tests.pool.probing import Probed, put_in_error

S = BackendSettings
OK = HealthCondition(
    "Ok", parse_condition("%{REQUEST_STATUS} == 200", VOCABULARY, compile_expression)
)


def everything(managed: Managed) -> Any:
    """All that a change could change."""
    members = [
        (managed.balancer.fields_of(one), one.load, one.settings, one.state(0.0))
        for one in managed.pool.backends
    ]
    method = managed.pool._selection.method
    return members, managed.pool.settings, method, managed.balancer.saved(), managed.told


class TestMembers:
    def test_a_load_factor(self, told: list[str]) -> None:
        """Shares are other ones from the next request on; everyone begins with its factor, as with
        Apache."""
        managed = Managed(S(), S())
        assert managed.turns(4) == "abab"
        managed.change("a", by="admin", lf="3")
        assert [one.load for one in managed.pool.backends] == [300, 100]
        assert managed.turns(8).count("a") == 6
        assert told == ["info: unix:/a|scgi://a of balancer://app: load factor 1 -> 3 (by admin)"]
        assert managed.told == ["change"]

    def test_a_load_factor_with_a_method_of_its_own(self) -> None:
        """What that keeps in `load` is its own affair."""
        managed = Managed(S(), S())
        managed.tune(lbm="leasttime")
        managed.member("b").load = 7
        managed.change("a", lf="3")
        assert managed.member("b").load == 7

    def test_a_load_factor_that_grows_slowly(self) -> None:
        managed = Managed(S(slow_start=10.0), S())
        managed.scene.clock.advance(100)
        member = managed.change("a", lf="50")
        assert (member.factor, member.full_factor) == (5000, 5000)

    def test_a_set(self) -> None:
        managed = Managed(S(), S())
        managed.change("a", ls="1")
        assert managed.turns(3) == "bbb"

    def test_routes(self) -> None:
        """Sessions go by them at once."""
        managed = Managed(S(), S(), sticky=Sticky(b"SID", b"SID"))
        managed.change("b", wr="r2")
        request = Request(b"/", b"SID=x.r2")
        assert [managed.scene.serve(request=request) for _ in range(3)] == ["b"] * 3
        managed.change("b", D="1", rr="r1")
        managed.change("a", wr="r1")
        assert managed.scene.serve(request=request) == "a"

    def test_disabled_and_enabled(self, told: list[str]) -> None:
        """Who comes back has nothing to catch up."""
        managed = Managed(S(), S())
        managed.change("a", D="1")
        assert managed.turns(5) == "bbbbb"
        managed.change("a", D="0")
        assert [one.load for one in managed.pool.backends] == [0, 0]
        assert managed.turns(4) == "abab"
        assert [line.rpartition(": ")[2] for line in told] == ["disabled", "enabled"]

    def test_enabled_with_bytraffic(self) -> None:
        managed = Managed(S(), S(disabled=True))
        managed.tune(lbm="bytraffic")
        managed.member("a").bytes_sent = 10**9
        managed.change("b", D="0")
        assert managed.member("a").bytes_sent == 0

    @pytest.mark.parametrize("flag", ["D", "S", "C"])
    def test_an_enabled_member_is_tried_at_once(self, flag: str) -> None:
        """Also when it was in error: the next request finds out."""
        managed = Managed(S(), S())
        member = managed.change("a", **{flag: "1"})
        put_in_error(member, ConnectFailed("x"))
        assert managed.turns(3) == "bbb"
        managed.change("a", **{flag: "0"})
        assert "a" in managed.turns(2)

    def test_an_edit_does_not_bring_back(self) -> None:
        """A form has all flags: those that were not set before say nothing of an error."""
        managed = Managed(S(), S())
        put_in_error(managed.member("a"), ConnectFailed("x"))
        managed.change("a", lf="2", D="0", S="0", C="0")
        assert managed.turns(3) == "bbb"

    def test_draining(self) -> None:
        """Sessions stay; `in_flight` says what is left."""
        managed = Managed(S(route=b"r1"), S(), sticky=Sticky(b"SID", b"SID"))
        call = managed.scene.call()
        managed.scene.dialer.open()[0].succeed()
        member = managed.change("a", N="1")
        assert (member.draining, member.in_flight) == (True, 1)
        assert managed.turns(3) == "bbb"
        assert managed.scene.serve(request=Request(b"/", b"SID=x.r1")) == "a"
        call.dispatch.release(None)
        assert member.in_flight == 0

    def test_who_waits_is_served(self) -> None:
        """A limit that is raised, or taken away, makes room."""
        managed = Managed(S(max_connections=1), growth=0)
        calls: list[Call] = [managed.scene.call() for _ in range(4)]
        assert managed.pool.queued == 3
        managed.change("a", max="2")
        assert managed.pool.queued == 2
        managed.change("a", max="0")
        assert (managed.pool.queued, managed.member("a").limit) == (0, None)
        assert all(call.error is None for call in calls)

    def test_several_at_once(self, told: list[str]) -> None:
        managed = Managed(S(), S(standby=True))
        managed.change("b", H="0", R="1", I="1", wr="x\u2028y", hm="TCP", hi="5000")
        assert told[0].partition(": route ")[2] == (
            "none -> x\\u2028y, hcmethod NONE -> TCP, hcinterval (ms) none -> 5000, hcpasses none"
            " -> 1, hcfails none -> 1, errors are ignored, no standby any more, a spare"
        )
        assert len(told) == 1

    def test_nothing_new(self, told: list[str]) -> None:
        managed = Managed(S(), S())
        before = everything(managed)
        managed.balancer.change_member(managed.member("a"), MemberChange(load_factor=1.0, flags={}))
        managed.tune(lbm="byrequests", ss="-", tmo="0", max="", sforce="0")
        assert everything(managed) == before
        assert (told, managed.told) == ([], [])

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (
                MemberChange(load_factor=5.0, check_method=CheckMethod.GET, check_condition="nop"),
                "w_he: expected the name of a ProxyHCExpr, got 'nop'",
            ),
            (MemberChange(lbset=3, load_factor=1000.0), "w_lf: expected a number from 1 to 100"),
            (MemberChange(lbset=3, route=b"a\nb"), "w_wr: expected no control characters"),
        ],
    )
    def test_all_or_nothing(self, change: MemberChange, problem: str, told: list[str]) -> None:
        managed = Managed(S(), S())
        before = everything(managed)
        with pytest.raises(ValueError, match=problem):
            managed.balancer.change_member(managed.member("a"), change)
        assert everything(managed) == before
        assert told == []

    def test_a_stranger(self) -> None:
        managed, other = Managed(S()), Managed(S())
        with pytest.raises(ValueError, match="is no member of balancer://app any more"):
            managed.balancer.change_member(other.member("a"), MemberChange())
        with pytest.raises(ValueError, match=r"has no member 'unix:/aa\|scgi://a'; did you mean"):
            managed.balancer.member("unix:/aa|scgi://a")


class TestHealthChecks:
    def test_one_is_set_up(self) -> None:
        managed = Managed(S(), conditions={"ok": OK})
        member = managed.change("a", hm="GET", hi="250", hp="2", hf="3", hu="/up", he="OK")
        assert member.settings.health == HealthCheck(CheckMethod.GET, 0.25, 2, 3, b"/up", OK)
        assert managed.told == ["members", "change"]

    def test_what_is_not_said_stays(self) -> None:
        check = HealthCheck(CheckMethod.GET, 5.0, 2, 3, b"/up", OK)
        managed = Managed(S(health=check))
        member = managed.change("a", hi="1000")
        assert member.settings.health == HealthCheck(CheckMethod.GET, 1.0, 2, 3, b"/up", OK)
        member = managed.change("a", he="", hu="")
        assert member.settings.health == HealthCheck(CheckMethod.GET, 1.0, 2, 3)

    def test_off_and_on(self) -> None:
        """Nobody is left out by a check that is no more; what was written is there again."""
        check = HealthCheck(CheckMethod.GET, 5.0, 2, 3, b"/up", OK)
        managed = Managed(S(health=check))
        member = managed.member("a")
        member.check_failed = True
        managed.change("a", hm="NONE")
        assert (member.settings.health, member.check_failed) == (None, False)
        managed.change("a", hm="GET")
        assert member.settings.health == check

    def test_without_a_method_there_is_none(self) -> None:
        managed = Managed(S())
        managed.change("a", hi="1000", hu="/x")
        assert managed.member("a").settings.health is None
        managed.change("a", hm="GET")
        assert managed.member("a").settings.health == HealthCheck(CheckMethod.GET, 1.0, uri=b"/x")

    def test_the_checks_follow(self, probed: Probed) -> None:
        """A check that is changed begins anew, one that is gone does not go on."""
        checks = probed(S(), S())
        (a, b), pool = checks.members, checks.scene.pool
        assert pool.backends == (a, b)
        a.settings = S(health=HealthCheck(CheckMethod.TCP, 5.0))
        checks.checks.update()
        checks.until_probe(2)
        assert checks.open == ["a"]
        a.settings = S()
        checks.checks.update()
        assert checks.open == []
        checks.advance(20)
        assert checks.open == []


class TestBalancers:
    def test_a_method(self, told: list[str]) -> None:
        """With an account of its own."""
        managed = Managed(S(), S())
        managed.turns(3)
        before = managed.pool._selection.method
        managed.tune(lbm="bybusyness", by="admin")
        method = managed.pool._selection.method
        assert (method.name, managed.pool.settings.method) == ("bybusyness", "bybusyness")
        assert [one.load for one in managed.pool.backends] == [0, 0]
        managed.tune(lbm="byrequests")
        assert managed.pool._selection.method is not before
        assert told[0] == "info: balancer://app: lbmethod byrequests -> bybusyness (by admin)"

    def test_what_may_be_named(self) -> None:
        """heartbeat would choose nobody without its file."""
        assert "heartbeat" not in Managed(S()).balancer.methods
        assert list(Managed(S(), storage="/x").balancer.methods) == list(BUILT_IN)

    def test_a_method_that_there_is_not(self) -> None:
        managed = Managed(S())
        before = everything(managed)
        with pytest.raises(ValueError, match=r"b_lbm: expected one of .*; did you mean byrequests"):
            managed.tune(lbm="byrequest", tmo="5")
        assert everything(managed) == before

    def test_the_other_parameters(self, told: list[str]) -> None:
        managed = Managed(S(), sticky=Sticky(b"A", b"B", b"!", True))
        managed.tune(tmo="2.5", max="3", sforce="1", ss="SID|sid")
        settings = managed.pool.settings
        assert (settings.wait, settings.max_attempts, settings.no_failover) == (2.5, 3, True)
        assert settings.sticky == Sticky(b"SID", b"sid", b"!", True)
        managed.tune(max="", ss="-")
        assert (managed.pool.settings.max_attempts, managed.pool.settings.sticky) == (None, None)
        managed.tune(ss="X")
        assert managed.pool.settings.sticky == Sticky(b"X", b"X", b"!", True)
        assert told[0] == (
            "info: balancer://app: timeout 0 -> 2.5, maxattempts none -> 3, nofailover Off -> On,"
            " stickysession A|B -> SID|sid"
        )

    @pytest.mark.parametrize(("written", "nonce"), [("", ""), ("abc", "abc")])
    def test_a_nonce_that_is_written(self, written: str, nonce: str) -> None:
        assert Managed(S(), nonce=written).balancer.nonce == nonce

    def test_a_nonce_that_is_made_up(self) -> None:
        nonces = {Managed(S()).balancer.nonce for _ in range(3)}
        assert {len(nonce) for nonce in nonces} == {32}
        assert len(nonces) == 3


class TestGrowth:
    def test_a_member_is_added(self, told: list[str]) -> None:
        """It is disabled until somebody says otherwise."""
        managed = Managed(S(), S())
        member = managed.balancer.add(label("c"), by="admin")
        assert managed.pool.backends[-1] is member
        assert (member.disabled, member.balancer, managed.balancer.growth_left) == (True, "app", 2)
        assert managed.turns(3) == "aba"
        managed.change("c", D="0")
        assert "c" in managed.turns(3)
        assert told[0] == "info: balancer://app: unix:/c|scgi://c added, disabled (by admin)"
        assert managed.told[:2] == ["members", "change"]

    @pytest.mark.parametrize(
        ("url", "problem"),
        [
            (label("a"), r"unix:/a\|scgi://a is a member already\Z"),
            ("unix:/a|scgi://other/", "is a member already, as unix:/a"),
            ("http://h/", "scheme 'http' is not served here"),
            ("balancer://x", "a balancer cannot be a member, got 'balancer://x'"),
            ("scgi://[fe80::1%nothing0]:1/", "this machine has no network interface"),
            ("scgi://h/\n", "expected a URL without control characters"),
            ("scgi://h/" + "x" * 500, "expected a URL of at most 500 characters, got 509"),
            ("", "'' is no URL"),
        ],
    )
    def test_what_is_refused(self, url: str, problem: str, told: list[str]) -> None:
        managed = Managed(S())
        before = everything(managed)
        with pytest.raises(ValueError, match=problem):
            managed.balancer.add(url)
        assert everything(managed) == before
        assert told == []

    def test_no_place_is_left(self) -> None:
        managed = Managed(S(), growth=1)
        managed.balancer.add("scgi://127.0.0.1:1")
        with pytest.raises(ValueError, match=r"no place for another member \(growth=1\)"):
            managed.balancer.add("scgi://127.0.0.1:2")


def test_the_fields_of_what_runs() -> None:
    """Those of the configuration, until something is changed."""
    managed = Managed(S(load_factor=2.0, route=b"r"), wait=3.0)
    assert managed.balancer.fields == described_balancer(managed.pool.settings)
    member = managed.member("a")
    assert managed.balancer.fields_of(member) == described_member(member.settings)
    managed.change("a", lf="7.25", C="1", max="4")
    assert managed.balancer.fields_of(member) == {
        **described_member(member.settings),
        "w_lf": "7.25",
        "w_max": "4",
        "w_status_C": "1",
    }
