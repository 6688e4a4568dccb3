"""Sessions that stay with a member: which one a request names, and who serves it.

Members have the routes r1, r2 and so on; who has no session goes to the first.
"""

from __future__ import annotations

from typing import Any

from tests.e2e.scripted import answer
from tests.parity.case import Case, Differs, get
from tests.parity.cases.balancers import GET_X, NAMES, TEXT, balancer

_STICKY = balancer("route=r1", "route=r2", parameters="stickysession=SID|sid")


def _session(
    name: str, target: str = "/x", cookie: str = "", config: str = _STICKY, **more: Any
) -> Case:
    fields = [f"Cookie: {cookie}"] if cookie else []
    return Case(name=f"lb-session-{name}", config=config, request=get(target, *fields), **more)


def _seen(member: int, route: str | None, name: str = "SID") -> dict[str, str | None]:
    """What tells that `route` was found (None: no session), and that `member` serves it."""
    facts = {
        "backend": NAMES[member],
        "BALANCER_WORKER_NAME": f"scgi://127.0.0.1:{NAMES[member]}",
        "BALANCER_WORKER_ROUTE": f"r{member + 1}",
        "BALANCER_ROUTE_CHANGED": None if member else "1",
        "BALANCER_SESSION_ROUTE": route,
        "BALANCER_SESSION_STICKY": None if route is None else name,
    }
    return {f"told.0.{fact}": value for fact, value in facts.items()}


def _only_here(difference: str, route: str | None, name: str = "SID") -> Differs:
    """Apache finds `route`, which is no member's; the gateway finds r2."""
    return Differs(difference, _seen(0, route, name), _seen(1, "r2", name))


def _only_there(name: str = "SID") -> Differs:
    """Apache finds r2 where the gateway finds no session."""
    return Differs("session-names", _seen(1, "r2", name), _seen(0, None, name))


_SESSIONS = [
    _session("none"),
    _session("cookie", cookie="SID=abc.r2"),
    _session("cookie-among-others", cookie="a=1; SID=abc.r2; b=2"),
    _session("cookie-without-value", cookie="SID=.r2"),
    _session("cookie-without-separator", cookie="SID=r2"),
    _session("cookie-without-route", cookie="SID=abc."),
    _session("cookie-unknown-route", cookie="SID=abc.r9"),
    _session("cookie-case-of-route", cookie="SID=abc.R2"),
    _session("cookie-case-of-name", cookie="sid=abc.r2"),
    _session("cookie-longer-name", cookie="XSID=abc.r2"),
    _session("query", "/x?sid=abc.r2"),
    _session("query-among-others", "/x?a=1&sid=abc.r2&b=2"),
    _session("query-case-of-name", "/x?SID=abc.r2"),
    _session("query-before-cookie", "/x?sid=abc.r2", "SID=abc.r1"),
    _session("query-semicolon", "/x?sid=abc.r2;y=z"),
    _session("path", "/x;sid=abc.r2"),
    _session("path-and-query", "/x;sid=abc.r2?a=b"),
    _session("separators", cookie="SID=a.b.r2", differs=_only_here("session-values", "b.r2")),
    _session("quotes", cookie='SID="abc.r2"', differs=_only_here("session-values", 'r2"')),
    _session("comma", cookie="a=1, SID=abc.r2", differs=_only_there()),
    _session("blank", cookie="a=1 SID=abc.r2", differs=_only_there()),
    _session("part-of-a-path", "/xsid=abc.r2", differs=_only_there("sid")),
    _session("part-of-a-name", "/x?asid=abc.r2", differs=_only_there("sid")),
    _session("path-segment", "/x;sid=abc.r2/y", differs=_only_here("session-names", "r2/y", "sid")),
    _session(
        "path-semicolon", "/x;sid=abc.r2;y=z", differs=_only_here("session-names", "r2;y=z", "sid")
    ),
    _session(
        "comma-after",
        cookie="SID=abc.r2,b=1",
        differs=Differs("session-names", _seen(1, "r2"), _seen(0, "r2,b=1")),
    ),
    _session("escaped", "/x?sid=abc%2Er2", differs=_only_here("session-values", None, "sid")),
    _session(
        "separator",
        cookie="SID=abc!r2",
        config=balancer("route=r1", "route=r2", parameters="stickysession=SID stickysessionsep=!"),
    ),
    _session(
        "separator-off",
        cookie="SID=r2",
        config=balancer(
            "route=r1", "route=r2", parameters="stickysession=SID stickysessionsep=Off"
        ),
    ),
    _session(
        "semicolon-separates",
        "/x?sid=abc.r2;y=z",
        config=balancer(
            "route=r1", "route=r2", parameters="stickysession=SID|sid scolonpathdelim=On"
        ),
    ),
    _session(
        "path-semicolon-separates",
        "/x;sid=abc.r2;y=z",
        config=balancer(
            "route=r1", "route=r2", parameters="stickysession=SID|sid scolonpathdelim=On"
        ),
    ),
    _session(
        "one-name",
        "/x?SID=abc.r2",
        config=balancer("route=r1", "route=r2", parameters="stickysession=SID"),
    ),
    _session(
        "ordinary-before-standby",
        cookie="SID=abc.r2",
        config=balancer(
            "route=r1", "route=r2 status=H", "route=r2", parameters="stickysession=SID"
        ),
    ),
    _session(
        "draining",
        cookie="SID=abc.r2",
        config=balancer("route=r1", "route=r2 status=N", parameters="stickysession=SID"),
    ),
    _session(
        "later-set",
        cookie="SID=abc.r2",
        config=balancer("route=r1", "route=r2 lbset=1", parameters="stickysession=SID"),
    ),
    _session(
        "standby",
        cookie="SID=abc.r2",
        config=balancer("route=r1", "route=r2 status=H", parameters="stickysession=SID"),
    ),
    _session(
        "disabled",
        cookie="SID=abc.r2",
        config=balancer("route=r1", "route=r2 status=D", parameters="stickysession=SID"),
    ),
    _session(
        "redirect",
        cookie="SID=abc.r2",
        config=balancer(
            *("route=r1", "route=r2 redirect=r3 status=D", "route=r3"),
            parameters="stickysession=SID",
        ),
    ),
    _session(
        "redirect-twice",
        cookie="SID=abc.r1",
        config=balancer(
            *("route=r1 redirect=r2 status=D", "route=r2 redirect=r4 status=D"),
            *("route=r3", "route=r4"),
            parameters="stickysession=SID",
        ),
    ),
    _session(
        "redirect-in-a-circle",
        cookie="SID=abc.r1",
        config=balancer(
            *("route=r1 redirect=r2 status=D", "route=r2 redirect=r1 status=D", "route=r3"),
            parameters="stickysession=SID",
        ),
    ),
    _session(
        "redirect-of-one-in-error",
        before=(get("/x", "Cookie: SID=abc.r2"),) * 2,
        cookie="SID=abc.r2",
        config=balancer(
            *("route=r1", "route=r2 redirect=r3", "route=r3"),
            parameters="stickysession=SID",
            names=("BACKEND", "DEAD", "THIRD"),
        ),
    ),
    _session(
        "redirect-nowhere",
        cookie="SID=abc.r2",
        config=balancer(
            "route=r1", "route=r2 redirect=r9 status=D", parameters="stickysession=SID"
        ),
    ),
    _session(
        "counts",
        before=(get("/x", "Cookie: SID=a.r1"),) * 3 + (GET_X,) * 6,
    ),
]

