"""The configuration that both sides get, and the files it speaks of."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.processes import free_port
from tests.e2e.scripted import ScriptedBackend
from tests.parity.case import Case

MODULES = Path("/usr/lib/apache2/modules")

_LOADED = [
    *("mpm_event", "authn_core", "authn_file", "authz_core", "authz_host", "authz_user"),
    *("auth_basic", "access_compat", "alias", "env", "setenvif", "headers", "mime", "dir"),
    *("reqtimeout", "proxy", "proxy_scgi", "slotmem_shm", "proxy_balancer", "status"),
    *("lbmethod_byrequests", "lbmethod_bytraffic", "lbmethod_bybusyness"),
    "lbmethod_heartbeat",
]

_COMMON = """\
<IfDefine APACHE_HTTPD>
    ServerRoot "${FOLDER}"
    DefaultRuntimeDir "${FOLDER}/run-${PORT}"
    PidFile "${FOLDER}/run-${PORT}/httpd.pid"
    User nobody
    Group nogroup
    ErrorLog "${FOLDER}/run-${PORT}/error.log"
    ThreadsPerChild 8
    StartServers 1
    ServerLimit 2
    MaxRequestWorkers 8
    TypesConfig "${FOLDER}/mime.types"
</IfDefine>
Listen 127.0.0.1:${PORT}
ServerName main.test:${PORT}
ServerAdmin admin@main.test
DocumentRoot "${FOLDER}/htdocs"
KeepAliveTimeout 1
HeartbeatStorage "${FOLDER}/heartbeats"
LogLevel info
<Directory "/">
    Require all granted
</Directory>
"""

SERVERS = {
    # Every case in a virtual host of its own.
    "hosts": "",
    "handler": """\
<Location "/sh">
    SetHandler "proxy:scgi://${BACKEND}"
</Location>
""",
    "status": """\
<Location "/server-status">
    SetHandler server-status
    Require local
</Location>
ExtendedStatus On
ProxyStatus On
<Proxy "balancer://app">
    BalancerMember "scgi://${BACKEND}"
    BalancerMember "scgi://${OTHER}"
</Proxy>
ProxyPass "/app/" "balancer://app/"
""",
    "manager": """\
<Location "/balancer-manager">
    SetHandler balancer-manager
    Require local
</Location>
<Proxy "balancer://app">
    BalancerMember "scgi://${BACKEND}" route=a loadfactor=2 max=8
    BalancerMember "scgi://${OTHER}" route=b redirect=a lbset=1 status=+H max=8
    BalancerMember "${SOCKET}" status=+D max=8
    ProxySet stickysession=ROUTEID|rid growth=2 nonce=secret
</Proxy>
<Proxy "balancer://plain">
    BalancerMember "scgi://${BACKEND}" max=8
    BalancerMember "scgi://${OTHER}" max=8
    ProxySet nonce=other nofailover=On timeout=5 maxattempts=3 lbmethod=bybusyness
</Proxy>
ProxyPass "/app/" "balancer://app/"
ProxyPass "/plain/" "balancer://plain/"
""",
    "limits": """\
LimitRequestLine 200
LimitRequestFields 10
LimitRequestFieldSize 300
LimitRequestBody 1000
ProxyPass / scgi://${BACKEND}/
""",
    "deadlines": """\
RequestReadTimeout header=1 body=1
ProxyPass / scgi://${BACKEND}/
""",
    "names": """\
<VirtualHost *:${PORT}>
    ServerName first.test:${PORT}
    ProxyPass / scgi://${BACKEND}/
    SetEnv CHOSEN first
</VirtualHost>
<VirtualHost *:${PORT}>
    ServerName second.test:${PORT}
    ServerAlias *.wild.test other.test
    ProxyPass / scgi://${BACKEND}/
    SetEnv CHOSEN second
</VirtualHost>
<VirtualHost *:${PORT}>
    ServerName exact.wild.test:${PORT}
    ServerAlias q?estion.test
    ProxyPass / scgi://${BACKEND}/
    SetEnv CHOSEN third
</VirtualHost>
<VirtualHost 127.0.0.2:${PORT}>
    ServerName second.test:${PORT}
    ProxyPass / scgi://${BACKEND}/
    SetEnv CHOSEN unreachable
</VirtualHost>
""",
    "main": """\
SetEnvIf Request_URI . LEVEL=main
SetEnv INHERITED main
ProxyPass /main/ scgi://${OTHER}/
<Location "/both/">
    SetEnv SECTION main
