"""Fossil behind the gateway: a person logs in and edits the wiki."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator

import pytest

from tests.e2e.fossil import PASSWORD, USER, fossil
from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Browser
from tests.e2e.servers import mount

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Under a path of its own, as Fossil's manual has it for other servers."""
    folder = tmp_path_factory.mktemp("fossil")
    with fossil(folder) as server:
        rule = f"ProxyPass /code/ {mount(server.address)} pathinfo=on"
        with Gateway(folder, rule) as gateway:
            yield gateway.http


@pytest.fixture
def visitor(address: tuple[str, int]) -> Browser:
    return Browser(address)


@pytest.fixture
def member(address: tuple[str, int]) -> Browser:
    """Somebody who is logged in."""
    browser = Browser(address)
    page = browser.post("/code/login", {"u": USER, "p": PASSWORD, "in": "Login"})
    assert page.status == 200
    assert browser.path.startswith("/code/")
    assert browser.cookies
    return browser


def hidden_fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the page's form with `action`."""
    form = re.search(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', page, re.DOTALL)
    assert form, page
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[1])
    return {name: html.unescape(value) for name, value in found}


def test_links_keep_the_mount_point(visitor: Browser) -> None:
    """Fossil makes them from SCRIPT_NAME."""
    page = visitor.get("/code/timeline")
    assert page.status == 200
    assert "href='/code/login'" in page.text


def test_a_wrong_password_is_refused(visitor: Browser) -> None:
    page = visitor.post("/code/login", {"u": USER, "p": "wrong", "in": "Login"})
    assert "wrong" in page.text.lower() or "incorrect" in page.text.lower()
    assert not any(value.endswith(USER) for value in visitor.cookies.values())


def test_a_member_writes_a_wiki_page_and_appends_to_it(member: Browser, visitor: Browser) -> None:
    """A page is saved from the editor; the form that appends carries a CSRF token."""
    fields = {"page": "Notes", "isnew": "1", "content": "First.", "mimetype": "text/plain"}
    saved = member.post("/code/wikiajax/save", fields)
    assert saved.header("Content-Type") == "application/json", saved.text
    assert json.loads(saved.body)["content"] == "First."

    form = hidden_fields(member.get("/code/wikiappend?name=Notes").text, "/code/wikiappend")
    assert form["csrf"]
    appended = {**form, "u": USER, "r": "Second, with æøå.", "submit": "Append Your Changes"}
    assert member.post("/code/wikiappend", appended).status == 200

    page = visitor.get("/code/wiki?name=Notes").text
    assert "First." in page
    assert "Second, with æøå." in page


def test_a_member_edits_a_wiki_page(member: Browser, visitor: Browser) -> None:
    fields = {"page": "Plan", "isnew": "1", "content": "Old.", "mimetype": "text/plain"}
    member.post("/code/wikiajax/save", fields)
    changed = member.post("/code/wikiajax/save", {**fields, "isnew": "0", "content": "New."})
    assert changed.status == 200
    page = visitor.get("/code/wiki?name=Plan").text
    assert "New." in page
    assert "Old." not in page


def test_a_visitor_may_not_write(visitor: Browser) -> None:
    fields = {"page": "Spam", "isnew": "1", "content": "Buy!", "mimetype": "text/plain"}
    assert "error" in visitor.post("/code/wikiajax/save", fields).text.lower()
    assert "Buy!" not in visitor.get("/code/wiki?name=Spam").text


def test_a_style_sheet_has_the_length_that_fossil_tells(visitor: Browser) -> None:
    sheet = visitor.get("/code/style.css")
    assert sheet.status == 200
    assert sheet.header("Content-Length") == str(len(sheet.body))
    assert (sheet.header("Content-Type") or "").startswith("text/css")
