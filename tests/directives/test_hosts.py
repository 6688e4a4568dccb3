"""Listen, virtual hosts and names: who answers, and what it calls itself."""

from __future__ import annotations

from typing import Any

import pytest

from scgiproxy.service.listeners import ListenerService
from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured, ConfiguredGateway


@behaviour("Listen")
@pytest.mark.parametrize(
    ("word", "where"),
    [
        ("8081", ("::", 8081)),
        ("127.0.0.1:8081", ("127.0.0.1", 8081)),
        ("[::1]:8081", ("::1", 8081)),
        ('"tcp:8081:interface=127.0.0.9"', ("127.0.0.9", 8081)),
    ],
)
def test_listen_on_tcp(
    configured: Configured, word: str, where: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port, an address with a port of either family, or an endpoint string."""
    monkeypatch.setattr("scgiproxy.service.endpoints._ipv6_works", lambda: True)
    bound = _bound(configured(f"Listen {word}\nListen 8082 http"))
    assert bound.tcpServers[0][3::-3] == where
    assert bound.tcpServers[1][0] == 8082


@behaviour("Listen")
def test_listen_on_a_unix_socket(configured: Configured) -> None:
    """An endpoint string with its options."""
    bound = _bound(configured('Listen "unix:/run/gateway.sock:mode=660"'))
    (server,) = bound.unixServers
    assert server[0] == "/run/gateway.sock"
    assert server[3] == 0o660


def _bound(gateway: ConfiguredGateway) -> Any:
    service = ListenerService(gateway.config.listeners, gateway.parts.make_site, gateway.reactor)
    service.privilegedStartService()
    return gateway.reactor


HOSTS = """
    Listen 8081
    ServerName main.example
    ProxyPass / scgi://127.0.0.1:4000/
    ServerAdmin main@example.com
    <VirtualHost *:8080>
      ServerName one.example
      SetEnv HOST one
    </VirtualHost>
    <VirtualHost *:8080>
      ServerName two.example
      ServerAlias also-two.example *.two.example t?o.example
      ServerAdmin two@example.com
      SetEnv HOST two
    </VirtualHost>
    <VirtualHost 127.0.0.5:8080>
      ServerName five.example
      SetEnv HOST five
    </VirtualHost>
"""


@behaviour("VirtualHost", "ServerName", "ServerAlias", "ServerAdmin")
@pytest.mark.parametrize(
    ("asked", "ends", "host", "admin"),
    [
        ("one.example", {}, "one", "main@example.com"),
        ("two.example", {}, "two", "two@example.com"),
        ("TWO.example:8080", {}, "two", "two@example.com"),
        ("also-two.example", {}, "two", "two@example.com"),
        ("a.b.two.example", {}, "two", "two@example.com"),
        ("tXo.example", {}, "two", "two@example.com"),
        ("tXXo.example", {}, "one", "main@example.com"),
        ("main.example", {}, "one", "main@example.com"),
        ("five.example", {}, "one", "main@example.com"),
        ("two.example", {"local": "127.0.0.5"}, "five", "main@example.com"),
        ("two.example", {"port": 8081}, None, "main@example.com"),
    ],
)
def test_virtual_hosts(
    configured: Configured, asked: str, ends: Any, host: str | None, admin: str
) -> None:
    """By address and port first, then by name, else the first; else the main server."""
    variables = configured(HOSTS).ask(host=asked, **ends).variables
    assert variables.get("HOST") == host
    assert variables["SERVER_ADMIN"] == admin


def test_no_name_at_all(configured: Configured) -> None:
    """HTTP/1.0 without Host gets the first host, which then calls itself by its ServerName."""
    asked = configured(HOSTS).ask(host=None, protocol="HTTP/1.0")
    assert asked.variables["SERVER_NAME"] == "one.example"


@behaviour("ServerAdmin")
def test_no_server_admin(configured: Configured) -> None:
    mount = "ProxyPass / scgi://127.0.0.1/\n"
    gateway = configured(mount)
    assert gateway.ask().variables["SERVER_ADMIN"] == "[no address given]"
    gateway = configured(mount + "ServerAdmin me@example.com")
    assert gateway.ask().variables["SERVER_ADMIN"] == "me@example.com"


@behaviour("UseCanonicalName", "ServerName")
@pytest.mark.parametrize(
    ("lines", "host", "expected"),
    [
        ("ServerName canon.example", "asked.example", ("asked.example", "8080")),
        ("ServerName canon.example", "asked.example:99", ("asked.example", "99")),
        ("ServerName canon.example:81", "asked.example", ("asked.example", "81")),
        (
            "UseCanonicalName Off\nServerName canon.example",
            "asked.example",
            ("asked.example", "8080"),
        ),
        (
            "UseCanonicalName On\nServerName canon.example",
            "asked.example:99",
            ("canon.example", "8080"),
        ),
        (
            "UseCanonicalName On\nServerName http://canon.example:81",
            "asked.example",
            ("canon.example", "81"),
        ),
    ],
)
def test_canonical_name(
    configured: Configured, lines: str, host: str, expected: tuple[str, str]
) -> None:
    """SERVER_NAME and SERVER_PORT are what the client said, or what ServerName says."""
    gateway = configured(
        f"ProxyPass / scgi://127.0.0.1/\n<VirtualHost *>\nUseCanonicalName off\n{lines}\n</VirtualHost>"
    )
    variables = gateway.ask(host=host).variables
    assert (variables["SERVER_NAME"], variables["SERVER_PORT"]) == expected


@behaviour("UseCanonicalName")
def test_canonical_name_in_a_virtual_host(configured: Configured) -> None:
    """The inner one counts, and an outer one is inherited."""
    gateway = configured(
        """
        UseCanonicalName On
        ServerName main.example
        ProxyPass / scgi://127.0.0.1/
        <VirtualHost *>
          ServerName one.example
        </VirtualHost>
        <VirtualHost *>
          ServerName two.example
          ServerAlias x.two.example
          UseCanonicalName Off
        </VirtualHost>
        """
    )
    assert gateway.ask(host="other.example").variables["SERVER_NAME"] == "one.example"
    assert gateway.ask(host="x.two.example").variables["SERVER_NAME"] == "x.two.example"


@behaviour("ServerName")
def test_server_name_says_https(configured: Configured) -> None:
    """Behind a server that ends TLS, the scheme of ServerName is what the client used."""
    gateway = configured("ServerName https://a.example\nProxyPass / scgi://127.0.0.1/")
    variables = gateway.ask().variables
    assert variables["REQUEST_SCHEME"] == "https"
    assert variables["HTTPS"] == "on"
    assert variables["SERVER_PORT"] == "443"


@behaviour("ServerTokens")
@pytest.mark.parametrize("word", ["Prod", "ProductOnly", "Full", "OS", "Minimal", "Major", ""])
def test_server_tokens(configured: Configured, word: str) -> None:
    """The Server field of every answer, and SERVER_SOFTWARE; only Prod hides the version."""
    line = f"ServerTokens {word}" if word else ""
    gateway = configured(f"{line}\nProxyPass /app scgi://127.0.0.1")
    asked = gateway.ask("/app")
    named = asked["Server".lower()]
    assert named is not None
    assert named.startswith("scgiproxy")
    assert ("/" in named) is not word.startswith("Prod")
    assert asked.variables["SERVER_SOFTWARE"] == named
    assert gateway.ask("/none")["server"] == named


@behaviour("DocumentRoot")
def test_document_root(configured: Configured, tmp_path: Any) -> None:
    """The files of each host; the backends hear of it; an inner one replaces the outer one."""
    for name in ("main", "inner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.txt").write_text(f"in {name}")
    gateway = configured(
        f"""
        DocumentRoot {tmp_path}/main
        ProxyPass /app/ scgi://127.0.0.1/
        <VirtualHost *>
          ServerName outer.example
        </VirtualHost>
        <VirtualHost *>
          ServerName inner.example
          DocumentRoot {tmp_path}/inner
        </VirtualHost>
        """
    )
    assert gateway.ask("/file.txt", host="outer.example").body == b"in main"
    assert gateway.ask("/file.txt", host="inner.example").body == b"in inner"
    assert gateway.ask("/none.txt", host="inner.example").status == 404
    for host, folder in (("outer", "main"), ("inner", "inner")):
        variables = gateway.ask("/app/", host=f"{host}.example").variables
        assert variables["DOCUMENT_ROOT"] == str(tmp_path / folder)
        assert variables["CONTEXT_DOCUMENT_ROOT"] == str(tmp_path / folder)


@behaviour("DocumentRoot", "ServerRoot")
def test_document_root_below_server_root(configured: Configured, tmp_path: Any) -> None:
    """Relative paths begin there."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.html").write_text("home")
    gateway = configured(f"ServerRoot {tmp_path}\nDocumentRoot www")
    assert gateway.ask("/").body == b"home"


