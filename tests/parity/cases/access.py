"""Require and its containers, Order/Allow/Deny, Basic authentication, the choice of host."""

from __future__ import annotations

from base64 import b64encode

from tests.parity.case import PROXY, Case, Differs, get, plain


def _basic(credentials: str) -> str:
    return "Authorization: Basic " + b64encode(credentials.encode()).decode()


def _allowed(
    name: str, *lines: str, fields: tuple[str, ...] = (), challenged: bool = False
) -> Case:
    """Whether a request to ``/x`` is let in, or asked who it is."""
    section = "\n".join(["<Location />", *lines, "</Location>", PROXY])
    return Case(
        name=f"access-{name}",
        request=get("/x", *fields),
        config=section,
        own_page=True,
        differs=_CHALLENGE if challenged else (),
    )


_CHALLENGE = Differs(
    "auth-charset",
    {"header:www-authenticate": ('Basic realm="the club"',)},
    {"header:www-authenticate": ('Basic realm="the club", charset="UTF-8"',)},
)
_LOGIN = ("AuthType Basic", 'AuthName "the club"', 'AuthUserFile "${FOLDER}/users"')


def _chosen(name: str, host: str, *, target: str = "/x") -> Case:
    return Case(
        name=f"host-{name}",
        request=plain(f"GET {target} HTTP/1.1", f"Host: {host}"),
        config="",
        server="names",
    )


CASES = (
    _allowed("granted", "Require all granted"),
    _allowed("denied", "Require all denied"),
    _allowed("local", "Require local"),
    _allowed("ip", "Require ip 127.0.0.1"),
    _allowed("ip-partial", "Require ip 127.0"),
    _allowed("ip-network", "Require ip 127.0.0.0/8"),
    _allowed("ip-netmask", "Require ip 10.0.0.0/255.0.0.0 127.0.0.0/255.0.0.0"),
    _allowed("ip-other", "Require ip 10.1.2.3"),
    _allowed("ip-6", "Require ip ::1 2001:db8::/32"),
    _allowed("any-of-two", "Require ip 10.0.0.1", "Require local"),
    _allowed("all", "<RequireAll>", "Require local", "Require ip 10", "</RequireAll>"),
    _allowed(
        "all-but",
        "<RequireAll>",
        "Require all granted",
        "Require not ip 127.0.0.1",
        "</RequireAll>",
    ),
    _allowed("any", "<RequireAny>", "Require ip 10", "Require local", "</RequireAny>"),
    _allowed(
        "none",
        "<RequireAll>",
        "Require all granted",
        "<RequireNone>",
        "Require local",
        "</RequireNone>",
        "</RequireAll>",
    ),
    _allowed(
        "nested",
        "<RequireAny>",
        "Require ip 10",
        "<RequireAll>",
        "Require local",
        "Require ip 127",
        "</RequireAll>",
        "</RequireAny>",
    ),
    _allowed("order-deny", "Order allow,deny", "Deny from 127.0.0.1"),
    _allowed("order-allow", "Order deny,allow", "Deny from all", "Allow from 127.0.0.1"),
    _allowed("order-nobody", "Order allow,deny"),
    Case(
        name="access-inner-replaces",
        request=get("/in/x"),
        config="<Location />\nRequire all denied\n</Location>\n<Location /in/>\nRequire all granted\n</Location>\n"
        + PROXY,
    ),
    Case(
        name="access-proxy-section",
        request=get("/x"),
        config="<Proxy *>\nRequire all denied\n</Proxy>\n" + PROXY,
        own_page=True,
    ),
    Case(
        name="access-directory",
        request=get("/sub/page.html"),
        config='<Directory "${FOLDER}/htdocs/sub">\nRequire all denied\n</Directory>\n',
        own_page=True,
    ),
    _allowed("basic-none", *_LOGIN, "Require valid-user", challenged=True),
    _allowed("basic-bcrypt", *_LOGIN, "Require valid-user", fields=(_basic("alice:wonderland"),)),
    _allowed("basic-apr1", *_LOGIN, "Require valid-user", fields=(_basic("bob:builder"),)),
    _allowed(
        "basic-wrong",
        *_LOGIN,
        "Require valid-user",
        fields=(_basic("alice:wrong"),),
        challenged=True,
    ),
    _allowed(
        "basic-unknown",
        *_LOGIN,
        "Require valid-user",
        fields=(_basic("eve:wonderland"),),
        challenged=True,
    ),
    _allowed("basic-user", *_LOGIN, "Require user alice bob", fields=(_basic("alice:wonderland"),)),
    _allowed(
        "basic-other-user",
        *_LOGIN,
        "Require user bob",
        fields=(_basic("alice:wonderland"),),
        challenged=True,
    ),
    _allowed("basic-not-needed", *_LOGIN, "Require all granted", fields=(_basic("alice:wrong"),)),
    _allowed("basic-or-local", *_LOGIN, "Require valid-user", "Require local"),
    _allowed(
        "basic-and-denied",
        *_LOGIN,
        "<RequireAll>",
        "Require valid-user",
        "Require ip 10",
        "</RequireAll>",
    ),
    _allowed(
        "basic-malformed",
        *_LOGIN,
        "Require valid-user",
        fields=("Authorization: Basic %%%",),
        challenged=True,
    ),
    _allowed(
        "basic-scheme",
        *_LOGIN,
        "Require valid-user",
        fields=("Authorization: Bearer abc",),
        challenged=True,
    ),
    _allowed(
        "basic-passed-on",
        *_LOGIN,
        "Require valid-user",
        "CGIPassAuth On",
        fields=(_basic("alice:wonderland"),),
    ),
    Case(
        name="access-basic-wrong-page",
        request=get("/x", _basic("alice:wrong")),
        config="\n".join(
            [
                "ErrorDocument 401 /page",
                "<Location /x>",
                *_LOGIN,
                "Require valid-user",
                "</Location>",
                PROXY,
            ]
        ),
        differs=(
            _CHALLENGE,
            Differs(
                "redirect-variables",
                apache={
                    "told.0.REDIRECT_QUERY_STRING": None,
                    "told.0.REDIRECT_REMOTE_USER": "alice",
                },
                gateway={"told.0.REDIRECT_QUERY_STRING": "", "told.0.REDIRECT_REMOTE_USER": None},
            ),
        ),
    ),
    Case(
        name="access-own-page",
        request=get("/server-status", "X-Forwarded-For: 192.0.2.7"),
        config="<Location /server-status>\nSetHandler server-status\n</Location>",
        own_page=True,
        differs=Differs("own-pages", {"status": 200}, {"status": 403}, only_these=False),
    ),
    _chosen("by-name", "second.test"),
    _chosen("by-alias", "other.test"),
    _chosen("case", "SECOND.Test"),
    _chosen("port-ignored", "second.test:9999"),
    _chosen("unknown", "nobody.test"),
    _chosen("wildcard-before-exact", "exact.wild.test"),
    _chosen("question-mark", "qxestion.test"),
    _chosen("absolute-form", "first.test", target="http://second.test/x"),
    _chosen("ipv6-literal", "[::1]"),
    _chosen("trailing-dot", "second.test."),
)
