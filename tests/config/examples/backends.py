"""Sections and backends."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from scgiproxy.config.model import Config
from scgiproxy.rules.mapping import Mount
from scgiproxy.rules.rewriting import CookieRule, ReverseRule
from scgiproxy.rules.tls import TlsSettings, TlsVerify, TlsVersion
from tests.config.examples.base import (
    FLAG,
    Example,
    last,
    setting,
)


def _mounts(config: Config) -> list[tuple[Any, str]]:
    def shown(mount: Mount) -> tuple[Any, str]:
        pattern = mount.pattern if isinstance(mount.pattern, bytes) else mount.pattern.pattern
        return pattern, mount.target.label if mount.target else "!"

    return [shown(mount) for mount in last(config).mounts]


def _patterns(config: Config) -> list[Any]:
    return [section.pattern for section in last(config).sections]


def _section(name: str, pattern: Callable[[str], Any], bad: str, says: str) -> Example:
    def text(path: str) -> str:
        return f"<{name} {path}>\nSetEnv A 1\n</{name}>"

    return Example(
        text("/a"),
        [pattern("/a")],
        f"<{name} {bad}>\n</{name}>",
        says,
        text("/b"),
        [pattern("/a"), pattern("/b")],
        _patterns,
    )


def _literal(path: str) -> bytes:
    return path.encode()


def _expression(path: str) -> re.Pattern[bytes]:
    return re.compile(path.encode(), re.DOTALL)


def _tls(
    good: str,
    value: Any,
    bad: str,
    says: str,
    other: str,
    merged: Any,
    read: Callable[[TlsSettings], Any],
) -> Example:
    """A part of what is said of TLS to the backend of a host's mount."""

    def read_last(config: Config) -> Any:
        tls = last(config).mounts[-1].settings.tls
        assert tls is not None
        return read(tls)

    mount = "ProxyPass /tls scgis://localhost"
    inner = "<Proxy scgis://localhost>\n{}\n</Proxy>"
    return Example(good, value, bad, says, other, merged, read_last, inner=inner, more=mount)