@behaviour("Alias")
def test_alias(configured: Configured, tmp_path: Any) -> None:
    """First match first; an inner host's before the main server's; mounts before all of them."""
    for name in ("main", "inner", "deep"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(f"in {name}")
    gateway = configured(
        f"""
        Alias /s/deep {tmp_path}/deep
        Alias /s {tmp_path}/main
        Alias /one.txt {tmp_path}/deep/a.txt
        <VirtualHost *>
          ServerName main.example
          ProxyPass /s/app scgi://127.0.0.1
        </VirtualHost>
        <VirtualHost *>
          ServerName inner.example
          Alias /s {tmp_path}/inner
        </VirtualHost>
        """
    )
    assert gateway.ask("/s/a.txt").body == b"in main"
    assert gateway.ask("/s/deep/a.txt").body == b"in deep"
    assert gateway.ask("/one.txt").body == b"in deep"
    assert gateway.ask("/sx/a.txt").status == 404
    assert gateway.ask("/s../main/a.txt").status == 404
    assert gateway.ask("/s/app").where == ["127.0.0.1:4000"]
    assert gateway.ask("/s/a.txt", host="inner.example").body == b"in inner"
    assert gateway.ask("/s/deep/a.txt", host="inner.example").status == 404


@behaviour("Alias")
def test_alias_with_paths_that_disagree(configured: Configured, tmp_path: Any) -> None:
    """A slash at the end of one path only is told of; the files are found all the same."""
    (tmp_path / "a.txt").write_text("a")
    for words in (f"/s/ {tmp_path}", f"/s {tmp_path}/"):
        gateway = configured(f"Alias {words}")
        assert any("ends in /" in note for note in gateway.notes), words
        assert gateway.ask("/s/a.txt").body == b"a", words


@behaviour("AllowEncodedSlashes")
@pytest.mark.parametrize(
    ("word", "status", "script_name"),
    [("Off", 404, None), ("On", 200, "/app/a/b c"), ("NoDecode", 200, "/app/a%2Fb c")],
)
def test_encoded_slashes(
    configured: Configured, word: str, status: int, script_name: str | None
) -> None:
    """%2F is refused, decoded, or left as it is, in each host as it says."""
    other = "On" if word == "Off" else "Off"
    gateway = configured(
        f"""
        AllowEncodedSlashes {other}
        ProxyPass /app scgi://127.0.0.1
        <VirtualHost *>
          AllowEncodedSlashes {word}
        </VirtualHost>
        """
    )
    asked = gateway.ask("/app/a%2Fb%20c")
    assert asked.status == status
    if script_name:
        assert asked.variables["SCRIPT_NAME"] == script_name
        assert asked.variables["REQUEST_URI"] == "/app/a%2Fb%20c"
    else:
        assert not asked.attempts


@behaviour("ProxyRequests")
def test_no_forward_proxy(configured: Configured) -> None:
    """An absolute target never names a backend: it is a request to this server."""
    gateway = configured("ProxyRequests Off\nProxyPass /app scgi://127.0.0.1")
    assert gateway.ask("http://elsewhere.example/app").where == ["127.0.0.1:4000"]
    assert gateway.ask("http://elsewhere.example/other").status == 404
