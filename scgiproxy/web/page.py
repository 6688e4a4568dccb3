"""What the gateway's own pages share: the frame, tables, charts, and how foreign text is shown.

A page is one document: its style is in it, and nothing is loaded from anywhere. A strict
Content-Security-Policy says so to the browser. `twisted.web.template` escapes all text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from typing import ClassVar
from urllib.parse import parse_qsl

from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request
from twisted.web.template import Flattenable, Tag, flatten, tags

from scgiproxy.web.errorpage import error_page

STYLE = files("scgiproxy.web").joinpath("page.css").read_text("utf-8")

CHART_HEIGHT = 32
"""Of a chart's coordinates; how high it is on the page, its style says."""

_END = b"</main></body></html>"


class OwnPage(Resource):
    """A Resource that tells of the gateway. Any method but those of `methods` is answered with 405
    (a stock Resource answers many of them with 501)."""

    isLeaf = True
    methods: ClassVar[Sequence[bytes]] = (b"GET", b"HEAD")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def render(self, request: Request) -> bytes | int:
        if request.method in self.methods:
            answer: bytes | int = super().render(request)  # type: ignore[no-untyped-call]
            return answer
        headers, body = error_page(405)
        request.setResponseCode(405)
        request.responseHeaders.setRawHeaders(b"Allow", [b", ".join(self.methods)])
        for name, value in headers:
            request.responseHeaders.setRawHeaders(name, [value])
        return body


class Frame:
    """What is around the content of a page: its style, its script, and the policy that lets these
    two in and nothing else.

    - `style`: comes after that of all pages; without ``<``, ``>`` and ``&``.
    - `script`: the program of a page that is alive; without ``</``. Such a page has forms as well,
      and both speak to this server alone.
    """

    def __init__(self, style: str = "", script: str = "") -> None:
        self.style = STYLE + style
        self.script = f"<script>{script}</script>\n".encode() if script else b""
        alive: tuple[str, ...] = ("form-action 'none'",)
        if script:
            alive = (
                *(f"script-src {_hash_source(script)}", "connect-src 'self'"),
                *("form-action 'self'", "require-trusted-types-for 'script'"),
            )
        self.policy = "; ".join(
            (
                *("default-src 'none'", f"style-src {_hash_source(self.style)}"),
                *("img-src data:", "base-uri 'none'", *alive, "frame-ancestors 'none'"),
            )
        )
        # A form tells where it comes from, to this server alone: that is asked for.
        self.referrer_policy = "same-origin" if script else "no-referrer"


def query_of(request: Request) -> dict[str, str]:
    """The parameters of the query, also those without a value; of several ones the last counts.

    `args` has what was posted in it, and that of stock requests lacks those without a value.
    """
    query = request.uri.partition(b"?")[2].decode("latin-1")
    return dict(parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))


def set_headers(request: Request, content_type: str) -> None:
    """What every answer that tells of the gateway says: it is of this moment, and what it is."""
    set_header = request.responseHeaders.setRawHeaders
    set_header("Content-Type", [content_type])
    set_header("X-Content-Type-Options", ["nosniff"])
    set_header("Cache-Control", ["no-store"])


def page(request: Request, title: str, *content: Flattenable, frame: Frame | None = None) -> bytes:
    """A whole page: set the headers of `request`, and return the bytes.

    `content` goes into ``<main>``, after the title. It must not hold a Deferred that waits.
    """
    return b"".join(page_in_pieces(request, title, content, frame))


def page_in_pieces(
    request: Request,
    title: str,
    content: Iterable[Flattenable],
    frame: Frame | None = None,
) -> Iterator[bytes]:
    """The same, one part of `content` at a time. Bytes among it are markup, such as the beginning
    of an element that ends later. The headers are set when this returns."""
    frame = frame or _PLAIN
    set_headers(request, "text/html; charset=utf-8")
    set_header = request.responseHeaders.setRawHeaders
    set_header("Content-Security-Policy", [frame.policy])
    set_header("Referrer-Policy", [frame.referrer_policy])
    return _pieces(request, title, content, frame)


def _pieces(
    request: Request, title: str, content: Iterable[Flattenable], frame: Frame
) -> Iterator[bytes]:
    document = tags.html(
        tags.head(
            tags.meta(charset="utf-8"),
            tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
            tags.title(title),
            # Without it a browser asks for /favicon.ico, which may be a backend's.
            tags.link(rel="icon", href="data:,"),
            tags.style(frame.style),
        ),
        tags.body(Tag("main")(tags.h1(title))),
        lang="en",
    )
    text = _flatten(request, document).removesuffix(_END)
    yield b"<!DOCTYPE html>\n" + text
    for part in content:
        yield part if isinstance(part, bytes) else _flatten(request, part)
    # The script does not go through the template, which would escape what is no text.
    yield _END.replace(b"</body>", frame.script + b"</body>")


def table(columns: Sequence[str], rows: Iterable[Sequence[Flattenable]]) -> Tag:
    """A table; the first cell of each row is its heading."""
    body = [
        tags.tr(tags.th(heading, scope="row"), *(tags.td(cell) for cell in cells))
        for heading, *cells in rows
    ]
    head = tags.tr(*(tags.th(name, scope="col") for name in columns))
    return tags.div(tags.table(tags.thead(head), tags.tbody(*body)), class_="table")


def facts(pairs: Iterable[tuple[str, Flattenable]]) -> Tag:
    """Names and what there is to say of each."""
    return tags.dl(*(tags.div(tags.dt(name), tags.dd(value)) for name, value in pairs))


def chart(label: str, values: Sequence[float], bad: Sequence[float] = ()) -> Tag:
    """A small chart of bars, the highest as high as the chart; those of `bad` stand before the
    others. `label` says in words what it shows."""
    highest = max((*values, *bad), default=0)
    return Tag("svg")(
        Tag("path")(d=bars(values, highest)),
        Tag("path")(d=bars(bad, highest), class_="bad") if any(bad) else "",
        viewBox=f"0 0 {max(len(values), len(bad), 1)} {CHART_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        class_="chart",
        **{"aria-label": label},
    )


def shown(text: str) -> str:
    """Text to look at: what cannot be seen, or turns the text around it, is written as ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def bars(values: Sequence[float], highest: float) -> str:
    """The path of bars side by side, each 1 wide; `highest` is `CHART_HEIGHT` high."""
    drawn = []
    for place, value in enumerate(values):
        if value > 0:
            # What is not nothing can be seen.
            height = max(value / highest * CHART_HEIGHT, 1)
            drawn.append(f"M{place} {CHART_HEIGHT}v-{height:.3g}h1v{height:.3g}z")
    return "".join(drawn)


def _flatten(request: Request, document: Flattenable) -> bytes:
    pieces: list[bytes] = []
    failures: list[Failure] = []
    flatten(request, document, pieces.append).addErrback(failures.append)
    for failure in failures:
        failure.raiseException()
    return b"".join(pieces)


def _hash_source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


_PLAIN = Frame()
