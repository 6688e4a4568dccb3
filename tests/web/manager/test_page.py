"""What the page shows, and that nothing that others have said is markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest

from scgiproxy.errors import ConnectFailed
from scgiproxy.rules.balancer import Sticky
from scgiproxy.rules.health import ProbeResult
from scgiproxy.web.manager.cells import outline
from tests.web.gateway_numbers import HOSTILE
from tests.web.manager.asking import Manager
from tests.web.manager.stage import Stage, crowded_stage, full_stage

_VOID = {"meta", "link", "input", "wbr", "br"}
_TAGS = {
    *("html", "head", "meta", "title", "link", "style", "body", "main", "h1", "h2", "h3", "p"),
    *("dl", "dt", "dd", "div", "section", "article", "form", "input", "button", "a", "span", "b"),
    *("svg", "path", "wbr", "code", "script", "ul", "li", "fieldset", "legend", "label", "select"),
    *("option", "small"),
}


class Document(HTMLParser):
    """What is in a page: its elements, balanced, with their attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert tag in _TAGS, tag
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), names
        assert not [name for name in names if name.startswith("on") or name == "style"]
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.texts.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    def values(self, attribute: str) -> list[str]:
        return [found[attribute] or "" for _, found in self.elements if attribute in found]


def shown_cells(text: str) -> dict[str, list[str]]:
    """What stands in the cells of that name, one after the other."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<span data-cell="([\w-]+)"[^>]*>([^<]*)</span>', text):
        found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def manager() -> Manager:
    return Manager(full_stage)


def test_states_in_words(manager: Manager) -> None:
    cells = shown_cells(manager.get().body.decode())
    assert cells["state"] == [
        *("Up", "Up", "In error", "Draining", "Up", "Unhealthy", "Disabled", "Up")
    ]
    assert cells["note"][:5] == ["", "", "tried again in 50 s", "3 requests left", "slowly started"]
    assert cells["members"] == ["4 of 8 up", "3 of 7 up", "1 of 1 up"]
    assert cells["weight"][:5] == ["2", "1", "1", "1", "1.03 of 4"]
    assert cells["in-flight"][:3] == ["19", "10 of 32", "4 of 32"]
    assert cells["failure"][2] == "10 s ago: 10.0.0.13:4000: connection refused"
    assert cells["kinds"][2] == "4 connect"
    assert cells["probe"][0] == "passed 1 s ago, in 2.1 ms: status 200"
    assert cells["check"][0] == "GET /health every 5 s (up after 2, down after 3 in a row)"
    assert cells["growth"] == ["0 of 3 used", "none"]
    assert cells["sticky"] == ["ROUTEID", "none"]
    assert cells["tags"][5] == "set 1 · hot standby"


@pytest.mark.parametrize("query", ["", "?b=shop", "?b=shop&w=scgi://10.0.0.11:4000", "?b=x"])
def test_it_is_sound(manager: Manager, query: str) -> None:
    """Elements are closed, ids are there once, and every field has its label."""
    document = Document(manager.get(query).body.decode())
    ids = document.values("id")
    assert len(ids) == len(set(ids))
    assert document.count("h1") == 1
    assert document.count("script") == 1


def test_the_form_of_a_member(manager: Manager) -> None:
    """It has Apache's fields with the values of now; a box that is not ticked sends 0."""
    document = Document(manager.get("?b=shop&w=scgi://blue").body.decode())
    fields: dict[str, list[dict[str, str | None]]] = {}
    for tag, attributes in document.elements:
        if tag in ("input", "select"):
            fields.setdefault(attributes["name"] or "", []).append(attributes)
    assert fields["w"][0]["value"] == "unix:/run/shop/blue.sock|scgi://blue"
    assert fields["w_wr"][0]["value"] == "blue"
    assert fields["w_lf"][0]["value"] == "1"
    hidden, box = fields["w_status_N"]
    assert (hidden["type"], hidden["value"]) == ("hidden", "0")
    assert (box["type"], "checked" in box) == ("checkbox", True)
    assert "checked" not in fields["w_status_D"][1]
    expected = {f"w_status_{flag}" for flag in "INDSHRC"} | {"b", "w", "nonce"}
    expected |= {"w_lf", "w_ls", "w_max", "w_wr", "w_rr", "w_hm", "w_hi", "w_hp", "w_hf"}
    assert set(fields) == expected | {"w_hu", "w_he"}


