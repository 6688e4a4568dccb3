"""SetEnv, PassEnv, UnsetEnv, SetEnvIf and BrowserMatch: what the backend is told."""

from __future__ import annotations

import pytest

from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured

PROXY = "ProxyPass / scgi://127.0.0.1:4000/\n"


@behaviour("SetEnv", "UnsetEnv", "PassEnv")
def test_variables_of_every_place(configured: Configured) -> None:
    """Inner places add to the outer ones, change them and take them back; nothing leaks out."""
    gateway = configured(
        f"""
        SetEnv MAIN main
        SetEnv CHANGED main
        SetEnv TAKEN main
        SetEnv EMPTY
        PassEnv HOME LANG
        {PROXY}
        <VirtualHost *>
          SetEnv HOST "of the host"
          SetEnv CHANGED host
          <Location /in>
            SetEnv CHANGED location
            SetEnv INNER yes
            UnsetEnv TAKEN LANG
          </Location>
          <Proxy scgi://127.0.0.1:4000/in/deep>
            SetEnv CHANGED proxy
            SetEnv OF_PROXY yes
          </Proxy>
        </VirtualHost>
        """,
        environment={"HOME": "/home/me", "LANG": "C", "OTHER": "no"},
    )
    outer = gateway.ask("/").variables
    assert outer["MAIN"] == "main"
    assert outer["HOST"] == "of the host"
    assert outer["CHANGED"] == "host"
    assert outer["TAKEN"] == "main"
    assert outer["EMPTY"] == ""
    assert (outer["HOME"], outer["LANG"]) == ("/home/me", "C")
    assert not {"INNER", "OTHER", "OF_PROXY"} & set(outer)
    inner = gateway.ask("/in/x").variables
    assert (inner["MAIN"], inner["CHANGED"], inner["INNER"]) == ("main", "location", "yes")
    assert not {"TAKEN", "LANG"} & set(inner)
    deep = gateway.ask("/in/deep/x").variables
    assert deep["OF_PROXY"] == "yes"
    assert deep["CHANGED"] == "location"
    assert gateway.ask("/").variables == outer


@behaviour("SetEnv")
@pytest.mark.parametrize("name", ["SCGI", "CONTENT_LENGTH", "GATEWAY_INTERFACE", "SERVER_NAME"])
def test_what_cannot_be_set(configured: Configured, name: str) -> None:
    """What the gateway says itself stays as it is, and the check says that the line is ignored."""
    gateway = configured(f"SetEnv {name} mine\n{PROXY}")
    assert [note for note in gateway.notes if "SetEnv" in note and name in note]
    variables = gateway.ask().variables
    assert variables.get(name) != "mine"
    assert variables["CONTENT_LENGTH"] == "0"
    assert variables["SCGI"] == "1"


@behaviour("PassEnv")
def test_variable_that_is_not_there(configured: Configured) -> None:
    gateway = configured(f"PassEnv NOT_THERE\n{PROXY}", environment={})
    assert any("NOT_THERE" in note for note in gateway.notes)
    assert "NOT_THERE" not in gateway.ask().variables


@behaviour("SetEnv")
@pytest.mark.parametrize("name", ["HTTP_X", "REMOTE_USER", "HTTPS", "PATH_INFO", "CONTENT_TYPE"])
def test_what_fills_a_gap(configured: Configured, name: str) -> None:
    """What the request does not bring may be set; what it brings stays."""
    gateway = configured(f"SetEnv {name} mine\n{PROXY}")
    assert gateway.ask().variables[name] == "mine"
    if name == "HTTP_X":
        assert gateway.ask("/", "X: theirs").variables[name] == "theirs"


IF = """
    SetEnvIf Remote_Addr ^192\\.0\\.2\\. FROM=$0 NEAR
    SetEnvIf Remote_Host ^192 BY_HOST
    SetEnvIf Server_Addr ^127 ON=loopback
    SetEnvIf Request_Method POST POSTED
    SetEnvIf request_protocol 1\\.0$ OLD
    SetEnvIf Request_URI ^/([a-z]+)/([a-z]+)? SECTION=$1-$2
    SetEnvIf X-Thing ^(.)(.) THING=$2$1
    SetEnvIf ^X-[AB]$ .+ EITHER=$0
    SetEnvIf NEAR 1 RELAYED
    SetEnvIf Request_URI ^/far !NEAR
    SetEnvIf Host example HOST_HAS_IT
    SetEnvIf Not-There ^$ ABSENT
"""


@behaviour("SetEnvIf")
@pytest.mark.parametrize(
    ("request_", "name", "value"),
    [
        (("/",), "FROM", "192.0.2."),
        (("/",), "NEAR", "1"),
        (("/far",), "NEAR", None),
        (("/",), "BY_HOST", "1"),
        (("/",), "ON", "loopback"),
        (("/",), "POSTED", None),
        (("/",), "OLD", None),
        (("/one/two?/three",), "SECTION", "one-two"),
        (("/%6Fne/",), "SECTION", "one-"),
        (("/", "x-thing: abc"), "THING", "ba"),
        (("/", "x-a: first", "x-b: last"), "EITHER", "last"),
        (("/",), "RELAYED", "1"),
        (("/",), "HOST_HAS_IT", "1"),
        (("/",), "ABSENT", "1"),
        (("/", "Not-There: x"), "ABSENT", None),
    ],
)
def test_conditions(
    configured: Configured, request_: tuple[str, ...], name: str, value: str | None
) -> None:
    """Each attribute, captures, relays from one line to the next, and taking back."""
    assert configured(IF + PROXY).ask(*request_).variables.get(name) == value


