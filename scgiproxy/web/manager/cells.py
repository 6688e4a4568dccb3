"""What changes on the page, in words: cells, by the element that has them and their names.

The page is made of the same cells that are sent when they change. A name that begins with ``@`` is
an attribute (``data-...``) of the element, for its style; one that ends in ``-path`` is a drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from scgiproxy.pool.timeline import CHART
from scgiproxy.rules.backend import Flag
from scgiproxy.rules.balancer import Sticky
from scgiproxy.rules.health import CheckMethod
from scgiproxy.rules.parameters import as_text
from scgiproxy.web.amounts import count, duration, rate, size, span
from scgiproxy.web.manager.snapshot import BalancerState, MemberState, Snapshot
from scgiproxy.web.page import CHART_HEIGHT, shown

Cells = Mapping[str, str]

TOP = "top"
"""The element above all balancers."""

_MINUTE = 60

STATES = {
    "up": "Up",
    "recovering": "Recovering",
    "probation": "Being tried",
    "down": "In error",
    "unhealthy": "Unhealthy",
    "draining": "Draining",
    "disabled": "Disabled",
    "stopped": "Stopped",
}
"""What `pool.condition.BACKEND_STATES` are called."""

_FLAGS = {
    Flag.DRAINING: "draining",
    Flag.DISABLED: "disabled",
    Flag.STOPPED: "stopped",
}
"""Those that the buttons go by."""


def all_cells(snapshot: Snapshot) -> Iterator[tuple[str, Cells]]:
    """Every element with its cells; one after the other, for there may be many."""
    yield TOP, top_cells(snapshot)
    for balancer in snapshot.balancers:
        yield balancer.id, balancer_cells(balancer)
        for member in balancer.members:
            yield member.id, member_cells(member, snapshot.now)


def top_cells(snapshot: Snapshot) -> Cells:
    """Those of all balancers together."""
    members = [member for balancer in snapshot.balancers for member in balancer.members]
    waiting = sum(balancer.queued for balancer in snapshot.balancers)
    return {
        "members": _used(members),
        "rate": f"{rate(sum(one.rate for one in members))} / s",
        "in-flight": count(sum(one.in_flight for one in members)),
        "queued": count(waiting),
        "errors": count(sum(one.chart.failures(_MINUTE) for one in members)),
        "uptime": span(snapshot.uptime),
        "@trouble": "" if all(one.used or one.left is not None for one in members) else "yes",
    }


def balancer_cells(balancer: BalancerState) -> Cells:
    """Those of a balancer, without its members'."""
    settings = balancer.settings
    used = _used(balancer.members)
    attempts = settings.max_attempts
    growth = settings.growth
    return {
        "members": used,
        "method": shown(settings.method),
        "sticky": sticky_words(settings.sticky),
        "failover": "off" if settings.no_failover else "on",
        "wait": f"{settings.wait:g} s" if settings.wait else "none",
        "attempts": "each once" if attempts is None else f"{attempts} more",
        "growth": f"{growth - balancer.growth_left} of {growth} used" if growth else "none",
        "queued": count(balancer.queued),
        "queue-wait": duration(balancer.queue_wait),
        "retries": count(balancer.retries),
        "@trouble": _trouble(balancer.members),
    }


def _trouble(members: Sequence[MemberState]) -> str:
    used = sum(one.used for one in members)
    return "" if used == len(members) > 0 else "some" if used else "all"


def sticky_words(sticky: Sticky | None) -> str:
    """Where a session's route is looked for."""
    if sticky is None:
        return "none"
    cookie, parameter = shown(as_text(sticky.cookie)), shown(as_text(sticky.parameter))
    if cookie == parameter:
        return cookie
    return " | ".join(name for name in (cookie, parameter) if name)


