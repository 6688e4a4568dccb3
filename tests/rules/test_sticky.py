"""Tests for `scgiproxy.rules.sticky`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.rules.balancer import Sticky
from scgiproxy.rules.sticky import MAX_ROUTE, Session, find_session, redirect_chain

SID = Sticky(b"SID", b"sid")
WITH_SEMICOLON = Sticky(b"SID", b"sid", semicolon=True)
WHOLE = Sticky(b"SID", b"sid", separator=b"")
SLASH = Sticky(b"SID", b"sid", separator=b"/")
LONG = Sticky(b"SID", b"sid", separator=b"--")


def route_in(uri: bytes, cookie: bytes | None = None, sticky: Sticky = SID) -> bytes | None:
    """The route that a request asks for; None if it has no session."""
    session = find_session(sticky, uri, cookie)
    return None if session is None else session.route


@pytest.mark.parametrize(
    ("uri", "route"),
    [
        (b"/a;sid=q.r2", b"r2"),
        (b"/a;sid=q.r2?x=1", b"r2"),
        # A slash ends the parameter, and so does a semicolon.
        (b"/a;sid=q.r2/y", b"r2"),
        (b"/a;sid=q.r2;v=1", b"r2"),
        (b"/a;sid=q.r2;v=1/y/z", b"r2"),
        (b"/;sid=q.r2", b"r2"),
        (b"/a/b;v=1;sid=q.r2/c;sid=q.r3", b"r2"),
        # What only looks like one.
        (b"/a;xsid=q.r2", None),
        (b"/xsid=q.r2", None),
        (b"/sid=q.r2", None),
        (b"/a;SID=q.r2", None),
        (b"/a;sid", None),
        (b"/a%3Bsid=q.r2", None),
        (b"/a;sid%3Dq.r2", None),
        # Decoded after it was taken apart.
        (b"/a;sid=q%2Er2", b"r2"),
        (b"/a;sid=q.r%3B2", b"r;2"),
        (b"/a;%73id=q.r2", b"r2"),
        (b"/a;sid=q.r%2", b"r%2"),
        (b"/a;sid=a=b.r2", b"r2"),
    ],
)
def test_parameter_of_the_path(uri: bytes, route: bytes | None) -> None:
    assert route_in(uri) == route
    assert route_in(uri, sticky=WITH_SEMICOLON) == route


@pytest.mark.parametrize(
    ("uri", "route"),
    [
        (b"/?sid=q.r2", b"r2"),
        (b"/?x=1&sid=q.r2&y=2", b"r2"),
        (b"/?x=1?sid=q.r2", None),
        (b"/?xsid=q.r2", None),
        (b"/?x=sid=q.r2", None),
        (b"/?sid=q.r2&sid=q.r3", b"r2"),
        (b"/?sid&sid=q.r2", b"r2"),
        (b"/?sid=&sid=q.r2", b"r2"),
        (b"/?sid=q%2er%202", b"r 2"),
        (b"/?sid=q.r+2", b"r+2"),
        (b"/?s%69d=q.r2", b"r2"),
        (b"/?sid=q.r/2", b"r/2"),
        (b"http://www.test/a;sid=q.r2", b"r2"),
        (b"http://www.test?sid=q.r2", b"r2"),
        (b"*", None),
        (b"", None),
    ],
)
def test_parameter_of_the_query(uri: bytes, route: bytes | None) -> None:
    assert route_in(uri) == route
    assert route_in(uri, sticky=WITH_SEMICOLON) == route


@pytest.mark.parametrize(
    ("sticky", "route"), [(SID, b"r2;y=1"), (WITH_SEMICOLON, b"r2")], ids=["off", "on"]
)
def test_scolonpathdelim_is_about_queries(sticky: Sticky, route: bytes) -> None:
    assert route_in(b"/?sid=q.r2;y=1", sticky=sticky) == route
    assert route_in(b"/?y=1;sid=q.r2", sticky=sticky) == (b"r2" if sticky.semicolon else None)


@pytest.mark.parametrize(
    ("cookie", "route"),
    [
        (b"SID=q.r2", b"r2"),
        (b"a=b; SID=q.r2; c=d", b"r2"),
        (b"a=b;SID=q.r2;c=d", b"r2"),
        (b"SID = q.r2 ; c", b"r2"),
        (b'SID="q.r2"', b"r2"),
        (b'SID="q.r2', b"r2"),
        (b'SID=q.r2"', b'r2"'),
        (b'SID=""; SID=q.r2', b"r2"),
        (b"SID=; SID=q.r2", b"r2"),
        (b"SID=q.r2; SID=q.r3", b"r2"),
        (b"SID=q%2Er2", None),
        (b"SID=a,b.r2", b"r2"),
        (b'$Version="1"; SID="q.r2"; $Path="/"', b"r2"),
        (b"XSID=q.r2", None),
        (b"sid=q.r2", None),
        # Neither a comma nor a blank is between cookies.
        (b"a=b, SID=q.r2", None),
        (b"a=b SID=q.r2", None),
        (b"SID", None),
        (b'SID="', None),
        (b"", None),
        (None, None),
    ],
)
def test_cookie(cookie: bytes | None, route: bytes | None) -> None:
    assert route_in(b"/", cookie) == route


@pytest.mark.parametrize(
    ("sticky", "value", "route"),
    [
        (SID, b"a.b.r2", b"r2"),
        (SID, b".r2", b"r2"),
        # A session that belongs to no member, and none at all.
        (SID, b"abc.", b""),
        (SID, b".", b""),
        (SID, b"abc", None),
        (WHOLE, b"a.b.r2", b"a.b.r2"),
        (SLASH, b"a.b/r2", b"r2"),
        (SLASH, b"a.b", None),
        (LONG, b"a-b--c--r-2", b"r-2"),
        (LONG, b"a---r2", b"r2"),
        (LONG, b"a-r2", None),
    ],
)
def test_separator(sticky: Sticky, value: bytes, route: bytes | None) -> None:
    assert route_in(b"/", b"SID=" + value, sticky) == route


@pytest.mark.parametrize(
    ("value", "route"),
    [
        (b"a.b.r2", b"r2"),
        (b"a.node.1", b"node.1"),
        (b".app1.example.com", b"app1.example.com"),
        # The longest that is a route, as for Apache, which has what follows the first separator.
        (b"a.r2.node.1", b"r2.node.1"),
        (b"a.r3.node.1", b"node.1"),
        (b"a.node.2", b"2"),
        (b"r2", None),
        (b"a.", b""),
        (b"." * 5000 + b"node.1", b"node.1"),
    ],
)
def test_routes_with_a_separator_in_them(value: bytes, route: bytes | None) -> None:
    routes = {b"r2", b"node.1", b"r2.node.1", b"app1.example.com"}
    session = find_session(SID, b"/", b"SID=" + value, routes)
    assert (None if session is None else session.route) == route


def test_the_longest_route_that_a_member_can_have() -> None:
    """One with separators, right up to the limit; and behind a long session."""
    route = (b"r." * MAX_ROUTE)[:MAX_ROUTE]
    session = find_session(SID, b"/", b"SID=" + b"x." * 500 + route, [route])
    assert session is not None
    assert session.route == route


def test_the_number_of_look_ups_does_not_depend_on_what_is_sent() -> None:
    looked_up = []

    class Routes(list[bytes]):
        def __contains__(self, route: object) -> bool:
            looked_up.append(route)
            return False

    assert find_session(SID, b"/", b"SID=" + b"." * 8000, Routes()) is not None
    assert len(looked_up) <= MAX_ROUTE


def test_what_is_told_of_a_session() -> None:
    """Where it comes from, all of its value, its route: BALANCER_SESSION_STICKY and _ROUTE."""
    assert find_session(SID, b"/a;sid=q%2Er2", None) == Session(b"sid", b"q.r2", b"r2")
    assert find_session(SID, b"/", b'SID="q.r2"') == Session(b"SID", b"q.r2", b"r2")
    assert find_session(WHOLE, b"/", b"SID=q.r2") == Session(b"SID", b"q.r2", b"q.r2")


def test_order() -> None:
    """The path, the query, then the cookie; a value without a route ends the search as well."""
    cookie = b"SID=q.r4"
    assert route_in(b"/a;sid=q.r2?sid=q.r3", cookie) == b"r2"
    assert route_in(b"/a?sid=q.r3", cookie) == b"r3"
    assert route_in(b"/a", cookie) == b"r4"
    assert route_in(b"/a;sid=q?sid=q.r3", cookie) is None
    assert route_in(b"/a;sid=?sid=", cookie) == b"r4"


def test_only_one_place_is_looked_at() -> None:
    uri, cookie = b"/;=q.r1;sid=q.r2?=q.r3", b"=q.r4; SID=q.r5"
    assert route_in(uri, cookie, Sticky(b"SID", b"")) == b"r5"
    assert route_in(b"/?=q.r3", cookie, Sticky(b"", b"sid")) is None
    assert route_in(uri, cookie, Sticky(b"", b"sid")) == b"r2"


@pytest.mark.parametrize("byte", [b"%00", b"%0D%0A", b"%1f", b"%7F"])
def test_a_control_byte_never_gets_into_a_variable(byte: bytes) -> None:
    assert find_session(SID, b"/?sid=q.r" + byte + b"2", None) is None
    assert find_session(SID, b"/a;sid=q" + byte + b".r2", b"SID=q.r2") is None
    assert find_session(SID, b"/", b"SID=q\t.r2") is None


texts = st.binary(max_size=40) | st.text('sidSID=.;&?/%3B2E," ar2', max_size=40).map(str.encode)
settings_of_sessions = st.builds(
    Sticky,
    cookie=st.sampled_from([b"SID", b"a", b""]),
    parameter=st.sampled_from([b"sid", b"a", b""]),
    separator=st.sampled_from([b".", b"", b"%", b";", b"ab"]),
    semicolon=st.booleans(),
)


@given(settings_of_sessions, texts, st.none() | texts, st.lists(texts, max_size=3))
def test_whatever_is_sent(
    sticky: Sticky, uri: bytes, cookie: bytes | None, routes: list[bytes]
) -> None:
    """Nothing is raised; the route is an end of the value, after a separator; no control bytes."""
    session = find_session(sticky, uri, cookie, routes)
    if session is not None:
        assert session.name in (sticky.cookie, sticky.parameter)
        assert session.value.endswith(session.route)
        assert min(session.value) >= 0x20
        if sticky.separator:
            assert session.value.endswith(sticky.separator + session.route)
        else:
            assert session.value == session.route


printable = st.binary(max_size=30).map(lambda text: bytes(b for b in text if 0x20 <= b != 0x7F))
names = st.binary(min_size=1, max_size=10)


@given(names, printable, printable.filter(lambda route: b"." not in route), st.booleans())
def test_parameters_that_are_encoded_are_found(
    name: bytes, value: bytes, route: bytes, semicolon: bool
) -> None:
    """Any name and any value, in a path and in a query, among others."""
    whole = value + b"." + route
    sticky = Sticky(b"SID", name, semicolon=semicolon)
    pair = "{}={}".format(*(quote_from_bytes(text, safe="") for text in (name, whole))).encode()
    for uri in (
        b"/a;" + pair,
        b"/a;" + pair + b"/b;v=1",
        b"/a/" + pair + b"/b;;" + pair + b";?x",
        b"/a?" + pair,
        b"/a?&" + pair + b"&x=y",
        b"/a?x" + (b";" if semicolon else b"&") + pair,
    ):
        assert find_session(sticky, uri, None) == Session(name, whole, route)


cookie_octets = st.text(
    [chr(code) for code in range(0x21, 0x7F) if chr(code) not in '",;\\'], max_size=20
).map(str.encode)


@given(cookie_octets, cookie_octets.filter(lambda route: b"." not in route))
def test_cookies_are_found(value: bytes, route: bytes) -> None:
    """Any value of RFC 6265, with and without quotes, among others."""
    whole = value + b"." + route
    for cookies in (
        b"SID=" + whole,
        b'SID="' + whole + b'"',
        b'a="SID"; b=SID; SID=' + whole + b"; SID=x.y",
    ):
        assert find_session(SID, b"/", cookies) == Session(b"SID", whole, route)


@dataclass(eq=False)
class Member:
    """A `scgiproxy.rules.sticky.Routed`."""

    route: bytes
    redirect: bytes = b""
    up: bool = False


def served(route: bytes, *members: Member) -> Member | None:
    return redirect_chain(members, route, lambda member: member.up)


def test_a_member_serves_its_own_sessions() -> None:
    first, second = Member(b"a", b"b", up=True), Member(b"b", up=True)
    assert served(b"a", first, second) is first
    assert served(b"b", first, second) is second
    assert served(b"B", first, second) is None
    assert served(b"c", first, second) is None


def test_no_route_is_nobodys() -> None:
    """Neither an empty route of a session nor an empty redirect means members without a route."""
    without = Member(b"", up=True)
    assert served(b"", without) is None
    assert served(b"a", Member(b"a"), without) is None


def test_an_unusable_member_hands_over() -> None:
    last = Member(b"c", up=True)
    assert served(b"a", last, Member(b"a", b"b"), Member(b"b", b"c")) is last
    assert served(b"a", Member(b"a", b"nobody"), last) is None


@pytest.mark.parametrize("length", [1, 2, 3, 50])
def test_redirects_in_a_circle_end(length: int) -> None:
    members = [Member(b"%d" % n, b"%d" % ((n + 1) % length)) for n in range(length)]
    assert served(b"0", *members) is None
    members[-1].up = True
    assert served(b"0", *members) is members[-1]


def test_several_members_of_one_route() -> None:
    """In order; the redirect of the first one goes before the second one, as in Apache."""
    first, second, other = Member(b"a"), Member(b"a", up=True), Member(b"b", up=True)
    assert served(b"a", first, second, other) is second
    first.redirect = b"b"
    assert served(b"a", first, second, other) is other
    other.up = False
    assert served(b"a", first, second, other) is second


routes_of_members = st.sampled_from([b"", b"a", b"b", b"c", b"d"])


@given(
    st.lists(st.builds(Member, routes_of_members, routes_of_members, st.booleans()), max_size=8),
    routes_of_members,
)
def test_what_can_be_reached_is_found(members: Sequence[Member], route: bytes) -> None:
    """A usable member is found exactly if redirects lead to one; each is asked once at most."""
    asked: list[Member] = []

    def usable(member: Member) -> bool:
        asked.append(member)
        return member.up

    found = redirect_chain(members, route, usable)
    reachable = {route} - {b""}
    for _ in members:
        reachable |= {m.redirect for m in members if m.route in reachable and not m.up} - {b""}
    candidates = [m for m in members if m.up and m.route in reachable]
    assert (found is not None) == bool(candidates)
    assert found is None or found in candidates
    assert len(asked) == len(set(map(id, asked)))
