"""Sessions that stay with a member: which one a request names, and who serves it."""

from __future__ import annotations

import pytest

from tests.directives.balancing import A, B, balancer, members_down, turn, turns
from tests.directives.behaviours import behaviour
from tests.directives.gateway import Asked, Configured, ConfiguredGateway, answered

STICKY = "stickysession=SID|sid"


def sessions(*members: str, parameters: str = STICKY, more: str = "") -> str:
    """A balancer whose members have routes r1, r2 and so on, beside what is given."""
    routed = [f"route=r{number} {words}" for number, words in enumerate(members, 1)]
    return balancer(*routed, parameters=parameters) + more


def session_of(asked: Asked) -> dict[str, str]:
    """The variables of a session, without the front of their names."""
    return {
        name.removeprefix("BALANCER_"): value
        for name, value in asked.variables.items()
        if name.startswith(("BALANCER_SESSION", "BALANCER_ROUTE"))
    }


def _changed(name: str = "", route: str | None = None) -> dict[str, str]:
    found = {} if route is None else {"SESSION_STICKY": name, "SESSION_ROUTE": route}
    return {**found, "ROUTE_CHANGED": "1"}


def _kept(name: str, route: str = "r2") -> dict[str, str]:
    return {"SESSION_STICKY": name, "SESSION_ROUTE": route}


@behaviour("stickysession=", "route=")
@pytest.mark.parametrize(
    ("path", "cookie", "variables"),
    [
        ("/", "", _changed()),
        ("/", "SID=abc.r2", _kept("SID")),
        ("/", "other=1; SID=abc.r2; x=y", _kept("SID")),
        ("/", "SID=.r2", _kept("SID")),
        ("/", "SID=r2", _changed()),
        ("/", "SID=abc", _changed()),
        ("/", "SID=abc.", _changed("SID", "")),
        ("/", "SID=abc.r9", _changed("SID", "r9")),
        ("/", "SID=abc.R2", _changed("SID", "R2")),
        ("/", "sid=abc.r2", _changed()),
        ("/", "SID=a.b.r2", _kept("SID")),
        ("/", 'SID="abc.r2"', _kept("SID")),
        ("/", "XSID=abc.r2", _changed()),
        ("/", "x=1, SID=abc.r2", _changed()),
        ("/", "x=1 SID=abc.r2", _changed()),
        ("/?sid=abc.r2", "", _kept("sid")),
        ("/?a=b&sid=abc.r2&c=d", "", _kept("sid")),
        ("/?SID=abc.r2", "", _changed()),
        ("/?sid=abc%2Er2", "", _kept("sid")),
        ("/?s%69d=abc.r2", "", _kept("sid")),
        ("/?xsid=abc.r2", "", _changed()),
        ("/xsid=abc.r2", "", _changed()),
        ("/;sid=abc.r2", "", _kept("sid")),
        ("/x;sid=abc.r2/y", "", _kept("sid")),
        ("/x;a=b;sid=abc.r2?q", "", _kept("sid")),
        ("/?sid=abc.r2;x=y", "", _changed("sid", "r2;x=y")),
        ("/?sid=abc.r2", "SID=abc.r1", _kept("sid")),
        ("/?sid=abc.r9", "SID=abc.r2", _changed("sid", "r9")),
        ("/?sid=", "SID=abc.r2", _kept("SID")),
    ],
)
def test_what_names_a_session(
    configured: Configured, path: str, cookie: str, variables: dict[str, str]
) -> None:
    """The URL before the cookie; whole names, decoded values, the last separator. Who has none, or
    one that is no member's, goes where the method says, which is a here."""
    gateway = configured(sessions("", ""))
    asked = gateway.ask(path, *([f"Cookie: {cookie}"] if cookie else []))
    assert session_of(asked) == variables
    assert asked.where == [A if "ROUTE_CHANGED" in variables else B]
    assert asked.variables["BALANCER_WORKER_ROUTE"] == ("r1" if asked.where == [A] else "r2")


