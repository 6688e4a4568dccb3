"""Require, its containers, and Order/Allow/Deny: who is let in, in each place."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.address import UNIXAddress

from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured
from tests.web.harness import Client

PROXY = "ProxyPass / scgi://127.0.0.1:4000/\n"


def location(lines: str, path: str = "/") -> str:
    return f"<Location {path}>\n{lines}\n</Location>\n"


def status_for(configured: Configured, lines: str, peer: str = "192.0.2.7") -> int:
    """What a client at `peer` gets where `lines` are said; nobody refused reaches a backend."""
    asked = configured(PROXY + location(lines)).ask(peer=peer)
    assert bool(asked.attempts) is (asked.status == 200)
    return asked.status


@behaviour("Require")
@pytest.mark.parametrize(
    ("lines", "peer", "status"),
    [
        ("Require all granted", "192.0.2.7", 200),
        ("require ALL Denied", "192.0.2.7", 403),
        ("Require ip 192.0.2.7", "192.0.2.7", 200),
        ("Require ip 192.0.2.7", "192.0.2.77", 403),
        ("Require ip 192.0.2", "192.0.2.77", 200),
        ("Require ip 10 192.0.0.0/16", "192.0.2.7", 200),
        ("Require ip 192.0.2.0/255.255.255.0", "192.0.3.7", 403),
        ("Require ip 2001:db8::/32", "2001:db8::1", 200),
        ("Require ip 2001:db8::/32", "2001:db9::1", 403),
        ("Require ip 192.0.2.0/24", "::ffff:192.0.2.7", 200),
        ("Require local", "127.8.8.8", 200),
        ("Require local", "::1", 200),
        ("Require local", "192.0.2.7", 403),
        ("Require ip 10.0.0.1\nRequire ip 192.0.2.7", "192.0.2.7", 200),
        ("Require ip 10.0.0.1\nRequire local", "192.0.2.7", 403),
    ],
)
def test_require(configured: Configured, lines: str, peer: str, status: int) -> None:
    """Each provider; of several lines one must grant."""
    assert status_for(configured, lines, peer) == status


@behaviour("Require")
def test_clients_of_a_unix_socket(configured: Configured) -> None:
    """They have no address, and are local."""
    gateway = configured(
        PROXY + location("Require local", "/local") + location("Require ip 127.0.0.1", "/ip")
    )
    for path, status in (("/local", 200), ("/ip", 403)):
        client = Client(gateway.site, UNIXAddress("/run/gateway.sock"), UNIXAddress(None))
        gateway.clients.append(client)
        assert gateway.ask(path, client=client).status == status


@behaviour("RequireAll", "RequireAny", "RequireNone", "Require")
@pytest.mark.parametrize(
    ("lines", "in_7", "in_8", "in_9"),
    [
        ("<RequireAll>|Require ip 192.0.2|Require not ip 192.0.2.8|</RequireAll>", 200, 403, 200),
        ("<RequireAll>|Require ip 192.0.2|Require ip 192.0.2.7|</RequireAll>", 200, 403, 403),
        ("<RequireAny>|Require ip 192.0.2.7|Require ip 192.0.2.8|</RequireAny>", 200, 200, 403),
        (
            (
                "<RequireAll>|Require all granted|<RequireNone>|Require ip 192.0.2.7|"
                "Require ip 192.0.2.8|</RequireNone>|</RequireAll>"
            ),
            403,
            403,
            200,
        ),
        (
            (
                "<RequireAny>|Require ip 192.0.2.9|<RequireAll>|Require local|</RequireAll>|"
                "<RequireAll>|Require ip 192.0.2|Require not ip 192.0.2.7|</RequireAll>|"
                "</RequireAny>"
            ),
            403,
            200,
            200,
        ),
        ("Require ip 192.0.2.9|<RequireAll>|Require ip 192.0.2.7|</RequireAll>", 200, 403, 200),
    ],
)
def test_containers(configured: Configured, lines: str, in_7: int, in_8: int, in_9: int) -> None:
    found = [
        status_for(configured, lines.replace("|", "\n"), f"192.0.2.{number}")
        for number in (7, 8, 9)
    ]
    assert found == [in_7, in_8, in_9]


@behaviour("Require", "Location", "Proxy", "LocationMatch", "VirtualHost", "ProxyMatch")
def test_places(configured: Configured) -> None:
    """An inner section with a Require of its own replaces the outer ones; others keep them."""
    gateway = configured(
        PROXY
        + """
        <Location /main>
          Require all denied
        </Location>
        <VirtualHost *>
          <Proxy *>
            Require ip 192.0.2.8
          </Proxy>
          <ProxyMatch ^scgi://127.0.0.1:4000/match>
            Require all granted
          </ProxyMatch>
          <Location /main/open>
            Require all granted
          </Location>
          <Location /main/open/inner>
            SetEnv NOTHING said
          </Location>
          <LocationMatch "\\.secret$">
            Require all denied
          </LocationMatch>
        </VirtualHost>
        """
    )
    found = {
        path: gateway.ask(path).status
        for path in (
            "/",
            "/match",
            "/main",
            "/main/open",
            "/main/open/inner",
            "/main/open/a.secret",
        )
    }
    assert list(found.values()) == [403, 200, 403, 200, 200, 403], found


@behaviour("Require")
@pytest.mark.parametrize("path", ["/in/%2e%2e/in", "//in", "/./in", "/%69n", "/in/", "/x/../in"])
def test_no_way_around(configured: Configured, path: str) -> None:
    """One normal form of the path serves the rules and the mapping."""
    gateway = configured(PROXY + location("Require all denied", "/in"))
    assert gateway.ask(path).status == 403
    assert not gateway.attempts


@behaviour("Directory", "DirectoryMatch", "Require")
def test_directories(configured: Configured, tmp_path: object) -> None:
    """Of files: the deeper folder counts, and Location after all of them."""
    for name in ("open", "closed", "closed/open", "shared"):
        folder = tmp_path / name  # type: ignore[operator]
        folder.mkdir()
        (folder / "a.txt").write_text("a")
    gateway = configured(
        f"""
        DocumentRoot {tmp_path}
        <Directory {tmp_path}/closed/open>
          Require all granted
        </Directory>
        <Directory {tmp_path}/closed>
          Require all denied
        </Directory>
        <Directory {tmp_path}/op*>
          Require ip 192.0.2.8
        </Directory>
        <DirectoryMatch "/(?<folder>shared)$">
          Require all denied
        </DirectoryMatch>
        <Location /closed/a.html>
          Require all granted
        </Location>
        """
    )
    assert gateway.ask("/closed/a.txt").status == 403
    assert gateway.ask("/closed/a.html").status == 404
    assert gateway.ask("/closed/open/a.txt").status == 200
    assert gateway.ask("/open/a.txt").status == 403
    assert gateway.ask("/open/a.txt", peer="192.0.2.8").status == 200
    assert gateway.ask("/shared/a.txt").status == 403


@behaviour("Files", "FilesMatch", "Directory", "Require")
def test_files(configured: Configured, tmp_path: Path) -> None:
    """By name, after the folders and before Location; a folder is its index."""
    for name in ("a.txt", "b.txt", "index.html", "key.pem", "in/a.txt", "in/b.txt", "in/c.bak"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
    gateway = configured(
        f"""
        DocumentRoot {tmp_path}
        Alias /alias {tmp_path}/key.pem
        ProxyPass /app scgi://127.0.0.1:4000
        <FilesMatch "\\.(pem|bak)$">
          Require all denied
        </FilesMatch>
        <Files index.html>
          Require ip 192.0.2.8
        </Files>
        <Directory {tmp_path}/in>
          Require all denied
          <Files a.*>
            Require all granted
          </Files>
        </Directory>
        <Location /in/c.bak>
          Require all granted
        </Location>
        """
    )
    granted = {path for path in PATHS if gateway.ask(path).status == 200}
    assert granted == {"/a.txt", "/b.txt", "/in/a.txt", "/in/c.bak", "/app/x.pem"}
    assert {path for path in PATHS if gateway.ask(path, peer="192.0.2.8").status == 200} == {
        *granted,
        "/",
        "/index.html",
    }


PATHS = (
    *("/", "/index.html", "/a.txt", "/b.txt", "/key.pem", "/alias", "/in/a.txt", "/in/b.txt"),
    *("/in/c.bak", "/app/x.pem"),
)


@behaviour("Order", "Allow", "Deny")
@pytest.mark.parametrize(
    ("lines", "in_7", "in_8"),
    [
        ("Order allow,deny|Allow from all", 200, 200),
        ("Order deny,allow|Deny from all", 403, 403),
        ("Order deny,allow|Deny from all|Allow from 192.0.2.7", 200, 403),
        ("Order allow,deny|Allow from 192.0.2.7", 200, 403),
        ("Order allow,deny|Allow from 192.0.2.0/24|Deny from 192.0.2.8", 200, 403),
        ("Order Deny,Allow|Allow from 192.0.2.0/24|Deny from 192.0.2.8", 200, 200),
        ("Order mutual-failure|Allow from 192.0.2 10|Deny from 192.0.2.8", 200, 403),
        ("Order allow,deny", 403, 403),
        ("Deny from 192.0.2.8", 200, 403),
        ("Order deny,allow|Deny from all|Allow from env=GOOD", 403, 200),
        ("Order allow,deny|Allow from all|Deny from env=!GOOD", 403, 200),
        ("Order deny,allow|Deny from all|Allow from localhost 127.0.0.1", 403, 403),
    ],
)
def test_order_allow_deny(configured: Configured, lines: str, in_7: int, in_8: int) -> None:
    """mod_access_compat; a variable of SetEnvIf counts as well."""
    text = "SetEnvIf Remote_Addr \\.8$ GOOD\n" + PROXY + location(lines.replace("|", "\n"))
    gateway = configured(text)
    assert [gateway.ask(peer=f"192.0.2.{n}").status for n in (7, 8)] == [in_7, in_8]


@behaviour("Satisfy", "Allow", "Order", "Require")
@pytest.mark.parametrize(
    ("word", "statuses"),
    [
        ("", [403, 403, 403, 200]),
        ("Satisfy All", [403, 403, 403, 200]),
        ("Satisfy Any", [403, 200, 200, 200]),
    ],
)
def test_satisfy(configured: Configured, word: str, statuses: list[int]) -> None:
    """Both kinds of rules must let a request in, or one of them."""
    lines = (
        f"Order allow,deny\nAllow from 192.0.2.8 192.0.2.9\nRequire ip 192.0.2.7 192.0.2.9\n{word}"
    )
    gateway = configured(PROXY + location(lines))
    assert [gateway.ask(peer=f"192.0.2.{n}").status for n in (6, 7, 8, 9)] == statuses


@behaviour("Order", "Allow", "Deny")
def test_order_of_every_place(configured: Configured) -> None:
    """An inner section with lines of its own replaces the outer ones."""
    gateway = configured(
        PROXY
        + location("Order deny,allow\nDeny from all")
        + "<VirtualHost *>\n"
        + location("Order allow,deny\nAllow from all", "/open")
        + "</VirtualHost>"
    )
    assert gateway.ask("/").status == 403
    assert gateway.ask("/open").status == 200
