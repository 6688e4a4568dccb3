"""Files as they are found in the wild, and the examples of the document."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scgiproxy.config.load import load_file
from scgiproxy.config.model import SectionKind
from scgiproxy.message.backend_url import TcpAddress, UnixAddress
from scgiproxy.rules.access import RequireAllGranted
from tests.config.debian import MAIN, defines, write_files
from tests.config.loading import load, write

DOCUMENT_EXAMPLES = """
ProxyPass /scgi-bin/ scgi://localhost:4000/
ProxyPass "/balanced/" "balancer://somecluster/"
<Proxy "balancer://somecluster">
    BalancerMember "scgi://localhost:4000"
    BalancerMember "scgi://localhost:4001"
</Proxy>
ProxySCGIInternalRedirect Off
# Django and some other frameworks will fully qualify "local URLs"
# set by the application, so an alternate header must be used.
<Location /django-app/>
    ProxySCGIInternalRedirect X-Location
</Location>
# Use the default header (X-Sendfile)
ProxySCGISendfile On
# Use a different header
ProxySCGISendfile X-Send-Static
SetEnvIf Request_URI . proxy-scgi-pathinfo
"""


def test_the_documents_examples() -> None:
    """Every example of the page of mod_proxy_scgi, without a note."""
    config = load(DOCUMENT_EXAMPLES)
    assert config.notes == ()
    simple, balanced = config.main.mounts
    assert simple.pattern == b"/scgi-bin/"
    assert simple.target is not None
    assert simple.target.address == TcpAddress("localhost", 4000)
    assert balanced.target is not None
    assert balanced.target.balancer == "somecluster"
    members = config.balancers["somecluster"].members
    assert [member.url.label for member in members] == [
        "scgi://localhost:4000",
        "scgi://localhost:4001",
    ]
    assert config.main.base["sendfile"] == b"x-send-static"
    assert config.main.sections[-1].values == {"internal_redirect": b"x-location"}


def test_a_virtual_host_as_found_in_the_wild(tmp_path: Path) -> None:
    """A whole block runs; what does nothing is noted once, at its first line."""
    path = write(
        tmp_path,
        "site.conf",
        """
        Listen 80
        ServerSignature Off
        <VirtualHost *:80>
            ServerName www.example.com
            ServerAlias example.com *.example.com
            ServerAdmin webmaster@localhost
            DocumentRoot ${ROOT}
            DirectoryIndex index.html
            ServerSignature On
            AddDefaultCharset utf-8
            TimeOut 600
            <Directory />
                Options FollowSymLinks
                AllowOverride None
            </Directory>
            <Directory ${ROOT}/>
                Options -Indexes +FollowSymLinks
                AllowOverride All
                Order allow,deny
                allow from all
                Require all granted
            </Directory>
            <IfModule mod_rewrite.c>
                RewriteEngine On
            </IfModule>
            ProxyPreserveHost On
            ProxyPassMatch "/css|js|images(.*)" !
            ProxyPass /RPC2 unix:/run/rt.sock|scgi://127.0.0.1
            ProxyPassMatch ^/(.*)$ "scgi://127.0.0.1:20477"
            LogLevel warn
            ErrorLog ${APACHE_LOG_DIR}/error.log
            CustomLog ${APACHE_LOG_DIR}/access.log combined
        </VirtualHost>
        """,
    )
    defines = {"APACHE_LOG_DIR": str(tmp_path), "ROOT": str(tmp_path)}
    config = load_file(path, defines=defines, environment={})
    (host,) = config.virtual_hosts
    assert host.server.timeout == 600
    assert host.server.document_root == str(tmp_path)
    assert [mount.target and mount.target.address for mount in host.mounts] == [
        None,
        UnixAddress("/run/rt.sock"),
        TcpAddress("127.0.0.1", 20477),
    ]
    told = [(note.line, note.message.split()[0]) for note in config.notes]
    assert told == [
        (3, "ServerSignature"),
        (9, "DirectoryIndex"),
        (11, "AddDefaultCharset"),
        (14, "Options"),
        (15, "AllowOverride"),
        (24, "<IfModule"),
    ]


def test_the_files_of_debian(tmp_path: Path) -> None:
    """They load, each directive that does nothing is noted once, and .ht files are denied."""
    write_files(tmp_path)
    main = write(tmp_path, "apache2.conf", MAIN)
    config = load_file(main, defines=defines(tmp_path), environment={})
    (host,) = config.virtual_hosts
    (files,) = [section for section in host.sections if section.kind is SectionKind.FILES]
    assert isinstance(files.pattern, re.Pattern)
    assert files.pattern.search(b".htaccess")
    assert files.values == {"require": (RequireAllGranted(False),)}
    told = [note.message.split()[0] for note in config.notes]
    assert told.count("AddHandler") == told.count("AddType") == told.count("Options") == 1
    assert host.handlers.keys() == {"server-status"}


APACHE = Path("/etc/apache2")
STOCK_MODULES = (
    *("access_compat", "alias", "auth_basic", "authn_core", "authn_file", "authz_core"),
    *("authz_host", "authz_user", "autoindex", "deflate", "dir", "env", "filter", "mime"),
    *("mpm_event", "negotiation", "reqtimeout", "setenvif", "status"),
)
STOCK_FILES = ("charset", "localized-error-pages", "other-vhosts-access-log", "security")


@pytest.mark.skipif(
    not (APACHE / "apache2.conf").is_file(), reason="needs Debian's package apache2"
)
def test_the_real_files_of_debian(tmp_path: Path) -> None:
    """With the modules and files that are enabled by default."""
    links = ["apache2.conf", "ports.conf"]
    links += [f"mods-{{}}/{name}.{end}" for name in STOCK_MODULES for end in ("load", "conf")]
    links += [f"conf-{{}}/{name}.conf" for name in (*STOCK_FILES, "serve-cgi-bin")]
    links += ["sites-{}/000-default.conf"]
    for link in links:
        source, target = APACHE / link.format("available"), tmp_path / link.format("enabled")
        if source.exists():
            target.parent.mkdir(exist_ok=True)
            target.symlink_to(source)
    config = load_file(tmp_path / "apache2.conf", defines=defines(tmp_path), environment={})
    assert [host.server.document_root for host in config.virtual_hosts] == ["/var/www/html"]
    kinds = [section.kind for section in config.main.sections]
    assert SectionKind.FILES in kinds
    assert not [note for note in config.notes if note.is_error]


@pytest.mark.parametrize(
    ("line", "pattern", "address", "path", "path_info", "notes"),
    [
        (
            "ProxyPass /RPC2 unix:/run/rt.sock|scgi://127.0.0.1",
            b"/RPC2",
            UnixAddress("/run/rt.sock"),
            b"",
            None,
            0,
        ),
        (
            "ProxyPass /RPC2 scgi:///run/rt.sock",
            b"/RPC2",
            UnixAddress("/run/rt.sock"),
            b"",
            None,
            1,
        ),
        ("ProxyPass / scgi:///run/rt.sock", b"/", UnixAddress("/run/rt.sock"), b"/", None, 1),
        ("SCGIMount /RPC2 127.0.0.1:5000", b"/RPC2", TcpAddress("127.0.0.1", 5000), b"", True, 0),
        ("SCGIMount / [::1]:5000", b"/", TcpAddress("::1", 5000), b"/", True, 0),
        ("ProxyPass /a scgi://localhost", b"/a", TcpAddress("localhost", 4000), b"", None, 0),
        ("ProxyPass /a/ scgi://[::1]:1/b/", b"/a/", TcpAddress("::1", 1), b"/b/", None, 0),
    ],
)
def test_mounts_as_found_in_the_wild(
    line: str,
    pattern: bytes,
    address: object,
    path: bytes,
    path_info: bool | None,
    notes: int,
) -> None:
    config = load(line)
    (mount,) = config.main.mounts
    assert mount.target is not None
    assert (mount.pattern, mount.target.address, mount.target.path) == (pattern, address, path)
    assert mount.settings.path_info is path_info
    assert mount.source == "f:1"
    assert len(config.notes) == notes
