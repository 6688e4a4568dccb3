"""One example for each directive: what it means, what is refused, how it is merged."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from scgiproxy.config.model import Config
from scgiproxy.rules.access import (
    AccessOrder,
    HostAccess,
    HostList,
    RequireAll,
    RequireAllGranted,
    RequireAny,
    RequireIp,
    RequireLocal,
    Requirement,
    RequireNone,
)
from scgiproxy.rules.environment import (
    Assignment,
    SetVariable,
    SetVariableIf,
)
from scgiproxy.rules.headers import HeaderAction, HeaderEdit
from scgiproxy.rules.mapping import Alias, Mount
from scgiproxy.rules.rewriting import CookieRule, ReverseRule
from scgiproxy.rules.settings import (
    AccessLog,
    CanonicalName,
    ErrorDocument,
    ErrorDocumentKind,
)
from tests.config.loading import settings_of

HOST = "<VirtualHost *:8080>\n{}\n</VirtualHost>"
LOCATION = "<Location /in>\n{}\n</Location>"
OUTER_LOCATION = "<Location />\n{}\n</Location>"


@dataclass(frozen=True)
class Example:
    """`good` means `value`; `bad` is refused with `says` in the message; `good` in an outer place
    and `other` in an inner one give `merged`. ``{tmp}`` is a folder with the file ``users``."""

    good: str
    value: Any
    bad: str
    says: str
    other: str
    merged: Any
    read: Callable[[Config], Any]
    outer: str = "{}"
    inner: str = HOST
    more: str = ""
    """Other lines that the example needs, at the end of the file."""


def _last(config: Config) -> Any:
    return (config.main, *config.virtual_hosts)[-1]


def _server(
    field: str, good: str, value: Any, bad: str, says: str, other: str, merged: Any
) -> Example:
    """A field of ServerSettings: main server and virtual host."""
    return Example(good, value, bad, says, other, merged, lambda c: getattr(_last(c).server, field))


def _setting(
    field: str,
    good: str,
    value: Any,
    bad: str,
    says: str,
    other: str,
    merged: Any,
    outer: str = "{}",
) -> Example:
    """A field of Settings: `outer` place and a Location."""
    return Example(
        good,
        value,
        bad,
        says,
        other,
        merged,
        lambda c: getattr(settings_of(c), field),
        outer,
        LOCATION,
    )


def _inside(
    field: str, good: str, value: Any, bad: str, says: str, other: str, merged: Any
) -> Example:
    """A field of Settings whose directive stands in sections only."""
    return _setting(field, good, value, bad, says, other, merged, OUTER_LOCATION)


def _mounts(config: Config) -> list[tuple[Any, str]]:
    def shown(mount: Mount) -> tuple[Any, str]:
        pattern = mount.pattern if isinstance(mount.pattern, bytes) else mount.pattern.pattern
        return pattern, mount.target.label if mount.target else "!"

    return [shown(mount) for mount in _last(config).mounts]


def _patterns(config: Config) -> list[Any]:
    return [section.pattern for section in _last(config).sections]


def _members(config: Config) -> list[str]:
    return [member.url.label for member in config.balancers[_key(config)].members]


def _key(config: Config) -> str:
    target = _last(config).mounts[-1].target
    assert target is not None
    return str(target.balancer)


def _access(config: Config) -> Requirement | None:
    return settings_of(config).access


_LOCAL = RequireLocal()
_GRANTED, _DENIED = RequireAllGranted(True), RequireAllGranted(False)
_TEN = RequireIp((IPv4Network("10.0.0.0/8"),))
_TEN_LIST = HostList(networks=(IPv4Network("10.0.0.0/8"),))
_EVERYONE = HostList(everyone=True)


def _set(name: bytes, value: bytes) -> SetVariable:
    return SetVariable(name, value)


def _if(attribute: bytes, pattern: bytes, name: bytes, value: bytes, flags: int = 0) -> Any:
    compiled = re.compile(pattern, re.DOTALL | flags)
    return SetVariableIf(attribute, compiled, (Assignment(name, value),))


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


def _error_page(code: int, text: bytes) -> dict[int, ErrorDocument]:
    return {code: ErrorDocument(ErrorDocumentKind.TEXT, text)}


_ONE_MEMBER = 'ProxyPass /b balancer://b\n<Proxy "balancer://b">\n{}\n</Proxy>'
_TIME = "expected a time such as"
_FLAG = "expected On or Off, got 'maybe'"

EXAMPLES: dict[str, Example] = {
    "Listen": Example(
        "Listen 127.0.0.1:8081",
        [("127.0.0.1", 8081), ("", 8080)],
        "Listen 70000",
        "'70000' is no port; expected a number from 1 to 65535",
        "Listen [::1]:8082",
        [("127.0.0.1", 8081), ("::1", 8082), ("", 8080)],
        lambda c: [(each.address, each.port) for each in c.listeners],
        inner="{}",
    ),
    "VirtualHost": Example(
        "<VirtualHost *:8080>\n</VirtualHost>",
        [(None, 8080)],
        "<VirtualHost *:http>\n</VirtualHost>",
        "'http' is no port",
        "<VirtualHost 127.0.0.1>\n</VirtualHost>",
        [(None, 8080), ("127.0.0.1", None)],
        lambda c: [(a.address, a.port) for host in c.virtual_hosts for a in host.addresses],
        inner="{}",
    ),
    "ServerName": Example(
        "ServerName https://a.example:8443",
        (b"a.example", 8443, b"https"),
        "ServerName *.example",
        "expected [scheme://]name[:port] without wildcards",
        "ServerName b.example",
        (b"b.example", None, b"http"),
        lambda c: (_last(c).server.name, _last(c).server.port, _last(c).server.scheme),
    ),
    "ServerAlias": Example(
        "<VirtualHost *>\nServerAlias a *.b\nServerAlias c\n</VirtualHost>",
        (b"a", b"*.b", b"c"),
        "ServerAlias a",
        "not allowed in server config; expected in <VirtualHost>",
        "ServerAlias d",
        (b"d",),
        lambda c: _last(c).server.aliases,
    ),
    "ServerAdmin": _server(
        "admin",
        "ServerAdmin a@example",
        b"a@example",
        "ServerAdmin",
        "takes one argument (ADDRESS|URL); 0 given",
        "ServerAdmin b@example",
        b"b@example",
    ),
    "ServerTokens": Example(
        "ServerTokens ProductOnly",
        "Prod",
        "ServerTokens Some",
        "expected one of full, os,",
        "ServerTokens min",
        "Minimal",
        lambda c: c.server_tokens,
        inner="{}",
    ),
    "UseCanonicalName": _server(
        "canonical_name",
        "UseCanonicalName On",
        CanonicalName.ON,
        "UseCanonicalName DNS",
        "expected one of on, off, got 'DNS'",
        "UseCanonicalName off",
        CanonicalName.OFF,
    ),
    "Timeout": _server("timeout", "TimeOut 600", 600.0, "Timeout 0", _TIME[:15], "Timeout 5s", 5.0),
    "ProxyTimeout": _server(
        "proxy_timeout",
        "ProxyTimeout 500ms",
        0.5,
        "ProxyTimeout x",
        _TIME,
        "ProxyTimeout 1h",
        3600.0,
    ),
    "KeepAlive": _server(
        "keep_alive", "KeepAlive off", False, "KeepAlive maybe", _FLAG, "KeepAlive On", True
    ),
    "KeepAliveTimeout": _server(
        "keep_alive_timeout",
        "KeepAliveTimeout 1500ms",
        1.5,
        "KeepAliveTimeout 5x",
        _TIME,
        "KeepAliveTimeout 0",
        0.0,
    ),
    "MaxKeepAliveRequests": _server(
        "max_keep_alive_requests",
        "MaxKeepAliveRequests 0",
        0,
        "MaxKeepAliveRequests -1",
        "expected a number of 0 or more, got '-1'",
        "MaxKeepAliveRequests 7",
        7,
    ),
    "LimitRequestLine": _server(
        "limit_request_line",
        "LimitRequestLine 100",
        100,
        "LimitRequestLine 0",
        "expected a number of 1 or more, got 0",
        "LimitRequestLine 200",
        200,
    ),
    "LimitRequestFields": _server(
        "limit_request_fields",
        "LimitRequestFields 0",
        0,
        "LimitRequestFields 32768",
        "expected a number from 0 to 32767",
        "LimitRequestFields 3",
        3,
    ),
    "LimitRequestFieldSize": _server(
        "limit_request_field_size",
        "LimitRequestFieldSize 100",
        100,
        "LimitRequestFieldSize ten",
        "expected a number of 1 or more, got 'ten'",
        "LimitRequestFieldSize 9",
        9,
    ),
    "LimitInternalRecursion": _server(
        "limit_internal_recursion",
        "LimitInternalRecursion 4 9",
        4,
        "LimitInternalRecursion 0",
        "expected a number of 1 or more, got 0",
        "LimitInternalRecursion 5",
        5,
    ),
    "AllowEncodedSlashes": _server(
        "encoded_slashes",
        "AllowEncodedSlashes NoDecode",
        "nodecode",
        "AllowEncodedSlashes yes",
        "expected one of on, off, nodecode",
        "AllowEncodedSlashes On",
        "on",
    ),
    "ProxyRequests": Example(
        "ProxyRequests Off",
        (),
        "ProxyRequests On",
        "no forward proxy; expected Off",
        "ProxyRequests Off",
        (),
        lambda c: c.notes,
    ),
    "Location": _section("Location", _literal, "/a /b", "takes one path; '/b' is left over"),
    "LocationMatch": _section("LocationMatch", _expression, "(", "does not compile"),
    "Directory": _section("Directory", _literal, "a", "expected an absolute path, got 'a'"),
    "DirectoryMatch": _section("DirectoryMatch", _expression, "[a", "does not compile"),
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
    "BalancerMember": Example(
        "BalancerMember balancer://b scgi://localhost:1",
        ["scgi://localhost:1"],
        "BalancerMember scgi://localhost:1",
        "expected balancer://NAME and a URL outside <Proxy>",
        "BalancerMember balancer://b scgi://localhost:2",
        ["scgi://localhost:1", "scgi://localhost:2"],
        _members,
        inner="{}",
        more="ProxyPass /b balancer://b",
    ),
    "ProxyErrorOverride": _setting(
        "error_override",
        "ProxyErrorOverride On",
        frozenset(range(400, 600)),
        "ProxyErrorOverride On 302",
        "expected a number from 400 to 599",
        "ProxyErrorOverride On 404 500",
        frozenset({404, 500}),
    ),
    "ProxyAddHeaders": _setting(
        "add_forwarded_headers",
        "ProxyAddHeaders On",
        True,
        "ProxyAddHeaders maybe",
        _FLAG,
        "ProxyAddHeaders Off",
        False,
    ),
    "ProxyPreserveHost": Example(
        "ProxyPreserveHost On",
        0,
        "ProxyPreserveHost maybe",
        _FLAG,
        "ProxyPreserveHost Off",
        1,
        lambda c: len(c.notes),
    ),
    "ProxyPassReverse": _setting(
        "reverse",
        "ProxyPassReverse /a http://b/",
        (ReverseRule(b"/a", b"http://b/"),),
        "ProxyPassReverse a http://b/",
        "expected a path that begins with / first",
        "ProxyPassReverse http://c/",
        (ReverseRule(b"/a", b"http://b/"), ReverseRule(b"/in", b"http://c/")),
    ),
    "ProxyPassReverseCookieDomain": _setting(
        "reverse_cookie_domains",
        "ProxyPassReverseCookieDomain a b",
        (CookieRule(b"a", b"b"),),
        "ProxyPassReverseCookieDomain a",
        "takes 2 to three arguments (INTERNAL EXTERNAL); 1 given",
        "ProxyPassReverseCookieDomain c d",
        (CookieRule(b"a", b"b"), CookieRule(b"c", b"d")),
    ),
    "ProxyPassReverseCookiePath": _setting(
        "reverse_cookie_paths",
        "ProxyPassReverseCookiePath / /a",
        (CookieRule(b"/", b"/a"),),
        'ProxyPassReverseCookiePath / "/a;b"',
        "cannot be an attribute of a cookie",
        "ProxyPassReverseCookiePath /c /d",
        (CookieRule(b"/", b"/a"), CookieRule(b"/c", b"/d")),
    ),
    "DocumentRoot": _server(
        "document_root",
        "DocumentRoot {tmp}/",
        "{tmp}",
        "DocumentRoot {tmp}/nothing",
        "is not an existing directory",
        "DocumentRoot /",
        "/",
    ),
    "Alias": Example(
        "Alias /a {tmp}",
        (Alias(b"/a", "{tmp}"),),
        "Alias a {tmp}",
        "expected a path that begins with / first",
        "Alias /b {tmp}",
        (Alias(b"/b", "{tmp}"), Alias(b"/a", "{tmp}")),
        lambda c: _last(c).aliases,
    ),
    "ErrorDocument": _setting(
        "error_documents",
        'ErrorDocument 404 "not here"',
        _error_page(404, b"not here"),
        "ErrorDocument 999 x",
        "expected a status of HTTP from 400 to 511, got 999",
        'ErrorDocument 500 "it broke"',
        {**_error_page(404, b"not here"), **_error_page(500, b"it broke")},
    ),
    "SetHandler": _setting(
        "handler",
        "SetHandler scgi-demo",
        "scgi-demo",
        "SetHandler proxy:fcgi://h",
        "scheme 'fcgi' is not served here",
        "SetHandler None",
        None,
    ),
    "LimitRequestBody": _setting(
        "limit_request_body",
        "LimitRequestBody 100",
        100,
        "LimitRequestBody 1k",
        "expected a number of 0 or more, got '1k'",
        "LimitRequestBody 0",
        0,
    ),
    "ProxySCGIInternalRedirect": _setting(
        "internal_redirect",
        "ProxySCGIInternalRedirect X-Location",
        b"x-location",
        'ProxySCGIInternalRedirect "X Y"',
        "expected the name of a header, got 'X Y'",
        "ProxySCGIInternalRedirect Off",
        None,
    ),
    "ProxySCGISendfile": _setting(
        "sendfile",
        "ProxySCGISendfile On",
        b"x-sendfile",
        "ProxySCGISendfile On Off",
        "takes one argument (On|Off|HEADER); 2 given",
        "ProxySCGISendfile X-Send-Static",
        b"x-send-static",
    ),
    "XSendFilePath": _setting(
        "sendfile_roots",
        "XSendFilePath {tmp}",
        ("{tmp}",),
        "XSendFilePath files",
        "expected an absolute path, got 'files'",
        "XSendFilePath /",
        ("{tmp}", "/"),
    ),
    "SetEnv": _setting(
        "set_env",
        'SetEnv A "b c"',
        (_set(b"A", b"b c"),),
        "SetEnv CONTENT_LENGTH 5",
        "CONTENT_LENGTH is part of the protocol and cannot be set",
        "SetEnv B",
        (_set(b"A", b"b c"), _set(b"B", b"")),
    ),
    "PassEnv": _setting(
        "set_env",
        "PassEnv HOME",
        (_set(b"HOME", b"/home/me"),),
        "PassEnv SCGI",
        "SCGI is part of the protocol and cannot be set",
        "PassEnv LANG",
        (_set(b"HOME", b"/home/me"), _set(b"LANG", b"C")),
    ),
    "UnsetEnv": _setting(
        "set_env",
        "SetEnv A 1\nSetEnv B 2\nUnsetEnv A",
        (_set(b"B", b"2"),),
        "UnsetEnv",
        "takes at least one argument (NAME ...); 0 given",
        "UnsetEnv B",
        (),
    ),
    "SetEnvIf": Example(
        "SetEnvIf Request_URI . proxy-scgi-pathinfo",
        ((_if(b"Request_URI", b".", b"proxy-scgi-pathinfo", b"1"),), ()),
        "SetEnvIf Request_URI ( A",
        "does not compile: missing ), unterminated subpattern at character 1",
        "SetEnvIf Host x A=b",
        (
            (_if(b"Request_URI", b".", b"proxy-scgi-pathinfo", b"1"),),
            (_if(b"Host", b"x", b"A", b"b"),),
        ),
        lambda c: (_last(c).server.environment, settings_of(c).set_env_if),
        inner=LOCATION,
    ),
    "SetEnvIfNoCase": Example(
        "SetEnvIfNoCase Host x A",
        (_if(b"Host", b"x", b"A", b"1", re.IGNORECASE),),
        "SetEnvIfNoCase Host x",
        "takes at least three arguments",
        "SetEnvIfNoCase Host y B",
        (
            _if(b"Host", b"x", b"A", b"1", re.IGNORECASE),
            _if(b"Host", b"y", b"B", b"1", re.IGNORECASE),
        ),
        lambda c: _last(c).server.environment,
    ),
    "BrowserMatch": Example(
        "BrowserMatch curl A",
        (_if(b"User-Agent", b"curl", b"A", b"1"),),
        "BrowserMatch curl",
        "takes at least two arguments",
        "BrowserMatch wget A=$0",
        (_if(b"User-Agent", b"curl", b"A", b"1"), _if(b"User-Agent", b"wget", b"A", b"$0")),
        lambda c: _last(c).server.environment,
    ),
    "BrowserMatchNoCase": Example(
        "BrowserMatchNoCase curl A",
        (_if(b"User-Agent", b"curl", b"A", b"1", re.IGNORECASE),),
        "BrowserMatchNoCase curl =1",
        "no variable name in '=1'",
        "BrowserMatchNoCase wget !B",
        (
            _if(b"User-Agent", b"curl", b"A", b"1", re.IGNORECASE),
            SetVariableIf(
                b"User-Agent",
                re.compile(b"wget", re.DOTALL | re.IGNORECASE),
                (Assignment(b"B", None),),
            ),
        ),
        lambda c: _last(c).server.environment,
    ),
    "Header": _setting(
        "response_headers",
        'Header always set X-A "%{B}e" env=!C',
        (HeaderEdit(HeaderAction.SET, b"X-A", b"%{B}e", (b"C", False), True),),
        "Header edit X-A a b",
        "expected one of set, setifempty, append, add, merge, unset, got 'edit'",
        "Header unset X-B",
        (
            HeaderEdit(HeaderAction.SET, b"X-A", b"%{B}e", (b"C", False), True),
            HeaderEdit(HeaderAction.UNSET, b"X-B"),
        ),
    ),
    "RequestHeader": _setting(
        "request_headers",
        "RequestHeader add X-A: b env=C",
        (HeaderEdit(HeaderAction.ADD, b"X-A", b"b", (b"C", True)),),
        "RequestHeader set X-A",
        "set needs a value",
        "RequestHeader merge X-B c",
        (
            HeaderEdit(HeaderAction.ADD, b"X-A", b"b", (b"C", True)),
            HeaderEdit(HeaderAction.MERGE, b"X-B", b"c"),
        ),
    ),
    "Require": _inside(
        "access",
        "Require ip 10\nRequire local",
        RequireAny((_TEN, _LOCAL)),
        "<Location />\nRequire all\n</Location>",
        "expected granted or denied after all",
        "Require all denied",
        _DENIED,
    ),
    "RequireAll": _inside(
        "access",
        "<RequireAll>\nRequire all granted\nRequire local\n</RequireAll>",
        RequireAll((_GRANTED, _LOCAL)),
        "<Location />\n<RequireAll>\n</RequireAll>\n</Location>",
        "<RequireAll> is empty",
        "Require all granted",
        _GRANTED,
    ),
    "RequireAny": _inside(
        "access",
        "<RequireAny>\nRequire all denied\nRequire local\n</RequireAny>",
        RequireAny((_DENIED, _LOCAL)),
        "<Location />\n<RequireAny>\nRequire not local\n</RequireAny>\n</Location>",
        "a negative rule has no effect in <RequireAny>",
        "<RequireAny>\nRequire local\n</RequireAny>",
        RequireAny((_LOCAL,)),
    ),
    "RequireNone": _inside(
        "access",
        "<RequireAll>\n<RequireNone>\nRequire ip 10\n</RequireNone>\nRequire all granted\n"
        "</RequireAll>",
        RequireAll((RequireNone((_TEN,)), _GRANTED)),
        "<Location />\n<RequireNone>\nRequire local\n</RequireNone>\n</Location>",
        "it only refuses, which has no effect outside a container",
        "Require local",
        _LOCAL,
    ),
    "AuthType": _inside(
        "auth",
        "AuthType Basic\nAuthName r\nAuthUserFile {tmp}/users",
        ("r", "{tmp}/users"),
        "<Location />\nAuthType Digest\n</Location>",
        "expected Basic or None, got 'Digest'",
        "AuthType None",
        None,
    ),
    "AuthName": _inside(
        "auth",
        "AuthName r\nAuthType Basic\nAuthUserFile {tmp}/users",
        ("r", "{tmp}/users"),
        "AuthName r",
        "not allowed in server config; expected in <Directory>, <Location>, <Proxy>",
        "AuthName other",
        ("other", "{tmp}/users"),
    ),
    "AuthUserFile": _inside(
        "auth",
        "AuthUserFile {tmp}/users\nAuthType Basic\nAuthName r",
        ("r", "{tmp}/users"),
        "<Location />\nAuthUserFile {tmp}/nobody\n</Location>",
        "No such file or directory",
        "AuthUserFile {tmp}/others",
        ("r", "{tmp}/others"),
    ),
    "AuthBasicProvider": _inside(
        "auth",
        "AuthBasicProvider file",
        None,
        "<Location />\nAuthBasicProvider ldap file\n</Location>",
        "expected file, the only one that is served, got 'ldap file'",
        "AuthBasicProvider file",
        None,
    ),
    "CGIPassAuth": _inside(
        "cgi_pass_auth",
        "CGIPassAuth On",
        True,
        "<Location />\nCGIPassAuth maybe\n</Location>",
        _FLAG,
        "CGIPassAuth Off",
        False,
    ),
    "Order": _inside(
        "access",
        "Order allow,deny",
        HostAccess(AccessOrder.ALLOW_DENY),
        "<Location />\nOrder deny\n</Location>",
        "expected one of 'deny,allow', 'allow,deny', 'mutual-failure', got 'deny'",
        "Order deny,allow",
        HostAccess(AccessOrder.DENY_ALLOW),
    ),
    "Allow": _inside(
        "access",
        "Allow from 10",
        HostAccess(AccessOrder.DENY_ALLOW, allow=_TEN_LIST),
        "<Location />\nAllow all\n</Location>",
        "expected from, and then all, addresses",
        "Allow from all",
        HostAccess(AccessOrder.DENY_ALLOW, allow=_EVERYONE),
    ),
    "Deny": _inside(
        "access",
        "Deny from all\nAllow from 10",
        HostAccess(AccessOrder.DENY_ALLOW, allow=_TEN_LIST, deny=_EVERYONE),
        "<Location />\nDeny from 10.1.2.3.4\n</Location>",
        "'10.1.2.3.4' is no address or network",
        "Deny from all",
        HostAccess(AccessOrder.DENY_ALLOW, deny=_EVERYONE),
    ),
    "Satisfy": _inside(
        "access",
        "Deny from all\nRequire all granted\nSatisfy Any",
        RequireAny((HostAccess(AccessOrder.DENY_ALLOW, deny=_EVERYONE), _GRANTED)),
        "<Location />\nSatisfy Both\n</Location>",
        "expected one of all, any, got 'Both'",
        "Satisfy All",
        RequireAll((HostAccess(AccessOrder.DENY_ALLOW, deny=_EVERYONE), _GRANTED)),
    ),
    "LogLevel": Example(
        "LogLevel Info",
        ("info", "info"),
        "LogLevel loud",
        "expected a level (emerg, alert,",
        "LogLevel debug",
        ("info", "debug"),
        lambda c: (c.log_level, _last(c).server.log_level),
    ),
    "ErrorLog": Example(
        "ErrorLog {tmp}/error.log",
        ("{tmp}/error.log", "{tmp}/error.log"),
        "ErrorLog {tmp}/nothing/error.log",
        "the directory of '{tmp}/nothing/error.log' does not exist",
        "ErrorLog {tmp}/other.log",
        ("{tmp}/error.log", "{tmp}/other.log"),
        lambda c: (c.error_log, _last(c).server.error_log),
    ),
    "LogFormat": Example(
        r'LogFormat "%h %l %u %t \"%r\" %>s %O" mine' + "\nCustomLog {tmp}/l mine",
        ((AccessLog("{tmp}/l", "common"),), 0),
        "LogFormat a b c",
        "takes 1 to two arguments (FORMAT NAME); 3 given",
        "LogFormat %h mine\nCustomLog {tmp}/l mine",
        ((AccessLog("{tmp}/l", "combined"),), 1),
        lambda c: (_last(c).server.access_logs, len(c.notes)),
    ),
    "CustomLog": _server(
        "access_logs",
        "CustomLog {tmp}/a common\nCustomLog {tmp}/b combined",
        (AccessLog("{tmp}/a", "common"), AccessLog("{tmp}/b", "combined")),
        "CustomLog {tmp}/a",
        "takes 2 to three arguments (FILE common|combined); 1 given",
        "CustomLog {tmp}/c combined",
        (AccessLog("{tmp}/c", "combined"),),
    ),
    "AddType": Example(
        "AddType text/x-a .a",
        1,
        "AddType application/x-httpd-php .php",
        "their source would be served",
        "AddType text/x-b .b",
        1,
        lambda c: len(c.notes),
    ),
    "SSLEngine": Example(
        "SSLEngine off",
        0,
        "SSLEngine on",
        'TLS is spoken by an endpoint string: Listen "ssl:443:',
        "SSLEngine off",
        0,
        lambda c: len(c.notes),
    ),
}
