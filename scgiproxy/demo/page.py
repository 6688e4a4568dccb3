"""What all pages share: the frame, the table, and how untrusted bytes are shown."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from urllib.parse import quote_from_bytes

from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.http import RESPONSES
from twisted.web.resource import Resource
from twisted.web.server import Request
from twisted.web.template import Flattenable, Tag, flatten, tags

STYLE = files("scgiproxy.demo").joinpath("style.css").read_text("utf-8")
_ICON = b"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">
  <rect width="16" height="16" rx="4" fill="#0b6e6e"/>
  <path d="M3 8h8M8 4l4 4-4 4" fill="none" stroke="#fff" stroke-width="2"/>
</svg>
"""
ICON = "data:image/svg+xml;base64," + base64.b64encode(_ICON).decode()
"""In the page itself: a browser asks for /favicon.ico, which is no page of the demo, otherwise."""

PAGES = (
    ("variables", "Variables"),
    ("form", "Form"),
    ("upload", "Upload"),
    ("redirect", "Redirect"),
    ("sendfile", "Sendfile"),
    ("stream", "Stream"),
    ("events", "Events"),
)
"""The pages in the order of the navigation, each with its name there."""


class Page(Resource):
    """A page without anything below it. Subclasses have `render_GET` and so on."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def render(self, request: Request) -> bytes | int:
        if request.postpath:
            return not_found(request)
        try:
            answer: bytes | int = super().render(request)  # type: ignore[no-untyped-call]
        except UnsupportedMethod as error:
            methods = b", ".join(sorted(error.allowedMethods))
            request.responseHeaders.setRawHeaders(b"Allow", [methods])
            return refusal(request, 405, "This page knows ", tags.code(shown(methods)), ".")
        return answer


class NotFound(Page):
    """Any address that the demo does not have."""

    def render(self, request: Request) -> bytes:
        return not_found(request)


def not_found(request: Request) -> bytes:
    request.setResponseCode(404)
    return html(
        request,
        "There is no such page",
        tags.p("The demo has no page at ", tags.code(shown(request.path)), "."),
        tags.p(tags.a("To the start page", href=root_url(request) or "./")),
    )


def html(request: Request, title: str, *content: Flattenable, script: str = "") -> bytes:
    """A whole page: set the headers of `request` and return the bytes.

    `script` is inline JavaScript, without ``<``, ``>`` and ``&``, which would be escaped.
    """
    policy = (
        f"default-src 'none'; style-src {_hash_source(STYLE)}; img-src 'self' data:; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    if script:
        policy += f"; script-src {_hash_source(script)}"
    set_header = request.responseHeaders.setRawHeaders
    set_header("Content-Type", ["text/html; charset=utf-8"])
    set_header("Content-Security-Policy", [policy])
    set_header("X-Content-Type-Options", ["nosniff"])
    set_header("Cache-Control", ["no-store"])
    page = tags.html(
        tags.head(
            tags.meta(charset="utf-8"),
            tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
            tags.title(f"{title} · scgiproxy demo"),
            tags.link(rel="icon", href=ICON),
            tags.style(STYLE),
        ),
        tags.body(
            tags.header(_navigation(request)),
            Tag("main")(
                tags.h1(title),
                *content,
                tags.footer(
                    "The scgiproxy demo: an ordinary SCGI application behind the gateway. "
                    "Stop it with Ctrl-C where you started it."
                ),
            ),
            tags.script(script) if script else "",
        ),
        lang="en",
    )
    return b"<!DOCTYPE html>\n" + _flatten(request, page)


def root_url(request: Request) -> str:
    """The demo's root, relative to the page: it works wherever the demo is mounted."""
    return "../" * len(request.postpath or ())


def root_path(request: Request) -> bytes:
    """The demo's root, absolute and encoded, with its last slash."""
    own = len(request.postpath or ()) + 1
    segments = [*(request.prepath or ()), *(request.postpath or ())][:-own]
    return b"".join(b"/" + quote_from_bytes(part, "").encode() for part in segments) + b"/"


def url(request: Request, name: str) -> str:
    """The whole URL of a page, to be typed in a terminal."""
    scheme = "https" if request.isSecure() else "http"
    host = shown(request.getHeader(b"host") or b"127.0.0.1:8080")
    return f"{scheme}://{host}{root_path(request).decode('ascii')}{name}"


def _navigation(request: Request) -> Tag:
    base = root_url(request)
    here = (request.prepath or [b""])[-1].decode("utf-8", "replace")
    links: list[Tag] = []
    for name, title in PAGES:
        link = tags.a(title, href=base + name)
        links.append(link(**{"aria-current": "page"}) if name == here else link)
    return tags.nav(tags.a("scgiproxy demo", href=base or "./", class_="home"), *links)


def table(names: Iterable[str], rows: Iterable[Iterable[Flattenable]]) -> Tag:
    """A table with these column names; the first cell of each row is its heading."""
    body = []
    for heading, *cells in rows:
        body.append(tags.tr(tags.th(heading, scope="row"), *cells))
    head = tags.tr(*(tags.th(name, scope="col") for name in names))
    return tags.div(tags.table(tags.thead(head), tags.tbody(*body)), class_="table")


def value(data: bytes | str) -> Tag:
    """A cell with somebody else's text."""
    text = shown(data)
    return tags.td(text, class_="value") if text else tags.td("empty", class_="empty")


def shown(data: bytes | str) -> str:
    """Text to look at: what cannot be seen, or turns the text around it, is written as ``\\x1b``."""
    text = data if isinstance(data, str) else data.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text.replace("\r\n", "\n")
    )


def variables_of(request: Request) -> Mapping[bytes, bytes]:
    """The SCGI variables of `request`; none if it came another way."""
    variables: Mapping[bytes, bytes] = getattr(request, "scgi_variables", {})
    return variables


def refusal(request: Request, status: int, *content: Flattenable) -> bytes:
    """A page that says why not."""
    request.setResponseCode(status)
    title = RESPONSES[status].decode("ascii")
    return html(request, title, tags.div(*content, class_="panel bad"))


def _flatten(request: Request, page: Tag) -> bytes:
    pieces: list[bytes] = []
    failures: list[Failure] = []
    flatten(request, page, pieces.append).addErrback(failures.append)
    for failure in failures:
        failure.raiseException()
    return b"".join(pieces)


def _hash_source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
