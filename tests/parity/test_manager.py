"""The balancer-manager of both servers: what ``?xml=1`` tells, and what a form changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest

from tests.e2e.http_client import Connection, Response, ask
from tests.parity.sides import Apache, gateway
from tests.parity.site import Site

pytestmark = pytest.mark.parity

NAME = "{http://httpd.apache.org}"
BODIES = {"transferred", "read"}
"""Bytes: Apache counts them with the framing of its own environment."""

Told = list[tuple[str, str]]


class Manager:
    """That of one side."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.here = f"http://main.test:{port}/balancer-manager"

    def ask(self, method: str, target: str, *fields: str, body: bytes = b"") -> Response:
        lines = [f"{method} {target} HTTP/1.1", f"Host: main.test:{self.port}", *fields]
        lines += ["Connection: close", f"Content-Length: {len(body)}", "", ""]
        return ask(("127.0.0.1", self.port), "\r\n".join(lines).encode() + body)

    def xml(self) -> ElementTree.Element:
        answer = self.ask("GET", "/balancer-manager?xml=1", f"Referer: {self.here}")
        assert answer.status == 200
        return ElementTree.fromstring(answer.body)

    def told(self) -> Told:
        """Every element with its text, in order."""
        found = [(e.tag.removeprefix(NAME), (e.text or "").strip("\n ")) for e in self.xml().iter()]
        return [(tag, text) for tag, text in found if tag not in BODIES]

    def change(self, **fields: str) -> None:
        """As a script for Apache does it."""
        body = urlencode(fields).encode()
        kind = "Content-Type: application/x-www-form-urlencoded"
        answer = self.ask("POST", "/balancer-manager", f"Referer: {self.here}", kind, body=body)
        assert answer.status in (200, 303), answer


@pytest.fixture(scope="module")
def managers(written_site: Site) -> Iterator[tuple[Manager, Manager]]:
    config = written_site.configs["manager"]
    with ExitStack() as stack:
        sides = [stack.enter_context(Apache(config)), stack.enter_context(gateway(config))]
        yield tuple(Manager(side.port) for side in sides)  # type: ignore[misc]


def both(managers: tuple[Manager, Manager]) -> tuple[Told, Told]:
    apache, ours = managers
    return apache.told(), ours.told()


def test_the_same_elements(managers: tuple[Manager, Manager]) -> None:
    """With the same text, when the page is new."""
    apache, ours = both(managers)
    assert ours == apache


def test_after_requests(managers: tuple[Manager, Manager]) -> None:
    for manager in managers:
        request = f"GET /plain/x HTTP/1.1\r\nHost: main.test:{manager.port}\r\n\r\n".encode()
        # On one connection, and so to one worker: whose turns are compared.
        with Connection(("127.0.0.1", manager.port)) as connection:
            for _ in range(5):
                assert connection.ask(request).status == 200
    apache, ours = both(managers)
    assert ours == apache


@pytest.mark.parametrize(
    "fields",
    [
        {"w_lf": "7.5", "w_ls": "2", "w_wr": "z", "w_rr": "q"},
        {"w_wr": "", "w_rr": ""},
        {"w_status_N": "1"},
        {"w_status_N": "0", "w_status_D": "1", "w_status_I": "1"},
        {"w_status_D": "0", "w_status_I": "0", "w_status_R": "1"},
        {"w_status_R": "0", "w_status_S": "1"},
        {"w_status_S": "0"},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_a_member_is_changed(managers: tuple[Manager, Manager], fields: dict[str, str]) -> None:
    for manager in managers:
        name = next(text for tag, text in manager.told() if text.startswith("scgi://"))
        manager.change(b="app", w=name, nonce="secret", **fields)
    apache, ours = ([pair for pair in told if pair[0] != "lbstatus"] for told in both(managers))
    assert ours == apache


@pytest.mark.parametrize(
    "fields",
    [
        {"b_lbm": "bytraffic", "b_tmo": "3", "b_max": "2"},
        {"b_sforce": "1", "b_ss": "SID|sid"},
        {"b_ss": "-"},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_a_balancer_is_changed(managers: tuple[Manager, Manager], fields: dict[str, str]) -> None:
    for manager in managers:
        manager.change(b="plain", nonce="other", **fields)
    apache, ours = ([pair for pair in told if pair[0] != "lbstatus"] for told in both(managers))
    assert ours == apache


def test_a_member_is_added(managers: tuple[Manager, Manager]) -> None:
    for manager in managers:
        manager.change(b="app", nonce="secret", b_nwrkr="scgi://127.0.0.1:9", b_wyes="1")
    names = [[text for tag, text in told if tag == "name"] for told in both(managers)]
    assert names[0] == names[1]
    assert "scgi://127.0.0.1:9" in names[1]


@pytest.mark.parametrize("sent", ["nonce=wrong", "", "Referer"])
def test_what_changes_nothing(managers: tuple[Manager, Manager], sent: str) -> None:
    """Apache shows the page all the same; the gateway says what was missing."""
    for manager in managers:
        before = manager.told()
        referer = manager.here if sent != "Referer" else "http://elsewhere.test/"
        nonce = {"Referer": "nonce=secret"}.get(sent, sent)
        body = f"b=app&w=scgi://127.0.0.1:9&w_lf=3&{nonce}".encode()
        kind = "Content-Type: application/x-www-form-urlencoded"
        answer = manager.ask("POST", "/balancer-manager", f"Referer: {referer}", kind, body=body)
        assert answer.status == (200 if manager is managers[0] else 403)
        assert manager.told() == before


def test_a_get_changes_nothing(managers: tuple[Manager, Manager]) -> None:
    for manager in managers:
        before = manager.told()
        target = "/balancer-manager?b=app&w=scgi://127.0.0.1:9&nonce=secret&w_lf=3"
        answer = manager.ask("GET", target, f"Referer: {manager.here}")
        assert answer.status == (200 if manager is managers[0] else 405)
        assert manager.told() == before
