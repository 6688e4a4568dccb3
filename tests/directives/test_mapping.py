"""ProxyPass, ProxyPassMatch and SCGIMount: which request goes where, as what path."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured, answered


def path_of(configured: Configured, lines: str, path: str) -> tuple[str, str, str] | None:
    """Where a request goes, its mount point and the path on the backend; None if nowhere."""
    gateway = configured(f"SetEnv proxy-scgi-pathinfo 1\n{lines}")
    asked = gateway.ask(path)
    if not asked.attempts:
        assert asked.status == 404
        return None
    variables = asked.variables
    return asked.where[0], variables["SCRIPT_NAME"], variables["PATH_INFO"]


A = "127.0.0.1:4000"


@behaviour("ProxyPass")
@pytest.mark.parametrize(
    ("line", "path", "expected"),
    [
        ("/app scgi://127.0.0.1", "/app", (A, "/app", "")),
        ("/app scgi://127.0.0.1", "/app/x", (A, "/app", "/x")),
        ("/app scgi://127.0.0.1", "/appx", None),
        ("/app scgi://127.0.0.1", "/APP", None),
        ("/app/ scgi://127.0.0.1/", "/app/x", (A, "/app", "/x")),
        ("/app/ scgi://127.0.0.1/", "/app", None),
        ("/p/ scgi://127.0.0.1/one/two/", "/p/z", (A, "/p", "/one/two/z")),
        ("/app/ scgi://127.0.0.1:4000/", "/x/../app//y/%7Ez", (A, "/app", "/y/~z")),
        ("/ SCGI://127.0.0.1:4001/", "/x", ("127.0.0.1:4001", "", "/x")),
        ("/ scgi://[::1]:4001/", "/x", ("[::1]:4001", "", "/x")),
        ("/ scgi://user:pw@127.0.0.1/", "/x", (A, "", "/x")),
        ("/ unix:/run/a.sock|scgi://name/", "/x", ("unix:/run/a.sock", "", "/x")),
        ("/in unix:/run/a.sock|scgi://name/b", "/in/x", ("unix:/run/a.sock", "/in", "/b/x")),
        ("/RPC2 unix:/run/rt.sock|scgi://127.0.0.1", "/RPC2", ("unix:/run/rt.sock", "/RPC2", "")),
        ("/RPC2 scgi:///run/rt.sock", "/RPC2", ("unix:/run/rt.sock", "/RPC2", "")),
        ("/RPC2/ scgi:///run/rt.sock", "/RPC2/x", ("unix:/run/rt.sock", "/RPC2", "/x")),
        ("~ ^/v([0-9])/ scgi://127.0.0.1/api$1/", "/v2/", (A, "", "/api2/")),
        ('"/with blank" scgi://127.0.0.1', "/with%20blank/x", (A, "/with blank", "/x")),
    ],
)
def test_prefixes(
    configured: Configured, line: str, path: str, expected: tuple[str, str, str] | None
) -> None:
    assert path_of(configured, f"ProxyPass {line}", path) == expected


@behaviour("ProxyPassMatch")
@pytest.mark.parametrize(
    ("line", "path", "expected"),
    [
        ('^/(.*)$ "scgi://127.0.0.1:4000"', "/a/b", (A, "", "/a/b")),
        ("^/app/(.*)$ scgi://127.0.0.1/$1", "/app/x/y", (A, "/app", "/x/y")),
        ("^/slash(/.*)?$ scgi://127.0.0.1:4000$1", "/slash", (A, "/slash", "")),
        ("^/slash(/.*)?$ scgi://127.0.0.1:4000$1", "/slash/x", (A, "/slash", "/x")),
        (r"\.gif$ scgi://127.0.0.1", "/q/z.gif", (A, "", "/q/z.gif")),
        (r"\.gif$ scgi://127.0.0.1", "/q/z.gif/x", None),
        ("^/([^/]+)/([^/]+) unix:/run/a|scgi://n/$2/$1", "/a/b", ("unix:/run/a", "", "/b/a")),
    ],
)
def test_expressions(
    configured: Configured, line: str, path: str, expected: tuple[str, str, str] | None
) -> None:
    assert path_of(configured, f"ProxyPassMatch {line}", path) == expected


@behaviour("ProxyPass", "ProxyPassMatch")
@pytest.mark.parametrize(
    ("path", "port"),
    [
        ("/a", 1),
        ("/a/b", 1),
        ("/b/not", None),
        ("/b/not/x", None),
        ("/b/x.css", None),
        ("/b/x", 3),
        ("/first/x", 4),
        ("/match", 5),
        ("/host", 6),
    ],
)
def test_order(configured: Configured, path: str, port: int | None) -> None:
    """The first that matches counts, whichever kind it is; the main server's come first."""
    gateway = configured(
        """
        <VirtualHost *>
          ProxyPass /a scgi://127.0.0.1:4009
          ProxyPass /host scgi://127.0.0.1:4006
        </VirtualHost>
        ProxyPass /a scgi://127.0.0.1:4001
        ProxyPass /a/b scgi://127.0.0.1:4002
        ProxyPass /b/not !
        ProxyPassMatch "/css|js|\\.css" !
        ProxyPass /b scgi://127.0.0.1:4003
        ProxyPassMatch ^/first scgi://127.0.0.1:4004
        ProxyPass /first scgi://127.0.0.1:4009
        ProxyPassMatch match scgi://127.0.0.1:4005
        """
    )
    assert gateway.ask(path).where == ([] if port is None else [f"127.0.0.1:400{port}"])


