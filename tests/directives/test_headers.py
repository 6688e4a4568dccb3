"""Header and RequestHeader: each action, the conditions, the places."""

from __future__ import annotations

import pytest

from tests.directives.behaviours import behaviour
from tests.directives.gateway import HELLO, Configured, answered

PROXY = "ProxyPass / scgi://127.0.0.1:4000/\n"
BACKEND = answered("Content-Length: 5", "X-Has: old", "Set-Cookie: a=1", "Set-Cookie: b=2")
ACTIONS = [
    ("set X-Has new", ["new"]),
    ("set X-New new", None),
    ("append X-Has new", ["old, new"]),
    ("append X-New new", None),
    ("add X-Has new", ["old", "new"]),
    ("merge X-Has new", ["old, new"]),
    ("merge X-Has old", ["old"]),
    ("setifempty X-Has new", ["old"]),
    ("setifempty X-New new", None),
    ("unset X-Has", []),
    ("unset x-has", []),
]


@behaviour("Header")
@pytest.mark.parametrize("table", ["", "always ", "onsuccess ", "ALWAYS "])
@pytest.mark.parametrize(("words", "expected"), ACTIONS)
def test_actions(
    configured: Configured, table: str, words: str, expected: list[str] | None
) -> None:
    """On a backend's answer, in whichever table; the other headers stay."""
    headers = configured(f"Header {table}{words}\n{PROXY}").ask(answer=BACKEND).answer.headers
    assert headers.get("x-has", []) == (["old"] if expected is None else expected)
    assert headers.get("x-new") == (["new"] if expected is None else None)
    assert headers["set-cookie"] == ["a=1", "b=2"]


@behaviour("RequestHeader")
@pytest.mark.parametrize(("words", "expected"), ACTIONS)
def test_actions_on_requests(
    configured: Configured, words: str, expected: list[str] | None
) -> None:
    gateway = configured(f"RequestHeader {words}\n{PROXY}")
    variables = gateway.ask("/", "X-Has: old", "X-Other: stays").variables
    joined = "old" if expected is None else ", ".join(expected)
    assert variables.get("HTTP_X_HAS", "") == joined
    assert variables.get("HTTP_X_NEW") == ("new" if expected is None else None)
    assert variables["HTTP_X_OTHER"] == "stays"


@behaviour("Header")
def test_error_pages(configured: Configured) -> None:
    """Only what is said to be always is on the gateway's own pages."""
    gateway = configured(
        f"""
        Header set X-Plain yes
        Header onsuccess set X-Success yes
        Header always set X-Always yes
        {PROXY}
        """
    )
    good = gateway.ask()
    assert (good["x-plain"], good["x-success"], good["x-always"]) == ("yes", "yes", "yes")
    backends_own = gateway.ask(answer=answered("Content-Length: 5", status="404 Not Found"))
    assert (backends_own["x-plain"], backends_own["x-always"]) == ("yes", "yes")
    gateway.down.add("127.0.0.1:4000")
    page = gateway.ask()
    assert page.status == 503
    assert (page["x-plain"], page["x-success"], page["x-always"]) == (None, None, "yes")


@behaviour("Header", "SetEnvIf")
def test_conditions_and_variables(configured: Configured) -> None:
    """env=VAR and env=!VAR; %{VAR}e, %t, %D and %%."""
    gateway = configured(
        f"""
        SetEnvIf Request_URI ^/yes/(.*) HIT=$1
        Header set X-Hit "was %{{HIT}}e, 100%%" env=HIT
        Header set X-Miss yes env=!HIT
        Header set X-Time "%t %D"
        {PROXY}
        """
    )
    hit, miss = gateway.ask("/yes/thing"), gateway.ask("/no")
    assert (hit["x-hit"], hit["x-miss"]) == ("was thing, 100%", None)
    assert (miss["x-hit"], miss["x-miss"]) == (None, "yes")
    assert hit["x-time"] == "t=1000000000000000 D=0"


@behaviour("RequestHeader", "SetEnv")
def test_request_headers_see_variables(configured: Configured) -> None:
    gateway = configured(
        f"SetEnv COLOUR blue\nRequestHeader set X-Colour %{{COLOUR}}e env=COLOUR\n{PROXY}"
    )
    assert gateway.ask("/", "X-Colour: red").variables["HTTP_X_COLOUR"] == "blue"


@behaviour("Header", "RequestHeader")
def test_places(configured: Configured) -> None:
    """The outer lines act first, and the inner ones on what they made."""
    lines = "\n".join(f"{{0}} append {name} {{1}}" for name in ("X-Order",))
    both = "\n".join((lines.replace("{0}", "Header"), lines.replace("{0}", "RequestHeader")))
    gateway = configured(
        f"""
        {both.replace("{1}", "main")}
        {PROXY}
        <Location /in>
          {both.replace("{1}", "location")}
        </Location>
        <Proxy *>
          {both.replace("{1}", "proxy")}
        </Proxy>
        <VirtualHost *>
          {both.replace("{1}", "host")}
        </VirtualHost>
        """
    )
    inner = gateway.ask("/in/x")
    assert inner["x-order"] == "main, host, proxy, location"
    assert inner.variables["HTTP_X_ORDER"] == "main, host, proxy, location"
    assert gateway.ask("/")["x-order"] == "main, host, proxy"


@behaviour("Header")
def test_headers_of_files(configured: Configured, tmp_path: object) -> None:
    """A file's headers are edited as well, by Directory and Location."""
    gateway = configured(
        f"""
        Alias /files {tmp_path}
        <Directory {tmp_path}>
          Header set X-From directory
          Header add X-All directory
        </Directory>
        <Location /files>
          Header set X-From location
          Header add X-All location
        </Location>
        """
    )
    (tmp_path / "a.txt").write_text("a")  # type: ignore[operator]
    headers = gateway.ask("/files/a.txt").answer.headers
    assert headers["x-from"] == ["location"]
    assert headers["x-all"] == ["directory", "location"]


@behaviour("Header")
def test_framing_is_not_for_operators(configured: Configured) -> None:
    """Content-Length, Transfer-Encoding and Connection cannot be made to lie."""
    gateway = configured(
        f"""
        Header set Content-Length 3
        Header unset Connection
        Header set Transfer-Encoding chunked
        {PROXY}
        """
    )
    asked = gateway.ask(answer=HELLO)
    assert asked.body == b"hello"
    assert asked["content-length"] == "5"
    assert asked["transfer-encoding"] is None


@behaviour("Header")
def test_content_type_and_date_of_a_backend(configured: Configured) -> None:
    """What the gateway would add is not added beside what an operator sets."""
    gateway = configured(f"Header set Server mine\nHeader set Date never\n{PROXY}")
    headers = gateway.ask().answer.headers
    assert headers["server"] == ["mine"]
    assert headers["date"] == ["never"]
