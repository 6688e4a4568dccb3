"""``SetHandler metrics`` and ``server-status``: what is counted, and who may see it."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import UNIXAddress

from scgiproxy.web.statistics import ConnectionPhase
from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured, ConfiguredGateway, answered
from tests.web.answers import Answer

HERE = "127.0.0.1"
PAGES = """
<Location /metrics>
    SetHandler metrics
</Location>
<Location /server-status>
    SetHandler server-status
</Location>
"""
APP = "ProxyPass /app/ scgi://127.0.0.1:4000/\n"
BALANCER = """
<Proxy balancer://b>
    BalancerMember scgi://127.0.0.1:4000
    BalancerMember scgi://127.0.0.1:4001
</Proxy>
ProxyPass /app/ balancer://b/
"""
REDIRECT = answered("Location: /there/x", status="")


def page(gateway: ConfiguredGateway, path: str) -> Answer:
    """What somebody on this machine sees; it is written in several turns."""
    client = gateway.send(path, peer=HERE)
    for _ in range(100):
        gateway.reactor.advance(0)
    (answer,) = client.answers
    assert (answer.status, answer.whole) == (200, True)
    client.leave()
    return answer


class Scrape:
    """The values of one scrape."""

    def __init__(self, gateway: ConfiguredGateway) -> None:
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(page(gateway, "/metrics").body.decode())
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        """None if there is no such series."""
        return self._values.get((f"scgiproxy_{name}", frozenset(labels.items())))

    def mount(self, name: str, path: str, **labels: str) -> float | None:
        return self(name, server="", mount=path, **labels)

    def backend(self, name: str, port: int = 4000, pool: str = "", **labels: str) -> float | None:
        label = f"scgi://127.0.0.1:{port}" + ("" if pool else "/")
        return self(name, pool=pool or label, backend=label, **labels)


# -- who may see it ----------------------------------------------------------------------------


@behaviour("SetHandler")
@pytest.mark.parametrize("path", ["/metrics", "/server-status"])
def test_only_this_machine_sees_it(configured: Configured, path: str) -> None:
    """Without a word about access, and never through a proxy on this machine."""
    gateway = configured(PAGES)
    assert gateway.ask(path, peer=HERE).status == 200
    assert gateway.ask(path, peer=UNIXAddress(None)).status == 200
    assert gateway.ask(path, peer="192.0.2.7").status == 403
    assert gateway.ask(path, "X-Forwarded-For: 192.0.2.7", peer=HERE).status == 403
    assert gateway.ask(path, "Forwarded: for=192.0.2.7", peer=UNIXAddress(None)).status == 403


@behaviour("SetHandler", "Require")
@pytest.mark.parametrize(
    ("lines", "allowed"),
    [
        ("Require ip 192.0.2.0/24", True),
        ("Require all granted", True),
        ("Require all denied", False),
        ("Order allow,deny\nAllow from 192.0.2.7", True),
    ],
)
def test_unless_its_own_section_says_otherwise(
    configured: Configured, lines: str, allowed: bool
) -> None:
    section = "<Location /s>\n{}SetHandler server-status\n{}\n</Location>\n"
    for text in (section.format(lines + "\n", ""), section.format("", lines)):
        assert configured(text).ask("/s", peer="192.0.2.7").status == (200 if allowed else 403)


@behaviour("SetHandler", "Require")
def test_an_outer_section_does_not_open_it(configured: Configured) -> None:
    """That all may see the site does not mean this page; a later section is about it."""
    outer = "<Location />\nRequire all granted\nAllow from all\nSatisfy Any\n</Location>\n"
    assert configured(outer + PAGES).ask("/metrics", peer="192.0.2.7").status == 403
    later = PAGES + "<Location /metrics>\nRequire all granted\n</Location>\n"
    assert configured(later).ask("/metrics", peer="192.0.2.7").status == 200


@behaviour("SetHandler")
def test_an_outer_section_may_close_it(configured: Configured) -> None:
    """What Deny says of all clients holds here too, as for any section with a Require."""
    outer = "<Location />\nOrder deny,allow\nDeny from 127.0.0.1\n</Location>\n"
    assert configured(outer + PAGES).ask("/metrics", peer=HERE).status == 403


@behaviour("SetHandler", "VirtualHost")
def test_each_virtual_host_keeps_to_it(configured: Configured) -> None:
    """Where the section stands makes no difference, nor by which of its hosts it is asked for."""
    gateway = configured(
        "<Location />\nRequire all granted\n</Location>\n"
        + PAGES
        + "<VirtualHost *>\nServerName a.example\n</VirtualHost>\n"
        "<VirtualHost *>\nServerName b.example\n"
        "<Location /own>\nSetHandler metrics\n</Location>\n"
        "<LocationMatch ^/open$>\nSetHandler metrics\nRequire all granted\n</LocationMatch>\n"
        "</VirtualHost>\n"
    )
    for host, path in (
        ("a.example", "/metrics"),
        ("b.example", "/server-status"),
        ("b.example", "/own"),
    ):
        assert gateway.ask(path, host=host, peer="192.0.2.7").status == 403, (host, path)
        assert gateway.ask(path, host=host, peer=HERE).status == 200, (host, path)
    assert gateway.ask("/open", host="b.example", peer="192.0.2.7").status == 200
    assert gateway.ask("/own", host="a.example", peer=HERE).status == 404
    whole = configured("<VirtualHost *>\nServerName c\nSetHandler metrics\n</VirtualHost>\n")
    assert whole.ask("/any", host="c", peer="192.0.2.7").status == 403
    assert whole.ask("/any", host="c", peer=HERE).status == 200


@behaviour("SetHandler", "VirtualHost", "Require")
def test_sections_of_virtual_hosts_are_later_ones(configured: Configured) -> None:
    """As in Apache: what they say of all their paths is said of the main server's pages as well."""
    gateway = configured(
        PAGES + "<VirtualHost *>\nServerName a.example\n"
        "<Location />\nRequire ip 192.0.2.7\n</Location>\n</VirtualHost>\n"
    )
    assert gateway.ask("/metrics", host="a.example", peer="192.0.2.7").status == 200
    assert gateway.ask("/metrics", host="a.example", peer=HERE).status == 403