@behaviour("ProxyPass", "ProxyPassMatch", "Location", "LocationMatch")
@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/plain/x", "127.0.0.1:4001"),
        ("/plain/in/x", "127.0.0.1:4002"),
        ("/plain/in/not", None),
        ("/plain/late", "127.0.0.1:4003"),
        ("/e/x.py", "127.0.0.1:4004"),
        ("/w/x.fcgi", "127.0.0.1:4005"),
        ("/w/deep/x.fcgi", None),
        ("/other", None),
    ],
)
def test_in_sections(configured: Configured, path: str, where: str | None) -> None:
    """The section's path is the mount's; of several sections the last counts; any goes before
    what stands outside."""
    gateway = configured(
        """
        <Location /plain/in>
          ProxyPass scgi://127.0.0.1:4002
        </Location>
        <Location /plain/in/not>
          ProxyPass !
        </Location>
        <Location /plain/late>
          ProxyPass scgi://127.0.0.1:4009
        </Location>
        <Location /plain/l*e>
          ProxyPass scgi://127.0.0.1:4003/
        </Location>
        <LocationMatch "^/e/.*\\.py$">
          ProxyPassMatch scgi://127.0.0.1:4004/
        </LocationMatch>
        <Location /w/*.fcgi>
          ProxyPass scgi://127.0.0.1:4005/
        </Location>
        ProxyPass /plain scgi://127.0.0.1:4001
        """
    )
    assert gateway.ask(path).where == ([] if where is None else [where])


