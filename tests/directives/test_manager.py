"""``SetHandler balancer-manager``: who may see it, and which balancers it has."""

from __future__ import annotations

import json

import pytest
from twisted.internet.address import UNIXAddress

from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured, ConfiguredGateway

HERE = "127.0.0.1"
PAGE = "/balancer-manager"
BALANCER = """
<Proxy "balancer://{0}">
    BalancerMember "scgi://127.0.0.1:4000"
    BalancerMember "scgi://127.0.0.1:4001"
</Proxy>
ProxyPass "/{0}/" "balancer://{0}/"
"""
SECTION = """
<Location "/balancer-manager">
    SetHandler balancer-manager
    {}
</Location>
"""


def names(gateway: ConfiguredGateway, host: str = "localhost") -> list[str]:
    answer = gateway.ask(PAGE + "?format=json", peer=HERE, host=host)
    assert answer.status == 200, answer.body
    return [balancer["name"] for balancer in json.loads(answer.body)["balancers"]]


@behaviour("SetHandler")
@pytest.mark.parametrize(
    ("require", "here", "elsewhere"),
    [
        ("", 200, 403),
        ("Require local", 200, 403),
        ("Require ip 192.0.2.0/24", 403, 200),
        ("Require all granted", 200, 200),
        ("Order deny,allow\nDeny from all\nAllow from 127.0.0.1", 200, 403),
    ],
)
def test_who_may_see_it(configured: Configured, require: str, here: int, elsewhere: int) -> None:
    """The blocks that people have for Apache's work as they are."""
    gateway = configured(BALANCER.format("app") + SECTION.format(require))
    assert gateway.ask(PAGE, peer=HERE, host="localhost").status == here
    assert gateway.ask(PAGE, peer="192.0.2.7", host="app.test").status == elsewhere
    if not require:
        assert gateway.ask(PAGE, peer=UNIXAddress(None), host="localhost").status == 200
        forwarded = "X-Forwarded-For: 192.0.2.7"
        assert gateway.ask(PAGE, forwarded, peer=HERE, host="localhost").status == 403


@behaviour("BalancerInherit")
@pytest.mark.parametrize("inherit", ["On", "Off"])
def test_which_balancers_it_has(configured: Configured, inherit: str) -> None:
    """Those of the virtual host, and the main server's unless it does not inherit them."""
    gateway = configured(
        "ServerName main.test\n"
        + BALANCER.format("main")
        + SECTION.format("")
        + "<VirtualHost *>\nServerName own.test\n"
        + f"BalancerInherit {inherit}\n"
        + BALANCER.format("own")
        + "</VirtualHost>\n"
        + "<VirtualHost *>\nServerName other.test\n</VirtualHost>\n"
    )
    assert names(gateway, "own.test") == (["main", "own"] if inherit == "On" else ["own"])
    assert names(gateway, "other.test") == ["main"]


def test_a_name_of_somebody_else(configured: Configured) -> None:
    """That leads to this machine: its pages see nothing."""
    gateway = configured("ServerName main.test\n" + SECTION.format(""))
    assert gateway.ask(PAGE, peer=HERE, host="main.test").status == 200
    assert gateway.ask(PAGE, peer=HERE, host="evil.example").status == 403