@behaviour("SetHandler", "Require")
def test_debians_status_conf(configured: Configured) -> None:
    """``Require local`` is what the file says itself; of that a proxy on this machine is a client,
    as in Apache."""
    gateway = configured(
        "<Location /server-status>\nSetHandler server-status\nRequire local\n</Location>\n"
        "ExtendedStatus On\n<IfModule mod_proxy.c>\nProxyStatus On\n</IfModule>\n"
    )
    assert gateway.ask("/server-status", peer=HERE).status == 200
    assert gateway.ask("/server-status", peer="192.0.2.7").status == 403
    assert gateway.ask("/server-status", "X-Forwarded-For: 192.0.2.7", peer=HERE).status == 200


@behaviour("SetHandler", "ProxyPass")
def test_a_mount_comes_first(configured: Configured) -> None:
    """As in Apache, unless it leaves the page out."""
    everything = "ProxyPass / scgi://127.0.0.1:4000/\n"
    asked = configured(PAGES + everything).ask("/metrics", peer=HERE)
    assert asked.where == ["127.0.0.1:4000"]
    left_out = configured(PAGES + "ProxyPass /metrics !\n" + everything)
    assert left_out.ask("/metrics", peer=HERE).where == []
    assert b"scgiproxy_requests_total" in page(left_out, "/metrics").body


# -- what is counted ---------------------------------------------------------------------------


@behaviour("SetHandler")
def test_a_request_is_counted_where_it_was_answered(configured: Configured) -> None:
    gateway = configured(PAGES + APP)
    for _ in range(3):
        gateway.ask("/app/x", method="POST", body=b"12345", answer=answered(status="404 No"))
    gateway.ask("/nowhere")
    told = Scrape(gateway)
    assert told.mount("requests_total", "/app/", method="POST", status="4xx") == 3
    assert told.mount("requests_total", "none", method="GET", status="4xx") == 1
    assert told.mount("request_body_bytes_total", "/app/") == 15
    assert told.mount("response_body_bytes_total", "/app/") == 15
    assert told.mount("request_duration_seconds_count", "/app/") == 3
    assert told.mount("responses_aborted_total", "/app/") == 0
    # The scrape before this one is a request, too.
    assert Scrape(gateway).mount("requests_total", "none", method="GET", status="2xx") == 1


