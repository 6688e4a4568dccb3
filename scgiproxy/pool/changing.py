"""One member is changed while it runs: what it is in form fields, and what a change does to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from scgiproxy.pool.backend import Backend
from scgiproxy.pool.methods.apache import ByBusyness, ByRequests, ByTraffic
from scgiproxy.rules.backend import Flag
from scgiproxy.rules.changes import MemberChange, described_member
from scgiproxy.rules.health import CheckMethod, HealthCheck, HealthCondition
from scgiproxy.rules.parameters import suggest

_COUNTING = frozenset({ByRequests.name, ByBusyness.name, ByTraffic.name})
"""The methods with Apache's arithmetic: `Backend.load` is its lbstatus."""

_NAMES = {
    "w_lf": "load factor",
    "w_ls": "set",
    "w_wr": "route",
    "w_rr": "redirect",
    "w_max": "max",
    "w_hm": "hcmethod",
    "w_hi": "hcinterval (ms)",
    "w_hp": "hcpasses",
    "w_hf": "hcfails",
    "w_hu": "hcuri",
    "w_he": "hcexpr",
    "b_lbm": "lbmethod",
    "b_tmo": "timeout",
    "b_max": "maxattempts",
    "b_sforce": "nofailover",
    "b_ss": "stickysession",
}

_WORDS = {
    Flag.IGNORE_ERRORS: ("errors are ignored", "errors count"),
    Flag.DRAINING: ("draining", "not draining any more"),
    Flag.DISABLED: ("disabled", "enabled"),
    Flag.STOPPED: ("stopped", "not stopped any more"),
    Flag.STANDBY: ("a standby", "no standby any more"),
    Flag.SPARE: ("a spare", "no spare any more"),
    Flag.CHECK_FAILED: ("failed its health check", "its health check is forgiven"),
}
_FLAG_WORDS = {flag.form_field: words for flag, words in _WORDS.items()}


def fields_of(member: Backend) -> dict[str, str]:
    """The form fields that lead to `member` as it is now."""
    settings = replace(
        member.settings,
        load_factor=member.full_factor / 100,
        lbset=member.lbset,
        route=member.route,
        redirect=member.redirect,
        max_connections=member.limit,
        ignore_errors=member.ignore_errors,
        draining=member.draining,
        disabled=member.disabled,
        stopped=member.stopped,
        standby=member.standby,
        spare=member.spare,
    )
    check_failed = "1" if member.check_failed else "0"
    return {**described_member(settings), Flag.CHECK_FAILED.form_field: check_failed}


def changed_check(
    check: HealthCheck | None, change: MemberChange, conditions: Mapping[str, HealthCondition]
) -> HealthCheck | None:
    """`check` with what `change` says of it. Raises ValueError if there is no such condition."""
    method = change.check_method
    if method is None:
        method = CheckMethod.NONE if check is None else check.method
    condition = None if check is None else check.condition
    name = change.check_condition
    if name is not None and (condition is None or condition.name.lower() != name.lower()):
        condition = conditions.get(name.lower())
        if name and condition is None:
            raise ValueError(
                f"w_he: expected the name of a ProxyHCExpr, got {name!a}{suggest(name, conditions)}"
            )
    if method is CheckMethod.NONE:
        return None
    given: dict[str, Any] = {
        "interval": change.check_interval,
        "passes": change.check_passes,
        "fails": change.check_fails,
        "uri": change.check_uri,
    }
    return replace(
        HealthCheck() if check is None else check,
        method=method,
        condition=condition,
        **{name: value for name, value in given.items() if value is not None},
    )


def assign(member: Backend, change: MemberChange, check: HealthCheck | None, now: float) -> None:
    """Give `member` what `change` says, and `check`. The pool is to be told of it."""
    if change.load_factor is not None:
        member.full_factor = round(change.load_factor * 100)
        member.warm(now)
    if change.lbset is not None:
        member.lbset = change.lbset
    if change.route is not None:
        member.route = change.route
    if change.redirect is not None:
        member.redirect = change.redirect
    if change.limit is not None:
        member.limit = change.limit or None
    if check != member.settings.health:
        member.settings = replace(member.settings, health=check)
        if check is None:
            # Nobody else would ever take it back.
            member.check_failed = False
    for flag, on in change.flags.items():
        setattr(member, flag.attribute, on)


def is_enabled(member: Backend) -> bool:
    """Whether no flag keeps it from being used."""
    return not (member.disabled or member.stopped or member.check_failed)


def reset_accounts(members: Iterable[Backend], method: str) -> None:
    """Begin anew with what `method` goes by (an lbmethod's `reset` in Apache)."""
    for member in members:
        member.load = 0
        if method == ByTraffic.name:
            # Else all would go to the one that has missed the most.
            member.bytes_sent = member.bytes_received = 0


def level_accounts(members: Iterable[Backend], method: str) -> None:
    """Everyone has its load factor, as in Apache after one of them has got another one."""
    if method in _COUNTING:
        for member in members:
            member.load = member.factor


def describe_differences(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """What is different in form fields, in words."""
    told = []
    for name in (*_NAMES, *_FLAG_WORDS):
        old, new = _shown(name, before.get(name)), _shown(name, after.get(name))
        if old == new:
            continue
        if name in _FLAG_WORDS:
            told.append(_FLAG_WORDS[name][new != "1"])
        else:
            told.append(f"{_NAMES[name]} {old} -> {new}")
    return ", ".join(told)


def _shown(name: str, word: str | None) -> str:
    if name == "b_sforce":
        return "On" if word == "1" else "Off"
    if word in (None, "", "-") or (name == "w_max" and word == "0"):
        return "none"
    # What comes from a form must not steer the terminal that shows the log.
    return ascii(word)[1:-1]
