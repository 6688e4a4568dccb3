"""``?format=json``: the state for programs. Names stay as they are; units are in them."""

from __future__ import annotations

import json
from typing import Any

from scgiproxy.pool.timeline import CHART
from scgiproxy.rules.balancer import Sticky
from scgiproxy.rules.health import CheckMethod, HealthCheck, ProbeResult
from scgiproxy.rules.parameters import as_text
from scgiproxy.web.manager.snapshot import BalancerState, LastFailure, MemberState, Snapshot


def encoded(document: object) -> bytes:
    """A document as it is sent: ASCII, in one line."""
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def as_document(snapshot: Snapshot) -> dict[str, Any]:
    """All that is known. A time is in seconds since the epoch; null is "none" or "not known"."""
    return {
        "software": snapshot.software,
        "time_seconds": snapshot.now,
        "uptime_seconds": snapshot.uptime,
        "balancers": [_balancer(balancer) for balancer in snapshot.balancers],
    }


def _balancer(balancer: BalancerState) -> dict[str, Any]:
    settings = balancer.settings
    return {
        "name": balancer.name,
        "nonce": balancer.nonce,
        "method": settings.method,
        "methods": list(balancer.methods),
        "sticky": _sticky(settings.sticky),
        "no_failover": settings.no_failover,
        "timeout_seconds": settings.wait,
        "max_attempts": settings.max_attempts,
        "growth": settings.growth,
        "growth_left": balancer.growth_left,
        "queued": balancer.queued,
        "queue_wait_p90_seconds": balancer.queue_wait,
        "retries": balancer.retries,
        "members": [_member(member) for member in balancer.members],
    }


def _member(member: MemberState) -> dict[str, Any]:
    p50, p90, p99 = member.percentiles
    chart = member.chart
    return {
        "name": member.name,
        "state": member.state,
        "status": member.status_words,
        **{flag.attribute: is_set for flag, is_set in member.flags.items()},
        "route": member.route,
        "redirect": member.redirect,
        "set": member.lbset,
        "weight": member.weight,
        "weight_now": member.weight_now,
        "in_flight": member.in_flight,
        "limit": member.limit,
        "elected": member.elected,
        "load": member.load,
        "bytes_sent": member.bytes_sent,
        "bytes_received": member.bytes_received,
        "errors": member.errors,
        "errors_by_kind": dict(member.errors_by_kind),
        "latency_p50_seconds": p50,
        "latency_p90_seconds": p90,
        "latency_p99_seconds": p99,
        "last_failure": _failure(member.last_failure),
        "retry_at_seconds": member.retry_at,
        "last_probe": _probe(member.last_probe),
        "health_check": _check(member.settings.health),
        "chart": {
            "seconds": CHART,
            "requests": list(chart.requests),
            "errors": list(chart.errors),
            "latency_seconds": [round(latency, 6) for latency in chart.latencies],
        },
    }


def _sticky(sticky: Sticky | None) -> dict[str, Any] | None:
    if sticky is None:
        return None
    return {
        "cookie": as_text(sticky.cookie),
        "parameter": as_text(sticky.parameter),
        "separator": as_text(sticky.separator),
        "semicolon": sticky.semicolon,
    }


def _failure(failure: LastFailure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {"kind": failure.kind, "text": failure.text, "time_seconds": failure.at}


def _probe(probe: ProbeResult | None) -> dict[str, Any] | None:
    if probe is None:
        return None
    return {
        "passed": probe.passed,
        "text": probe.told,
        "time_seconds": probe.at,
        "duration_seconds": probe.seconds,
    }


def _check(check: HealthCheck | None) -> dict[str, Any] | None:
    if check is None or check.method is CheckMethod.NONE:
        return None
    return {
        "method": check.method.value,
        "interval_seconds": check.interval,
        "passes": check.passes,
        "fails": check.fails,
        "uri": as_text(check.uri),
        "condition": None if check.condition is None else check.condition.name,
    }