@behaviour("SetHandler")
def test_the_phases_of_an_exchange(configured: Configured) -> None:
    gateway = configured(PAGES + APP)
    gateway.send("/app/x")
    gateway.advance(0.5)
    end = gateway.accept()
    gateway.advance(2)
    end.answer(answered("Content-Length: 10"))
    gateway.advance(4)
    told = Scrape(gateway)
    assert told.mount("requests_in_flight", "/app/") == 1
    assert told.backend("backend_requests_in_flight") == 1
    assert told("connections", phase="sending") == 1
    end.answer(b"world")
    gateway.settle()
    told = Scrape(gateway)
    assert told.mount("requests_in_flight", "/app/") == 0
    assert told.backend("backend_requests_in_flight") == 0
    assert told("connections", phase="idle") == 1
    for name, seconds in (
        ("backend_connect_duration", 0.5),
        ("backend_first_byte_duration", 2),
        ("backend_response_duration", 6),
    ):
        assert told.backend(f"{name}_seconds_count") == 1
        assert told.backend(f"{name}_seconds_sum") == pytest.approx(seconds, abs=0.01)
    total = told.mount("request_duration_seconds_sum", "/app/")
    assert total == pytest.approx(6.5, abs=0.01)


@behaviour("SetHandler")
def test_a_client_that_leaves(configured: Configured) -> None:
    """Before there is a status, and in the middle of an answer; the backend is not blamed."""
    gateway = configured(PAGES + APP)
    gateway.send("/app/1").leave()
    client = gateway.send("/app/2")
    gateway.accept().answer(answered("Content-Length: 10"))
    client.leave()
    told = Scrape(gateway)
    assert told.mount("requests_total", "/app/", method="GET", status="none") == 1
    assert told.mount("requests_total", "/app/", method="GET", status="2xx") == 1
    assert told.mount("responses_aborted_total", "/app/") == 2
    assert told.mount("requests_in_flight", "/app/") == 0
    assert told.backend("backend_requests_total") == 2
    assert told.backend("backend_response_duration_seconds_count") == 0
    assert told.backend("backend_errors_total", error="client.gone") is None


@behaviour("SetHandler")
def test_an_internal_redirect_is_one_request(configured: Configured) -> None:
    """Of the mount that answered; the other has none in flight any more."""
    gateway = configured(PAGES + APP + "ProxyPass /there/ scgi://127.0.0.1:4001/\n")
    gateway.ask("/app/x", answer=[REDIRECT, answered()])
    told = Scrape(gateway)
    assert told.mount("requests_total", "/there/", method="GET", status="2xx") == 1
    assert told.mount("requests_total", "/app/", method="GET", status="2xx") is None
    for path in ("/app/", "/there/"):
        assert told.mount("requests_in_flight", path) == 0
    assert told.backend("backend_response_duration_seconds_count", 4000) == 1
    assert told.backend("backend_response_duration_seconds_count", 4001) == 1


@behaviour("SetHandler", "BalancerMember")
def test_failover(configured: Configured) -> None:
    gateway = configured(PAGES + BALANCER)
    gateway.down = {"127.0.0.1:4000"}
    assert gateway.ask("/app/x").status == 200
    told = Scrape(gateway)
    pool = "balancer://b"
    assert told("retries_total", pool=pool) == 1
    assert told.backend("backend_errors_total", 4000, pool, error="backend.connect") == 1
    assert told.backend("backend_up", 4000, pool) == 0
    assert told.backend("backend_state", 4000, pool, state="down") == 1
    assert told.backend("backend_up", 4001, pool) == 1
    text = page(gateway, "/server-status?auto").body.decode()
    assert "ProxyBalancer[0]Worker[0]Status: Init Err \n" in text
    assert "ProxyBalancer[0]Worker[1]Status: Init Ok \n" in text


