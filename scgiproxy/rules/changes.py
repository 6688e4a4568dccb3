"""What may be changed of a running balancer, in the form fields of Apache's balancer-manager.

The fields are the one language of changes: what a page posts, what a program sends, and what is
stored to survive a restart. A change says only what is to be different: None means "stays".

Beyond Apache's there is ``w_max`` (the member's `max`; 0 is no limit). An empty ``b_max`` goes back
to the default of `maxattempts`, and ``b_tmo`` may have decimals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scgiproxy.rules.backend import BackendSettings, Flag
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.rules.health import SHORTEST_INTERVAL, CheckMethod, HealthCheck
from scgiproxy.rules.parameters import (
    MAX_LBSET,
    as_bytes,
    as_text,
    parse_check_method,
    parse_check_uri,
    parse_integer,
    parse_load_factor,
    parse_route,
    parse_sticky,
    suggest,
)

MAX_ATTEMPTS = 99
MAX_WAIT = 7200
"""Seconds of ``b_tmo``."""

LONGEST_INTERVAL = 10**12
"""Milliseconds of ``w_hi``."""

MAX_URL = 500
"""Characters of the URL of a member that is added."""

MAX_NAME = 100
"""Characters of the name of a method, or of a ProxyHCExpr."""

ADDING = frozenset({"b_nwrkr", "b_wyes"})
"""Fields that add a member: they belong to `balancer_change` by their name only."""

_SECONDS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?")
_NAME = re.compile(r"[^\x00-\x20\x7f]+")


@dataclass(frozen=True, slots=True)
class MemberChange:
    """What is to be different of a member. Empty bytes, and a `limit` of 0, mean "none"."""

    load_factor: float | None = None
    lbset: int | None = None
    route: bytes | None = None
    redirect: bytes | None = None
    limit: int | None = None
    """`max`: connections at a time."""
    check_method: CheckMethod | None = None
    check_interval: float | None = None
    """Seconds (in the field: milliseconds)."""
    check_passes: int | None = None
    check_fails: int | None = None
    check_uri: bytes | None = None
    check_condition: str | None = None
    """The name of a ProxyHCExpr; empty for none."""
    flags: Mapping[Flag, bool] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class BalancerChange:
    """What is to be different of a balancer."""

    method: str | None = None
    wait: float | None = None
    """`timeout`: seconds."""
    max_attempts: int | None = None
    default_attempts: bool = False
    """Back to trying each member once."""
    no_failover: bool | None = None
    sticky_names: tuple[bytes, bytes] | None = None
    """Of the cookie and of the parameter; one of them may be empty. The separator stays."""
    clear_sticky: bool = False


def member_change(fields: Mapping[str, str]) -> MemberChange:
    """The change that fields with ``w_`` say; others are not looked at.

    Raises ValueError with every problem, each after its field's name.
    """
    given = _read(_MEMBER_FIELDS, fields, "w_")
    flags = {flag: given.pop(flag.form_field) for flag in Flag if flag.form_field in given}
    values = {_MEMBER_FIELDS[name].attribute: value for name, value in given.items()}
    return MemberChange(**values, flags=flags)


def member_fields(change: MemberChange) -> dict[str, str]:
    """The fields that say `change`: `member_change` makes an equal one of them."""
    values = {row.attribute: getattr(change, row.attribute) for row in _VALUES.values()}
    fields = _written(_VALUES, values)
    fields.update((flag.form_field, "1" if on else "0") for flag, on in change.flags.items())
    return fields


def balancer_change(fields: Mapping[str, str]) -> BalancerChange:
    """The change that fields with ``b_`` say; others, and those of `ADDING`, are not looked at.

    Raises ValueError with every problem, each after its field's name. Whether there is such a
    method is not known here.
    """
    fields = {name: word for name, word in fields.items() if name not in ADDING}
    given = _read(_BALANCER_FIELDS, fields, "b_")
    values = {_BALANCER_FIELDS[name].attribute: value for name, value in given.items()}
    if values.get("max_attempts", 0) is None:
        values["default_attempts"] = True
    if values.get("sticky_names", ()) is None:
        values["clear_sticky"] = True
    return BalancerChange(**values)


def balancer_fields(change: BalancerChange) -> dict[str, str]:
    """The fields that say `change`: `balancer_change` makes an equal one of them."""
    values = {row.attribute: getattr(change, row.attribute) for row in _BALANCER_FIELDS.values()}
    fields = _written(_BALANCER_FIELDS, values)
    if change.default_attempts:
        fields["b_max"] = ""
    if change.clear_sticky:
        fields["b_ss"] = "-"
    return fields


def described_check(check: HealthCheck | None) -> MemberChange:
    """The change that leads to `check`."""
    if check is None:
        return MemberChange(check_method=CheckMethod.NONE)
    return MemberChange(
        check_method=check.method,
        check_interval=check.interval,
        check_passes=check.passes,
        check_fails=check.fails,
        check_uri=check.uri,
        check_condition="" if check.condition is None else check.condition.name,
    )


def described_member(settings: BackendSettings) -> dict[str, str]:
    """The fields that lead to a member with these `settings`, from whatever it was."""
    change = replace(
        described_check(settings.health),
        load_factor=settings.load_factor,
        lbset=settings.lbset,
        route=settings.route,
        redirect=settings.redirect,
        limit=settings.max_connections or 0,
        flags={flag: getattr(settings, flag.attribute, False) for flag in Flag},
    )
    return member_fields(change)


def described_balancer(settings: BalancerSettings) -> dict[str, str]:
    """The fields that lead to a balancer with these `settings`, from whatever it was."""
    sticky = settings.sticky
    change = BalancerChange(
        method=settings.method,
        wait=settings.wait,
        max_attempts=settings.max_attempts,
        default_attempts=settings.max_attempts is None,
        no_failover=settings.no_failover,
        sticky_names=None if sticky is None else (sticky.cookie, sticky.parameter),
        clear_sticky=sticky is None,
    )
    return balancer_fields(change)


def checked_url(text: str) -> str:
    """The URL of a member that is to be added, if it may be a label. Raises ValueError."""
    if len(text) > MAX_URL:
        raise ValueError(f"expected a URL of at most {MAX_URL} characters, got {len(text)}")
    if not text.isprintable():
        raise ValueError(f"expected a URL without control characters, got {text!r}")
    return text


# -- the fields --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: the attribute of the change, how its word is read, and how it is written."""

    attribute: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str


