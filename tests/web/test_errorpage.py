"""Error pages."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from scgiproxy import errors
from scgiproxy.web.errorpage import REASONS, answer_page, error_page
from tests.web.fakes import RecordedRequest


class Page(HTMLParser):
    """The text of each element, and every tag and attribute."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: dict[str, str] = {}
        self.urls: list[str] = []
        self.feed(body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.urls += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self.tags and data.strip():
            self.text[self.tags[-1]] = data


@pytest.mark.parametrize("status", sorted(status for status in REASONS if status >= 300))
def test_every_status_has_a_page_of_its_own(status: int) -> None:
    headers, body = error_page(status)
    page = Page(body)
    title = f"{status} {REASONS[status].decode()}"
    assert page.text["h1"] == page.text["title"] == title
    assert page.text["p"]
    assert page.urls == []
    assert headers == [(b"Content-Type", b"text/html; charset=utf-8")]


def test_every_error_of_the_gateway_is_explained() -> None:
    """None of them falls back on the sentence that says nothing."""
    fallback = Page(error_page(599)[1]).text["p"]
    pending: list[type[errors.ScgiProxyError]] = [errors.ScgiProxyError]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        if kind is not errors.ClientGone:
            assert Page(error_page(kind.status)[1]).text["p"] != fallback, kind


def test_a_message_is_escaped() -> None:
    body = error_page(400, "bad <script>alert('x')</script> & \"more\"")[1]
    assert b"<script" not in body
    page = Page(body)
    assert "script" not in page.tags
    assert b"bad &lt;script&gt;" in body


def test_an_unknown_status() -> None:
    assert Page(error_page(599)[1]).text["h1"] == "599"


def test_a_message_that_cannot_be_encoded() -> None:
    assert b"?" in error_page(400, "\udcff")[1]


def test_the_list_of_headers_is_the_callers() -> None:
    error_page(404)[0].append((b"X", b"y"))
    assert len(error_page(404)[0]) == 1


def test_reasons_are_those_of_the_standard() -> None:
    """RFC 9110; http.HTTPStatus differs between releases of Python."""
    assert REASONS[413] == b"Content Too Large"
    assert REASONS[404] == b"Not Found"
    assert REASONS[302] == b"Found"


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_answering_with_a_page(method: bytes) -> None:
    request = RecordedRequest(method)
    answer_page(request, 405, [(b"Allow", b"GET")])
    assert request.status == 405
    assert request.finished
    assert request.response_header(b"allow") == b"GET"
    assert request.length == len(error_page(405)[1])
