"""Files as they are found in the wild, and the document's own examples, serving requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from scgiproxy.errors import ConfigError
from tests.config.debian import MAIN, defines, write_files
from tests.directives.behaviours import behaviour
from tests.directives.gateway import HELLO, Configured, answered


@behaviour("ProxyPass", "BalancerMember", "Proxy")
def test_the_documents_gateways(configured: Configured) -> None:
    """The simple and the balanced one."""
    simple = configured("ProxyPass /scgi-bin/ scgi://127.0.0.1:4000/")
    assert simple.ask("/scgi-bin/x").body == b"hello"
    balanced = configured(
        """
        ProxyPass "/scgi-bin/" "balancer://somecluster/"
        <Proxy "balancer://somecluster">
            BalancerMember "scgi://127.0.0.1:4000"
            BalancerMember "scgi://127.0.0.1:4001"
        </Proxy>
        """
    )
    where = [balanced.ask("/scgi-bin/x").where[0] for _ in range(4)]
    assert where == ["127.0.0.1:4000", "127.0.0.1:4001"] * 2


@behaviour("ProxySCGIInternalRedirect", "ProxySCGISendfile", "SetEnvIf")
def test_the_documents_examples(configured: Configured, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("file")
    gateway = configured(
        f"""
        ProxyPass / scgi://127.0.0.1:4000/
        DocumentRoot {tmp_path}
        ProxySCGIInternalRedirect Off
        # Django and some other frameworks will fully qualify "local URLs"
        # set by the application, so an alternate header must be used.
        <Location /django-app/>
            ProxySCGIInternalRedirect X-Location
        </Location>
        # Use a different header
        ProxySCGISendfile X-Send-Static
        SetEnvIf Request_URI . proxy-scgi-pathinfo
        """
    )
    assert not gateway.notes
    redirect = answered("X-Location: /other", "Location: /not", status="", body=b"")
    assert len(gateway.ask("/django-app/x", answer=[redirect, HELLO]).attempts) == 2
    assert len(gateway.ask("/x", answer=[redirect, HELLO]).attempts) == 1
    sent = gateway.ask("/x", answer=answered(f"X-Send-Static: {tmp_path}/file"))
    assert sent.body == b"file"
    assert gateway.ask("/x").variables["PATH_INFO"] == "/x"


SITE = """
    Listen 80
    ServerSignature Off
    <VirtualHost *:80>
        ServerName trac.example.org
        ServerAdmin webmaster@example.org
        DocumentRoot {folder}
        AddDefaultCharset utf-8
        TimeOut 600
        <Directory {folder}>
            Options -Indexes +FollowSymLinks
            AllowOverride None
            DirectoryIndex index.html
            Order allow,deny
            Allow from all
        </Directory>
        <IfModule mod_rewrite.c>
            RewriteEngine On
        </IfModule>
        <IfModule mod_proxy.c>
            ProxyRequests Off
            ProxyPreserveHost On
            <Proxy *>
                Order deny,allow
                Allow from all
            </Proxy>
            ProxyPassMatch "/css|js|images(.*)" !
            ProxyPassMatch ^/(.*)$ "scgi://127.0.0.1:20477"
        </IfModule>
        ErrorLog {folder}/error.log
        LogLevel warn
        CustomLog {folder}/access.log combined
    </VirtualHost>
