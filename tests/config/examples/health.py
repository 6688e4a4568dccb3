"""Health checks."""

from __future__ import annotations

from scgiproxy.config.model import Config
from scgiproxy.rules.health import CheckAnswer, HealthCheck
from tests.config.examples.base import Example

_MEMBER = "ProxyPass / balancer://b/\nBalancerMember balancer://b scgi://localhost"


def _check(config: Config) -> HealthCheck:
    check = config.balancers["b"].members[0].settings.health
    assert check is not None
    return check


def _good(config: Config) -> list[int]:
    check = _check(config)
    return [status for status in (200, 404, 500) if not check.complaint(CheckAnswer(status))]


EXAMPLES: dict[str, Example] = {
    "ProxyHCExpr": Example(
        "ProxyHCExpr ok {%{REQUEST_STATUS} -lt 500}",
        [200, 404],
        "ProxyHCExpr ok {%{STATUS} -lt 500}",
        "unknown variable STATUS; expected HC_BODY or REQUEST_STATUS",
        "ProxyHCExpr OK {%{REQUEST_STATUS} -ge 500}",
        [500],
        _good,
        inner="{}",
        more=f"{_MEMBER} hcmethod=GET hcexpr=ok",
    ),
    "ProxyHCTemplate": Example(
        "ProxyHCTemplate slow hcinterval=2min",
        120.0,
        "ProxyHCTemplate slow hcinterval=fast",
        "hcinterval: expected a time such as",
        "ProxyHCTemplate other hcinterval=5",
        120.0,
        lambda c: _check(c).interval,
        inner="{}",
        more=f"{_MEMBER} hctemplate=slow",
    ),
    "ProxyHCTPsize": Example(
        "ProxyHCTPsize 4",
        4,
        "ProxyHCTPsize many",
        "expected a number of 0 or more",
        "ProxyHCTPsize 5",
        5,
        lambda c: c.probes_at_once,
        inner="{}",
    ),
}