def _parse_switch(word: str) -> bool:
    if word not in ("0", "1"):
        raise ValueError(f"expected 0 or 1, got {word!r}")
    return word == "1"


def _parse_name(word: str) -> str:
    if len(word) > MAX_NAME or not _NAME.fullmatch(word):
        raise ValueError(f"expected a name of at most {MAX_NAME} characters, got {word!r}")
    return word


def _parse_seconds(word: str) -> float:
    if not _SECONDS.fullmatch(word) or float(word) > MAX_WAIT:
        raise ValueError(f"expected a number of seconds from 0 to {MAX_WAIT}, got {word!r}")
    return float(word)


def _parse_attempts(word: str) -> int | None:
    return parse_integer(word, 0, MAX_ATTEMPTS) if word else None


def _parse_names(word: str) -> tuple[bytes, bytes] | None:
    return None if word in ("", "-") else parse_sticky(word)


def _number(value: float) -> str:
    return f"{value:.10g}"


_VALUES: Mapping[str, _Field] = {
    "w_lf": _Field("load_factor", parse_load_factor, _number),
    "w_ls": _Field("lbset", lambda word: parse_integer(word, 0, MAX_LBSET)),
    "w_wr": _Field("route", parse_route, as_text),
    "w_rr": _Field("redirect", parse_route, as_text),
    "w_max": _Field("limit", parse_integer),
    "w_hm": _Field("check_method", parse_check_method, lambda method: method.value),
    "w_hi": _Field(
        "check_interval",
        lambda word: parse_integer(word, round(SHORTEST_INTERVAL * 1000), LONGEST_INTERVAL) / 1000,
        lambda seconds: str(round(seconds * 1000)),
    ),
    "w_hp": _Field("check_passes", parse_integer),
    "w_hf": _Field("check_fails", parse_integer),
    "w_hu": _Field("check_uri", lambda word: parse_check_uri(word) if word else b"", as_text),
    "w_he": _Field("check_condition", lambda word: _parse_name(word) if word else ""),
}
_MEMBER_FIELDS: Mapping[str, _Field] = {
    **_VALUES,
    **{flag.form_field: _Field("flags", _parse_switch) for flag in Flag},
}
_BALANCER_FIELDS: Mapping[str, _Field] = {
    "b_lbm": _Field("method", _parse_name),
    "b_tmo": _Field("wait", _parse_seconds, _number),
    "b_max": _Field("max_attempts", _parse_attempts),
    "b_sforce": _Field("no_failover", _parse_switch, lambda on: "1" if on else "0"),
    "b_ss": _Field("sticky_names", _parse_names, lambda names: as_text(b"|".join(names))),
}


def _read(rows: Mapping[str, _Field], fields: Mapping[str, str], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, word in fields.items():
        if not name.startswith(prefix):
            continue
        row = rows.get(name)
        if row is None:
            problems.append(f"{name[:MAX_NAME]!a}: there is no such field{suggest(name, rows)}")
            continue
        try:
            if not _encodable(word):
                raise ValueError(f"expected text, got {word!a}")
            found[name] = row.read(word)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise ValueError("; ".join(problems))
    return found


def _written(rows: Mapping[str, _Field], values: Mapping[str, Any]) -> dict[str, str]:
    fields = {}
    for name, row in rows.items():
        value = values[row.attribute]
        if value is not None:
            fields[name] = row.write(value)
    return fields


def _encodable(text: str) -> bool:
    """Whether it stands for bytes: half of a surrogate pair does not."""
    try:
        as_bytes(text)
    except UnicodeEncodeError:
        return False
    return True