"""


@behaviour("VirtualHost", "ProxyPassMatch", "Timeout", "Order", "Allow", "CustomLog", "IfModule")
def test_a_virtual_host(configured: Configured, tmp_path: Path) -> None:
    """It runs; what does nothing is noted once, with its line."""
    (tmp_path / "index.html").write_text("index")
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "site.css").write_text("css")
    gateway = configured(SITE.format(folder=tmp_path))
    asked = gateway.ask("/wiki/a?b=c", host="trac.example.org", port=80)
    assert asked.where == ["127.0.0.1:20477"]
    assert asked.attempts[0].timeout == 600
    assert asked.variables["SCRIPT_NAME"] == "/wiki/a"
    assert asked.variables["SERVER_ADMIN"] == "webmaster@example.org"
    assert gateway.ask("/css/site.css", port=80).body == b"css"
    for name in ("Options", "AllowOverride", "DirectoryIndex", "ServerSignature", "mod_rewrite.c"):
        assert len([note for note in gateway.notes if name in note]) == 1, name
    assert gateway.notes == sorted(gateway.notes, key=lambda note: int(note.split(":")[1]))


@behaviour("FilesMatch", "Directory")
def test_debian(configured: Configured, tmp_path: Path) -> None:
    """The configuration of its package apache2, with an application."""
    write_files(tmp_path)
    for name in ("index.html", "page.html", ".htpasswd", "a.var"):
        (tmp_path / name).write_text(name)
    gateway = configured(
        MAIN + "ProxyPass /app scgi://127.0.0.1:4000",
        server_root=tmp_path,
        defines=defines(tmp_path),
    )
    for path, status in (
        ("/", 200),
        ("/page.html", 200),
        ("/a.var", 200),
        ("/.htpasswd", 403),
        ("/server-status", 403),
        ("/app/.htpasswd", 200),
    ):
        assert gateway.ask(path, port=80).status == status, path
    assert gateway.ask("/server-status", port=80, peer="127.0.0.1").status == 200


@behaviour("ProxyPass", "SCGIMount")
@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("SCGIMount /RPC2 127.0.0.1:5000", "127.0.0.1:5000"),
        ("ProxyPass /RPC2 scgi://127.0.0.1:5000", "127.0.0.1:5000"),
        ("ProxyPass /RPC2 unix:/run/rt.sock|scgi://127.0.0.1", "unix:/run/rt.sock"),
        ("ProxyPass /RPC2 scgi:///run/rt.sock", "unix:/run/rt.sock"),
        ("<Location /RPC2>\nProxyPass scgi:///run/rt.sock\n</Location>", "unix:/run/rt.sock"),
    ],
)
def test_rtorrent(configured: Configured, line: str, where: str) -> None:
    """XML-RPC as ruTorrent and others write it."""
    asked = configured(line).ask("/RPC2", "Content-Type: text/xml", method="POST", body=b"<x/>")
    assert asked.where == [where]
    assert asked.backends[0].body == b"<x/>"
    assert asked.variables["CONTENT_TYPE"] == "text/xml"
    assert asked.status == 200


@behaviour("lbmethod=")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "<Proxy balancer://b>\nProxySet lbmethod=by_requests\n</Proxy>",
            "f:2: lbmethod: expected one of byrequests, .*got 'by_requests'; did you mean byrequests",
        ),
        ("ProxyPas / scgi://h/", "f:1: unknown directive ProxyPas; did you mean ProxyPass"),
        ("SSLEngine on", "f:1: SSLEngine: this server would answer in plain text"),
        ("RewriteEngine On", "f:1: RewriteEngine: a directive of mod_rewrite"),
        ("ProxyRequests On", "f:1: ProxyRequests: this is a gateway and no forward proxy"),
        ("ProxyPassMatch (.*) scgi://h$1", r"f:1: ProxyPassMatch: \$1 may not be part"),
        ("ProxyPass /x fcgi://h", "f:1: ProxyPass: scheme 'fcgi' is not served here"),
        ("ProxyPass /x scgi://h tiemout=1", "f:1: ProxyPass: unknown worker parameter 'tiemout'"),
    ],
)
def test_what_is_refused(configured: Configured, text: str, message: str) -> None:
    """With the place, and with what was meant."""
    with pytest.raises(ConfigError, match=message):
        configured(text)
    configured(
        "ProxyPass / balancer://b\nBalancerMember balancer://b scgi://h\n"
        "ProxySet balancer://b lbmethod=byrequests"
    )


@behaviour("SSLEngine", "ProxyRequests")
def test_what_is_off_anyway(configured: Configured) -> None:
    gateway = configured("SSLEngine off\nProxyRequests Off\nProxyPass / scgi://127.0.0.1/")
    assert gateway.ask().status == 200
    assert not gateway.notes