def test_conditions_on_the_method_and_protocol(configured: Configured) -> None:
    variables = configured(IF + PROXY).ask(method="POST", protocol="HTTP/1.0", body=b"x").variables
    assert (variables["POSTED"], variables["OLD"]) == ("1", "1")


@behaviour("SetEnvIf", "SetEnvIfNoCase", "BrowserMatch", "BrowserMatchNoCase")
@pytest.mark.parametrize(
    ("line", "matches", "does_not"),
    [
        ("SetEnvIf User-Agent robot HIT", "a robot", "a Robot"),
        ("SetEnvIfNoCase User-Agent robot HIT", "a RoBoT", "a person"),
        ("BrowserMatch robot HIT", "a robot", "a Robot"),
        ("BrowserMatchNoCase robot HIT", "a RoBoT", "a person"),
    ],
)
def test_case(configured: Configured, line: str, matches: str, does_not: str) -> None:
    gateway = configured(PROXY + line)
    assert gateway.ask("/", f"User-Agent: {matches}").variables["HIT"] == "1"
    assert "HIT" not in gateway.ask("/", f"User-Agent: {does_not}").variables


@behaviour("SetEnvIf", "SetEnv")
def test_conditions_of_every_place(configured: Configured) -> None:
    """The main server's come first, then the host's, then the sections'; SetEnv is after all."""
    gateway = configured(
        f"""
        SetEnvIf Host . WHERE=main ALL=m
        SetEnv LAST setenv
        {PROXY}
        <VirtualHost *>
          SetEnvIf ALL (.+) WHERE=host ALL=$1h
          SetEnvIf Host . LAST=conditional
          <Location /in>
            SetEnvIf ALL (.+) WHERE=location ALL=$1l
          </Location>
        </VirtualHost>
        """
    )
    outer, inner = gateway.ask("/").variables, gateway.ask("/in").variables
    assert (outer["WHERE"], outer["ALL"]) == ("host", "mh")
    assert (inner["WHERE"], inner["ALL"]) == ("location", "mhl")
    assert outer["LAST"] == "setenv"


@behaviour("SetEnvIf")
def test_no_proxy(configured: Configured, tmp_path: object) -> None:
    """The one variable that steers the mapping."""
    gateway = configured(f"SetEnvIf Request_URI ^/local no-proxy\n{PROXY}DocumentRoot {tmp_path}")
    assert gateway.ask("/local").status == 404
    asked = gateway.ask("/other")
    assert asked.status == 200
    assert "no-proxy" not in asked.variables


@behaviour("SetEnvIf", "SetEnv", "pathinfo=")
@pytest.mark.parametrize(
    "lines",
    [
        "SetEnvIf Request_URI . proxy-scgi-pathinfo",
        "SetEnv proxy-scgi-pathinfo 1",
        "<Location /app>\nSetEnv proxy-scgi-pathinfo\n</Location>",
        "<Location /app>\nSetEnvIf Host . proxy-scgi-pathinfo\n</Location>",
        "<Proxy *>\nSetEnv proxy-scgi-pathinfo 1\n</Proxy>",
        "ProxySet scgi://127.0.0.1:4000 pathinfo=on",
    ],
)
def test_path_info(configured: Configured, lines: str) -> None:
    """Wherever it is switched on; the switch itself does not travel."""
    gateway = configured(f"ProxyPass /app/ scgi://127.0.0.1:4000/base/\n{lines}")
    variables = gateway.ask("/app/a%20b//c?q=1").variables
    assert variables["SCRIPT_NAME"] == "/app"
    assert variables["PATH_INFO"] == "/base/a b/c"
    assert "proxy-scgi-pathinfo" not in variables


def test_no_path_info(configured: Configured) -> None:
    """By default the whole decoded path is SCRIPT_NAME."""
    variables = configured("ProxyPass /app/ scgi://127.0.0.1:4000/").ask("/app/a%20b").variables
    assert variables["SCRIPT_NAME"] == "/app/a b"
    assert "PATH_INFO" not in variables
    assert variables["REQUEST_URI"] == "/app/a%20b"


@behaviour("LocationMatch", "Location")
def test_named_groups(configured: Configured) -> None:
    """What an expression of a section names becomes MATCH_NAME, also for Header and SetEnvIf."""
    gateway = configured(
        f"""
        {PROXY}
        <LocationMatch "^/shop/(?<item>[^/]+)/(?P<page>[0-9]+)?">
          Header set X-Item %{{MATCH_ITEM}}e
        </LocationMatch>
        <Location ~ "/(?<page>last)">
          SetEnvIf MATCH_PAGE (.*) RELAYED=$1
        </Location>
        """
    )
    asked = gateway.ask("/shop/blue%20shoe/12")
    assert asked.variables["MATCH_ITEM"] == "blue shoe"
    assert asked.variables["MATCH_PAGE"] == "12"
    assert asked["x-item"] == "blue shoe"
    other = gateway.ask("/shop/hat/last").variables
    assert other["MATCH_ITEM"] == "hat"
    assert (other["MATCH_PAGE"], other["RELAYED"]) == ("last", "last")
    assert "MATCH_ITEM" not in gateway.ask("/").variables
