"""The root of the demo, its start page, and the page of variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import Request
from twisted.web.template import Flattenable, Tag, tags

from scgiproxy.demo.forms import FormPage, UploadPage
from scgiproxy.demo.gateway import FilePage, RedirectedPage, RedirectPage, SendfilePage
from scgiproxy.demo.page import NotFound, Page, html, shown, table, value, variables_of
from scgiproxy.demo.streams import EventsPage, StreamPage, TicksPage

NUMBERS = "numbers.txt"
PICTURE = "picture.svg"

MEANINGS = {
    b"AUTH_TYPE": "how the gateway has checked the user's password",
    b"CONTENT_LENGTH": "bytes of the body; SCGI sends it first, always",
    b"CONTENT_TYPE": "what kind of body it is",
    b"DOCUMENT_ROOT": "the folder of the gateway's own files",
    b"HTTPS": "“on” if the browser's connection is encrypted",
    b"PATH_INFO": "the rest of the path: what the application has to find",
    b"QUERY_STRING": "what follows the question mark",
    b"REMOTE_ADDR": "the browser's address",
    b"REMOTE_PORT": "the browser's port",
    b"REMOTE_USER": "who has logged in at the gateway",
    b"REQUEST_METHOD": "what the browser wants to do",
    b"REQUEST_SCHEME": "http or https",
    b"REQUEST_URI": "the address as the browser sent it, undecoded",
    b"SCGI": "the version of the protocol",
    b"SCRIPT_NAME": "where the application is mounted",
    b"SERVER_ADDR": "the gateway's address",
    b"SERVER_ADMIN": "whom to write to: ServerAdmin",
    b"SERVER_NAME": "the gateway's name, as the browser calls it",
    b"SERVER_PORT": "the gateway's port",
    b"SERVER_PROTOCOL": "the version of HTTP that the browser speaks",
    b"SERVER_SOFTWARE": "the gateway itself",
}

CARDS = (
    (
        "variables",
        "What the application receives",
        "Every SCGI variable of your request, explained.",
    ),
    ("form", "A form", "Sent by GET or POST; the page shows what came through."),
    ("upload", "A file upload", "Name, type, size and checksum of what you send."),
    (
        "redirect",
        "An internal redirect",
        "The application answers with another address, and only the gateway notices.",
    ),
    (
        "sendfile",
        "X-Sendfile",
        "The application names a file, the gateway sends it: fast, with ranges.",
    ),
    ("stream", "A streamed answer", "A line every 0.3 seconds, each on your screen at once."),
    ("events", "Server-sent events", "A live counter over one open answer."),
)


def build_demo(folder: Path, clock: IReactorTime, configuration: str = "") -> Resource:
    """The demo's resource tree.

    - `folder`: where ``numbers.txt`` and ``picture.svg`` are (`service.write_files` puts them
      there), which the gateway is asked to send by X-Sendfile.
    - `clock`: for the streamed pages.
    - `configuration`: the gateway's, shown on the start page.
    """
    root = DemoRoot()
    root.putChild(b"", StartPage(configuration))
    root.putChild(b"variables", VariablesPage())
    root.putChild(b"form", FormPage())
    root.putChild(b"upload", UploadPage(clock))
    root.putChild(b"redirect", RedirectPage())
    root.putChild(b"redirected", RedirectedPage())
    root.putChild(b"sendfile", SendfilePage(PICTURE, NUMBERS))
    root.putChild(PICTURE.encode(), FilePage(folder / PICTURE, b"image/svg+xml"))
    root.putChild(
        NUMBERS.encode(), FilePage(folder / NUMBERS, b"text/plain; charset=utf-8", download=True)
    )
    root.putChild(b"stream", StreamPage(clock))
    root.putChild(b"events", EventsPage())
    root.putChild(b"ticks", TicksPage(clock))
    return root


class DemoRoot(Resource):
    """The root, which knows no other pages than it was given."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def getChild(self, path: bytes, request: IRequest) -> Resource:  # noqa: ARG002
        return NotFound()


class StartPage(Page):
    """What this is, and what there is to see."""

    def __init__(self, configuration: str) -> None:
        super().__init__()
        self._configuration = configuration

    def render_GET(self, request: Request) -> bytes:
        content: list[Flattenable] = [
            tags.p(
                "Your browser asked the gateway by HTTP. The gateway asked this application by "
                "SCGI, and passed its answer on to you. That you can read this means that all of "
                "it works.",
                class_="lead",
            ),
            tags.div(
                tags.b("your browser"),
                tags.i("— HTTP →"),
                tags.b("scgiproxy"),
                tags.i("— SCGI →"),
                tags.b("this application", class_="here"),
                class_="path",
            ),
            tags.h2("Try it"),
            tags.ul(
                *(
                    tags.li(tags.a(tags.strong(title), tags.span(text), href=name))
                    for name, title, text in CARDS
                ),
                class_="cards",
            ),
        ]
        if self._configuration:
            content += [
                tags.h2("The whole configuration"),
                tags.p(
                    "Apache's words, in a file of your own. Put your application's socket, or ",
                    tags.code("scgi://host:port/"),
                    ", in place of this one, and start ",
                    tags.code("twistd -n scgiproxy --config FILE"),
                    ".",
                ),
                tags.pre(self._configuration.strip()),
            ]
        return html(request, "It works", *content)


class VariablesPage(Page):
    """The variables of the request that asks for this page."""

    def render_GET(self, request: Request) -> bytes:
        variables = variables_of(request)
        if not variables:
            return html(request, "Variables", tags.p("This request did not come by SCGI."))
        headers = {name for name in variables if name.startswith(b"HTTP_")}
        others = [name for name in variables if name not in headers and name not in MEANINGS]
        content: list[Flattenable] = [
            tags.p(
                f"The gateway turned your request into {len(variables)} variables. This is all "
                "that a SCGI application ever learns of it, besides the body.",
                class_="lead",
            ),
            tags.h2("The request and its surroundings"),
            table(
                ("Variable", "Value", "Meaning"),
                (
                    (shown(name), value(data), tags.td(MEANINGS[name], class_="meaning"))
                    for name, data in variables.items()
                    if name in MEANINGS
                ),
            ),
            tags.h2("The browser's headers"),
            _plain_table(variables, headers),
        ]
        if others:
            content += [tags.h2("Others"), _plain_table(variables, others)]
        return html(request, "Variables", *content)


def _plain_table(variables: Mapping[bytes, bytes], names: Iterable[bytes]) -> Tag:
    rows = ((shown(name), value(variables[name])) for name in sorted(names))
    return table(("Variable", "Value"), rows)
