"""Checks of a page of the gateway's own, as strict as a validator where its pages go."""

from __future__ import annotations

import base64
import hashlib
import re
from xml.etree import ElementTree

from tests.web.answers import Answer

_VOID = {"meta", "link", "br", "hr", "img", "input"}
_CHILDREN = {
    "html": {"head", "body"},
    "head": {"meta", "title", "link", "style"},
    "body": {"main"},
    "dl": {"div"},
    "table": {"thead", "tbody"},
    "thead": {"tr"},
    "tbody": {"tr"},
    "tr": {"th", "td"},
    "svg": {"path"},
}
_PHRASING = {"span", "code", "svg"}
_ATTRIBUTES = {
    "html": {"lang"},
    "meta": {"charset", "name", "content"},
    "link": {"rel", "href"},
    "th": {"scope"},
    "svg": {"viewBox", "preserveAspectRatio", "role", "aria-label"},
    "path": {"d"},
}


def document(answer: Answer) -> ElementTree.Element:
    """The page's tree, checked: well-formed, nested as HTML wants it, and nothing in it that its
    Content-Security-Policy forbids."""
    assert answer["content-type"] == "text/html; charset=utf-8"
    text = answer.body.decode()
    assert text.startswith("<!DOCTYPE html>\n<html lang=")
    # In HTML no other element can be closed so.
    assert set(re.findall(r"<(\w+)[^<>]*/>", text)) <= _VOID
    root = ElementTree.fromstring(text)
    _check(root)
    for name in ("title", "main", "h1"):
        assert len(list(root.iter(name))) == 1, name
    (charset, *_) = root.findall("head/meta")
    assert charset.get("charset") == "utf-8"
    _check_policy(answer, root)
    return root


def texts(element: ElementTree.Element) -> list[str]:
    """The text of each child."""
    return ["".join(child.itertext()) for child in element]


def told(root: ElementTree.Element, place: int) -> dict[str, str]:
    """Names and values of one of the page's lists."""
    pairs = [texts(group) for group in root.findall("body/main/dl")[place]]
    return {name: value for name, value in pairs}  # noqa: C416  a list of two is no tuple


def rows(root: ElementTree.Element, title: str) -> list[dict[str, str]]:
    """The table below the heading `title`, as a dictionary for each row."""
    (main,) = root.iter("main")
    children = list(main)
    (place,) = (n for n, child in enumerate(children) if child.text == title)
    (table,) = children[place + 1]
    (head,) = table.findall("thead/tr")
    names = texts(head)
    found = [texts(row) for row in table.findall("tbody/tr")]
    assert all(len(row) == len(names) for row in found)
    return [dict(zip(names, row, strict=True)) for row in found]


def _check(element: ElementTree.Element) -> None:
    tag = element.tag
    assert set(element.keys()) <= _ATTRIBUTES.get(tag, set()) | {"class"}, element.attrib
    allowed = _CHILDREN.get(tag)
    if allowed is not None:
        assert not (element.text or "").strip(), tag
        assert {child.tag for child in element} <= allowed, tag
    if tag in ("p", "span", "td", "th", "dd", "dt", "h1", "h2", "code"):
        assert {child.tag for child in element} <= _PHRASING, tag
    if tag == "dl":
        assert all([child.tag for child in group] == ["dt", "dd"] for group in element)
    if tag == "path":
        assert re.fullmatch(
            r"[MVHvhz0-9.-]*(?: [0-9.-]+v-[0-9.]+h1v[0-9.]+z(?:M[0-9]+)?)*", element.get("d", "")
        ), element.attrib
    for child in element:
        _check(child)


def _check_policy(answer: Answer, root: ElementTree.Element) -> None:
    policy = dict(
        directive.split(" ", 1)
        for directive in (answer["content-security-policy"] or "").split("; ")
    )
    (style,) = root.iter("style")
    digest = base64.b64encode(hashlib.sha256((style.text or "").encode()).digest()).decode()
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert not re.search(r"url\(|@import|</", style.text or "")
    assert [link.get("href") for link in root.iter("link")] == ["data:,"]
    assert answer["x-content-type-options"] == "nosniff"
    assert answer["cache-control"] == "no-store"