def test_a_form_that_is_sent_back_changes_nothing(manager: Manager) -> None:
    """As a browser without scripts does it, with all fields."""
    before = manager.state
    for query in ("?b=shop&w=scgi://10.0.0.11:4000", "?b=shop&w=scgi://10.0.0.14:4000", "?b=shop"):
        text = manager.get(query).body.decode()
        form = text[text.index('class="edit"') :].split("</form>")[0]
        fields = {}
        for tag, attributes in Document(form[form.index("<form") :] + "</form>").elements:
            if tag == "input" and (attributes["type"] != "checkbox" or "checked" in attributes):
                fields[attributes["name"] or ""] = attributes["value"] or ""
        for name, options in re.findall(r'<select name="(\w+)">(.*?)</select>', form):
            (chosen,) = re.findall(r'<option value="([^"]*)" selected', options)
            fields[name] = chosen
        answer = manager.post(fields)
        assert answer.status == 303, answer.body
    assert manager.state == before


def hostile_stage(clock: Any) -> Stage:
    """Somebody has put markup into everything that can be said."""
    stage = Stage(clock)
    text = HOSTILE
    made = stage.balancer(
        "x",
        [("scgi://10.0.0.1:4000", {"route": text.encode("utf-8", "surrogateescape")})],
        sticky=Sticky(text.encode("utf-8", "surrogateescape"), b"p"),
        nonce=text,
        growth=1,
    )
    made.name = text
    (member,) = made.pool.backends
    member.label = f"scgi://{text}"
    member.redirect = text.encode("utf-8", "surrogateescape")
    member.fail(ConnectFailed(text))
    member.statistics.record_error(clock.seconds() - 3, f"backend.{text}")
    member.last_probe = ProbeResult(clock.seconds(), False, text)
    return stage


@pytest.mark.parametrize("what", ["page", "balancer", "member", "unknown", "field"])
def test_hostile_text(what: str) -> None:
    """It is text wherever it stands, and shown so that it can be seen."""
    manager = Manager(hostile_stage)
    name = quote(HOSTILE.encode("utf-8", "surrogateescape"))
    query = {
        "page": "",
        "balancer": f"?b={name}",
        "member": f"?b={name}&w=scgi://{name}",
        "unknown": f"?b={name}&w={name}",
        "field": f"?w_{name}=1",
    }[what]
    answer = manager.get(query)
    text = answer.body.decode()
    document = Document(text)
    assert document.count("script") == 1
    assert "<script>alert" not in text
    assert "\u202e" not in "".join(document.texts)
    assert "\x1b" not in "".join(document.texts)


def test_hostile_text_for_programs() -> None:
    manager = Manager(hostile_stage)
    answer = manager.get("?format=json")
    assert answer.body.isascii()
    (balancer,) = json.loads(answer.body)["balancers"]
    assert balancer["name"] == HOSTILE
    root = ElementTree.fromstring(manager.get("?xml=1").body)
    assert "alert(1)" in "".join(root.itertext())
    assert not [element for element in root.iter() if not element.tag.startswith("{http://httpd")]


@pytest.mark.parametrize("host", ["<b>x</b>", 'x"onload=', "localhost:1/<i>"])
def test_hostile_hosts(manager: Manager, host: str) -> None:
    answer = manager.get(Host=host)
    assert answer.status in (400, 403)
    assert "<b>x" not in answer.body.decode()
    assert "<i>" not in answer.body.decode()


def test_nothing_is_there() -> None:
    manager = Manager(Stage)
    text = manager.get().body.decode()
    Document(text)
    assert "There is no balancer." in text


def test_many_long_names() -> None:
    document = Document(Manager(crowded_stage).get().body.decode())
    assert document.count("article") == 16


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ([], ""),
        ([0, 0], ""),
        ([1], "M0 32V0h1V32z"),
        ([0, 4, 4, 1, 0], "M0 32V32h1V0h2V24h1V32h1V32z"),
        ([0.001, 1000.0], "M0 32V31h1V0h1V32z"),
    ],
)
def test_outlines(values: list[float], path: str) -> None:
    assert outline(values) == path
