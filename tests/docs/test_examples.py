"""Every file of ``docs/examples`` runs, and does what it says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.gateway import GatewayProcess, twistd
from tests.e2e.http_client import Browser
from tests.e2e.processes import Process, free_port, missing
from tests.e2e.scripted import ScriptedBackend, answer
from tests.e2e.servers import uwsgi

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
CONFIGURATIONS = sorted(path.name for path in EXAMPLES.glob("*.conf"))

pytestmark = pytest.mark.e2e


def _edited(folder: Path, name: str, replaced: Mapping[str, str]) -> Path:
    """A copy of an example with other addresses in it; each of those replaced must be there."""
    text = (EXAMPLES / name).read_text()
    for old, new in replaced.items():
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, new)
    copy = folder / name
    copy.write_text(text)
    return copy


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_passes_the_check(name: str, tmp_path: Path) -> None:
    """As it stands; the file of users that one of them names is there."""
    config = Path(shutil.copy(EXAMPLES / name, tmp_path))
    (tmp_path / "rtorrent.users").touch()
    command = [twistd(), "scgiproxy", "--check", "--config", config]
    checked = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.splitlines()[-1] == "Syntax OK"


@pytest.mark.parametrize("name", ["simple.conf", "balanced.conf"])
def test_the_gateways_of_apaches_document_serve(name: str, tmp_path: Path) -> None:
    port = free_port()
    with ScriptedBackend() as first, ScriptedBackend() as second:
        backends = [first, second] if name == "balanced.conf" else [first]
        replaced = {"Listen 8080": f"Listen 127.0.0.1:{port}"}
        for default, backend in zip((4000, 4001), backends, strict=False):
            replaced[f"localhost:{default}"] = f"localhost:{backend.port}"
        config = _edited(tmp_path, name, replaced)
        with GatewayProcess(config, port, "gateway") as gateway:
            for _ in range(4):
                assert Browser(gateway.http).get("/scgi-bin/x").text == "hello\n"
        assert [len(backend.told) for backend in backends] == [4 // len(backends)] * len(backends)
        assert first.told[0].get("SCRIPT_NAME") == "/scgi-bin/x"


@pytest.mark.parametrize(
    "lines", [b"", b"Status: 404 Not Found\r\n", b"Status: 303 See Other\r\nLocation: /there\r\n"]
)
def test_a_client_stays_with_its_member(lines: bytes, tmp_path: Path) -> None:
    """By the cookie that comes with its first answer, also with an error page or a redirect."""
    port = free_port()
    hello = answer(b"Content-Type: text/plain\r\n\r\n")
    with ScriptedBackend() as first, ScriptedBackend() as second:
        replaced = {
            "Listen 8080": f"Listen 127.0.0.1:{port}",
            "localhost:4000": f"localhost:{first.port}",
            "localhost:4001": f"localhost:{second.port}",
        }
        config = _edited(tmp_path, "sticky.conf", replaced)
        with GatewayProcess(config, port, "gateway") as gateway:
            for member in (first, second):
                member.play(answer(lines + b"Content-Type: text/plain\r\n\r\n"), hello)
            browsers = [Browser(gateway.http) for _ in range(2)]
            for browser, route in zip(browsers, (".a", ".b"), strict=True):
                browser.get("/", follow=False)
                assert browser.cookies == {"ROUTEID": route}
            for member in (first, second):
                member.play(hello)
            for browser in (*browsers, *browsers, browsers[1]):
                assert browser.get("/again").header("Set-Cookie") is None
            assert [len(member.told) for member in (first, second)] == [2, 3]


def test_the_gateway_to_rtorrent(tmp_path: Path) -> None:
    """Its rules let a local client in, keep cookies from the backend, mend the type, and have nobody
    trusted who comes by it."""
    port = free_port()
    (tmp_path / "rtorrent.users").touch()
    socket = tmp_path / "rpc.sock"
    replaced = {"Listen 8080": f"Listen 127.0.0.1:{port}", "/run/rtorrent/rpc.sock": str(socket)}
    config = _edited(tmp_path, "rtorrent.conf", replaced)
    with ScriptedBackend(socket) as backend, GatewayProcess(config, port, "gateway") as gateway:
        browser = Browser(gateway.http)
        backend.play(answer(b"Content-Type: text/xml\r\nContent-Length: 3\r\n\r\n<a>"))
        browser.cookies["session"] = "x" * 3000
        assert browser.post("/RPC2", b"<methodCall/>", "text/plain").text == "<a>"
        assert browser.post("/RPC2", b"[]", "application/json").text == "<a>"
        browser.path = "/" + "x" * 3000  # the Referer of the next request
        assert browser.post("/RPC2", b"<methodCall/>", "text/xml").text == "<a>"
        assert browser.post("/RPC2?" + "x" * 3000, b"", "text/xml").status == 431
    types = [told.get("CONTENT_TYPE") for told in backend.told]
    assert types == ["text/xml", "application/json", "text/xml"]
    assert [told.get("HTTP_COOKIE") for told in backend.told] == [None] * 3
    assert [told.get("UNTRUSTED_CONNECTION") for told in backend.told] == ["1"] * 3


def test_the_gateway_to_django(tmp_path: Path) -> None:
    """Django under uWSGI answers, and the gateway serves the static files."""
    port = free_port()
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "site.css").write_text("p {}\n")
    socket = tmp_path / "uwsgi.sock"
    replaced = {
        "Listen 8080": f"Listen 127.0.0.1:{port}",
        "*:8080": "*",
        "/srv/shop": str(tmp_path),
        "/run/shop/uwsgi.sock": str(socket),
    }
    config = _edited(tmp_path, "django.conf", replaced)
    with (
        uwsgi(tmp_path, "tests.e2e.apps.django_app", socket),
        GatewayProcess(config, port, "gateway") as gateway,
    ):
        browser = Browser(gateway.http)
        sheet = browser.get("/static/site.css")
        assert (sheet.text, sheet.header("Content-Type")) == ("p {}\n", "text/css")
        told = json.loads(browser.get("/variables").body)
        assert (told["SCRIPT_NAME"], told["PATH_INFO"]) == ("", "/variables")
        assert [browser.get("/session").text for _ in range(2)] == ["1", "2"]


def test_the_gateway_in_another_application(tmp_path: Path) -> None:
    port = free_port()
    command = [twistd(), "-n", "--pidfile=", "-y", EXAMPLES / "embed.tac", "--no_save"]
    environment = {"PORT": str(port)}
    where = ("127.0.0.1", port)
    with Process("embed", command, tmp_path, where, environment=environment):
        answer = Browser(where).get("/?name=Ada")
        assert answer.text == "Hello, Ada! I am mounted at /.\n"


def test_an_application_in_fifteen_lines_is_asked_by_the_agent(tmp_path: Path) -> None:
    """By `hello.py` on a free port, and `agent.py`; the second time nobody listens."""
    if find_spec("scgi") is None:
        missing("scgi", "scgi from PyPI")
    port = free_port()
    program = _edited(tmp_path, "hello.py", {"port=4000": f"port={port}"})
    ask = [sys.executable, EXAMPLES / "agent.py", f"scgi://127.0.0.1:{port}/hello/world"]
    with Process("hello", [sys.executable, program], tmp_path, ("127.0.0.1", port)):
        asked = subprocess.run(ask, capture_output=True, text=True)
    # The agent sends a PATH_INFO, and is mounted nowhere.
    assert asked.stdout == "200 GET , and a body of 0 letters.\n", asked.stderr
    refused = subprocess.run(ask, capture_output=True, text=True)
    assert refused.stderr.startswith("backend.connect: nobody listens on 127.0.0.1"), refused


def test_a_plugin_answers_for_its_handler(tmp_path: Path) -> None:
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    shutil.copy(EXAMPLES / "greeting_plugin.py", plugins)
    port = free_port()
    config = tmp_path / "plugin.conf"
    config.write_text(
        f"Listen 127.0.0.1:{port}\n<Location /greeting>\nSetHandler greeting\n</Location>\n"
    )
    with GatewayProcess(config, port, "gateway", {"PYTHONPATH": str(tmp_path)}) as gateway:
        answer = Browser(gateway.http).get("/greeting/x")
        assert answer.text == "Hello from the gateway itself, at /greeting/x.\n"


def test_a_wsgi_application_is_served_and_mounted(tmp_path: Path) -> None:
    """By the server's example, and then by the one that mounts it in a stock site."""
    socket = tmp_path / "hello.sock"
    port = free_port()
    program = [sys.executable, EXAMPLES / "serve_wsgi.py", f"unix:{socket}"]
    site = [sys.executable, EXAMPLES / "mount_in_site.py", f"unix:{socket}|scgi://hello/"]
    where = ("127.0.0.1", port)
    with (
        Process("serve_wsgi", program, tmp_path, socket),
        Process("mount_in_site", [*site, str(port)], tmp_path, where),
    ):
        browser = Browser(where)
        assert "the application" in browser.get("/").text
        assert "this is /app/." in browser.get("/app/").text
        assert json.loads(browser.post("/app/echo", {"word": "héllo"}).body) == {
            "word": "héllo",
            "bytes": len("word=h%C3%A9llo"),
        }
