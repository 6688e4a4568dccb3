"""The site: from a Host or an absolute target to a virtual host; dates, logs, the ends."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from scgiproxy.config.model import HostAddress
from scgiproxy.rules.environment import SetVariable
from scgiproxy.rules.settings import CanonicalName
from scgiproxy.web.hosts import HostTable
from scgiproxy.web.site import GatewaySite
from tests.web.answers import Log
from tests.web.harness import Client, Gateway
from tests.web.memory import REMOTE

OK = b"Content-Length: 5\r\n\r\nhello"


def variables(request: bytes, host: Any = None, peer: Any = None, **server: Any) -> dict[str, str]:
    gateway = Gateway(server=server)
    ends: dict[str, Any] = {}
    if host is not None:
        ends["host"] = host
    if peer is not None:
        ends["peer"] = peer
    gateway.client(**ends).send(request)
    return gateway.backend.variables


def get(host: str, target: str = "/") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("righthost", "righthost", "8080"),
        ("righthost:123", "righthost", "123"),
        ("Righthost", "righthost", "8080"),
        ("righthost.", "righthost", "8080"),
        ("righthost:", "righthost", "8080"),
        ("[::1]", "[::1]", "8080"),
        ("[::1]:123", "[::1]", "123"),
        ("[A::1]", "[a::1]", "8080"),
    ],
)
def test_name_and_port_are_of_the_request(host: str, name: str, port: str) -> None:
    seen = variables(get(host), name=b"canonical")
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == (name, port)
    assert seen["HTTP_HOST"] == host


def test_canonical_name() -> None:
    seen = variables(get("x:1"), name=b"canonical", port=99, canonical_name=CanonicalName.ON)
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("canonical", "99")


def test_absolute_target_stands_for_the_host() -> None:
    seen = variables(get("wronghost:321", "http://RightHost:123/a?b"))
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("righthost", "123")
    assert seen["HTTP_HOST"] == "RightHost:123"
    assert seen["REQUEST_URI"] == "http://RightHost:123/a?b"
    assert (seen["SCRIPT_NAME"], seen["QUERY_STRING"]) == ("/a", "b")


def test_absolute_target_without_a_host() -> None:
    seen = variables(b"GET http://righthost/ HTTP/1.0\r\n\r\n")
    assert seen["HTTP_HOST"] == seen["SERVER_NAME"] == "righthost"


@pytest.mark.parametrize(
    "target", ["http://a b/", "http:///x", "ftp://a/", "http://a:x/", "unix:/x|http://a/"]
)
def test_absolute_target_that_is_none(target: str) -> None:
    gateway = Gateway()
    assert gateway.client().send(get("a", target)).answers[0].status == 400
    assert not gateway.pool.ends


def test_no_address_is_taken_from_a_request() -> None:
    """Backends come from the configuration alone."""
    seen = variables(get("a", "/?unix:" + "A" * 4000 + "|http://127.0.0.1/"))
    assert seen["SCRIPT_NAME"] == "/"


def test_old_request_without_a_host() -> None:
    seen = variables(b"GET / HTTP/1.0\r\n\r\n", name=b"canonical")
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("canonical", "8080")
    assert seen["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert "HTTP_HOST" not in seen


def test_addresses() -> None:
    seen = variables(get("a"))
    assert seen["REMOTE_ADDR"] == "192.0.2.7"
    assert seen["REMOTE_PORT"] == "50000"
    assert seen["SERVER_ADDR"] == "127.0.0.1"
    peer = IPv6Address("TCP", "::ffff:192.0.2.8", 1)
    assert variables(get("a"), peer=peer)["REMOTE_ADDR"] == "192.0.2.8"


def test_unix_socket() -> None:
    seen = variables(get("a"), UNIXAddress(b"/run/gw.sock"), UNIXAddress(None))
    assert (seen["REMOTE_ADDR"], seen["SERVER_PORT"]) == ("", "80")
    assert "REMOTE_PORT" not in seen


def test_forwarded_fields_of_a_client_are_just_fields() -> None:
    seen = variables(
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n"
    )
    assert seen["REMOTE_ADDR"] == "192.0.2.7"
    assert seen["REQUEST_SCHEME"] == "http"
    assert "HTTPS" not in seen


def test_secure_listener() -> None:
    gateway = Gateway()
    site = GatewaySite(
        HostTable(gateway.host), clock=gateway.clock, wheel=gateway.wheel, secure=True
    )
    Client(site).send(get("a"))
    seen = gateway.backend.variables
    assert (seen["HTTPS"], seen["REQUEST_SCHEME"]) == ("on", "https")


def two_hosts() -> tuple[GatewaySite, Gateway, Gateway]:
    first = Gateway(server={"name": b"one.example"})
    second = Gateway(server={"name": b"two.example"})
    for gateway in (first, second):
        gateway.host.addresses = (HostAddress(None, None),)
    site = GatewaySite(
        HostTable(first.host, [first.host, second.host]), clock=first.clock, wheel=first.wheel
    )
    return site, first, second


@pytest.mark.parametrize(
    ("request_", "second_serves"),
    [
        (get("one.example"), False),
        (get("two.example"), True),
        (get("TWO.example:99"), True),
        (get("other"), False),
        (get("one.example", "http://two.example/"), True),
        (b"GET / HTTP/1.0\r\n\r\n", False),
    ],
)
def test_virtual_host_is_chosen_by_name(request_: bytes, second_serves: bool) -> None:
    site, first, second = two_hosts()
    Client(site).send(request_)
    assert bool(second.pool.ends) is second_serves
    assert bool(first.pool.ends) is not second_serves


def test_virtual_host_may_change_on_one_connection() -> None:
    site, first, second = two_hosts()
    client = Client(site).send(get("one.example") + get("two.example"))
    first.backend.answer(OK)
    second.backend.answer(OK)
    assert len(client.answers) == 2


def test_names_of_clients_are_remembered_within_bounds() -> None:
    gateway = Gateway(mounts=[("/x", "scgi://h/")], server={"max_keep_alive_requests": 0})
    client = gateway.client()
    for number in range(3000):
        client.send(get(f"host{number}"))
    assert len(gateway.site._known_hosts) <= 1024


def test_local_addresses_are_remembered_within_bounds() -> None:
    gateway = Gateway()
    for number in range(3000):
        gateway.site.local_end(IPv4Address("TCP", f"10.0.{number // 250}.{number % 250}", 80))
    assert len(gateway.site._locals) <= 1024


def test_date_is_of_the_second() -> None:
    gateway = Gateway(mounts=[("/x", "scgi://h/")])
    client = gateway.client().send(get("a"))
    gateway.clock.advance(1.5)
    client.send(get("a"))
    assert [answer["date"] for answer in client.answers] == [
        "Sun, 09 Sep 2001 01:46:40 GMT",
        "Sun, 09 Sep 2001 01:46:41 GMT",
    ]


class Recorded:
    def __init__(self) -> None:
        self.lines: list[tuple[bytes, int, int]] = []

    def log(self, request: Any) -> None:
        self.lines.append((request.method, request.status_sent, request.body_sent))


def test_every_request_is_logged_once() -> None:
    """Answered, refused, given up, broken off."""
    log = Recorded()
    gateway = Gateway(access_logs=[log])
    client = gateway.client().send(get("a"))
    gateway.backend.answer(OK)
    client.send(b"BAD\r\n")
    gateway.client().send(get("a")).leave()
    cut = gateway.client().send(get("a"))
    gateway.backend.answer(OK[:-2]).close()
    assert cut.closed == "aborted"
    assert log.lines[0] == (b"GET", 200, 5)
    assert log.lines[1][:2] == (b"-", 400)
    assert log.lines[2] == (b"GET", 0, 0)
    assert log.lines[3] == (b"GET", 200, 3)
    assert len(log.lines) == 4


def test_log_line_cannot_be_forged() -> None:
    gateway = Gateway()
    with Log() as log:
        gateway.client().send(b"GET /\x1b[31m{0} HTTP/1.1\r\nHost: \x1b\r\n\r\n")
    assert "\x1b" not in log.line()


def test_protocols_of_other_factories_are_not_used() -> None:
    """No HTTP/2 by surprise: every connection is a channel of ours."""
    gateway = Gateway()
    assert type(gateway.site.buildProtocol(REMOTE)).__name__ == "HttpChannel"


def test_site_starts_and_stops_without_a_log_of_its_own() -> None:
    gateway = Gateway()
    gateway.site.doStart()
    gateway.site.doStop()
    assert not gateway.clock.getDelayedCalls()


def test_options_star() -> None:
    gateway = Gateway(set_env=(SetVariable(b"A", b"b"),))
    answer = gateway.client().send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").answers[0]
    assert (answer.status, answer.body) == (200, b"")
    assert answer["allow"]
    assert not gateway.pool.ends
