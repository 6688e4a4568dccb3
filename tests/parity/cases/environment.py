"""SetEnv and SetEnvIf, RequestHeader and Header, ErrorDocument, what does nothing for SCGI."""

from __future__ import annotations

from tests.e2e.scripted import answer
from tests.parity.case import PROXY, Case, Differs, get, post
from tests.parity.cases.known import KEPT_OPEN, PAGE_CHARSET

_TEXT = b"Content-Type: text/plain\r\n"


def _told(name: str, config: str, *fields: str, target: str = "/x?q=1") -> Case:
    """What a configuration makes of the variables."""
    return Case(name=f"env-{name}", request=get(target, *fields), config=config + "\n" + PROXY)


def _answered(
    name: str, config: str, head: bytes = b"", differs: Differs | tuple[Differs, ...] = ()
) -> Case:
    """What a configuration makes of the response's headers."""
    return Case(
        name=f"headers-{name}",
        request=get("/x"),
        config=config + "\n" + PROXY,
        scripts=(answer(head + _TEXT + b"\r\nbody\n"),),
        differs=differs,
    )


def _page(
    name: str,
    config: str,
    target: str = "/missing",
    *,
    text: bool = True,
    differs: tuple[Differs, ...] = (),
) -> Case:
    """A page for an error of the server's own."""
    return Case(
        name=f"page-{name}",
        request=get(target),
        config=config,
        own_page=not text,
        differs=differs,
    )


_NO_VALIDATORS = Differs(
    "error-document-validators",
    {
        "header:accept-ranges": ("bytes",),
        "header:etag": "there",
        "header:last-modified": ("Sun, 13 Sep 2020 12:26:40 GMT",),
    },
    {"header:accept-ranges": None, "header:etag": None, "header:last-modified": None},
)
_BY_HEAD = Differs(
    "error-document-body",
    {"told.0.REQUEST_METHOD": "GET"},
    {"told.0.REQUEST_METHOD": "HEAD"},
)
_ERRORS = "ProxyPass /dead/ scgi://${DEAD}/\nProxyPass /app/ scgi://${BACKEND}/\n"

