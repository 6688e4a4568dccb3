"""ErrorDocument, SetHandler, and ProxyErrorOverride: what is answered in place of something."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.web.resource import Resource
from zope.interface import implementer

from scgiproxy.errors import ConfigError
from scgiproxy.interfaces import IResourcePlugin
from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured, answered

PROXY = "ProxyPass /app scgi://127.0.0.1:4000\nProxyPass /dead scgi://127.0.0.1:4009\n"


@behaviour("ErrorDocument")
@pytest.mark.parametrize(
    ("words", "status", "body", "location"),
    [
        ('503 "It is down <b>now</b>"', 503, b"It is down <b>now</b>", None),
        ("503 Down", 503, b"Down", None),
        ('503 "Down today', 503, b"Down today", None),
        ("503 /down.html", 503, b"the page", None),
        ("503 http://status.example/x", 302, None, "http://status.example/x"),
        ("503 default", 503, None, None),
        ("404 Other", 503, None, None),
    ],
)
def test_forms(
    configured: Configured,
    tmp_path: Path,
    words: str,
    status: int,
    body: bytes | None,
    location: str | None,
) -> None:
    """A text, a path of this server, a URL, or the gateway's page again."""
    (tmp_path / "down.html").write_text("the page")
    gateway = configured(f"ErrorDocument {words}\nDocumentRoot {tmp_path}\n{PROXY}")
    gateway.down.add("127.0.0.1:4009")
    asked = gateway.ask("/dead")
    assert asked.status == status
    assert asked["location"] == location
    if body is not None:
        assert asked.body == body
    else:
        assert b"<title>" in asked.body


@behaviour("ErrorDocument")
def test_page_from_a_backend(configured: Configured) -> None:
    """Its status is the error's if it says none; it is told what went wrong, and for whom."""
    gateway = configured(f"ErrorDocument 503 /app/error?from=gateway\n{PROXY}")
    gateway.down.add("127.0.0.1:4009")
    page = answered("X-Page: yes", status="")
    asked = gateway.ask("/dead/x?q=1", "X-Mine: y", method="POST", body=b"data", answer=page)
    assert (asked.status, asked.body, asked["x-page"]) == (503, b"hello", "yes")
    assert asked.where == ["127.0.0.1:4009", "127.0.0.1:4000"]
    variables = asked.variables
    assert variables["REQUEST_METHOD"] == "GET"
    assert variables["CONTENT_LENGTH"] == "0"
    assert variables["QUERY_STRING"] == "from=gateway"
    assert variables["REDIRECT_STATUS"] == "503"
    assert variables["REDIRECT_URL"] == "/dead/x"
    assert variables["REDIRECT_QUERY_STRING"] == "q=1"
    assert variables["REDIRECT_REQUEST_METHOD"] == "POST"
    assert variables["HTTP_X_MINE"] == "y"


@behaviour("ErrorDocument")
def test_page_from_a_backend_that_says_a_status(configured: Configured) -> None:
    gateway = configured(f"ErrorDocument 404 /app/error\n{PROXY}")
    for said, status in (("410 Gone", 410), ("200 OK", 200)):
        asked = gateway.ask("/nothing", answer=answered(status=said))
        assert (asked.status, asked.body) == (status, b"hello")


@behaviour("ErrorDocument")
def test_page_that_fails_itself(configured: Configured) -> None:
    """There is no second error document: the gateway's page, with the first error's status."""
    gateway = configured(f"ErrorDocument 404 /nothing\nErrorDocument 503 /dead\n{PROXY}")
    gateway.down.add("127.0.0.1:4009")
    assert gateway.ask("/missing").status == 404
    asked = gateway.ask("/dead")
    assert asked.status == 503
    assert b"<title>503" in asked.body


@behaviour("ErrorDocument", "Require")
def test_places(configured: Configured) -> None:
    """Of one status the innermost counts; others are inherited."""
    gateway = configured(
        f"""
        ErrorDocument 404 main-404
        ErrorDocument 403 main-403
        {PROXY}
        <VirtualHost *>
          ErrorDocument 404 host-404
          <Location /in>
            ErrorDocument 404 location-404
          </Location>
          <Location /in/default>
            ErrorDocument 404 default
          </Location>
          <Location /closed>
            Require all denied
          </Location>
        </VirtualHost>
        """
    )
    assert gateway.ask("/x").body == b"host-404"
    assert gateway.ask("/in/x").body == b"location-404"
    assert b"<title>404" in gateway.ask("/in/default").body
    assert gateway.ask("/closed").body == b"main-403"


@behaviour("ErrorDocument")
def test_pages_of_a_backend_stay(configured: Configured) -> None:
    gateway = configured(f"ErrorDocument 404 mine\n{PROXY}")
    asked = gateway.ask("/app", answer=answered("Content-Length: 5", status="404 Not Found"))
    assert (asked.status, asked.body) == (404, b"hello")


@behaviour("ProxyErrorOverride", "ErrorDocument")
@pytest.mark.parametrize(
    ("words", "overridden"),
    [
        ("Off", set()),
        ("On", {400, 404, 500, 599}),
        ("On 404 500", {404, 500}),
    ],
)
def test_error_override(configured: Configured, words: str, overridden: set[int]) -> None:
    """A backend's error pages give way to those of the gateway: all, or those that are named."""
    gateway = configured(f"ProxyErrorOverride {words}\nErrorDocument 404 mine\n{PROXY}")
    for status in (200, 302, 399, 400, 404, 500, 599):
        asked = gateway.ask("/app", answer=answered("Content-Length: 5", status=f"{status} X"))
        assert asked.status == status
        assert (asked.body != b"hello") is (status in overridden)
        if status == 404 and 404 in overridden:
            assert asked.body == b"mine"