@behaviour("SetHandler", "max=")
def test_the_queue(configured: Configured) -> None:
    """Only those are in it that had to wait, served in the end or not."""
    gateway = configured(PAGES + "ProxyPass /app/ scgi://127.0.0.1:4000/ max=1\n")
    gateway.send("/app/1")
    gateway.send("/app/2")
    leaving = gateway.send("/app/3")
    pool = "scgi://127.0.0.1:4000/"
    assert Scrape(gateway)("queued_requests", pool=pool) == 2
    assert Scrape(gateway)("connections", phase="waiting") == 4
    gateway.advance(1)
    leaving.leave()
    gateway.advance(1)
    gateway.accept().answer(answered("Content-Length: 5"))
    gateway.settle()
    told = Scrape(gateway)
    assert told("queued_requests", pool=pool) == 0
    assert told("queue_duration_seconds_count", pool=pool) == 2
    assert told("queue_duration_seconds_sum", pool=pool) == pytest.approx(3, abs=0.01)


@behaviour("SetHandler")
def test_a_backend_that_does_not_answer(configured: Configured) -> None:
    gateway = configured(PAGES + APP.rstrip() + " timeout=5\n")
    gateway.send("/app/x")
    gateway.accept()
    gateway.advance(7)
    told = Scrape(gateway)
    assert told.mount("requests_total", "/app/", method="GET", status="5xx") == 1
    assert told.backend("backend_errors_total", error="backend.head_timeout") == 1
    assert told.backend("backend_connect_duration_seconds_count") == 1
    assert told.backend("backend_first_byte_duration_seconds_count") == 0


@behaviour("SetHandler")
@pytest.mark.parametrize("size", [1000, 300_000], ids=["in memory", "on disk"])
@pytest.mark.parametrize("end", ["answered", "left"])
def test_spooled_bodies(configured: Configured, size: int, end: str) -> None:
    gateway = configured(PAGES + APP)
    client = gateway.send("/app/x")
    client.leave()
    client = gateway.client()
    client.send(b"POST /app/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"%x\r\n%b\r\n" % (size, b"x" * size))
    told = Scrape(gateway)
    assert (told("spooled_bodies"), told("spooled_bytes")) == (1, size)
    assert told("connections", phase="reading") == 1
    if end == "left":
        client.leave()
    else:
        client.send(b"0\r\n\r\n")
        gateway.settle()
        gateway.accept().answer(answered("Content-Length: 5"))
        gateway.settle()
        assert client.answer.status == 200
    told = Scrape(gateway)
    assert (told("spooled_bodies"), told("spooled_bytes")) == (0, 0)
    assert told.mount("request_body_bytes_total", "/app/") == size


@behaviour("SetHandler")
def test_connections_by_phase(configured: Configured) -> None:
    gateway = configured(PAGES + APP)
    gateway.client()
    gateway.client().send(b"GET /app/")
    gateway.send("/app/x")
    gateway.ask("/nowhere")
    told = Scrape(gateway)
    found = {phase.value: told("connections", phase=phase.value) for phase in ConnectionPhase}
    # The scrape itself is one that waits for its answer.
    assert found == {"reading": 2, "waiting": 2, "sending": 0, "idle": 1, "closing": 0}


@behaviour("SetHandler", "ServerName")
def test_virtual_hosts_are_told_apart(configured: Configured) -> None:
    gateway = configured(
        PAGES + APP + "<VirtualHost *>\nServerName a.example\n</VirtualHost>\n"
        "<VirtualHost *>\nServerName b.example\n</VirtualHost>\n"
    )
    gateway.ask("/app/x", host="b.example")
    told = Scrape(gateway)
    labels: dict[str, Any] = {"mount": "/app/", "method": "GET", "status": "2xx"}
    assert told("requests_total", server="b.example", **labels) == 1
    assert told("requests_total", server="a.example", **labels) is None
    # They share the mount's backend.
    assert told.backend("backend_requests_total") == 1


@behaviour("SetHandler")
def test_the_page(configured: Configured) -> None:
    gateway = configured(PAGES + APP)
    gateway.ask("/app/x")
    gateway.advance(2)
    answer = page(gateway, "/server-status")
    assert answer["content-type"] == "text/html; charset=utf-8"
    assert b"/app/" in answer.body


def test_a_name_that_is_built_in_needs_no_plugin(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No plugin file is imported for it."""

    def find(*_: Any) -> Any:
        raise AssertionError("looked for plugins")

    monkeypatch.setattr("scgiproxy.service.build.getPlugins", find)
    configured(PAGES)
