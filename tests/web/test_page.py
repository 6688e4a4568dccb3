"""What the gateway's own pages are made of."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.server import Request
from twisted.web.template import Flattenable, Tag, tags

from scgiproxy.web.page import STYLE, OwnPage, chart, facts, page, shown, table
from tests.web.documents import document, rows, texts
from tests.web.gateway_numbers import HOSTILE
from tests.web.resources import H, Rendered, ask


class Shown(OwnPage):
    def __init__(self, title: str, *content: Flattenable) -> None:
        super().__init__()
        self._title = title
        self._content = content

    def render_GET(self, request: Request) -> bytes:
        return page(request, self._title, *self._content)


def answered(title: str, *content: Flattenable) -> Any:
    return document(ask(Shown(title, *content)))


def bars(drawn: Tag) -> list[str]:
    """The paths of a chart: those of values, and those that are bad."""
    return [str(path.attributes["d"]) for path in drawn.children if isinstance(path, Tag)]


def test_a_page_is_a_document() -> None:
    root = answered("A title", tags.h2("x"), table(("a", "b"), [("1", "2"), ("3", tags.code("4"))]))
    assert root.findtext("head/title") == root.findtext("body/main/h1") == "A title"
    assert rows(root, "x") == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_the_style_reaches_the_browser_as_it_is() -> None:
    """What is escaped in it would no longer have the digest that the policy allows."""
    assert f"<style>{STYLE}</style>".encode() in ask(Shown("x")).body
    assert "prefers-color-scheme: dark" in STYLE
    assert "color-scheme: light dark" in STYLE


def test_whatever_is_shown_is_text() -> None:
    text = shown(HOSTILE)
    root = answered(text, facts([(text, text)]), tags.h2("x"), table((text,), [(text,)]))
    assert root.findtext("body/main/h1") == text
    assert texts(root.find("body/main/dl/div")) == [text, text]
    assert rows(root, "x") == [{text: text}]
    assert list(root.iter("script")) == []


def test_a_charts_label_is_an_attribute() -> None:
    (drawn,) = answered("x", tags.div(chart(shown(HOSTILE), [1]))).iter("svg")
    assert drawn.get("aria-label") == shown(HOSTILE)
    assert set(drawn.keys()) == {"viewBox", "preserveAspectRatio", "role", "class", "aria-label"}


@pytest.mark.parametrize(
    ("values", "bad", "paths"),
    [
        ([], [], [""]),
        ([0, 0], [0, 0], [""]),
        ([0, 4, 2], [], ["M1 32v-32h1v32zM2 32v-16h1v16z"]),
        ([1000, 1], [], ["M0 32v-32h1v32zM1 32v-1h1v1z"]),
        ([4], [2], ["M0 32v-32h1v32z", "M0 32v-16h1v16z"]),
        ([0], [2], ["", "M0 32v-32h1v32z"]),
    ],
)
def test_bars(values: list[float], bad: list[float], paths: list[str]) -> None:
    """The highest is as high as the chart, and the lowest can be seen."""
    assert bars(chart("x", values, bad)) == paths


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("scgi://a:4000", "scgi://a:4000"),
        ("grün", "grün"),
        ("a\nb", r"a\nb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\u202eabc", r"\u202eabc"),
        ("\udcff", r"\udcff"),
    ],
)
def test_shown(text: str, seen: str) -> None:
    assert shown(text) == seen


def test_a_failure_while_it_is_written(logged_errors: Any) -> None:
    """It is told, and the answer is an error."""

    def fail(request: Request) -> bytes:
        return page(request, "x", object())  # type: ignore[arg-type]

    assert ask(Rendered(fail)).status == 500
    assert len(logged_errors.flush()) == 1


def test_a_method_that_it_does_not_have() -> None:
    answer = ask(Shown("x"), b"DELETE /" + H + b"\r\n")
    assert (answer.status, answer["allow"]) == (405, "GET, HEAD")
    assert b"405" in answer.body