_ROUTE_COOKIE = (
    balancer("route=r1", "route=r2", parameters="stickysession=ROUTEID")
    + '\nHeader add Set-Cookie "ROUTEID=.%{BALANCER_WORKER_ROUTE}e; path=/"'
    " env=BALANCER_ROUTE_CHANGED"
)
_STAYING = get("/x", "Cookie: @COOKIES@")
_MOVING = get("/x", "Cookie: ROUTEID=.r2")
_COOKIES = [
    Case(
        name=f"lb-cookie-{name}",
        config=_ROUTE_COOKIE,
        before=before,
        request=request,
        scripts=(answer(said),),
        other=answer(said),
    )
    for name, said, before, request in (
        ("given", TEXT, (), GET_X),
        ("given-to-the-next", TEXT, (GET_X,), GET_X),
        ("kept", TEXT, (GET_X, _STAYING, _STAYING), _STAYING),
        ("kept-by-the-next", TEXT, (GET_X, GET_X, _STAYING, _STAYING), _STAYING),
        ("with-an-error", b"Status: 404 Not Found\r\n" + TEXT, (), GET_X),
        ("with-a-redirect", b"Status: 302 Found\r\nLocation: http://x.test/\r\n" + TEXT, (), GET_X),
        ("with-another", b"Set-Cookie: own=1\r\n" + TEXT, (), GET_X),
    )
]
_COOKIES += [
    Case(
        name=f"lb-cookie-{name}",
        config=_ROUTE_COOKIE.replace("${OTHER}", "${DEAD}"),
        before=before,
        request=request,
    )
    for name, before, request in (
        ("after-a-failover", (), _MOVING),
        ("after-an-earlier-failover", (_MOVING,), _MOVING),
        ("kept-after-a-failover", (_MOVING, _STAYING), _STAYING),
    )
]

CASES = (*_SESSIONS, *_COOKIES)
