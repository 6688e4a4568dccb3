"""Where the gateway connects to is what the configuration says, whatever a request says."""

from __future__ import annotations

import pytest

from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured

TEXT = """
ProxyPass /one/ scgi://127.0.0.1:4001/
ProxyPassMatch ^/match/(.*)$ scgi://127.0.0.1:4002/$1
<Location /section/>
  ProxyPass scgi://127.0.0.1:4003/
</Location>
<Location /handler/>
  SetHandler "proxy:scgi://127.0.0.1:4004/"
</Location>
ProxyPass /balanced/ balancer://b/ stickysession=ROUTE
<Proxy balancer://b>
  BalancerMember scgi://127.0.0.1:4005 route=a
</Proxy>
ProxyPass /rest scgi://127.0.0.1:4006
"""
CONFIGURED = {f"127.0.0.1:{port}" for port in range(4001, 4007)}
EVIL = "198.51.100.9:6666"
LONG = "A" * 4000


@behaviour("ProxyPass", "ProxyPassMatch", "SetHandler", "BalancerMember")
@pytest.mark.parametrize(
    ("target", "headers"),
    [
        # CVE-2021-40438
        (f"?unix:{LONG}|http://{EVIL}/", ()),
        (f"?unix:/{LONG}|scgi://{EVIL}/", ()),
        (f"unix:/run/other.sock|scgi://{EVIL}/", ()),
        (f"scgi://{EVIL}/", ()),
        (f"%7Cscgi://{EVIL}/", ()),
        (f"..;/@{EVIL}/", ()),
        (f"@{EVIL}/", ()),
        (f"%00@{EVIL}/", ()),
        (f":6666@{EVIL}", ()),
        ("x;ROUTE=scgi:%2F%2F198.51.100.9:6666", ()),
        ("x?ROUTE=198.51.100.9:6666", (f"Cookie: ROUTE=x.{EVIL}",)),
        ("x", (f"Host: {EVIL}", f"X-Forwarded-Host: {EVIL}", f"Forwarded: host={EVIL}")),
        (
            "x",
            (f"X-Backend: scgi://{EVIL}/", f"Proxy: scgi://{EVIL}/", f"X-Accel-Redirect: {EVIL}"),
        ),
        ("x", (f"BALANCER_WORKER_NAME: scgi://{EVIL}", f"SCRIPT_NAME: @{EVIL}")),
    ],
)
def test_request_does_not_choose(
    configured: Configured, target: str, headers: tuple[str, ...]
) -> None:
    gateway = configured(TEXT)
    for place in ("one/", "match/", "section/", "handler/", "balanced/", "rest", "rest/"):
        for absolute in ("", "http://example.com", f"http://{EVIL}"):
            host = None if any(line.startswith("Host:") for line in headers) else "example.com"
            asked = gateway.ask(f"{absolute}/{place}{target}", *headers, host=host)
            assert set(asked.where) <= CONFIGURED
            assert asked.status in (200, 400, 403, 404)


@behaviour("ProxyPassMatch")
def test_a_capture_is_no_part_of_an_address(configured: Configured) -> None:
    """Where it could be one, the configuration is refused; behind a port it begins the path."""
    gateway = configured("ProxyPassMatch ^(/.*)$ scgi://127.0.0.1:4002$1")
    for target in (f"/@{EVIL}/", f"/:1@{EVIL}", "//198.51.100.9/"):
        assert set(gateway.ask(target).where) <= {"127.0.0.1:4002"}