@behaviour("ProxyPass")
def test_documents_beside_it(configured: Configured, tmp_path: Path) -> None:
    """What ProxyPass leaves out is a file."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.css").write_text("css")
    gateway = configured(
        f"DocumentRoot {tmp_path}\nProxyPass /static !\nProxyPass / scgi://127.0.0.1/"
    )
    assert gateway.ask("/static/a.css").body == b"css"
    assert gateway.ask("/a.css").body == b"hello"


@behaviour("ProxyPass")
def test_keywords(configured: Configured) -> None:
    """nocanon and noquery are about SCRIPT_FILENAME, which is not sent: the check says so."""
    gateway = configured(
        """
        ProxyPass /plain scgi://127.0.0.1
        ProxyPass /nc scgi://127.0.0.1 nocanon
        ProxyPass /nq scgi://127.0.0.1 NoQuery
        """
    )
    plain = gateway.ask("/plain?a=%20b").variables
    assert (plain["QUERY_STRING"], plain["REQUEST_URI"]) == ("a=%20b", "/plain?a=%20b")
    nocanon = gateway.ask("/nc/a%20b?a=b").variables
    assert (nocanon["QUERY_STRING"], nocanon["SCRIPT_NAME"]) == ("a=b", "/nc/a b")
    assert gateway.ask("/nq?a=b").variables["QUERY_STRING"] == "a=b"
    told = [note for note in gateway.notes if "does nothing" in note]
    assert [("nocanon" in note, "NoQuery" in note) for note in told] == [
        (True, False),
        (False, True),
    ]


@behaviour("ProxyPassMatch")
def test_a_group_that_is_not_there(configured: Configured) -> None:
    """Is empty, and the check says so."""
    gateway = configured("ProxyPassMatch ^/a(.*) scgi://127.0.0.1:4000/x$1y$9 pathinfo=on")
    assert gateway.ask("/a/b").variables["PATH_INFO"] == "/x/by"
    (note,) = gateway.notes
    assert note == "f:1: ProxyPassMatch: $9 will be empty: the expression has one group"


@behaviour("ProxyPass", "ProxyPassMatch")
def test_slashes_that_disagree(configured: Configured) -> None:
    """A warning with the line; no request goes to a host that nobody named."""
    gateway = configured(
        "ProxyPass /bad/ scgi://127.0.0.1:4000\nProxyPassMatch ^/m scgi://127.0.0.1"
    )
    (note,) = [note for note in gateway.notes if "ends in /" in note]
    assert note.startswith("f:1: ")
    assert gateway.ask("/bad/foo").where == [A]


@behaviour("SCGIMount")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/RPC2", ("127.0.0.1:5000", "/RPC2", "")),
        ("/RPC2/x%20y", ("127.0.0.1:5000", "/RPC2", "/x y")),
        ("/RPC", None),
        ("/in/x", ("127.0.0.1:5001", "/in", "/x")),
    ],
)
def test_scgi_mount(
    configured: Configured, path: str, expected: tuple[str, str, str] | None
) -> None:
    """mod_scgi's line, which always tells PATH_INFO; in a host as well."""
    gateway = configured(
        """
        SCGIMount /RPC2 127.0.0.1:5000
        <VirtualHost *>
          SCGIMount /in/ 127.0.0.1:5001
        </VirtualHost>
        """
    )
    asked = gateway.ask(path)
    if expected is None:
        assert asked.status == 404
    else:
        variables = asked.variables
        assert (asked.where[0], variables["SCRIPT_NAME"], variables["PATH_INFO"]) == expected


@behaviour("ProxyPass", "max=")
def test_sockets_with_one_label(configured: Configured) -> None:
    """Two sockets are two backends, whatever name stands behind them."""
    gateway = configured(
        """
        ProxyPass /a unix:/run/a.sock|scgi://localhost/ max=1
        ProxyPass /b unix:/run/b.sock|scgi://localhost/
        """
    )
    assert gateway.ask("/a/x").where == ["unix:/run/a.sock"]
    assert gateway.ask("/b/x").where == ["unix:/run/b.sock"]


@behaviour("ProxyAddHeaders")
def test_forwarded_headers(configured: Configured) -> None:
    """None by default; where it is On they are added to those that the client sent."""
    gateway = configured(
        """
        ServerName gw.example
        ProxyPass / scgi://127.0.0.1/
        <Location /on>
          ProxyAddHeaders On
        </Location>
        <Location /on/off>
          ProxyAddHeaders Off
        </Location>
        """
    )
    names = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_SERVER")
    for path in ("/", "/on/off"):
        assert not set(names) & set(gateway.ask(path).variables)
    variables = gateway.ask("/on", "X-Forwarded-For: 10.0.0.1").variables
    assert [variables[name] for name in names] == [
        "10.0.0.1, 192.0.2.7",
        "example.com",
        "gw.example",
    ]