CASES = (
    _told("set", 'SetEnv A one\nSetEnv B\nSetEnv C "two words"'),
    _told("set-twice", "SetEnv A one\nSetEnv A two"),
    _told("unset", "SetEnv A one\nUnsetEnv A"),
    _told(
        "location-over-host",
        "SetEnv A one\nSetEnv B two\n<Location /x>\nSetEnv A inner\nUnsetEnv B\n</Location>",
    ),
    _told("odd-names", "SetEnv some-name 1\nSetEnv lower 2"),
    _told(
        "over-computed",
        "SetEnv SERVER_NAME evil\nSetEnv REMOTE_ADDR 1.2.3.4\nSetEnv QUERY_STRING e\nSetEnv REQUEST_URI /e\nSetEnv SCRIPT_NAME /e\nSetEnv HTTP_HOST e\nSetEnv REQUEST_METHOD EVIL",
    ),
    _told(
        "over-absent",
        "SetEnv REMOTE_USER me\nSetEnv AUTH_TYPE Own\nSetEnv HTTPS on\nSetEnv CONTENT_TYPE a/b\nSetEnv PATH_INFO /own\nSetEnv REMOTE_HOST h",
    ),
    _told("document-root", "SetEnv DOCUMENT_ROOT /own"),
    _told("content-type-sent", "SetEnv CONTENT_TYPE a/b", "Content-Type: text/plain"),
    _told("gateway-interface", "SetEnv GATEWAY_INTERFACE CGI/9"),
    _told("if-uri", "SetEnvIf Request_URI ^/x A=1 B !C\nSetEnvIf Request_URI ^/y D"),
    _told("if-groups", "SetEnvIf Request_URI ^/(x)(.*)$ A=$1-$2-$0"),
    _told("if-header", "SetEnvIf User-Agent (\\w+)/(\\d) AGENT=$1 MAJOR=$2", "User-Agent: Moz/5"),
    _told("if-header-absent", "SetEnvIf X-None ^$ ABSENT"),
    _told("if-header-regex", "SetEnvIf ^X-.*-Id$ . HAS=yes", "X-Trace-Id: 5"),
    _told("if-no-case", "SetEnvIfNoCase X-A HELLO GREETED\nSetEnvIf X-A HELLO NOT", "X-A: hello"),
    _told(
        "if-facts",
        "SetEnvIf Remote_Addr ^127 LOCAL\nSetEnvIf Request_Method GET METHOD\nSetEnvIf Request_Protocol 1\\.1$ PROTOCOL\nSetEnvIf Server_Addr ^127 SERVER",
    ),
    _told("if-earlier", "SetEnvIf Request_URI . A=1\nSetEnvIf A 1 B=2\nSetEnvIf B 2 !A"),
    _told(
        "if-location",
        "<Location /x>\nSetEnvIf Request_URI . INNER=1\n</Location>\nSetEnvIf Request_URI . OUTER=1",
    ),
    _told(
        "browser-match",
        "BrowserMatch ^Moz MOZ=1\nBrowserMatchNoCase MOZ NOCASE",
        "User-Agent: Moz/5",
    ),
    _told("request-header-set", "RequestHeader set X-A new\nRequestHeader set X-B b", "X-A: old"),
    _told(
        "request-header-edits",
        "RequestHeader append X-B 2\nRequestHeader unset X-C\nRequestHeader merge X-D a\nRequestHeader merge X-D b",
        "X-B: 1",
        "X-C: 1",
        "X-D: a",
    ),
    Case(
        name="env-request-header-add",
        request=get("/x", "X-A: 1"),
        config="RequestHeader add X-A 2\n" + PROXY,
        differs=Differs(
            "repeated-names",
            apache={"told.0.repeated": ("HTTP_X_A",), "told.0.HTTP_X_A": "2"},
            gateway={"told.0.repeated": (), "told.0.HTTP_X_A": "1, 2"},
        ),
    ),
    _told(
        "request-header-env",
        'SetEnv V value\nRequestHeader set X-A "%{V}e"\nRequestHeader set X-B yes env=V\nRequestHeader set X-C no env=!V',
    ),
    _told("request-header-proxy", "RequestHeader set Proxy evil"),
    _told(
        "location-match-order",
        "<Location /x>\nSetEnv A location\n</Location>\n<LocationMatch ^/x>\nSetEnv A match\n</LocationMatch>\n<Location />\nSetEnv A root\n</Location>",
    ),
    _told(
        "location-wildcard",
        "<Location /x*>\nSetEnv A wild\n</Location>\n<Location /?/y>\nSetEnv B wild\n</Location>",
        target="/xyz",
    ),
    _told(
        "location-boundary",
        "<Location /x/>\nSetEnv A slash\n</Location>\n<Location /x>\nSetEnv B bare\n</Location>",
    ),
    _told("location-regex", "<Location ~ ^/x$>\nSetEnv A regex\n</Location>"),
    _told(
        "location-encoded", '<Location "/a b">\nSetEnv A decoded\n</Location>', target="/a%20b/c"
    ),
    _told(
        "location-merged-slashes", "<Location /a/b>\nSetEnv A merged\n</Location>", target="/a//b"
    ),
    _told(
        "proxy-section",
        "<Proxy scgi://${BACKEND}/>\nSetEnv A proxy\n</Proxy>\n<Proxy *>\nSetEnv B all\n</Proxy>",
    ),
    _told("preserve-host", "ProxyPreserveHost On\nProxyAddHeaders Off"),
    Case(
        name="env-main-and-host",
        request=get("/both/x").replace(b"@HOST@", b"host.test"),
        config="",
        server="main",
    ),
    Case(
        name="env-main-rule-first",
        request=get("/main/x").replace(b"@HOST@", b"host.test"),
        config="",
        server="main",
    ),
    _answered("always-set", "Header always set X-A new", b"X-A: old\r\n"),
    _answered("always-unset", "Header always unset X-A", b"X-A: old\r\n"),
    _answered("set-absent", "Header set X-A new"),
    _answered(
        "set-beside",
        "Header set X-A new",
        b"X-A: old\r\n",
        Differs("header-tables", {"header:x-a": ("old", "new")}, {"header:x-a": ("new",)}),
    ),
    _answered("add", "Header add X-A 1\nHeader add X-A 2"),
    _answered("append", "Header append X-A 1\nHeader append X-A 2"),
    _answered("merge", "Header merge X-A 1\nHeader merge X-A 2\nHeader merge X-A 1"),
    _answered("unset-own", "Header set X-A 1\nHeader unset X-A"),
    _answered("content-type", "Header set Content-Type text/html"),
    _answered("env", 'SetEnv V value\nHeader set X-A "v=%{V}e"\nHeader set X-B no env=NONE'),
    _answered(
        "on-error", "Header set X-A onsuccess\nHeader always set X-B always", b"Status: 404 No\r\n"
    ),
    _answered(
        "location-level",
        "Header always set X-A outer\n<Location /x>\nHeader always set X-A inner\n</Location>",
    ),
    Case(
        name="headers-own-error",
        request=get("/x"),
        config="Header set X-A onsuccess\nHeader always set X-B always\nProxyPass / scgi://${DEAD}/",
        own_page=True,
        differs=KEPT_OPEN,
    ),
    _page("text", 'ErrorDocument 404 "Not here, sorry"', differs=(PAGE_CHARSET,)),
    _page(
        "text-of-dead",
        'ErrorDocument 503 "Gone fishing"\n' + _ERRORS,
        "/dead/x",
        differs=(PAGE_CHARSET, KEPT_OPEN),
    ),
    _page("local-file", "ErrorDocument 404 /sub/page.html", differs=(_NO_VALIDATORS,)),
    _page("local-missing", "ErrorDocument 404 /none.html", text=False),
    _page(
        "local-scgi",
        "ErrorDocument 503 /app/error?e=1\n" + _ERRORS,
        "/dead/x?q=1",
        differs=(KEPT_OPEN,),
    ),
    _page("url", "ErrorDocument 404 http://there.test/lost", text=False),
    _page(
        "location-level",
        'ErrorDocument 404 outer\n<Location /in>\nErrorDocument 404 "inner one"\n</Location>',
        "/in/x",
        differs=(PAGE_CHARSET,),
    ),
    _page(
        "default",
        'ErrorDocument 404 "outer one"\n<Location /in>\nErrorDocument 404 default\n</Location>',
        "/in/x",
        text=False,
    ),
    Case(
        name="page-local-for-post",
        request=post("/dead/x", b"abc"),
        config="ErrorDocument 503 /app/error\n" + _ERRORS,
        differs=(
            KEPT_OPEN,
            Differs(
                "error-document-body",
                apache={"told.0.CONTENT_LENGTH": "3", "told.0.body": b"abc"},
                gateway={"told.0.CONTENT_LENGTH": "0", "told.0.body": b""},
            ),
            Differs(
                "redirect-variables",
                apache={"told.0.REDIRECT_QUERY_STRING": None},
                gateway={"told.0.REDIRECT_QUERY_STRING": ""},
            ),
        ),
    ),
    *(
        Case(
            name=f"page-of-a-backend-{name}",
            request=get("/nothing?q=1", method=method),
            config="ErrorDocument 404 /app/error\n" + _ERRORS,
            scripts=(answer(head + b"\r\nthe page\n"), answer(_TEXT + b"\r\nthe second\n")),
            differs=differs,
        )
        for name, method, head, differs in (
            ("status-none", "GET", _TEXT, ()),
            ("status-none-for-head", "HEAD", _TEXT, (_BY_HEAD,)),
            ("status-200", "GET", b"Status: 200 OK\r\n" + _TEXT, ()),
            ("status-200-reason", "GET", b"Status: 200 Fine\r\n" + _TEXT, ()),
            ("status-410", "GET", b"Status: 410 Gone\r\n" + _TEXT, ()),
            ("status-410-for-head", "HEAD", b"Status: 410\r\n" + _TEXT, (_BY_HEAD,)),
            ("status-404", "GET", b"Status: 404 Own\r\n" + _TEXT, ()),
            ("status-204", "GET", b"Status: 204 No Content\r\n", ()),
            ("status-500", "GET", b"Status: 500 Own\r\n" + _TEXT, (KEPT_OPEN,)),
            (
                "status-302",
                "GET",
                b"Status: 302 Found\r\nLocation: http://there.test/a\r\n" + _TEXT,
                (),
            ),
            ("location", "GET", b"Location: http://there.test/a\r\n" + _TEXT, ()),
            ("location-path", "GET", b"Location: /app/second\r\n" + _TEXT, ()),
            (
                "location-path-status-200",
                "GET",
                b"Status: 200 OK\r\nLocation: /app/second\r\n" + _TEXT,
                (),
            ),
        )
    ),
    Case(
        name="page-not-for-a-backends-error",
        request=get("/app/x"),
        config='ErrorDocument 404 "not this"\n' + _ERRORS,
        scripts=(answer(b"Status: 404 Own\r\n" + _TEXT + b"\r\nthe application's\n"),),
    ),
    Case(
        name="override",
        request=get("/app/x"),
        config='ProxyErrorOverride On\nErrorDocument 404 "overridden"\n' + _ERRORS,
        scripts=(answer(b"Status: 404 Own\r\n" + _TEXT + b"\r\nthe application's\n"),),
        differs=Differs(
            "rewriting-directives",
            apache={
                "body": b"the application's\n",
                "header:content-type": ("text/plain",),
                "reason": "Own",
            },
            gateway={"body": b"overridden"},
            only_these=False,
        ),
    ),
    Case(
        name="reverse-location",
        request=get("/app/x"),
        config="ProxyPassReverse /app/ scgi://${BACKEND}/\n" + _ERRORS,
        scripts=(
            answer(b"Status: 302 Found\r\nLocation: scgi://127.0.0.1:9/y\r\n" + _TEXT + b"\r\n"),
        ),
    ),
    Case(
        name="reverse-cookie",
        request=get("/app/x"),
        config="ProxyPassReverseCookiePath / /app/\n" + _ERRORS,
        scripts=(answer(b"Set-Cookie: a=1; Path=/\r\n" + _TEXT + b"\r\n"),),
        differs=Differs(
            "rewriting-directives",
            apache={"header:set-cookie": ("a=1; Path=/",)},
            gateway={"header:set-cookie": ("a=1; Path=/app/",)},
        ),
    ),
)