@behaviour("stickysession=")
@pytest.mark.parametrize(
    ("word", "path", "cookie", "member"),
    [
        ("stickysession=SID", "/?SID=x.r2", "", "b"),
        ("stickysession=SID", "/", "SID=x.r2", "b"),
        ("stickysession=|sid", "/", "sid=x.r2", "a"),
        ("stickysession=|sid", "/?sid=x.r2", "", "b"),
        ("stickysession=SID|", "/?SID=x.r2", "", "a"),
        ("stickysession=SID|", "/", "SID=x.r2", "b"),
        ("", "/?SID=x.r2", "SID=x.r2", "a"),
    ],
)
def test_names(configured: Configured, word: str, path: str, cookie: str, member: str) -> None:
    """One name is that of a cookie and of a parameter; either may be left out."""
    gateway = configured(sessions("", "", parameters=word))
    assert turn(gateway, f"Cookie: {cookie}", path=path) == member


def test_without_it_there_are_no_variables(configured: Configured) -> None:
    gateway = configured(sessions("", "", parameters=""))
    assert session_of(gateway.ask("/", "Cookie: SID=x.r2")) == {}


@behaviour("stickysessionsep=")
@pytest.mark.parametrize(
    ("word", "value", "member"),
    [
        ("stickysessionsep=!", "x!r2", "b"),
        ("stickysessionsep=!", "x.r2", "a"),
        ("stickysessionsep=Off", "r2", "b"),
        ("stickysessionsep=Off", "x.r2", "a"),
        ("stickysessionsep=.", "x.r2", "b"),
    ],
)
def test_separator(configured: Configured, word: str, value: str, member: str) -> None:
    gateway = configured(sessions("", "", parameters=f"{STICKY} {word}"))
    assert turn(gateway, f"Cookie: SID={value}") == member


@behaviour("scolonpathdelim=")
@pytest.mark.parametrize(
    ("word", "member"), [("", "a"), ("scolonpathdelim=On", "b"), ("scolonpathdelim=Off", "a")]
)
@pytest.mark.parametrize("query", ["sid=x.r2;y=z", "y=z;sid=x.r2"])
def test_semicolons_in_a_query(configured: Configured, word: str, member: str, query: str) -> None:
    gateway = configured(sessions("", "", parameters=f"{STICKY} {word}"))
    assert turn(gateway, path=f"/?{query}") == member


@behaviour("stickysession=", "status=", "lbset=")
@pytest.mark.parametrize(
    ("second", "member"),
    [
        ("", "b"),
        ("status=N", "b"),
        ("lbset=1", "b"),
        ("status=H", "b"),
        ("status=R", "b"),
        ("status=D", "a"),
        ("status=S", "a"),
    ],
)
def test_a_sessions_member_is_used(configured: Configured, second: str, member: str) -> None:
    """Also if it is draining, a standby, a spare or in a later set; not if it is disabled."""
    gateway = configured(sessions("", second))
    assert turn(gateway, "Cookie: SID=x.r2") == member


@behaviour("stickysession=", "status=")
def test_ordinary_members_before_standbys(configured: Configured) -> None:
    """Of several with the route."""
    gateway = configured(
        balancer("status=H route=r", "route=r", parameters="stickysession=SID forcerecovery=off")
    )
    assert turn(gateway, "Cookie: SID=x.r") == "b"
    gateway.down = members_down("b")
    assert turn(gateway, "Cookie: SID=x.r") == "(ba)"


@behaviour("redirect=", "stickysession=")
@pytest.mark.parametrize(
    ("members", "down", "went"),
    [
        (("", "redirect=r3", ""), "", "b"),
        (("", "redirect=r3", ""), "b", "(bc)"),
        (("", "redirect=r3 status=D", ""), "", "c"),
        (("", "redirect=r3 status=D", "redirect=r4 status=D", ""), "", "d"),
        (("", "redirect=r3 status=D", "redirect=r2 status=D"), "", "a"),
        (("", "redirect=r9 status=D", ""), "", "a"),
        (("", "redirect=r3", "status=D"), "b", "(ba)"),
    ],
)
def test_redirect(configured: Configured, members: tuple[str, ...], down: str, went: str) -> None:
    """The route that takes over while the member cannot be used, and its own redirect then."""
    gateway = configured(sessions(*members))
    gateway.down = members_down(down)
    assert turn(gateway, "Cookie: SID=x.r2") == went
    gateway.down = set()
    if went[-1] != "b":
        variables = session_of(gateway.ask("/", "Cookie: SID=x.r2"))
        assert variables == _changed("SID", "r2")


