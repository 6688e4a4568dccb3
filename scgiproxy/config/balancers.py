"""The balancer parameters that there are, what they take and what they set.

They set the fields of `rules.balancer.BalancerSettings`, but for `sticky`, of which there are
three parts (`balancer_settings` puts them together), and for `path_info`, which is the mount's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from scgiproxy.config.arguments import parse_duration, parse_flag
from scgiproxy.config.scopes import Place
from scgiproxy.config.workers import Parameter, field
from scgiproxy.rules.balancer import BalancerSettings, Sticky
from scgiproxy.rules.parameters import as_bytes, parse_integer, parse_sticky

_MAX_NONCE = 36
_STATUSES = re.compile(r"[0-9]+(?:[, \t]+[0-9]+)*")
_OF_SESSIONS = {
    "sticky_separator": "stickysessionsep",
    "sticky_semicolon": "scolonpathdelim",
    "no_failover": "nofailover",
}
"""What means nothing without `stickysession`."""


def balancer_settings(fields: Mapping[str, Any]) -> BalancerSettings:
    """The settings that the fields of all parameters give together."""
    own = {name: value for name, value in fields.items() if not name.startswith("sticky_")}
    sticky = None
    if "sticky_names" in fields:
        cookie, parameter = fields["sticky_names"]
        sticky = Sticky(
            cookie,
            parameter,
            fields.get("sticky_separator", b"."),
            fields.get("sticky_semicolon", False),
        )
    return BalancerSettings(sticky=sticky, **own)


def without_sessions(given: Mapping[str, Any]) -> list[str]:
    """The parameters that have set `given` and do nothing unless there is a `stickysession`."""
    return [name for field, name in _OF_SESSIONS.items() if given.get(field)]


def _read_method(place: Place, word: str) -> Mapping[str, Any]:
    """Which methods there are is for the plugins to say: they are asked when the parts are made."""
    named = place.configuration.balancing_methods
    named[word] = (*named.get(word, ()), place.position)
    return {"method": word}


def _parse_separator(word: str) -> bytes:
    if word.lower() == "off":
        return b""
    if len(as_bytes(word)) > 1:
        raise ValueError(f"expected one character or Off, got {word!r}")
    return as_bytes(word)


def _parse_statuses(word: str) -> frozenset[int]:
    if not _STATUSES.fullmatch(word):
        raise ValueError(f"expected statuses such as 500,503, got {word!r}")
    return frozenset(parse_integer(code, 100, 599) for code in re.findall("[0-9]+", word))


def _parse_nonce(word: str) -> str:
    if len(as_bytes(word)) > _MAX_NONCE:
        raise ValueError(f"expected None, or at most {_MAX_NONCE} bytes, got {word!r}")
    return "" if word.lower() == "none" else word


def _row(
    name: str, syntax: str, doc: str, read: Callable[[Place, str], Mapping[str, Any]]
) -> tuple[str, Parameter]:
    return name, Parameter(name=name, syntax=syntax, doc=doc, read=read)


BALANCER_PARAMETERS: Mapping[str, Parameter] = dict(
    [
        _row(
            "lbmethod",
            "NAME",
            "How a member is chosen: byrequests (the default), bytraffic, bybusyness, heartbeat,"
            " leasttime, iphash, urihash, or the name of a plugin's method.",
            _read_method,
        ),
        _row(
            "stickysession",
            "COOKIE[|PARAMETER]",
            "The cookie, and the parameter in the URL, in which a session names its member's route;"
            " one name is both.",
            field("sticky_names", parse_sticky),
        ),
        _row(
            "stickysessionsep",
            "CHARACTER|Off",
            "What stands before the route in a session's value; Off: the value is the route.",
            field("sticky_separator", _parse_separator),
        ),
        _row(
            "scolonpathdelim",
            "On|Off",
            "Whether a semicolon separates the parameters of a query, too.",
            field("sticky_semicolon", parse_flag),
        ),
        _row(
            "nofailover",
            "On|Off",
            "Whether a session whose member cannot be used is answered with 503.",
            field("no_failover", parse_flag),
        ),
        _row(
            "timeout",
            "TIME",
            "How long to wait for a usable member; a plain number is seconds.",
            field("wait", lambda word: parse_duration(word, zero=True)),
        ),
        _row(
            "maxattempts",
            "NUMBER",
            "Additional members that are tried for one request.",
            field("max_attempts", parse_integer),
        ),
        _row(
            "failonstatus",
            "STATUS[,STATUS ...]",
            "Answers with these statuses put the member in error; they are passed on all the same."
            " With 504 one that does not answer in time is, too.",
            field("fail_on_status", _parse_statuses),
        ),
        _row(
            "failontimeout",
            "On|Off",
            "Whether a member that does not answer in time is put in error.",
            field("fail_on_timeout", parse_flag),
        ),
        _row(
            "forcerecovery",
            "On|Off",
            "Whether all members are tried again when all are in error.",
            field("force_recovery", parse_flag),
        ),
        _row(
            "growth",
            "1..100",
            "How many members may be added while the gateway runs.",
            field("growth", lambda word: parse_integer(word, 1, 100)),
        ),
        _row(
            "nonce",
            "None|TEXT",
            "What a change by the balancer-manager must carry; None: nothing. Without it, it is made"
            " up at start.",
            field("nonce", _parse_nonce),
        ),
        _row(
            "pathinfo",
            "On|Off",
            "Whether PATH_INFO is sent, with the mount point as SCRIPT_NAME.",
            field("path_info", parse_flag),
        ),
    ]
)
"""By name, in lower case."""