</Location>
<VirtualHost *:${PORT}>
    ServerName host.test:${PORT}
    SetEnvIf Request_URI ^/both/ LEVEL=host
    SetEnv OWN host
    ProxyPass /main/ scgi://${BACKEND}/
    ProxyPass /both/ scgi://${BACKEND}/
    <Location "/both/">
        SetEnv SECTION host
    </Location>
</VirtualHost>
""",
}
"""The configurations, each of which is started once on each side."""


@dataclass
class Site:
    """A folder with the files, the backends, and the configuration files by name."""

    folder: Path
    backends: dict[str, ScriptedBackend]
    dead_port: int
    configs: dict[str, Path] = field(default_factory=dict)


@contextmanager
def site(cases: Sequence[Case]) -> Iterator[Site]:
    """Make the folder, start the backends, write one configuration file for each server."""
    # Not one of pytest's folders: Apache gives its rights up and must be able to enter it.
    folder = Path(tempfile.mkdtemp(prefix="parity-"))
    folder.chmod(0o755)
    try:
        _write_files(folder)
        with ExitStack() as stack:
            backends = {
                "BACKEND": stack.enter_context(ScriptedBackend()),
                "OTHER": stack.enter_context(ScriptedBackend()),
                "THIRD": stack.enter_context(ScriptedBackend()),
                "FOURTH": stack.enter_context(ScriptedBackend()),
                "SOCKET": stack.enter_context(ScriptedBackend(folder / "scgi.sock")),
            }
            made = Site(folder, backends, free_port())
            for name, text in SERVERS.items():
                made.configs[name] = folder / f"{name}.conf"
                hosts = [case for case in cases if case.server == name and case.config]
                made.configs[name].write_text(_configuration(made, text, hosts))
            yield made
    finally:
        shutil.rmtree(folder)


def host_of(case: Case) -> str:
    """The name of the case's virtual host."""
    return f"{case.name}.test"


def _configuration(made: Site, text: str, cases: Sequence[Case]) -> str:
    lines = [f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in _LOADED]
    lines += [
        f'Define FOLDER "{made.folder}"',
        *(
            f"Define {name} 127.0.0.1:{backend.port}"
            for name, backend in made.backends.items()
            if backend.port
        ),
        f"Define SOCKET unix:{made.backends['SOCKET'].path}|scgi://scripted",
        f"Define NAMED_BACKEND localhost:{made.backends['BACKEND'].port}",
        f"Define DEAD 127.0.0.1:{made.dead_port}",
        f"Define DEAD2 127.0.0.2:{made.dead_port}",
        _COMMON,
        text,
    ]
    for case in cases:
        lines += [
            "<VirtualHost *:${PORT}>",
            f"    ServerName {host_of(case)}:${{PORT}}",
            *("    " + line for line in case.config.strip().splitlines()),
            "</VirtualHost>",
        ]
    return "\n".join(lines) + "\n"


def _write_files(folder: Path) -> None:
    root = folder / "htdocs"
    for name in ("htdocs", "htdocs/sub", "secret", "send", "outside"):
        (folder / name).mkdir()
    (root / "index.html").write_text("<p>index</p>\n")
    (root / "plain.txt").write_text("0123456789\n")
    (root / "noext").write_text("no extension\n")
    (root / "sub" / "page.html").write_text("<p>page</p>\n")
    (root / "with space.txt").write_text("space\n")
    (folder / "outside" / "page.html").write_text("<p>outside</p>\n")
    (root / "linked").symlink_to("../outside")
    (root / "sub" / "again.html").symlink_to("page.html")
    (folder / "send" / "file.bin").write_bytes(bytes(range(256)))
    (folder / "send" / "note.txt").write_text("a note\n")
    (folder / "secret" / "key.txt").write_text("secret\n")
    # alice:wonderland and bob:builder, as htpasswd writes them with -B and with -m.
    (folder / "users").write_text(
        "alice:$2y$05$jpfQ/8gJRRhSPZiqNW.PTuHGi5DsydHNf.0oxE1utgsngzOkAcmfy\n"
        "bob:$apr1$KbaPwem2$tILgedIa/lj1.D1ZJ9cFb/\n"
    )
    (folder / "mime.types").write_text("text/html html\ntext/plain txt\ntext/css css\n")
    # One time for all, so that both sides give the same Last-Modified.
    for path in folder.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    # Of the future, so that it is never as old as ten seconds while a run lasts.
    heartbeats = folder / "heartbeats"
    heartbeats.write_text("127.0.0.1 &ready=8&busy=1&lastseen=0&port=80\n")
    os.utime(heartbeats, (time.time() + 3600,) * 2)