@behaviour("nofailover=", "stickysession=")
@pytest.mark.parametrize(
    ("word", "went"), [("nofailover=On", ["b", "-", "-"]), ("nofailover=Off", ["(ba)", "a", "a"])]
)
def test_no_failover(configured: Configured, word: str, went: list[str]) -> None:
    """503 for the sessions of a member that is down, and for nobody else."""
    gateway = configured(sessions("", "", parameters=f"{STICKY} {word}"))
    gateway.down = members_down("b")
    assert [turn(gateway, "Cookie: SID=x.r2") for _ in went] == went
    assert gateway.ask("/", "Cookie: SID=x.r2").status == (503 if "-" in went else 200)
    assert turns(gateway, 2) == "aa"
    assert turn(gateway, "Cookie: SID=x.r9") == "a"


@behaviour("nofailover=")
def test_no_failover_within_a_request(configured: Configured) -> None:
    """The answer is 503 at once, after the one attempt."""
    gateway = configured(sessions("", "", parameters=f"{STICKY} nofailover=on"))
    gateway.down = members_down("b")
    asked = gateway.ask("/", "Cookie: SID=x.r2")
    assert (asked.where, asked.status) == ([B], 503)


@behaviour("stickysession=", "lbmethod=")
@pytest.mark.parametrize("method", ["byrequests", "bybusyness"])
def test_requests_of_sessions_count(configured: Configured, method: str) -> None:
    """So that a member with many of them has fewer of the others."""
    gateway = configured(sessions("", "", parameters=f"{STICKY} lbmethod={method}"))
    assert [turn(gateway, "Cookie: SID=x.r1") for _ in range(3)] == ["a"] * 3
    assert turns(gateway, 6) == "bbbaba"


@behaviour("stickysession=")
def test_several_cookie_fields(configured: Configured) -> None:
    gateway = configured(sessions("", ""))
    assert turn(gateway, "Cookie: a=b", "Cookie: SID=x.r2") == "b"


@behaviour("stickysession=", "max=", "acquire=")
def test_a_session_waits_for_its_full_member(configured: Configured) -> None:
    """Another member would not know it."""
    gateway = configured(sessions("", "max=1 acquire=5s"))
    gateway.send("/", "Cookie: SID=x.r2")
    first = gateway.accept()
    waiting = gateway.send("/", "Cookie: SID=x.r2")
    assert len(gateway.attempts) == 1
    first.answer(answered(body=b"one")).close()
    gateway.settle()
    gateway.accept().answer(answered(body=b"two")).close()
    gateway.settle()
    assert waiting.answers[0].body == b"two"
    assert gateway.attempts[1].where == B


COOKIE = (
    '\nHeader {}add Set-Cookie "ROUTEID=.%{{BALANCER_WORKER_ROUTE}}e; path=/"'
    " env=BALANCER_ROUTE_CHANGED\n"
)


class Browser:
    """Keeps the one cookie that it was given."""

    def __init__(self, gateway: ConfiguredGateway) -> None:
        self._gateway = gateway
        self.cookie = ""

    def ask(self, path: str = "/", **options: object) -> Asked:
        headers = [f"Cookie: {self.cookie}"] if self.cookie else []
        asked = self._gateway.ask(path, *headers, **options)  # type: ignore[arg-type]
        if given := asked["set-cookie"]:
            self.cookie = given.partition(";")[0]
        return asked


