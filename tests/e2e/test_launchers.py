"""Each server answers a plain SCGI client: what fails here is a server, not the gateway."""

from __future__ import annotations

import json
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import servers
from tests.e2e.contract import MEGABYTE, digest
from tests.e2e.fossil import fossil
from tests.e2e.processes import Process
from tests.e2e.rtorrent import rtorrent
from tests.e2e.scgi_client import ask

pytestmark = pytest.mark.e2e

APPLICATIONS: dict[str, Callable[[Path], Process]] = {
    "uwsgi-flask": lambda folder: servers.uwsgi(folder, "tests.e2e.apps.flask_app"),
    "uwsgi-django": lambda folder: servers.uwsgi(folder, "tests.e2e.apps.django_app"),
    "uwsgi-unix": lambda folder: servers.uwsgi(
        folder, "tests.e2e.apps.flask_app", folder / "uwsgi.sock"
    ),
    "aioscgi": servers.aioscgi,
    "aioscgi-unix": lambda folder: servers.aioscgi(folder, folder / "aioscgi.sock"),
    "flup": servers.flup,
    "nascheme": servers.nascheme,
    "perl": servers.perl,
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_answers_and_takes_an_upload(name: str, tmp_path: Path) -> None:
    with APPLICATIONS[name](tmp_path) as server:
        told = ask(server.address, "/variables?a=1", HTTP_HOST="127.0.0.1")
        assert told.status == 200
        assert json.loads(told.body)["QUERY_STRING"] == "a=1"
        upload = ask(server.address, "/raw", "POST", MEGABYTE, HTTP_HOST="127.0.0.1")
        assert upload.body.decode() == digest(MEGABYTE)
    assert server.has_ended


def test_fossil_answers(tmp_path: Path) -> None:
    with fossil(tmp_path) as server:
        page = ask(server.address, "/login")
    assert page.status == 200
    assert b"User ID:" in page.body


@pytest.mark.parametrize("local", [False, True], ids=["tcp", "unix"])
def test_rtorrent_answers(local: bool, tmp_path: Path) -> None:
    call = xmlrpc.client.dumps((), "system.listMethods").encode()
    with rtorrent(tmp_path, tmp_path / "rt.sock" if local else None) as server:
        answer = ask(server.address, "/RPC2", "POST", call, CONTENT_TYPE="text/xml")
    (methods,), _ = xmlrpc.client.loads(answer.body)
    assert isinstance(methods, list)
    assert "system.listMethods" in methods
