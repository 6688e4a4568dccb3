"""Every configuration reaches a worker as its parent has read it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from twisted.internet.testing import MemoryReactorClock

from scgiproxy.config.load import load_options
from scgiproxy.config.model import Config
from scgiproxy.errors import ConfigError
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.workers.handover import Handover
from tests.config.examples import EXAMPLES
from tests.config.examples.base import make_files
from tests.config.generated import TEXTS
from tests.config.loading import load

PARAMETERS = """
<Proxy balancer://sticky>
BalancerMember scgi://127.0.0.1:4000 route=1 loadfactor=3 lbset=1 redirect=2 slowstart=5
BalancerMember unix:/run/b|scgi://localhost/ route=2 status=+H preconnect=2
BalancerMember scgi://localhost discover=srv
ProxySet stickysession=ROUTE|route lbmethod=bybusyness maxattempts=3 failonstatus=503,500
</Proxy>
ProxyHCExpr ok {%{REQUEST_STATUS} =~ /^[23]/ && hc('body') !~ /down/}
ProxyHCTemplate t hcmethod=GET hcuri=/x hcexpr=ok hcpasses=2
<Proxy balancer://checked>
BalancerMember scgi://127.0.0.1:4001 hctemplate=t
</Proxy>
ProxyPass /a/ balancer://sticky/
ProxyPass /b/ balancer://checked/
ProxyPassMatch ^/c/(.*\\.php)$ scgi://127.0.0.1:4002/$1
ProxyPassReverseCookiePath / /a/
SetEnvIf User-Agent "(?i)bot-(\\w+)" bot=$1
SetEnvIf X-(A|B) "^(.)" one=$1 !two
RequestHeader setifempty X-A "%{bot}e %t" env=!one
<LocationMatch "^/d/(?<name>[^/]+)">
<RequireAny>
Require ip 127.0.0.0/8 ::1
Require local
</RequireAny>
Header set X-Name "%{bot}e"
</LocationMatch>
<VirtualHost *:8080>
ServerName v.example
ServerAlias *.v.example
ProxyPass /e/ scgi://127.0.0.1:4003/ timeout=3 max=7
</VirtualHost>
"""


def handed_over(config: Config) -> Config:
    packed = Handover(config, [4, 5], [{"privateKey": b"\x00\xff"}], {"/var/log/é": 6}).packed()
    found = Handover.unpacked(packed)
    assert list(found.sockets) == [4, 5]
    assert found.files == [{"privateKey": b"\x00\xff"}]
    assert found.logs == {"/var/log/é": 6}
    return found.config


def assert_same(config: Config) -> None:
    again = handed_over(config)
    assert again is not config
    # Expressions of `re` are compared by their text; what has no equality of its own, by its parts.
    assert repr(again) == repr(config)
    assert pickle.dumps(again) == pickle.dumps(handed_over(again))


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_directive(name: str, tmp_path: Path) -> None:
    """Whatever its example makes of it."""
    make_files(tmp_path)
    example = EXAMPLES[name]
    text = f"{example.outer.replace('{}', example.good)}\n{example.more}"
    config = load(text.replace("{tmp}", str(tmp_path)), environment={"HOME": "/h", "LANG": "C"})
    assert_same(config)


def test_parameters_expressions_and_hosts() -> None:
    """And the parts can be made of what arrives."""
    config = load(PARAMETERS)
    assert_same(config)
    GatewayParts(handed_over(config), MemoryReactorClock())


def test_mounts_of_the_command_line() -> None:
    assert_same(load_options(["/ scgi://127.0.0.1:4000/ timeout=5"], ["[::1]:81"]))


@settings(max_examples=100)
@given(TEXTS)
def test_any_configuration(text: str) -> None:
    try:
        config = load(text)
    except ConfigError:
        return
    assert_same(config)


def test_what_is_one_object_stays_one() -> None:
    """Parts are found by the settings that they were made for."""
    config = handed_over(load(PARAMETERS))
    host = config.virtual_hosts[0]
    assert host.mounts[0] is config.main.mounts[0]
    assert host.sections[0] is config.main.sections[0]
