"""ProxyPass, ProxyPassMatch, Location, Alias: which rule wins, and which path the backend gets.

The path shows in PATH_INFO, so most of these switch `proxy-scgi-pathinfo` on.
"""

from __future__ import annotations

from tests.parity.case import Case, Differs, get
from tests.parity.cases.known import KEPT_OPEN, reason

_INFO = "SetEnvIf Request_URI . proxy-scgi-pathinfo\n"
_SLASHES = _INFO + "ProxyPass /pi/ scgi://${BACKEND}/"
_BARE = _INFO + "ProxyPass /app scgi://${BACKEND}"
_BASE = _INFO + "ProxyPass /p/ scgi://${BACKEND}/one/two/"
_ORDER = (
    """
ProxyPass /first/not/ !
ProxyPass /first/ scgi://${BACKEND}/
ProxyPass /first/second/ scgi://${OTHER}/
ProxyPassMatch ^/m/(\\d+)/(.*)$ scgi://${OTHER}/$2/$1
ProxyPassMatch \\.gif$ scgi://${BACKEND}
ProxyPassMatch ^/whole/ scgi://${BACKEND}
ProxyPassMatch ^/no/.*secret !
ProxyPassMatch ^/no/ scgi://${BACKEND}
"""
    + _INFO
)
_LOCATIONS = (
    """
ProxyPass /loc/ scgi://${BACKEND}/
<Location /loc/inner/>
    ProxyPass scgi://${OTHER}/
</Location>
<Location /loc/inner/not/>
    ProxyPass !
</Location>
<Location /twice/>
    ProxyPass scgi://${BACKEND}/
</Location>
<Location /twice>
    ProxyPass scgi://${OTHER}
</Location>
<LocationMatch ^/lm/[a-z]+$>
    ProxyPass scgi://${BACKEND}/matched
</LocationMatch>
"""
    + _INFO
)
_ALIASES = """
Alias /files/ "${FOLDER}/htdocs/sub/"
Alias /files "${FOLDER}/htdocs"
Alias /both/ "${FOLDER}/htdocs/sub/"
ProxyPass /both/ scgi://${BACKEND}/
"""
_REVERSED = """
ProxyPass / scgi://${BACKEND}/
"""
_BALANCER = """
ProxyPass / balancer://Twice/
BalancerMember balancer://twice scgi://${BACKEND} route=one
"""
_TRANSLATED_INDEX = Differs(
    "path-translated",
    apache={"told.0.PATH_TRANSLATED": "FOLDER/htdocs/index.html"},
    gateway={"told.0.PATH_TRANSLATED": "FOLDER/htdocs/"},
)