@behaviour("ProxyPreserveHost")
@pytest.mark.parametrize("word", ["On", "Off"])
def test_host(configured: Configured, word: str) -> None:
    """The client's Host is what the backend sees; Off is told to change nothing."""
    gateway = configured(f"ProxyPreserveHost {word}\nProxyPass / scgi://127.0.0.1/")
    assert gateway.ask(host="Asked.example:99").variables["HTTP_HOST"] == "Asked.example:99"
    assert any("ProxyPreserveHost" in note for note in gateway.notes) is (word == "Off")


REVERSE = """
    ServerName gw.example:81
    UseCanonicalName On
    ProxyPass /app/ scgi://127.0.0.1:4000/
    ProxyPassReverse /app/ http://inner.example/
    ProxyPassReverse /path/ /inner/
    ProxyPassReverseCookieDomain inner.example gw.example
    ProxyPassReverseCookiePath /inner/ /app/
    ProxyPass /loc/ scgi://127.0.0.1:4000/
    <Location /loc/>
      ProxyPassReverse http://other.example/
      ProxyPassReverseCookiePath / /loc/
    </Location>
    <VirtualHost *>
      ProxyPassReverse /host/ http://third.example/
      ProxyPassReverseCookieDomain third.example host.example
    </VirtualHost>
"""


@behaviour("ProxyPassReverse")
@pytest.mark.parametrize("header", ["Location", "Content-Location", "URI", "Destination"])
@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("/app/", "http://inner.example/x?y", "http://gw.example:81/app/x?y"),
        ("/app/", "HTTP://INNER.example/x", "http://gw.example:81/app/x"),
        ("/app/", "http://elsewhere.example/x", "http://elsewhere.example/x"),
        ("/app/", "http://elsewhere.example/inner/x", "http://gw.example:81/path/x"),
        ("/app/", "http://third.example/x", "http://gw.example:81/host/x"),
        ("/loc/", "http://other.example/x", "http://gw.example:81/loc/x"),
        ("/app/", "http://other.example/x", "http://other.example/x"),
        ("/loc/", "http://inner.example/x", "http://gw.example:81/app/x"),
    ],
)
def test_reverse(configured: Configured, header: str, path: str, value: str, expected: str) -> None:
    """Of the main server, a host and a section together."""
    gateway = configured(REVERSE)
    asked = gateway.ask(path, answer=answered(f"{header}: {value}", status="302 Found"))
    assert asked[header.lower()] == expected


@behaviour("ProxyPassReverseCookieDomain", "ProxyPassReverseCookiePath")
@pytest.mark.parametrize(
    ("path", "cookie", "expected"),
    [
        (
            "/app/",
            "a=1; Domain=inner.example; Path=/inner/x; Secure",
            "a=1; Domain=gw.example; Path=/app/; Secure",
        ),
        ("/app/", "domain=inner.example; path=/other", "domain=inner.example; path=/other"),
        ("/app/", "a=1; domain=third.example", "a=1; domain=host.example"),
        ("/loc/", "a=1; path=/x", "a=1; path=/loc/"),
    ],
)
def test_cookies(configured: Configured, path: str, cookie: str, expected: str) -> None:
    asked = configured(REVERSE).ask(path, answer=answered(f"Set-Cookie: {cookie}"))
    assert asked["set-cookie"] == expected


@behaviour("ProxyPassReverse", "BalancerMember", "Proxy")
@pytest.mark.parametrize("value", ["http://10.0.0.1:4001/x", "scgi://10.0.0.2:4002/base/x"])
def test_reverse_of_a_balancer(configured: Configured, value: str) -> None:
    """Each member's URL is the balancer's."""
    gateway = configured(
        """
        ProxyPass /app/ balancer://cluster/
        ProxyPassReverse /app/ balancer://cluster/
        <Proxy balancer://Cluster>
          BalancerMember scgi://10.0.0.1:4001
          BalancerMember scgi://10.0.0.2:4002/base
        </Proxy>
        """
    )
    asked = gateway.ask("/app/", answer=answered(f"Location: {value}", status="302 Found"))
    if value.startswith("scgi"):
        assert asked["location"] == "http://example.com:8080/app/x"
    else:
        assert asked["location"] == value