def member_cells(member: MemberState, now: float) -> Cells:
    """Those of a member."""
    chart = member.chart
    limit = "" if member.limit is None else f" of {count(member.limit)}"
    p50, p90, p99 = map(duration, member.percentiles)
    slow = member.weight_now < member.weight
    return {
        "@state": member.state,
        "@flags": " ".join(word for flag, word in _FLAGS.items() if member.flags[flag]),
        "state": STATES[member.state],
        "note": _note(member, now),
        "tags": " · ".join(_tags(member)),
        "weight": f"{member.weight_now:g} of {member.weight:g}" if slow else f"{member.weight:g}",
        "in-flight": count(member.in_flight) + limit,
        "elected": count(member.elected),
        "sent": size(member.bytes_sent),
        "received": size(member.bytes_received),
        "errors": count(member.errors),
        "kinds": _kinds(member.errors_by_kind),
        "rate": f"{rate(member.rate)} / s",
        "failing": f"{count(sum(chart.errors))}",
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "requests-path": outline(chart.requests),
        "errors-path": outline(chart.errors),
        "latency-path": outline(chart.latencies),
        "failure": _failure(member, now),
        "probe": _probe(member, now),
        "@probe": _verdict(member),
        "check": _check(member),
    }


def chart_label(what: str) -> str:
    """What a chart shows, for those who do not see it."""
    return f"{what} of the last {CHART} seconds"


def outline(values: Sequence[float]) -> str:
    """The path around bars side by side, each 1 wide, the highest `CHART_HEIGHT` high; empty if
    there is nothing to see. It is sent each second, so it is short."""
    highest = max(values, default=0)
    if highest <= 0:
        return ""
    # What is not nothing can be seen.
    heights = [max(round(v / highest * CHART_HEIGHT), 1) if v > 0 else 0 for v in values]
    steps = (f"V{CHART_HEIGHT - height}h{len(list(run))}" for height, run in groupby(heights))
    return f"M0 {CHART_HEIGHT}{''.join(steps)}V{CHART_HEIGHT}z"


# -- words -------------------------------------------------------------------------------------


def _used(members: Sequence[MemberState]) -> str:
    if not members:
        return "no member"
    return f"{sum(one.used for one in members)} of {len(members)} up"


def _note(member: MemberState, now: float) -> str:
    left = member.left
    if left is not None:
        plural = "request" if left == 1 else "requests"
        return f"{count(left)} {plural} left" if left else "no requests left"
    if member.retry_at is not None:
        due = member.retry_at - now
        return f"tried again in {span(due)}" if due > 0 else "tried again with the next request"
    if member.limit is not None and member.in_flight >= member.limit:
        return "all its connections are in use"
    if member.state == "up" and member.weight_now < member.weight:
        return "slowly started"
    return ""


def _tags(member: MemberState) -> Iterator[str]:
    if member.route:
        yield f"route {shown(member.route)}"
    if member.redirect:
        yield f"redirects to {shown(member.redirect)}"
    yield f"set {member.lbset}"
    if member.flags[Flag.STANDBY]:
        yield "hot standby"
    if member.flags[Flag.SPARE]:
        yield "hot spare"
    if member.flags[Flag.IGNORE_ERRORS]:
        yield "errors ignored"
    if member.flags[Flag.DRAINING] and member.state != "draining":
        yield "draining"


def _kinds(errors: Mapping[str, int]) -> str:
    most_first: Iterable[tuple[str, int]] = sorted(errors.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{count(number)} {shown(_kind(kind))}" for kind, number in most_first)


def _kind(log_key: str) -> str:
    return log_key.rpartition(".")[2].replace("_", " ")


def _failure(member: MemberState, now: float) -> str:
    failure = member.last_failure
    if failure is None:
        return ""
    return f"{span(now - failure.at)} ago: {shown(failure.text)}"


def _verdict(member: MemberState) -> str:
    probe = member.last_probe
    if probe is None:
        return ""
    return {True: "passed", False: "failed", None: "open"}[probe.passed]


def _probe(member: MemberState, now: float) -> str:
    probe = member.last_probe
    if probe is None:
        return ""
    words = {True: "passed", False: "failed", None: "said nothing"}[probe.passed]
    took = duration(probe.seconds)
    return f"{words} {span(now - probe.at)} ago, in {took}: {shown(probe.told)}"


def _check(member: MemberState) -> str:
    check = member.settings.health
    if check is None or check.method is CheckMethod.NONE:
        return ""
    words = [check.method.value]
    if check.method.asks and check.uri:
        words.append(shown(as_text(check.uri)))
    words.append(f"every {check.interval:g} s")
    if max(check.passes, check.fails) > 1:
        words.append(
            f"(up after {max(check.passes, 1)}, down after {max(check.fails, 1)} in a row)"
        )
    if check.condition is not None:
        words.append(f"by {shown(check.condition.name)}")
    return " ".join(words)
