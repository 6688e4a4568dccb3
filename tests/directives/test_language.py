"""The language itself: what is defined, included and left out, as it shows on the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from scgiproxy.errors import ConfigError
from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured, ConfiguredGateway

PROXY = "ProxyPass / scgi://127.0.0.1:4000/\n"


def told(gateway: ConfiguredGateway, name: str = "X") -> str | None:
    return gateway.ask().variables.get(name)


@behaviour("Define", "UnDefine")
def test_define(configured: Configured) -> None:
    """From the line on, in any place, also in paths and URLs; -D and the environment besides."""
    gateway = configured(
        """
        Define PORT 4007
        Define EMPTY
        SetEnv FIRST "a${EMPTY}b ${GIVEN} ${HOME}"
        ProxyPass / scgi://127.0.0.1:${PORT}/
        Define PORT 4008
        UnDefine GIVEN
        SetEnv SECOND ${PORT}${GIVEN}
        """,
        defines={"GIVEN": "given"},
        environment={"HOME": "/home/me", "PORT": "1"},
    )
    asked = gateway.ask()
    assert asked.where == ["127.0.0.1:4007"]
    assert asked.variables["FIRST"] == "ab given /home/me"
    assert asked.variables["SECOND"] == "4008${GIVEN}"
    assert [note for note in gateway.notes if "GIVEN" in note]


@behaviour("Include", "IncludeOptional", "ServerRoot")
def test_inclusion(configured: Configured, tmp_path: Path) -> None:
    """Files in order of their names, relative to ServerRoot, inside of sections as well."""
    (tmp_path / "sites").mkdir()
    for name, text in (
        ("sites/b.conf", "SetEnv X ${X}b\nDefine X ${X}b"),
        ("sites/a.conf", "SetEnv X a\nDefine X a"),
        ("sites/c.txt", "SetEnv X c"),
        ("mount.conf", "ProxyPass scgi://127.0.0.1:4003"),
    ):
        (tmp_path / name).write_text(text)
    gateway = configured(
        f"""
        ServerRoot {tmp_path}
        {PROXY}
        Include sites/*.conf
        IncludeOptional nothing/*.conf
        <Location /in>
          Include mount.conf
        </Location>
        """
    )
    assert told(gateway) == "ab"
    assert gateway.ask("/in").where == ["127.0.0.1:4003"]
    with pytest.raises(ConfigError, match="f:1: Include: no file is there"):
        configured("Include nothing.conf")


@behaviour("IfModule", "IfDefine", "IfFile", "IfVersion", "IfDirective")
@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("IfModule mod_proxy_scgi.c", True),
        ("IfModule proxy_scgi_module", True),
        ("IfModule !mod_headers.c", False),
        ("IfModule mod_php.c", False),
        ("IfModule !mod_php.c", True),
        ("IfDefine GIVEN", True),
        ("IfDefine !GIVEN", False),
        ("IfDefine OTHER", False),
        ("IfFile /", True),
        ("IfFile /nothing/there", False),
        ("IfVersion >= 2.4", True),
        ("IfVersion < 2.4", False),
        ("IfDirective ProxyPass", True),
        ("IfDirective RewriteRule", False),
    ],
)
def test_conditions(configured: Configured, condition: str, holds: bool) -> None:
    """What a condition holds back is not even looked at."""
    name = condition.split()[0]
    unknown = "" if holds else "RewriteRule ^ -\n"
    gateway = configured(
        f"SetEnv X outer\n<{condition}>\n{unknown}SetEnv X inner\n</{name}>\n{PROXY}",
        defines={"GIVEN": ""},
    )
    assert told(gateway) == ("inner" if holds else "outer")


@behaviour("Error", "IfDefine")
def test_error(configured: Configured) -> None:
    text = f'<IfDefine WRONG>\nError "Do not define WRONG"\n</IfDefine>\n{PROXY}'
    assert told(configured(text), "SERVER_PORT") == "8080"
    with pytest.raises(ConfigError, match="f:2: Error: Do not define WRONG"):
        configured(text, defines={"WRONG": ""})


@behaviour("SetEnv", "ProxyPass")
@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('SetEnv X "a  b"', "a  b"),
        ("SetEnv X 'a \"b\"'", 'a "b"'),
        ('SetEnv X "a \\"b\\" \\\\c\\d"', 'a "b" \\c\\d'),
        ("SETENV X a\\\nb", "ab"),
        ("  setenv\tX\ta#b  ", "a#b"),
        ("# SetEnv X no \\\nSetEnv X no either\nSetEnv X yes", "yes"),
    ],
)
def test_lines(configured: Configured, line: str, value: str) -> None:
    """Case, quotes, continuation, comments."""
    assert told(configured(f"{line}\n{PROXY}")) == value


@behaviour("Location", "LocationMatch")
@pytest.mark.parametrize(
    ("opener", "inside", "outside"),
    [
        ("Location /a", ["/a", "/a/", "/a/b", "//a", "/%61"], ["/ab", "/A", "/", "/b/a"]),
        ("Location /a/", ["/a/", "/a/b"], ["/a", "/ab"]),
        ("Location /l*g", ["/lg", "/long"], ["/l/g", "/lg/x"]),
        ('Location ~ "/(x|y)$"', ["/x", "/a/y"], ["/x/"]),
        ("LocationMatch ^/a", ["/a", "/ab"], ["/b/a"]),
        ('LocationMatch "(?i)^/A"', ["/a", "/A"], ["/b"]),
    ],
)
def test_which_requests(
    configured: Configured, opener: str, inside: list[str], outside: list[str]
) -> None:
    name = opener.split()[0]
    gateway = configured(f"{PROXY}<{opener}>\nSetEnv X yes\n</{name}>")
    found = {path: "X" in gateway.ask(path).variables for path in (*inside, *outside)}
    assert found == {**dict.fromkeys(inside, True), **dict.fromkeys(outside, False)}


@behaviour("Proxy", "ProxyMatch")
@pytest.mark.parametrize(
    ("opener", "inside", "outside"),
    [
        ("Proxy scgi://127.0.0.1:4000/app", ["/a", "/a/x"], ["/b", "/c", "/d"]),
        ("Proxy *", ["/a", "/b", "/c", "/d"], []),
        ("Proxy scgi://127.0.0.1:400?/*", ["/a", "/b"], ["/c", "/d"]),
        ("ProxyMatch ^scgi:.*:4001/", ["/b"], ["/a", "/c", "/d"]),
        ("Proxy balancer://cluster", ["/c"], ["/a", "/b", "/d"]),
        ("Proxy unix:/run/d.sock|scgi://d/", ["/d"], ["/a", "/b", "/c"]),
    ],
)
def test_which_backends(
    configured: Configured, opener: str, inside: list[str], outside: list[str]
) -> None:
    """By the URL that a request is mapped to."""
    name = opener.split()[0]
    gateway = configured(
        f"""
        ProxyPass /a scgi://127.0.0.1:4000/app
        ProxyPass /b scgi://127.0.0.1:4001/
        ProxyPass /c balancer://cluster/
        ProxyPass /d unix:/run/d.sock|scgi://d/
        BalancerMember balancer://cluster scgi://127.0.0.1:4000/app
        <{opener}>
          SetEnv X yes
        </{name}>
        """
    )
    found = {path: "X" in gateway.ask(path).variables for path in (*inside, *outside)}
    assert found == {**dict.fromkeys(inside, True), **dict.fromkeys(outside, False)}


@behaviour("VirtualHost", "Location", "Proxy")
def test_order_of_sections(configured: Configured) -> None:
    """Proxy before Location, the main server's before the host's, else as they are written."""
    sections = """
        <Location /a>
          SetEnv LOCATION {0}-deep
        </Location>
        <Location />
          SetEnv LOCATION {0}-top
          SetEnv BOTH {0}-location
        </Location>
        <Proxy *>
          SetEnv PROXY {0}
          SetEnv BOTH {0}-proxy
        </Proxy>
    """
    gateway = configured(
        f"<VirtualHost *>\n{sections.format('host')}\n</VirtualHost>\n{PROXY}"
        f"{sections.format('main')}"
    )
    variables = gateway.ask("/a").variables
    assert variables["LOCATION"] == "host-top"
    assert variables["BOTH"] == "host-location"
    assert variables["PROXY"] == "host"
    only_main = configured(PROXY + sections.format("main")).ask("/a").variables
    assert (only_main["LOCATION"], only_main["BOTH"]) == ("main-top", "main-location")
