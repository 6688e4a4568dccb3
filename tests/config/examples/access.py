"""Who may come in."""

from __future__ import annotations

from ipaddress import IPv4Network

from scgiproxy.rules.access import (
    RequireAll,
    RequireAllGranted,
    RequireAny,
    RequireIp,
    RequireLocal,
    RequireNone,
)
from scgiproxy.rules.hostaccess import AccessOrder, HostAccess, HostList
from tests.config.examples.base import (
    FLAG,
    Example,
    inside,
)

_LOCAL = RequireLocal()
_GRANTED, _DENIED = RequireAllGranted(True), RequireAllGranted(False)
_TEN = RequireIp((IPv4Network("10.0.0.0/8"),))
_TEN_LIST = HostList(networks=(IPv4Network("10.0.0.0/8"),))
_EVERYONE = HostList(everyone=True)


EXAMPLES: dict[str, Example] = {
    "Require": inside(
        "access",
        "Require ip 10\nRequire local",
        RequireAny((_TEN, _LOCAL)),
        "<Location />\nRequire all\n</Location>",
        "expected granted or denied after all",
        "Require all denied",
        _DENIED,
    ),
    "RequireAll": inside(
        "access",
        "<RequireAll>\nRequire all granted\nRequire local\n</RequireAll>",
        RequireAll((_GRANTED, _LOCAL)),
        "<Location />\n<RequireAll>\n</RequireAll>\n</Location>",
        "<RequireAll> is empty",
        "Require all granted",
        _GRANTED,
    ),
    "RequireAny": inside(
        "access",
        "<RequireAny>\nRequire all denied\nRequire local\n</RequireAny>",
        RequireAny((_DENIED, _LOCAL)),
        "<Location />\n<RequireAny>\nRequire not local\n</RequireAny>\n</Location>",
        "a negative rule has no effect in <RequireAny>",
        "<RequireAny>\nRequire local\n</RequireAny>",
        RequireAny((_LOCAL,)),
    ),
    "RequireNone": inside(
        "access",
        "<RequireAll>\n<RequireNone>\nRequire ip 10\n</RequireNone>\nRequire all granted\n"
        "</RequireAll>",
        RequireAll((RequireNone((_TEN,)), _GRANTED)),
        "<Location />\n<RequireNone>\nRequire local\n</RequireNone>\n</Location>",
        "it only refuses, which has no effect outside a container",
        "Require local",
        _LOCAL,
    ),
    "AuthType": inside(
        "auth",
        "AuthType Basic\nAuthName r\nAuthUserFile {tmp}/users",
        ("r", "{tmp}/users"),
        "<Location />\nAuthType Digest\n</Location>",
        "expected Basic or None, got 'Digest'",
        "AuthType None",
        None,
    ),
    "AuthName": inside(
        "auth",
        "AuthName r\nAuthType Basic\nAuthUserFile {tmp}/users",
        ("r", "{tmp}/users"),
        "AuthName r",
        "not allowed in server config; expected in <Directory>, <Location>, <Proxy>",
        "AuthName other",
        ("other", "{tmp}/users"),
    ),
    "AuthUserFile": inside(
        "auth",
        "AuthUserFile {tmp}/users\nAuthType Basic\nAuthName r",
        ("r", "{tmp}/users"),
        "<Location />\nAuthUserFile {tmp}/nobody\n</Location>",
        "No such file or directory",
        "AuthUserFile {tmp}/others",
        ("r", "{tmp}/others"),
    ),
    "AuthBasicProvider": inside(
        "auth",
        "AuthBasicProvider file",
        None,
        "<Location />\nAuthBasicProvider ldap file\n</Location>",
        "expected file, the only one that is served, got 'ldap file'",
        "AuthBasicProvider file",
        None,
    ),
    "CGIPassAuth": inside(
        "cgi_pass_auth",
        "CGIPassAuth On",
        True,
        "<Location />\nCGIPassAuth maybe\n</Location>",
        FLAG,
        "CGIPassAuth Off",
        False,
    ),
    "Order": inside(
        "access",
        "Order allow,deny",
        HostAccess(AccessOrder.ALLOW_DENY),
        "<Location />\nOrder deny\n</Location>",
        "expected one of 'deny,allow', 'allow,deny', 'mutual-failure', got 'deny'",
        "Order deny,allow",
        HostAccess(AccessOrder.DENY_ALLOW),
    ),
    "Allow": inside(
        "access",
        "Allow from 10",
        HostAccess(AccessOrder.DENY_ALLOW, allow=_TEN_LIST),
        "<Location />\nAllow all\n</Location>",
        "expected from, and then all, addresses",
        "Allow from all",
        HostAccess(AccessOrder.DENY_ALLOW, allow=_EVERYONE),
    ),
    "Deny": inside(
        "access",
        "Deny from all\nAllow from 10",
        HostAccess(AccessOrder.DENY_ALLOW, allow=_TEN_LIST, deny=_EVERYONE),
        "<Location />\nDeny from 10.1.2.3.4\n</Location>",
        "'10.1.2.3.4' is no address or network",
        "Deny from all",
        HostAccess(AccessOrder.DENY_ALLOW, deny=_EVERYONE),
    ),
    "Satisfy": inside(
        "access",
        "Deny from all\nRequire all granted\nSatisfy Any",
        RequireAny((HostAccess(AccessOrder.DENY_ALLOW, deny=_EVERYONE), _GRANTED)),
        "<Location />\nSatisfy Both\n</Location>",
        "expected one of all, any, got 'Both'",
        "Satisfy All",
        RequireAll((HostAccess(AccessOrder.DENY_ALLOW, deny=_EVERYONE), _GRANTED)),
    ),
}
