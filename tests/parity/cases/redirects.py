"""ProxySCGIInternalRedirect and ProxySCGISendfile."""

from __future__ import annotations

from tests.e2e.scripted import HELLO, Script, answer
from tests.parity.case import APACHE, PROXY, Case, Differs, Facts, get, post

_TEXT = b"Content-Type: text/plain\r\n"
_TYPE = b"Content-Type: application/json"


def _to(target: bytes, *lines: bytes, name: bytes = b"Location") -> bytes:
    return b"".join(line + b"\r\n" for line in (name + b": " + target, *lines)) + b"\r\nignored"


_BOTH = "ProxyPass /other/ scgi://${OTHER}/\nProxyPass /a/ scgi://${BACKEND}/\n"
_HEADER = "ProxySCGIInternalRedirect X-Location\n" + _BOTH
_OFF = "ProxySCGIInternalRedirect Off\n" + _BOTH
_LEVELS = _OFF + "<Location /a/on/>\nProxySCGIInternalRedirect On\n</Location>\n"
_GUARDED = _BOTH + "<Location /other/>\nRequire all denied\n</Location>\n"
_SEND = f"""ProxySCGISendfile On
<IfDefine !{APACHE}>
    XSendFilePath "${{FOLDER}}/send"
</IfDefine>
{PROXY}
"""
_NO_FILE_FACTS: Facts = {
    "header:transfer-encoding": ("chunked",),
    "header:content-length": None,
    "header:last-modified": None,
    "header:etag": None,
    "header:accept-ranges": None,
}
_NOTE: Facts = {
    "header:transfer-encoding": None,
    "header:content-length": ("7",),
    "header:last-modified": ("Sun, 13 Sep 2020 12:26:40 GMT",),
    "header:etag": "there",
    "header:accept-ranges": ("bytes",),
}

_PLAIN: Facts = {"header:transfer-encoding": None, "header:content-length": ("7",)}
"""What is said of a file that is not an answer to GET or not a 200."""
_LENGTH = Differs(
    "redirect-variables",
    {"told.1.REDIRECT_CONTENT_LENGTH": "3"},
    {"told.1.REDIRECT_CONTENT_LENGTH": None},
)


def _sendfile(value: bytes, head: bytes = b"", name: bytes = b"X-Sendfile") -> Script:
    return answer(_TEXT + head + name + b": " + value + b"\r\n\r\nignored")


def _redirect(
    name: str,
    first: bytes,
    *,
    request: bytes = get("/a/x?q=1"),
    config: str = _BOTH,
    own_page: bool = False,
    differs: Differs | tuple[Differs, ...] = (),
) -> Case:
    """The first backend answers `first`, those after it say hello."""
    return Case(
        name=f"redirect-{name}",
        request=request,
        config=config,
        scripts=(answer(first), HELLO),
        own_page=own_page,
        differs=differs,
    )


def _file(
    name: str,
    path: str,
    head: bytes = b"",
    *,
    gateway: Facts,
    apache: Facts | None = None,
    request: bytes = get("/x"),
    config: str = _SEND,
    header: bytes = b"X-Sendfile",
) -> Case:
    """A file of the site's folder is sent: by both, but only the gateway says what it is."""
    return Case(
        name=f"sendfile-{name}",
        request=request,
        config=config,
        scripts=(_sendfile(b"@FOLDER@" + path.encode(), head, header),),
        exact=frozenset({"content-length", "transfer-encoding"}),
        differs=Differs("sendfile", apache={**_NO_FILE_FACTS, **(apache or {})}, gateway=gateway),
    )


def _no_file(name: str, value: bytes, status: int, reason: str) -> Case:
    """What is named cannot be sent."""
    return Case(
        name=f"sendfile-{name}",
        request=get("/x"),
        config=_SEND,
        scripts=(_sendfile(value),),
        own_page=True,
        differs=Differs(
            "sendfile-errors",
            apache={"status": 500, "reason": "Internal Server Error"},
            gateway={"status": status, "reason": reason},
            only_these=False,
        ),
    )


