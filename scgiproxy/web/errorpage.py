"""The gateway's own error pages.

One small HTML page for each status, made when the module is loaded. Nothing of a request is ever
in it, unless a caller passes it as `message`, which is escaped.
"""

from __future__ import annotations

import html
from http import HTTPStatus

from scgiproxy.interfaces import IGatewayRequest
from scgiproxy.message.headers import HeaderList

REASONS: dict[int, bytes] = {
    **{status.value: status.phrase.encode("ascii") for status in HTTPStatus},
    # As RFC 9110 has them: http.HTTPStatus changed its mind between releases of Python.
    413: b"Content Too Large",
    414: b"URI Too Long",
    416: b"Range Not Satisfiable",
    422: b"Unprocessable Content",
}
"""Standard reason phrases by status. One that is not here has an empty phrase."""

_EXPLANATIONS = {
    400: "The browser or program sent a request that this server cannot understand.",
    401: "This page asks for a user name and a password, and those sent are not accepted here.",
    403: "You are not allowed to see this page.",
    404: "There is nothing at this address.",
    405: "This address does not take a request of this kind.",
    408: "The request did not arrive in time. Please try again.",
    411: "The request has a body, and does not say how long it is.",
    412: "The page is not in the state that the request made a condition.",
    413: "The data sent with the request is larger than this server takes.",
    414: "The address of the request is longer than this server takes.",
    416: "The part of the file that was asked for does not exist.",
    417: "The request expects something of this server that it does not do.",
    426: "This address needs another version of the protocol.",
    429: "Too many requests came from you in a short time. Please wait a little.",
    431: "The headers of the request are more, or longer, than this server takes.",
    500: "Something went wrong in this server. Its error log says more.",
    501: "This server does not know how to do what the request asks.",
    502: "The application behind this server gave no answer that can be passed on.",
    503: "The application behind this server cannot be reached now. Please try again later.",
    504: "The application behind this server did not answer in time.",
    505: "This server does not speak the version of HTTP that the request uses.",
    507: "This server has no room for the request now. Please try again later.",
    508: "The page leads back to itself again and again.",
}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<h1>{title}</h1>
<p>{text}</p>
</body>
</html>
"""

_HEADERS = ((b"Content-Type", b"text/html; charset=utf-8"),)


def error_page(status: int, message: str = "") -> tuple[HeaderList, bytes]:
    """Headers (a list of the caller's own) and body of the page for a status.

    `message` is a sentence to show instead of the usual one; it is escaped.
    """
    body = _PAGES.get(status)
    if message or body is None:
        body = _compose(status, message)
    return list(_HEADERS), body


def answer_page(request: IGatewayRequest, status: int, headers: HeaderList) -> None:
    """Answer with that page, and with `headers` besides its own."""
    described, body = error_page(status)
    request.send_head(status, None, [*headers, *described], len(body))
    request.write(body)
    request.finish()


def _compose(status: int, message: str = "") -> bytes:
    phrase = REASONS.get(status, b"").decode("ascii")
    text = message or _EXPLANATIONS.get(status, "The request could not be completed.")
    page = _PAGE.format(title=html.escape(f"{status} {phrase}".rstrip()), text=html.escape(text))
    return page.encode("utf-8", "replace")


_PAGES = {status: _compose(status) for status in REASONS if status >= 300}
