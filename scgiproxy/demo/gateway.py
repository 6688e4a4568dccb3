"""What an application leaves to the gateway: internal redirects and files."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.web.server import Request
from twisted.web.template import Flattenable, tags

from scgiproxy.demo.page import Page, html, root_path, shown, table, url, value, variables_of

PREFIX = b"REDIRECT_"


class RedirectPage(Page):
    """Answers with a path of this site: the gateway goes there, and the browser never knows.

    (ProxySCGIInternalRedirect: status 200 and a Location that begins with a slash.)
    """

    def render_GET(self, request: Request) -> bytes:
        headers = request.responseHeaders
        headers.setRawHeaders(b"Location", [root_path(request) + b"redirected?by=the+application"])
        # Few headers: those of the first answer are carried over into the last.
        headers.setRawHeaders(b"Content-Type", [b"text/plain; charset=utf-8"])
        return (
            b"This answer has status 200 and a Location. A gateway with ProxySCGIInternalRedirect On"
            b" goes to that page itself; this one has passed the answer on.\n"
        )


class RedirectedPage(Page):
    """Where `RedirectPage` leads to: shows what is left of the first request."""

    def render_GET(self, request: Request) -> bytes:
        variables = variables_of(request)
        earlier = sorted(name for name in variables if name.startswith(PREFIX))
        if not earlier:
            return html(
                request,
                "An internal redirect",
                tags.p("You came here directly, so there is nothing to see. "),
                tags.p(tags.a("Go by way of the redirect", href="redirect", class_="button")),
            )
        return html(
            request,
            "An internal redirect",
            tags.p(
                "Your browser asked for ",
                tags.code(shown(variables.get(b"REQUEST_URI", b""))),
                " and still shows that address. The application answered with ",
                tags.code(shown(b"Location: " + request.uri)),
                ", so the gateway asked again, for this page. The first request's variables "
                "are here with REDIRECT_ before their names.",
                class_="lead",
            ),
            table(
                ("Variable", "Value"), ((shown(name), value(variables[name])) for name in earlier)
            ),
        )


class SendfilePage(Page):
    """Explains `FilePage`, and shows two of them."""

    def __init__(self, picture: str, numbers: str) -> None:
        super().__init__()
        self._picture = picture
        self._numbers = numbers

    def render_GET(self, request: Request) -> bytes:
        content: list[Flattenable] = [
            tags.p(
                "For this picture the application sent no byte, only the header ",
                tags.code("X-Sendfile"),
                " with the name of a file. The gateway took the header out, and sent the file with "
                "its length, its date, an ETag, and in parts if the browser asks for a range.",
                class_="lead",
            ),
            tags.p(
                tags.img(src=self._picture, alt="Sent by the gateway", width="640", height="200")
            ),
            tags.p(
                tags.a("Download numbers.txt", href=self._numbers, class_="button", download="")
            ),
            tags.p(
                "Only files in folders that ",
                tags.code("XSendFilePath"),
                " names are sent. For a part of the file try:",
            ),
            tags.pre(f"curl -r 1000-1099 {url(request, self._numbers)}"),
        ]
        return html(request, "X-Sendfile", *content)


class FilePage(Page):
    """A file that the gateway sends."""

    def __init__(self, path: Path, content_type: bytes, *, download: bool = False) -> None:
        super().__init__()
        self._path = os.fsencode(path)
        self._name = os.fsencode(path.name)
        self._content_type = content_type
        self._download = download

    def render_GET(self, request: Request) -> bytes:
        headers = request.responseHeaders
        headers.setRawHeaders(b"X-Sendfile", [self._path])
        headers.setRawHeaders(b"Content-Type", [self._content_type])
        headers.setRawHeaders(b"X-Content-Type-Options", [b"nosniff"])
        if self._download:
            headers.setRawHeaders(
                b"Content-Disposition", [b'attachment; filename="%b"' % self._name]
            )
        return b""