CASES = (
    _redirect("to-another-mount", _to(b"/other/y?r=2")),
    _redirect("without-query", _to(b"/other/y")),
    _redirect("encoded", _to(b"/other/a%20b?c=%20")),
    _redirect("fragment", _to(b"/other/y#part")),
    _redirect("two-slashes", _to(b"//other/y")),
    _redirect("dots", _to(b"/nowhere/../other/y")),
    _redirect("to-a-file", _to(b"/plain.txt")),
    _redirect("to-a-file-without-extension", _to(b"/noext", _TYPE)),
    _redirect(
        "to-a-part-of-a-file-without-extension",
        _to(b"/noext", _TYPE),
        request=get("/a/x", "Range: bytes=0-1"),
    ),
    Case(
        name="redirect-twice-to-a-file-without-extension",
        request=get("/a/1"),
        config=_BOTH,
        scripts=(answer(_to(b"/a/2", _TYPE)), answer(_to(b"/noext"))),
    ),
    _redirect("type-of-the-file", _to(b"/plain.txt", _TYPE)),
    _redirect("type-of-the-answer", _to(b"/other/y", _TYPE)),
    Case(
        name="redirect-to-an-answer-without-type",
        request=get("/a/x"),
        config=_BOTH,
        scripts=(answer(_to(b"/other/y", _TYPE)),),
        other=answer(b"Status: 200 OK\r\n\r\nhello"),
        differs=Differs(
            "type-from-extension",
            apache={"header:content-type": ("application/json",)},
            gateway={"header:content-type": None},
        ),
    ),
    _redirect("to-a-missing-file", _to(b"/missing.txt"), own_page=True),
    _redirect(
        "post-becomes-get",
        _to(b"/other/y"),
        request=post("/a/x", b"abc", "Content-Type: text/plain"),
        differs=_LENGTH,
    ),
    _redirect("head-stays", _to(b"/other/y"), request=get("/a/x", method="HEAD")),
    _redirect(
        "put-becomes-get",
        _to(b"/other/y"),
        request=post("/a/x", b"abc", method="PUT"),
        differs=_LENGTH,
    ),
    _redirect("keeps-cookies", _to(b"/other/y", b"Set-Cookie: a=1", b"X-Kept: 1")),
    _redirect("drops-validators", _to(b"/other/y", b'ETag: "a"')),
    _redirect("explicit-200", b"Status: 200 OK\r\n" + _to(b"/other/y")),
    _redirect("not-with-201", b"Status: 201 Made\r\n" + _TEXT + _to(b"/other/y")),
    _redirect("not-with-302", b"Status: 302 Found\r\n" + _TEXT + _to(b"/other/y")),
    _redirect("off", _TEXT + _to(b"/other/y"), config=_OFF),
    _redirect("header", _to(b"/other/y", name=b"X-Location"), config=_HEADER),
    _redirect(
        "header-removed", _to(b"/other/y", b"X-Other: 1", name=b"x-location"), config=_HEADER
    ),
    _redirect("header-leaves-location", _TEXT + _to(b"/other/y"), config=_HEADER),
    _redirect("location-level", _to(b"/other/y"), config=_LEVELS, request=get("/a/on/x")),
    _redirect("denied-target", _to(b"/other/y"), config=_GUARDED, own_page=True),
    _redirect("relative", _TEXT + _to(b"other/y")),
    Case(
        name="redirect-loop",
        request=get("/a/x"),
        config="LimitInternalRecursion 3\n" + _BOTH,
        scripts=(answer(_to(b"/a/x")),),
        own_page=True,
        differs=Differs(
            "redirect-variables",
            apache={"status": 500, "asked": 4, "told.3.REDIRECT_REDIRECT_REDIRECT_URL": "/a/x"},
            gateway={"status": 500, "asked": 4, "told.3.REDIRECT_REDIRECT_REDIRECT_URL": None},
            only_these=False,
        ),
    ),
    Case(
        name="redirect-twice",
        request=get("/a/1"),
        config=_BOTH,
        scripts=(answer(_to(b"/a/2?n=2")), answer(_to(b"/a/3?n=3")), HELLO),
    ),
    Case(
        name="sendfile-off",
        request=get("/x"),
        scripts=(answer(_TEXT + b"X-Sendfile: /etc/hostname\r\n\r\nbody"),),
        differs=Differs(
            "leaked-path",
            apache={"header:x-sendfile": ("/etc/hostname",)},
            gateway={"header:x-sendfile": None},
        ),
    ),
    Case(
        name="sendfile-of-another-server",
        request=get("/x"),
        scripts=(answer(_TEXT + b"X-Accel-Redirect: /protected/x\r\n\r\nbody"),),
        differs=Differs(
            "leaked-path",
            apache={"header:x-accel-redirect": ("/protected/x",)},
            gateway={"header:x-accel-redirect": None},
        ),
    ),
    _file("by-post", "/send/note.txt", request=post("/x", b"abc"), gateway=_PLAIN),
    _file(
        "keeps-headers",
        "/send/note.txt",
        b"Content-Disposition: attachment\r\nSet-Cookie: a=1\r\n",
        gateway=_NOTE,
    ),
    _file("other-status", "/send/note.txt", b"Status: 203 Copied\r\n", gateway=_PLAIN),
    _file(
        "head",
        "/send/note.txt",
        request=get("/x", method="HEAD"),
        gateway=_NOTE,
        apache={"header:transfer-encoding": None},
    ),
    Case(
        name="sendfile-dots",
        request=get("/x"),
        config=_SEND,
        scripts=(_sendfile(b"@FOLDER@/htdocs/../send/note.txt"),),
        differs=Differs(
            "sendfile-dots", apache={"status": 200}, gateway={"status": 403}, only_these=False
        ),
    ),
    _file("before-redirect", "/send/note.txt", b"Location: /plain.txt\r\n", gateway=_NOTE),
    _file("header-case", "/send/note.txt", header=b"x-SENDfile", gateway=_NOTE),
    _file(
        "own-header",
        "/send/note.txt",
        header=b"X-Send-Static",
        config=_SEND.replace("Sendfile On", "Sendfile X-Send-Static"),
        gateway=_NOTE,
    ),
    _file(
        "range",
        "/send/note.txt",
        request=get("/x", "Range: bytes=2-3"),
        gateway={
            **_NOTE,
            "status": 206,
            "reason": "Partial Content",
            "header:content-length": ("2",),
            "header:content-range": ("bytes 2-3/7",),
            "body": b"no",
        },
        apache={"status": 200, "reason": "OK", "header:content-range": None, "body": b"a note\n"},
    ),
    _no_file("missing", b"@FOLDER@/send/none.txt", 404, "Not Found"),
    _no_file("directory", b"@FOLDER@/send", 403, "Forbidden"),
    _no_file("relative", b"note.txt", 403, "Forbidden"),
    Case(
        name="sendfile-outside",
        request=get("/x"),
        config=_SEND,
        scripts=(_sendfile(b"/etc/hostname"),),
        own_page=True,
        differs=Differs(
            "sendfile-confinement",
            apache={"status": 200},
            gateway={"status": 403},
            only_these=False,
        ),
    ),
)
