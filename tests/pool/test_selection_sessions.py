"""Which member a session goes to, and who serves it when that one cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock
from zope.interface import implementer

from scgiproxy.errors import ConnectFailed
from scgiproxy.interfaces import IAbstention, IBalancingMethod, ISessionAccounting
from scgiproxy.message.backend_url import UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.methods.apache import ByRequests
from scgiproxy.pool.selection import Blocked, Selection
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.rules.sticky import Session

NOW = 0.0


def selection(*members: dict[str, Any], no_failover: bool = False, method: Any = None) -> Selection:
    """Members a, b, c with the routes ra, rb, rc, unless they say otherwise."""
    clock = Clock()
    backends = [
        Backend(
            name,
            UnixAddress(name),
            b"/",
            BackendSettings(**{"route": b"r" + name.encode(), **settings}),
            clock=clock,
            balancer="b",
        )
        for name, settings in zip("abcdefgh", members, strict=False)
    ]
    settings = BalancerSettings(force_recovery=False, no_failover=no_failover)
    return Selection(backends, method or ByRequests(), settings)


def session(route: bytes) -> Session:
    return Session(b"SID", b"x." + route, route)


def ask(of: Selection, route: bytes = b"", *tried: str) -> str:
    """The member that such a session goes to; no route is no session."""
    passed_over = [one for one in of.members if one.label in tried]
    choice = of.choose(NOW, passed_over, session(route) if route else None)
    return choice.label if isinstance(choice, Backend) else choice.value


def break_down(of: Selection, *names: str) -> None:
    for one in of.members:
        if one.label in names:
            one.fail(ConnectFailed("x"))


def test_a_session_goes_to_its_member() -> None:
    of = selection({}, {}, {})
    assert [ask(of, b"rb") for _ in range(3)] == ["b"] * 3


def test_without_a_member_of_its_own_it_is_like_any_request() -> None:
    of = selection({}, {"route": b""}, {})
    assert [ask(of, b"other") for _ in range(3)] == ["a", "b", "c"]
    of = selection({}, {}, no_failover=True)
    assert [ask(of, b"other") for _ in range(2)] == ["a", "b"]


def test_routes_are_case_sensitive_and_whole() -> None:
    of = selection({}, {})
    assert ask(of, b"RB") == "a"
    assert ask(of, b"r") == "b"


def test_a_draining_member_keeps_its_sessions() -> None:
    of = selection({}, {"draining": True})
    assert [ask(of), ask(of, b"rb"), ask(of)] == ["a", "b", "a"]


def test_whatever_the_set_and_the_flags() -> None:
    of = selection({}, {"lbset": 5}, {"standby": True}, {"spare": True})
    assert [ask(of, route) for route in (b"rb", b"rc", b"rd")] == ["b", "c", "d"]


def test_ordinary_members_before_standbys_of_the_same_route() -> None:
    of = selection({"standby": True, "route": b"r"}, {"route": b"r"})
    assert ask(of, b"r") == "b"
    break_down(of, "b")
    assert ask(of, b"r") == "a"


def test_one_that_cannot_be_used_leaves_its_sessions_to_the_others() -> None:
    for flag in ("disabled", "stopped", "check_failed"):
        of = selection({}, {})
        setattr(of.members[1], flag, True)
        assert ask(of, b"rb") == "a"
    of = selection({}, {})
    break_down(of, "b")
    assert ask(of, b"rb") == "a"
    assert ask(of, b"ra", "a") == "none"


def test_a_redirect_names_who_takes_its_place() -> None:
    of = selection({}, {"redirect": b"rc"}, {"redirect": b"rd"}, {"draining": True})
    assert ask(of, b"rb") == "b"
    break_down(of, "b")
    assert ask(of, b"rb") == "c"
    break_down(of, "c")
    assert ask(of, b"rb") == "d"
    break_down(of, "d")
    assert ask(of, b"rb") == "a"


def test_redirects_in_a_circle_end() -> None:
    of = selection({}, {"redirect": b"rc"}, {"redirect": b"rb"})
    break_down(of, "b", "c")
    assert ask(of, b"rb") == "a"


def test_a_redirect_is_followed_after_a_failure_of_this_request() -> None:
    of = selection({"redirect": b"rc"}, {}, {})
    assert ask(of, b"ra", "a") == "c"
    assert ask(of, b"ra", "a", "c") == "b"


def test_a_route_that_changes() -> None:
    of = selection({}, {})
    of.members[0].route = b"new"
    of.change(of.members)
    assert ask(of, b"new") == "a"
    assert [ask(of, b"ra") for _ in range(3)] == ["b", "a", "b"]


# -- nofailover --------------------------------------------------------------------------------


def test_nofailover_is_for_sessions_of_a_member() -> None:
    of = selection({}, {}, no_failover=True)
    break_down(of, "b")
    assert ask(of, b"rb") == "none"
    assert ask(of, b"other") == "a"
    assert ask(of) == "a"


def test_nofailover_holds_after_a_failure_of_this_request() -> None:
    of = selection({}, {}, no_failover=True)
    assert ask(of, b"rb", "b") == "none"
    b = of.members[1]
    assert not of.has_other(NOW, [b], session(b"rb"))
    assert of.has_other(NOW, [b], session(b"other"))
    assert not of.would_recover(b, NOW, [b], session(b"rb"))


def test_nofailover_follows_redirects() -> None:
    of = selection({}, {"redirect": b"ra"}, no_failover=True)
    break_down(of, "b")
    assert ask(of, b"rb") == "a"
    assert of.has_other(NOW, [of.members[1]], session(b"rb"))


def test_nofailover_is_explained() -> None:
    of = selection({}, {}, no_failover=True)
    of.members[1].disabled = True
    told = of.explain(NOW, session(b"rb"))
    assert told == "its session is bound to route rb (nofailover); a is usable, b is disabled"
    assert of.explain(NOW, session(b"x\xff\n")) == "a is usable, b is disabled"


# -- full --------------------------------------------------------------------------------------


def test_a_session_waits_for_its_full_member() -> None:
    """It does not go to one that is free."""
    of = selection({}, {"max_connections": 1, "acquire": 3.0})
    of.members[1].take()
    assert ask(of, b"rb") == Blocked.FULL.value
    assert of.patience(NOW, (), session(b"rb")) == 3.0
    assert ask(of) == "a"
    of.members[1].give_back()
    assert ask(of, b"rb") == "b"


def test_patience_is_that_of_who_takes_its_place() -> None:
    of = selection({"acquire": 1.0, "redirect": b"rb"}, {"max_connections": 1, "acquire": 3.0}, {})
    break_down(of, "a")
    of.members[1].take()
    assert ask(of, b"ra") == "full"
    assert of.patience(NOW, (), session(b"ra")) == 3.0


# -- accounting --------------------------------------------------------------------------------


def test_sessions_count() -> None:
    """Three of them to a, and the next requests make up for it (as in Apache)."""
    of = selection({}, {})
    assert [ask(of, b"ra") for _ in range(3)] == ["a"] * 3
    assert "".join(ask(of) for _ in range(6)) == "bbbaba"


@implementer(IBalancingMethod, ISessionAccounting)
class Notes:
    """A method that writes down what it is told."""

    name = "notes"

    def __init__(self) -> None:
        self.told: list[str] = []

    def choose(self, candidates: Sequence[Any], request: Any) -> Any:
        self.told.append("choose " + "".join(one.label for one in candidates))
        return candidates[0]

    def stuck(self, members: Sequence[Any], chosen: Any) -> None:
        self.told.append("stuck " + "".join(one.label for one in members) + " " + chosen.label)


def test_what_a_method_is_told() -> None:
    """Usable ones of the whole balancer with a session; else those that compete and are free."""
    notes = Notes()
    of = selection(
        {},
        {"lbset": 1},
        {"draining": True},
        {"disabled": True},
        {"max_connections": 0},
        method=notes,
    )
    ask(of, b"rb")
    ask(of)
    assert notes.told == ["stuck abce b", "choose a"]


def test_a_full_member_is_not_accounted() -> None:
    notes = Notes()
    of = selection({"max_connections": 0}, method=notes)
    assert [ask(of, b"ra"), ask(of)] == ["full", "full"]
    assert notes.told == []


@implementer(IBalancingMethod, IAbstention)
class Nobody:
    """A method that never chooses."""

    name = "nobody"

    def choose(self, candidates: Sequence[Any], request: Any) -> None:
        return None

    def explain(self) -> str:
        return "nobody will do"


def test_a_method_that_does_not_choose() -> None:
    """A session has no need of it."""
    of = selection({}, {}, method=Nobody())
    assert ask(of) == "none"
    assert ask(of, b"rb") == "b"
    assert of.explain(NOW) == "nobody will do; a is usable, b is usable"
    break_down(of, "a", "b")
    assert of.explain(NOW) == "a is in error for 60 s more, b is in error for 60 s more"