EXAMPLES: dict[str, Example] = {
    "Location": _section("Location", _literal, "/a /b", "takes one path; '/b' is left over"),
    "LocationMatch": _section("LocationMatch", _expression, "(", "does not compile"),
    "Directory": _section("Directory", _literal, "a", "expected an absolute path, got 'a'"),
    "DirectoryMatch": _section("DirectoryMatch", _expression, "[a", "does not compile"),
    "Files": _section("Files", _literal, "/a /b", "takes one name; '/b' is left over"),
    "FilesMatch": _section("FilesMatch", _expression, "a(", "does not compile"),
    "Proxy": Example(
        "<Proxy *>\nSetEnv A 1\n</Proxy>",
        ["scgi://h/"],
        "<Proxy * timeout=5>\n</Proxy>",
        "expected a URL without wildcards",
        '<Proxy "scgi://h">\nSetEnv A 1\n</Proxy>',
        ["scgi://h/", "scgi://h/"],
        lambda c: [
            "scgi://h/"
            for pattern in _patterns(c)
            if (
                b"scgi://h/".startswith(pattern)
                if isinstance(pattern, bytes)
                else pattern.search(b"scgi://h/")
            )
        ],
    ),
    "ProxyMatch": _section("ProxyMatch", _expression, "*", "does not compile"),
    "ProxyPass": Example(
        "ProxyPass /a scgi://localhost:1",
        [(b"/a", "scgi://localhost:1")],
        "ProxyPass /a http://localhost",
        "scheme 'http' is not served here",
        "ProxyPass /b !",
        [(b"/a", "scgi://localhost:1"), (b"/b", "!")],
        _mounts,
    ),
    "ProxyPassMatch": Example(
        "ProxyPassMatch ^/a/(.*) scgi://localhost:1/$1",
        [(b"^/a/(.*)", "scgi://localhost:1/$1")],
        "ProxyPassMatch (.*) scgi://host$1",
        "$1 may not be part of the backend's address",
        "ProxyPassMatch /css|js !",
        [(b"^/a/(.*)", "scgi://localhost:1/$1"), (b"/css|js", "!")],
        _mounts,
    ),
    "SCGIMount": Example(
        "SCGIMount /RPC2 127.0.0.1:5000",
        [(b"/RPC2", "scgi://127.0.0.1:5000")],
        "SCGIMount /RPC2 scgi://127.0.0.1:5000",
        "expected HOST:PORT and no URL",
        "SCGIMount /b localhost:1",
        [(b"/RPC2", "scgi://127.0.0.1:5000"), (b"/b", "scgi://localhost:1")],
        _mounts,
    ),
    "ProxySet": Example(
        "ProxySet scgi://localhost:1 timeout=5 max=2",
        (5.0, 2),
        "ProxySet scgi://localhost:1 tiemout=5",
        "unknown worker parameter 'tiemout'; did you mean timeout?",
        "ProxySet scgi://localhost:1 timeout=6",
        (6.0, 2),
        lambda c: (
            c.main.mounts[0].settings.timeout,
            c.main.mounts[0].settings.max_connections,
        ),
        inner="{}",
        more="ProxyPass /a scgi://localhost:1",
    ),
    "ProxyErrorOverride": setting(
        "error_override",
        "ProxyErrorOverride On",
        frozenset(range(400, 600)),
        "ProxyErrorOverride On 302",
        "expected a number from 400 to 599",
        "ProxyErrorOverride On 404 500",
        frozenset({404, 500}),
    ),
    "ProxyAddHeaders": setting(
        "add_forwarded_headers",
        "ProxyAddHeaders On",
        True,
        "ProxyAddHeaders maybe",
        FLAG,
        "ProxyAddHeaders Off",
        False,
    ),
    "ProxyPreserveHost": Example(
        "ProxyPreserveHost On",
        0,
        "ProxyPreserveHost maybe",
        FLAG,
        "ProxyPreserveHost Off",
        1,
        lambda c: len(c.notes),
    ),
    "ProxyPassReverse": setting(
        "reverse",
        "ProxyPassReverse /a http://b/",
        (ReverseRule(b"/a", b"http://b/"),),
        "ProxyPassReverse a http://b/",
        "expected a path that begins with / first",
        "ProxyPassReverse http://c/",
        (ReverseRule(b"/a", b"http://b/"), ReverseRule(b"/in", b"http://c/")),
    ),
    "ProxyPassReverseCookieDomain": setting(
        "reverse_cookie_domains",
        "ProxyPassReverseCookieDomain a b",
        (CookieRule(b"a", b"b"),),
        "ProxyPassReverseCookieDomain a",
        "takes 2 or 3 arguments (INTERNAL EXTERNAL); 1 given",
        "ProxyPassReverseCookieDomain c d",
        (CookieRule(b"a", b"b"), CookieRule(b"c", b"d")),
    ),
    "ProxyPassReverseCookiePath": setting(
        "reverse_cookie_paths",
        "ProxyPassReverseCookiePath / /a",
        (CookieRule(b"/", b"/a"),),
        'ProxyPassReverseCookiePath / "/a;b"',
        "cannot be an attribute of a cookie",
        "ProxyPassReverseCookiePath /c /d",
        (CookieRule(b"/", b"/a"), CookieRule(b"/c", b"/d")),
    ),
    "SSLProxyCACertificateFile": _tls(
        "SSLProxyCACertificateFile {tmp}/ca.pem",
        ["{tmp}/ca.pem"],
        "SSLProxyCACertificateFile {tmp}/nothing",
        "'{tmp}/nothing' cannot be read: No such file or directory",
        "SSLProxyCACertificateFile {tmp}/own.pem",
        ["{tmp}/own.pem"],
        lambda tls: [file.path for file in tls.authorities],
    ),
    "SSLProxyCACertificatePath": _tls(
        "SSLProxyCACertificatePath {tmp}/authorities",
        ["{tmp}/authorities"],
        "SSLProxyCACertificatePath {tmp}/empty",
        "no file in '{tmp}/empty' has a certificate (PEM) in it",
        "SSLProxyCACertificatePath {tmp}",
        ["{tmp}"],
        lambda tls: [file.path for file in tls.authorities],
    ),
    "SSLProxyMachineCertificateFile": _tls(
        "SSLProxyMachineCertificateFile {tmp}/own.pem",
        "{tmp}/own.pem",
        "SSLProxyMachineCertificateFile {tmp}/ca.pem",
        "'{tmp}/ca.pem' has no private key (PEM) in it, only certificates",
        "SSLProxyMachineCertificateFile {tmp}/own.pem",
        "{tmp}/own.pem",
        lambda tls: tls.certificate.path,
    ),
    "SSLProxyVerify": _tls(
        "SSLProxyVerify none",
        TlsVerify.NOTHING,
        "SSLProxyVerify optional",
        "expected one of none, require, got 'optional'",
        "SSLProxyVerify require",
        TlsVerify.NAME,
        lambda tls: tls.verify,
    ),
    "SSLProxyCheckPeerName": _tls(
        "SSLProxyCheckPeerName off",
        TlsVerify.CHAIN,
        "SSLProxyCheckPeerName maybe",
        FLAG,
        "SSLProxyCheckPeerName On",
        TlsVerify.NAME,
        lambda tls: tls.verify,
    ),
    "SSLProxyProtocol": _tls(
        "SSLProxyProtocol all -TLSv1 -TLSv1.1 -TLSv1.2",
        (TlsVersion.TLS_1_3,),
        "SSLProxyProtocol TLSv1.1",
        "expected all, TLSv1.2 or TLSv1.3, with + or -, got 'TLSv1.1'",
        "SSLProxyProtocol +tlsv1.2",
        (TlsVersion.TLS_1_2,),
        lambda tls: tls.versions,
    ),
}
