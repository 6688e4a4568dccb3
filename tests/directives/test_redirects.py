"""ProxySCGIInternalRedirect: a backend sends the request on through the site."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.directives.behaviours import behaviour
from tests.directives.gateway import HELLO, Configured, answered

PROXY = "ProxyPass /app scgi://127.0.0.1:4000\nProxyPass /two scgi://127.0.0.1:4002\n"


def redirect(header: str = "Location", target: str = "/two/x?q=1", *more: str) -> bytes:
    return answered(f"{header}: {target}", *more, status="", body=b"not shown")


@behaviour("ProxySCGIInternalRedirect")
@pytest.mark.parametrize(
    ("line", "header", "followed"),
    [
        ("", "Location", True),
        ("ProxySCGIInternalRedirect On", "Location", True),
        ("ProxySCGIInternalRedirect on", "LOCATION", True),
        ("ProxySCGIInternalRedirect Off", "Location", False),
        ("ProxySCGIInternalRedirect X-Location", "Location", False),
        ("ProxySCGIInternalRedirect X-Location", "x-location", True),
        ("ProxySCGIInternalRedirect Off", "X-Location", False),
    ],
)
def test_which_header(configured: Configured, line: str, header: str, followed: bool) -> None:
    asked = configured(f"{line}\n{PROXY}").ask("/app", answer=[redirect(header), HELLO])
    assert asked.where == ["127.0.0.1:4000", "127.0.0.1:4002"][: 1 + followed]
    if followed:
        assert asked.body == b"hello"
        assert asked["location"] is None
    else:
        assert asked.body == b"not shown"
        assert asked[header.lower()] == "/two/x?q=1"


@behaviour("ProxySCGIInternalRedirect")
def test_places(configured: Configured) -> None:
    """The innermost place says which header it is."""
    gateway = configured(
        """
        ProxySCGIInternalRedirect Off
        ProxyPass / scgi://127.0.0.1:4000/
        <VirtualHost *>
          ServerName off.example
        </VirtualHost>
        <VirtualHost *>
          ServerName host.example
          ProxySCGIInternalRedirect X-Host
          <Location /in>
            ProxySCGIInternalRedirect X-In
          </Location>
          <Location /in/on>
            ProxySCGIInternalRedirect On
          </Location>
          <Proxy scgi://127.0.0.1:4000/proxy>
            ProxySCGIInternalRedirect X-Proxy
          </Proxy>
        </VirtualHost>
        """
    )
    all_names = ("Location", "X-Host", "X-In", "X-Proxy")
    for host, path, header in (
        ("off", "/", None),
        ("host", "/", "X-Host"),
        ("host", "/in", "X-In"),
        ("host", "/in/on", "Location"),
        ("host", "/proxy", "X-Proxy"),
    ):
        for name in all_names:
            asked = gateway.ask(path, host=f"{host}.example", answer=[redirect(name), HELLO])
            assert (len(asked.attempts) == 2) is (name == header), (host, path, name)


@behaviour("ProxySCGIInternalRedirect", "SetEnv")
def test_second_pass(configured: Configured) -> None:
    """It is a GET without a body, by the same client, that knows of the first pass."""
    gateway = configured(f"ProxySCGIInternalRedirect On\nSetEnv MINE yes\n{PROXY}")
    first = redirect("Location", "/two/x?q=1", "Set-Cookie: a=1", "X-More: 1", "ETag: no")
    asked = gateway.ask(
        "/app/y?p=2",
        "Content-Type: text/plain",
        "X-Client: c",
        method="POST",
        body=b"data",
        answer=[first, answered("Set-Cookie: b=2", "Content-Length: 5")],
    )
    variables = asked.variables
    assert variables["REQUEST_METHOD"] == "GET"
    assert variables["CONTENT_LENGTH"] == "0"
    assert variables["QUERY_STRING"] == "q=1"
    assert variables["SCRIPT_NAME"] == "/two/x"
    assert variables["REQUEST_URI"] == "/app/y?p=2"
    assert variables["HTTP_X_CLIENT"] == "c"
    assert variables["REDIRECT_STATUS"] == "200"
    assert variables["REDIRECT_URL"] == "/app/y"
    assert variables["REDIRECT_QUERY_STRING"] == "p=2"
    assert variables["REDIRECT_MINE"] == variables["MINE"] == "yes"
    assert asked.answer.headers["set-cookie"] == ["a=1", "b=2"]
    assert asked["x-more"] == "1"
    assert asked["etag"] is None


@behaviour("ProxySCGIInternalRedirect", "DocumentRoot", "Require")
def test_what_it_can_reach(configured: Configured, tmp_path: Path) -> None:
    """A file, with its own type; nothing that this client may not have; no other server."""
    (tmp_path / "page.html").write_text("page")
    gateway = configured(
        f"""
        ProxySCGIInternalRedirect On
        DocumentRoot {tmp_path}
        <Location /closed>
          Require all denied
        </Location>
        {PROXY}
        """
    )
    page = gateway.ask("/app", answer=redirect("Location", "/page.html"))
    assert (page.status, page.body) == (200, b"page")
    assert (page["content-type"] or "").startswith("text/html")
    assert gateway.ask("/app", answer=redirect("Location", "/closed/x")).status == 403
    assert gateway.ask("/app", answer=redirect("Location", "/nothing")).status == 404
    other = gateway.ask("/app", answer=[redirect("Location", "//two/x"), HELLO])
    assert other.where[1:] == ["127.0.0.1:4002"]
    outside = gateway.ask("/app", answer=answered("Location: http://x.example/", status=""))
    assert (outside.status, outside["location"]) == (302, "http://x.example/")


@behaviour("ProxySCGIInternalRedirect")
def test_only_a_plain_200(configured: Configured) -> None:
    gateway = configured(f"ProxySCGIInternalRedirect On\n{PROXY}")
    for status in ("302 Found", "201 Created", "404 Not Found"):
        asked = gateway.ask("/app", answer=answered("Location: /two", status=status))
        assert len(asked.attempts) == 1
        assert (asked.status, asked["location"]) == (int(status[:3]), "/two")
    assert len(gateway.ask("/app", answer=[answered("Location: /two"), HELLO]).attempts) == 2