class TestRouteCookie:
    """The gateway sets the cookie itself, by Apache's usual line."""

    CONFIG = sessions("", "", parameters="stickysession=ROUTEID", more=COOKIE.format(""))

    @behaviour("Header", "stickysession=", "route=")
    def test_a_client_stays(self, configured: Configured) -> None:
        gateway = configured(self.CONFIG)
        browsers = [Browser(gateway) for _ in range(2)]
        assert [browser.ask()["set-cookie"] for browser in browsers] == [
            "ROUTEID=.r1; path=/",
            "ROUTEID=.r2; path=/",
        ]
        for _ in range(3):
            for browser, where in zip(browsers, (A, B), strict=True):
                asked = browser.ask()
                assert (asked.where, asked["set-cookie"]) == ([where], None)

    @behaviour("Header", "stickysession=")
    def test_a_client_moves_with_its_member_down(self, configured: Configured) -> None:
        """It has another cookie then, and stays there when the first one is back."""
        gateway = configured(self.CONFIG)
        browser = Browser(gateway)
        browser.ask()
        gateway.down = members_down("a")
        moved = browser.ask()
        assert (moved.where, moved["set-cookie"]) == ([A, B], "ROUTEID=.r2; path=/")
        gateway.down = set()
        gateway.advance(61, 1)
        assert [browser.ask().where for _ in range(4)] == [[B]] * 4

    @behaviour("Header", "stickysession=")
    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            (answered(status="500 Error"), 500),
            (answered(status="404 Not Found"), 404),
            (answered("Location: http://elsewhere.example/", status="302 Found"), 302),
            (answered("Location: http://elsewhere.example/", status="", body=b""), 302),
            (answered("Set-Cookie: own=1"), 200),
        ],
    )
    def test_with_any_answer_of_the_application(
        self, configured: Configured, answer: bytes, status: int
    ) -> None:
        """Errors and redirects too, and beside its own cookies."""
        asked = configured(self.CONFIG).ask(answer=answer)
        assert asked.status == status
        assert asked.answer.headers["set-cookie"][-1] == "ROUTEID=.r1; path=/"

    @behaviour("Header", "stickysession=", "ProxyErrorOverride")
    @pytest.mark.parametrize(("always", "given"), [("", None), ("always ", "ROUTEID=.r1; path=/")])
    def test_with_the_gateways_own_error_pages(
        self, configured: Configured, always: str, given: str | None
    ) -> None:
        """By ``Header always``, as every header of theirs."""
        more = COOKIE.format(always) + "ProxyErrorOverride On 404\n"
        gateway = configured(sessions("", "", parameters="stickysession=ROUTEID", more=more))
        replaced = gateway.ask(answer=answered(status="404 Not Found"))
        assert (replaced.status, replaced["set-cookie"]) == (404, given)
        gateway = configured(sessions("", "", parameters="stickysession=ROUTEID", more=more))
        broken = gateway.ask(answer=b"no head")
        assert (broken.status, broken["set-cookie"]) == (502, given)

    @behaviour("Header", "stickysession=")
    def test_not_when_nobody_was_reached(self, configured: Configured) -> None:
        """There is no route to stay with."""
        more = COOKIE.format("always ")
        gateway = configured(sessions("", "", parameters="stickysession=ROUTEID", more=more))
        gateway.down = {A, B}
        asked = gateway.ask()
        assert (asked.status, asked["set-cookie"]) == (503, None)

    @behaviour("Header", "stickysession=")
    def test_after_an_internal_redirect(self, configured: Configured) -> None:
        """That of the member which has answered in the end."""
        gateway = configured(self.CONFIG)
        asked = gateway.ask(answer=[answered("Location: /other", status="", body=b""), answered()])
        assert asked.where == [A, B]
        assert asked["set-cookie"] == "ROUTEID=.r2; path=/"

    @behaviour("Header", "stickysession=", "VirtualHost")
    def test_where_the_line_may_stand(self, configured: Configured) -> None:
        """In the section of the balancer, too: it is for the requests that go there."""
        text = sessions("", "", parameters="stickysession=ROUTEID")
        inside = text.replace("</Proxy>", COOKIE.format("") + "</Proxy>")
        browser = Browser(configured(inside + "\n<VirtualHost *>\n</VirtualHost>"))
        assert [browser.ask().where for _ in range(3)] == [[A]] * 3
        assert browser.cookie == "ROUTEID=.r1"
