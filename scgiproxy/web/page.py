"""What the gateway's own pages share: the frame, tables, charts, and how foreign text is shown.

A page is one document: its style is in it, and nothing is loaded from anywhere. A strict
Content-Security-Policy says so to the browser. `twisted.web.template` escapes all text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import ClassVar

from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request
from twisted.web.template import Flattenable, Tag, flatten, tags

from scgiproxy.web.errorpage import error_page

STYLE = files("scgiproxy.web").joinpath("page.css").read_text("utf-8")

_CHART_HEIGHT = 32


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


def page(request: Request, title: str, *content: Flattenable) -> bytes:
    """A whole page: set the headers of `request`, and return the bytes.

    `content` goes into ``<main>``, after the title. It must not hold a Deferred that waits.
    """
    set_header = request.responseHeaders.setRawHeaders
    set_header("Content-Type", ["text/html; charset=utf-8"])
    set_header("Content-Security-Policy", [_POLICY])
    set_header("X-Content-Type-Options", ["nosniff"])
    set_header("Referrer-Policy", ["no-referrer"])
    set_header("Cache-Control", ["no-store"])
    document = tags.html(
        tags.head(
            tags.meta(charset="utf-8"),
            tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
            tags.title(title),
            # Without it a browser asks for /favicon.ico, which may be a backend's.
            tags.link(rel="icon", href="data:,"),
            tags.style(STYLE),
        ),
        tags.body(Tag("main")(tags.h1(title), *content)),
        lang="en",
    )
    return b"<!DOCTYPE html>\n" + _flatten(request, document)


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
        Tag("path")(d=_bars(values, highest)),
        Tag("path")(d=_bars(bad, highest), class_="bad") if any(bad) else "",
        viewBox=f"0 0 {max(len(values), len(bad), 1)} {_CHART_HEIGHT}",
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


def _bars(values: Sequence[float], highest: float) -> str:
    bars = []
    for place, value in enumerate(values):
        if value > 0:
            # What is not nothing can be seen.
            height = max(value / highest * _CHART_HEIGHT, 1)
            bars.append(f"M{place} {_CHART_HEIGHT}v-{height:.3g}h1v{height:.3g}z")
    return "".join(bars)


def _flatten(request: Request, document: Tag) -> bytes:
    pieces: list[bytes] = []
    failures: list[Failure] = []
    flatten(request, document, pieces.append).addErrback(failures.append)
    for failure in failures:
        failure.raiseException()
    return b"".join(pieces)


def _hash_source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


_POLICY = (
    f"default-src 'none'; style-src {_hash_source(STYLE)}; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
