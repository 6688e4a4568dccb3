"""Limits of size and number: what is too much is refused, and no backend hears of it."""

from __future__ import annotations

import pytest

from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured, answered

PROXY = "ProxyPass / scgi://127.0.0.1:4000/\n"
LIMITS = {
    "LimitRequestLine": (100, 414, ("/" + "x" * 86,), ("/" + "x" * 87,)),
    "LimitRequestFieldSize": (50, 431, ("/", "X: " + "x" * 47), ("/", "X: " + "x" * 48)),
    "LimitRequestFields": (3, 431, ("/", "A: 1", "B: 2"), ("/", "A: 1", "B: 2", "C: 3")),
}


@behaviour("LimitRequestLine")
@pytest.mark.parametrize("place", ["server", "host"])
def test_request_line(configured: Configured, place: str) -> None:
    _limited(configured, "LimitRequestLine", place)


@behaviour("LimitRequestFieldSize")
@pytest.mark.parametrize("place", ["server", "host"])
def test_field_size(configured: Configured, place: str) -> None:
    _limited(configured, "LimitRequestFieldSize", place)


@behaviour("LimitRequestFields")
@pytest.mark.parametrize("place", ["server", "host"])
def test_fields(configured: Configured, place: str) -> None:
    _limited(configured, "LimitRequestFields", place)


def _limited(configured: Configured, name: str, place: str) -> None:
    """As much as the limit passes, one more is refused; an inner limit counts, an outer one is
    inherited by the first host of the address."""
    limit, status, fits, too_much = LIMITS[name]
    lines = {
        "server": f"{name} {limit}\n{PROXY}<VirtualHost *>\n</VirtualHost>",
        "host": f"{name} 20\n{PROXY}<VirtualHost *>\n{name} {limit}\n</VirtualHost>",
    }
    gateway = configured(lines[place])
    assert gateway.ask(*fits).status == 200
    refused = gateway.ask(*too_much)
    assert refused.status == status
    assert refused["connection"] == "close"
    assert not refused.attempts


@behaviour("LimitRequestFields")
def test_no_limit_of_fields(configured: Configured) -> None:
    gateway = configured("LimitRequestFields 0\n" + PROXY)
    assert gateway.ask("/", *(f"X-{number}: x" for number in range(300))).status == 200


@behaviour("LimitRequestBody")
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("path", "limit"), [("/", 10), ("/in/", 20), ("/in/free/", None), ("/host/", 5), ("/c.txt", 10)]
)
def test_body(configured: Configured, path: str, limit: int | None, chunked: bool) -> None:
    """The innermost limit counts, 0 is none; with a length nothing is read, without one no more
    than the limit."""
    gateway = configured(
        f"""
        LimitRequestBody 1000
        {PROXY}
        <VirtualHost *>
          LimitRequestBody 10
          <Location /in>
            LimitRequestBody 20
          </Location>
          <LocationMatch ^/in/free>
            LimitRequestBody 0
          </LocationMatch>
          <Location /host>
            LimitRequestBody 5
          </Location>
        </VirtualHost>
        """
    )

    def send(size: int) -> int:
        body = b"x" * size
        headers = ["Transfer-Encoding: chunked"] if chunked else []
        if chunked:
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
        asked = gateway.ask(path, *headers, method="POST", body=body)
        if asked.status == 200:
            assert asked.variables["CONTENT_LENGTH"] == str(size)
            assert asked.backends[-1].body == b"x" * size
        else:
            assert not asked.attempts
        return asked.status

    assert send(limit or 2000) == 200
    if limit:
        assert send(limit + 1) == 413


@behaviour("LimitRequestBody")
def test_body_of_a_proxy_section(configured: Configured) -> None:
    """It stands between the host and the Locations."""
    gateway = configured(
        f"""
        LimitRequestBody 1000
        {PROXY}
        <Proxy scgi://127.0.0.1:4000/>
          LimitRequestBody 5
        </Proxy>
        <Location /more>
          LimitRequestBody 10
        </Location>
        """
    )
    assert gateway.ask("/", method="POST", body=b"123456").status == 413
    assert gateway.ask("/more", method="POST", body=b"123456").status == 200
    assert gateway.ask("/more", method="POST", body=b"x" * 11).status == 413


@behaviour("LimitInternalRecursion")
@pytest.mark.parametrize(
    ("main", "inner", "hits"), [("3", "", 4), ("3", "1", 2), ("", "2 5", 3), ("", "", 11)]
)
def test_internal_redirects(configured: Configured, main: str, inner: str, hits: int) -> None:
    """So many redirects are followed, and one more is a 500."""
    line = "LimitInternalRecursion "
    gateway = configured(
        f"{line + main if main else ''}\n{PROXY}<VirtualHost *>\n{line + inner if inner else ''}"
        "\n</VirtualHost>"
    )
    asked = gateway.ask("/", answer=answered("Location: /again", status="", body=b""))
    assert asked.status == 500
    assert len(asked.attempts) == hits


@behaviour("KeepAlive")
@pytest.mark.parametrize(
    ("main", "inner", "kept"), [("Off", "", False), ("Off", "On", True), ("On", "Off", False)]
)
def test_keep_alive(configured: Configured, main: str, inner: str, kept: bool) -> None:
    """One request for each connection, or more."""
    line = f"KeepAlive {inner}" if inner else ""
    gateway = configured(f"KeepAlive {main}\n{PROXY}<VirtualHost *>\n{line}\n</VirtualHost>")
    asked = gateway.ask()
    gateway.settle()
    assert (asked["connection"] == "close") is not kept
    assert (asked.client.closed == "closed") is not kept


@behaviour("KeepAlive", "MaxKeepAliveRequests", "KeepAliveTimeout")
def test_keep_alive_of_a_host_by_name(configured: Configured) -> None:
    """What the host says that answers, and not what the first one of the address says."""
    gateway = configured(
        f"""
        {PROXY}
        <VirtualHost *>
          ServerName one.example
        </VirtualHost>
        <VirtualHost *>
          ServerName off.example
          KeepAlive Off
        </VirtualHost>
        <VirtualHost *>
          ServerName few.example
          MaxKeepAliveRequests 2
          KeepAliveTimeout 20
        </VirtualHost>
        """
    )
    assert gateway.ask(host="one.example")["connection"] is None
    assert gateway.ask(host="off.example")["connection"] == "close"
    first = gateway.ask(host="few.example")
    assert first["connection"] is None
    gateway.advance(19)
    assert gateway.ask(host="few.example", client=first.client)["connection"] == "close"


@behaviour("MaxKeepAliveRequests")
@pytest.mark.parametrize(("limit", "served"), [(1, 1), (3, 3), (0, 150)])
def test_requests_of_one_connection(configured: Configured, limit: int, served: int) -> None:
    """So many, and the last answer says so; 0 is no limit."""
    gateway = configured(f"MaxKeepAliveRequests {limit}\n{PROXY}")
    client = gateway.client()
    for number in range(1, served + 1):
        asked = gateway.ask(client=client)
        assert asked.status == 200
        assert (asked["connection"] == "close") is (number == limit)
    gateway.settle()
    assert client.half_closed is (limit != 0)


@behaviour("MaxKeepAliveRequests")
def test_requests_of_one_connection_in_a_host(configured: Configured) -> None:
    gateway = configured(
        f"MaxKeepAliveRequests 1\n{PROXY}<VirtualHost *>\nMaxKeepAliveRequests 2\n</VirtualHost>"
    )
    client = gateway.client()
    assert gateway.ask(client=client)["connection"] is None
    assert gateway.ask(client=client)["connection"] == "close"