CASES = (
    Case(
        name="map-simple",
        request=get("/scgi-bin/x?q=1"),
        config="ProxyPass /scgi-bin/ scgi://${BACKEND}/",
    ),
    Case(name="map-unix", request=get("/x"), config="ProxyPass / ${SOCKET}/"),
    Case(name="map-info-rest", request=get("/pi/foo/bar?q"), config=_SLASHES),
    Case(name="map-info-empty", request=get("/pi/"), config=_SLASHES, differs=_TRANSLATED_INDEX),
    Case(name="map-info-slashes", request=get("/pi/foo//bar"), config=_SLASHES),
    Case(name="map-info-punctuation", request=get("/pi/a+b;c=1,d@e!"), config=_SLASHES),
    Case(
        name="map-info-space",
        request=get("/pi/foo%20bar"),
        config=_SLASHES,
        differs=Differs(
            "path-info",
            apache={
                "told.0.SCRIPT_NAME": "/pi/foo bar",
                "told.0.PATH_INFO": "/foo%20bar",
                "told.0.PATH_TRANSLATED": "FOLDER/htdocs/foo%20bar",
            },
            gateway={
                "told.0.SCRIPT_NAME": "/pi",
                "told.0.PATH_INFO": "/foo bar",
                "told.0.PATH_TRANSLATED": "FOLDER/htdocs/foo bar",
            },
        ),
    ),
    Case(
        name="map-info-utf8",
        request=get("/pi/%C3%A9/x"),
        config=_SLASHES,
        differs=Differs(
            "path-info",
            apache={
                "told.0.SCRIPT_NAME": "/pi/\xc3\xa9",
                "told.0.PATH_INFO": "/%C3%A9/x",
                "told.0.PATH_TRANSLATED": "FOLDER/htdocs/%C3%A9/x",
            },
            gateway={
                "told.0.SCRIPT_NAME": "/pi",
                "told.0.PATH_INFO": "/\xc3\xa9/x",
                "told.0.PATH_TRANSLATED": "FOLDER/htdocs/\xc3\xa9/x",
            },
        ),
    ),
    Case(name="map-info-base", request=get("/p/z"), config=_BASE),
    Case(
        name="map-info-setenv",
        request=get("/pi/foo"),
        config="SetEnv proxy-scgi-pathinfo 1\nProxyPass /pi/ scgi://${BACKEND}/",
        differs=Differs(
            "path-info-by-setenv",
            apache={
                "told.0.SCRIPT_NAME": "/pi/foo",
                "told.0.PATH_INFO": None,
                "told.0.PATH_TRANSLATED": None,
            },
            gateway={
                "told.0.SCRIPT_NAME": "/pi",
                "told.0.PATH_INFO": "/foo",
                "told.0.PATH_TRANSLATED": "FOLDER/htdocs/foo",
            },
        ),
    ),
    Case(
        name="map-bare-itself",
        request=get("/app"),
        config=_BARE,
        differs=Differs(
            "path-info",
            apache={"told.0.PATH_INFO": "/", "told.0.PATH_TRANSLATED": "FOLDER/htdocs/index.html"},
            gateway={"told.0.PATH_INFO": "", "told.0.PATH_TRANSLATED": None},
        ),
    ),
    Case(name="map-bare-below", request=get("/app/x/y"), config=_BARE),
    Case(name="map-bare-longer-name", request=get("/appx"), config=_BARE, own_page=True),
    Case(name="map-slash-itself", request=get("/pi"), config=_SLASHES, own_page=True),
    Case(name="map-case-matters", request=get("/PI/x"), config=_SLASHES, own_page=True),
    Case(name="map-nothing-matches", request=get("/nowhere"), config=_SLASHES, own_page=True),
    Case(name="map-double-slash-before", request=get("//pi//x"), config=_SLASHES),
    Case(name="map-dot-segments", request=get("/x/../pi/./y/../z"), config=_SLASHES),
    Case(name="map-encoded-dots", request=get("/x/%2e%2e/pi/z"), config=_SLASHES),
    Case(name="map-above-the-root", request=get("/../../pi/z"), config=_SLASHES, own_page=True),
    Case(name="map-encoded-letter", request=get("/%70i/x"), config=_SLASHES),
    Case(name="map-encoded-slash", request=get("/pi/a%2Fb"), config=_SLASHES, own_page=True),
    Case(
        name="map-encoded-slash-on",
        request=get("/pi/a%2Fb"),
        config="AllowEncodedSlashes On\nProxyPass /pi/ scgi://${BACKEND}/",
    ),
    Case(
        name="map-encoded-slash-nodecode",
        request=get("/pi/a%2Fb"),
        config="AllowEncodedSlashes NoDecode\nProxyPass /pi/ scgi://${BACKEND}/",
    ),
    Case(
        name="map-encoded-nul",
        request=get("/pi/a%00b"),
        config=_SLASHES,
        own_page=True,
        differs=Differs(
            "encoded-nul",
            apache={"status": 404, "reason": "Not Found", "close": False},
            gateway={"status": 400, "reason": "Bad Request", "close": True},
        ),
    ),
    Case(name="map-bad-escape", request=get("/pi/a%zzb"), config=_SLASHES, own_page=True),
    Case(
        name="map-encoded-percent",
        request=get("/pi/file%25"),
        config="ProxyPass /pi/ scgi://${BACKEND}/",
    ),
    Case(
        name="map-question-in-path",
        request=get("/pi/a%3Fb?c"),
        config="ProxyPass /pi/ scgi://${BACKEND}/",
    ),
    Case(name="map-empty-query", request=get("/pi/a?"), config=_SLASHES),
    Case(name="map-first-wins", request=get("/first/second/x"), config=_ORDER),
    Case(name="map-exclusion", request=get("/first/not/x"), config=_ORDER, own_page=True),
    Case(
        name="map-match-groups",
        request=get("/m/12/rest/of"),
        config=_ORDER,
        differs=Differs(
            "path-info",
            apache={"told.0.SCRIPT_NAME": "/m/12/rest/of"},
            gateway={"told.0.SCRIPT_NAME": ""},
        ),
    ),
    Case(
        name="map-match-without-groups",
        request=get("/q/z.gif"),
        config=_ORDER,
        differs=Differs(
            "path-translated",
            apache={"told.0.PATH_TRANSLATED": "proxy:scgi://127.0.0.1:BACKEND/q/z.gif/q/z.gif"},
            gateway={"told.0.PATH_TRANSLATED": "FOLDER/htdocs/q/z.gif"},
        ),
    ),
    Case(
        name="map-match-whole",
        request=get("/whole/thing"),
        config=_ORDER,
        differs=Differs(
            "path-translated",
            apache={
                "told.0.PATH_TRANSLATED": "proxy:scgi://127.0.0.1:BACKEND/whole/thing/whole/thing"
            },
            gateway={"told.0.PATH_TRANSLATED": "FOLDER/htdocs/whole/thing"},
        ),
    ),
    Case(name="map-match-exclusion", request=get("/no/top-secret/x"), config=_ORDER, own_page=True),
    Case(
        name="map-match-no-exclusion",
        request=get("/no/x"),
        config=_ORDER,
        differs=Differs(
            "path-translated",
            apache={"told.0.PATH_TRANSLATED": "proxy:scgi://127.0.0.1:BACKEND/no/x/no/x"},
            gateway={"told.0.PATH_TRANSLATED": "FOLDER/htdocs/no/x"},
        ),
    ),
    Case(name="map-location", request=get("/loc/inner/x"), config=_LOCATIONS),
    Case(name="map-location-outer", request=get("/loc/x"), config=_LOCATIONS),
    Case(
        name="map-location-exclusion",
        request=get("/loc/inner/not/x"),
        config=_LOCATIONS,
        own_page=True,
    ),
    Case(name="map-location-last-wins", request=get("/twice/x"), config=_LOCATIONS),
    Case(
        name="map-location-expression",
        request=get("/le/x"),
        config="<Location ~ ^/le/>\nProxyPass scgi://${BACKEND}/\n</Location>",
        differs=Differs(
            "location-expression",
            apache={"status": 404, "asked": 0},
            gateway={"status": 200, "asked": 1},
            only_these=False,
        ),
    ),
    Case(
        name="map-location-expression-wildcard",
        request=get("/le/x"),
        config="<Location ~ ^/le/[a-z]+$>\nProxyPass scgi://${BACKEND}/\n</Location>",
    ),
    Case(name="map-alias", request=get("/files/page.html"), config=_ALIASES),
    Case(
        name="map-alias-bare",
        request=get("/files"),
        config=_ALIASES,
        own_page=True,
        differs=Differs(
            "relative-location",
            apache={"header:location": ("http://map-alias-bare.test:PORT/files/",)},
            gateway={"header:location": ("/files/",)},
        ),
    ),
    Case(name="map-proxy-before-alias", request=get("/both/page.html"), config=_ALIASES),
    Case(
        name="map-no-proxy",
        request=get("/plain.txt"),
        config="SetEnvIf Request_URI \\.txt$ no-proxy\n" + _REVERSED,
    ),
    Case(
        name="map-no-proxy-by-setenv",
        request=get("/plain.txt"),
        config="SetEnv no-proxy 1\n" + _REVERSED,
    ),
    Case(name="map-set-handler", request=get("/sh/a%20b"), config="", server="handler"),
    Case(name="map-absolute-form", request=get("http://@HOST@:@PORT@/abs?x=1"), config=_REVERSED),
    Case(
        name="map-star",
        request=get("*", method="OPTIONS"),
        config=_REVERSED,
        own_page=True,
        differs=Differs(
            "options-star",
            apache={"header:allow": None},
            gateway={"header:allow": ("GET", "HEAD", "OPTIONS", "POST")},
        ),
    ),
    Case(name="map-static", request=get("/plain.txt"), config=_SLASHES),
    Case(
        name="map-static-head",
        request=get("/plain.txt", method="HEAD"),
        config=_SLASHES,
        exact=frozenset({"content-length"}),
    ),
    Case(
        name="map-static-range",
        request=get("/plain.txt", "Range: bytes=2-4"),
        config=_SLASHES,
        exact=frozenset({"content-length"}),
    ),
    Case(
        name="map-static-bad-range",
        request=get("/plain.txt", "Range: bytes=50-"),
        config=_SLASHES,
        own_page=True,
        differs=(
            reason("Requested Range Not Satisfiable", "Range Not Satisfiable"),
            Differs(
                "416-content-range",
                apache={"header:content-range": None},
                gateway={"header:content-range": ("bytes */11",)},
            ),
        ),
    ),
    Case(name="map-static-space", request=get("/with%20space.txt"), config=_SLASHES),
    Case(
        name="map-static-not-modified",
        request=get("/plain.txt", "If-Modified-Since: Mon, 14 Sep 2020 00:00:00 GMT"),
        config=_SLASHES,
        differs=Differs(
            "304-accept-ranges",
            apache={"header:accept-ranges": ("bytes",)},
            gateway={"header:accept-ranges": None},
        ),
    ),
    Case(name="map-static-index", request=get("/"), config="DirectoryIndex index.html"),
    Case(name="map-static-missing", request=get("/missing.txt"), config=_SLASHES, own_page=True),
    Case(
        name="map-static-post",
        request=get("/plain.txt", "Content-Length: 0", method="POST"),
        config=_SLASHES,
        differs=Differs(
            "post-to-a-file",
            apache={"status": 200, "body": b"0123456789\n"},
            gateway={"status": 405, "header:allow": ("GET", "HEAD")},
            only_these=False,
        ),
    ),
    Case(
        name="map-static-post-missing",
        request=get("/missing.txt", "Content-Length: 0", method="POST"),
        config=_SLASHES,
        own_page=True,
    ),
    Case(
        name="map-static-put-missing",
        request=get("/missing.txt", "Content-Length: 0", method="PUT"),
        config=_SLASHES,
        own_page=True,
        differs=Differs(
            "post-to-a-file",
            apache={"header:allow": ("GET", "HEAD", "OPTIONS", "POST", "TRACE")},
            gateway={"header:allow": ("GET", "HEAD")},
        ),
    ),
    Case(
        name="map-static-post-bare",
        request=get("/sub", "Content-Length: 0", method="POST"),
        config=_SLASHES,
        own_page=True,
        differs=Differs(
            "relative-location",
            apache={"header:location": ("http://map-static-post-bare.test:PORT/sub/",)},
            gateway={"header:location": ("/sub/",)},
        ),
    ),
    Case(
        name="map-static-linked",
        request=get("/linked/page.html"),
        config=_SLASHES,
        differs=Differs(
            "symlinks",
            apache={"status": 200, "body": b"<p>outside</p>\n"},
            gateway={"status": 403},
            only_these=False,
        ),
    ),
    Case(
        name="map-static-linked-within",
        request=get("/sub/again.html"),
        config="<Directory />\nOptions None\n</Directory>\n" + _SLASHES,
        differs=Differs(
            "symlinks",
            apache={"status": 403},
            gateway={"status": 200, "body": b"<p>page</p>\n"},
            only_these=False,
        ),
    ),
    Case(
        name="map-static-linked-alias",
        request=get("/linked/page.html"),
        config='Alias /linked/ "${FOLDER}/outside/"\n' + _SLASHES,
    ),
    Case(
        name="map-static-future",
        request=get("/plain.txt", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"),
        config=_SLASHES,
        differs=Differs(
            "future-date",
            apache={"status": 200, "body": b"0123456789\n"},
            gateway={"status": 304},
            only_these=False,
        ),
    ),
    Case(
        name="map-static-near-ranges",
        request=get("/plain.txt", "Range: bytes=0-1,8-9"),
        config=_SLASHES,
        # Apache's have a boundary that changes.
        by_chance=frozenset({"body", "header:content-type"}),
        differs=Differs(
            "near-ranges",
            apache={"header:content-range": None},
            gateway={"header:content-range": ("bytes 0-9/11",)},
        ),
    ),
    Case(
        name="map-static-without-extension",
        request=get("/noext"),
        config=_SLASHES,
        differs=Differs(
            "unknown-file-type",
            apache={"header:content-type": None},
            gateway={"header:content-type": ("application/octet-stream",)},
        ),
    ),
    Case(
        name="map-static-type-unset",
        request=get("/noext"),
        config=_SLASHES + "\n<Location /noext>\nHeader unset Content-Type\n</Location>",
    ),
    Case(
        name="map-static-unknown-method",
        request=get("/plain.txt", method="BREW"),
        config=_SLASHES,
        own_page=True,
        differs=Differs(
            "allow-with-501",
            apache={"header:allow": ("GET", "HEAD", "OPTIONS", "POST", "TRACE")},
            gateway={"header:allow": None},
        ),
    ),
    Case(
        name="map-dead-backend",
        request=get("/x"),
        config="ProxyPass / scgi://${DEAD}/",
        own_page=True,
        differs=KEPT_OPEN,
    ),
    Case(
        name="map-missing-socket",
        request=get("/x"),
        config='ProxyPass / "unix:${FOLDER}/none.sock|scgi://none/"',
        own_page=True,
        differs=KEPT_OPEN,
    ),
    Case(
        name="map-balancer",
        request=get("/x"),
        config="ProxyPass / balancer://pair/\n<Proxy balancer://pair>\nBalancerMember scgi://${DEAD}\nBalancerMember scgi://${BACKEND}\n</Proxy>",
    ),
    # Two virtual hosts with a balancer of one name.
    Case(name="map-balancer-of-one-host", request=get("/x"), config=_BALANCER),
    Case(name="map-balancer-of-another", request=get("/x"), config=_BALANCER),
)