@behaviour("ProxyErrorOverride")
def test_error_override_places(configured: Configured) -> None:
    gateway = configured(
        f"""
        ProxyErrorOverride On
        {PROXY}
        <VirtualHost *>
          ProxyErrorOverride On 404
          <Location /app/off>
            ProxyErrorOverride Off
          </Location>
        </VirtualHost>
        """
    )

    def passes(path: str, status: str) -> bool:
        answer = answered("Content-Length: 5", "WWW-Authenticate: x", status=status)
        return gateway.ask(path, answer=answer).body == b"hello"

    assert passes("/app", "500 X")
    assert not passes("/app", "404 X")
    assert passes("/app/off", "404 X")


class Page(Resource):
    isLeaf = True

    def render(self, request):  # type: ignore[no-untyped-def]
        body = request.content.read() if request.content else b""
        return b" ".join((request.method, request.uri, *request.postpath, body))


@implementer(IResourcePlugin)
class PagePlugin:
    name = "test-page"

    def resource(self, settings: object) -> Resource:
        return Page()


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scgiproxy.service.build.getPlugins", lambda *_: iter([PagePlugin()]))


@pytest.mark.usefixtures("plugins")
@behaviour("SetHandler", "Require")
def test_resource_plugin(configured: Configured) -> None:
    """A Twisted Resource answers every request of the section, under the same rules."""
    gateway = configured(
        f"""
        {PROXY}
        <Location /page>
          SetHandler test-page
        </Location>
        <Location /page/closed>
          Require all denied
        </Location>
        <Location /page/none>
          SetHandler None
        </Location>
        """
    )
    assert gateway.ask("/page/a?b=c").body == b"GET /page/a?b=c a "
    assert gateway.ask("/page", method="POST", body=b"data").body == b"POST /page data"
    assert gateway.ask("/page/closed").status == 403
    assert gateway.ask("/page/none").status == 404
    assert gateway.ask("/elsewhere").status == 404
    assert gateway.ask("/app").body == b"hello"


@pytest.mark.usefixtures("plugins")
@behaviour("SetHandler")
def test_unknown_plugin(configured: Configured) -> None:
    """Told with its place, and with the names that there are."""
    with pytest.raises(ConfigError) as caught:
        configured("<Location /x>\nSetHandler nothing\n</Location>")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("f", 2)
    assert "SetHandler nothing" in problem.message
    assert "test-page" in problem.message
    configured("<Location /x>\nSetHandler test-page\n</Location>")


@behaviour("SetHandler")
def test_handler_of_a_backend(configured: Configured) -> None:
    """proxy:URL passes the section's requests on, with PATH_INFO."""
    gateway = configured(
        """
        <Location /sh>
          SetHandler proxy:scgi://127.0.0.1:4000
        </Location>
        <Location /socket/>
          SetHandler "proxy:unix:/run/app.sock|scgi://app"
        </Location>
        <LocationMatch "\\.py$">
          SetHandler proxy:scgi://127.0.0.1:4001/
        </LocationMatch>
        """
    )
    asked = gateway.ask("/sh/a%20b")
    assert asked.where == ["127.0.0.1:4000"]
    assert (asked.variables["SCRIPT_NAME"], asked.variables["PATH_INFO"]) == ("/sh", "/a b")
    asked = gateway.ask("/socket/x")
    assert asked.where == ["unix:/run/app.sock"]
    assert (asked.variables["SCRIPT_NAME"], asked.variables["PATH_INFO"]) == ("/socket", "/x")
    assert gateway.ask("/x/y.py").where == ["127.0.0.1:4001"]
    assert gateway.ask("/other").status == 404


@behaviour("SetHandler", "ProxyPass")
def test_handler_of_a_whole_host(configured: Configured) -> None:
    """At server level; a ProxyPass goes before it."""
    gateway = configured(
        f"{PROXY}<VirtualHost *>\nSetHandler proxy:scgi://127.0.0.1:4001\n</VirtualHost>"
    )
    assert gateway.ask("/anything").where == ["127.0.0.1:4001"]
    assert gateway.ask("/app").where == ["127.0.0.1:4000"]


@behaviour("SetHandler", "ProxyPass")
def test_proxy_pass_goes_before_a_handler(configured: Configured) -> None:
    """Wherever either stands; what ProxyPass leaves out is the handler's."""
    gateway = configured(
        f"""
        ProxyPass /app/not !
        {PROXY}
        <Location />
          SetHandler proxy:scgi://127.0.0.1:4001
        </Location>
        <Location /both>
          SetHandler proxy:scgi://127.0.0.1:4001
          ProxyPass scgi://127.0.0.1:4003
        </Location>
        <Location /both/not>
          ProxyPass !
        </Location>
        """
    )
    for path, port in (("/app", 0), ("/app/not", 1), ("/x", 1), ("/both", 3), ("/both/not", 1)):
        assert gateway.ask(path).where == [f"127.0.0.1:400{port}"], path
