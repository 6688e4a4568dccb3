"""What a backend says that is for the gateway, or that it must not say at all."""

from __future__ import annotations

import pytest

from scgiproxy.message.headers import HOP_BY_HOP
from tests.directives.gateway import HELLO, ConfiguredGateway, answered
from tests.web.harness import GET, Gateway

PAGES = """
    <Location /server-status>
        SetHandler server-status
    </Location>
    ProxyPass /app/ scgi://127.0.0.1:4001/
"""
STRANGER = "192.0.2.7"


@pytest.mark.parametrize("location", ["/server-status", "//server-status", "/x/../server%2Dstatus"])
def test_a_redirect_opens_nothing_that_is_for_this_machine(location: str) -> None:
    gateway = ConfiguredGateway(PAGES)
    redirect = answered(f"Location: {location}", status="")
    asked = gateway.ask("/app/x", answer=redirect, peer=STRANGER)
    assert asked.status == 403
    assert gateway.ask("/server-status", peer=STRANGER).status == 403
    assert gateway.ask("/app/x", answer=redirect, peer="127.0.0.1").status == 200
    gateway.close()


@pytest.mark.parametrize("word", ["server-status", "application/x-httpd-cgi", "proxy:scgi://x/"])
def test_a_type_chooses_no_handler(word: str) -> None:
    """In Apache it once did, behind an internal redirect."""
    gateway = ConfiguredGateway(PAGES)
    asked = gateway.ask("/app/x", answer=answered(f"Content-Type: {word}", "Content-Length: 5"))
    assert (asked.status, asked.body, asked["content-type"]) == (200, b"hello", word)
    behind = gateway.ask(
        "/app/x",
        answer=[answered("Location: /app/y", f"Content-Type: {word}", status=""), HELLO],
        peer=STRANGER,
    )
    assert (behind.status, behind.body, behind["content-type"]) == (200, b"hello", "text/plain")
    assert len(behind.attempts) == 2
    gateway.close()


@pytest.mark.parametrize(
    "name", sorted(HOP_BY_HOP - {b"transfer-encoding"}), ids=lambda name: name.decode()
)
@pytest.mark.parametrize("status", [b"200 OK", b"404 No", b"304 Same"])
def test_each_field_of_the_connection_ends_here(name: bytes, status: bytes) -> None:
    gateway = Gateway()
    answer = b"Status: %b\r\n%b: x-private\r\nX-Private: a\r\nContent-Length: 0\r\n\r\n"
    client, _ = gateway.exchange(GET, answer % (status, name.title()))
    assert client.answer.headers.get(name.decode()) is None
    named = name == b"connection"
    assert client.answer["x-private"] == (None if named else "a")
    gateway.finish(client)


def test_these_are_all_of_them() -> None:
    known = {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"http2-settings"}
    known |= {b"proxy-authenticate", b"proxy-authorization", b"proxy-connection"}
    assert known < HOP_BY_HOP
