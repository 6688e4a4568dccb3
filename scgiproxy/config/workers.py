"""The worker parameters that there are, what they take and what they set."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scgiproxy.config.arguments import parse_duration, parse_flag
from scgiproxy.config.health import READERS
from scgiproxy.config.scopes import Place
from scgiproxy.rules.backend import Flag
from scgiproxy.rules.discovery import RecordKind
from scgiproxy.rules.parameters import MAX_LBSET, parse_integer, parse_load_factor, parse_route
from scgiproxy.rules.tls import parse_tls_mode

_STATUS = re.compile(r"(?:[+-]?[DSIRHENC])+", re.IGNORECASE)
_RATE = re.compile(r"([0-9]{1,3})%?")
_FLAGS = {flag.value: flag.attribute for flag in Flag if flag is not Flag.CHECK_FAILED}
"""The letters of `status`, and the fields that they set."""
MEMBER_FLAGS = frozenset({"spare", "standby", "draining"})
"""Those that mean something among others only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One key.

    `read` gives fields of `rules.backend.BackendSettings` (and `discover`), or of
    `rules.balancer.BalancerSettings` (see `config.balancers`). `inert` says why it does nothing;
    `for_members` that it means something for a BalancerMember only.
    """

    name: str
    syntax: str
    doc: str
    read: Callable[[Place, str], Mapping[str, Any]]
    inert: str = ""
    for_members: bool = False


def field(name: str, parse: Callable[[str], Any]) -> Callable[[Place, str], Mapping[str, Any]]:
    """A rule that sets one field."""
    return lambda _, word: {name: parse(word)}


def _checked(parse: Callable[[str], object]) -> Callable[[Place, str], Mapping[str, Any]]:
    """For a parameter that is looked at and then not used."""

    def read(_: Place, word: str) -> Mapping[str, Any]:
        parse(word)
        return {}

    return read


def _parse_rate(word: str) -> float:
    found = _RATE.fullmatch(word)
    if not found or not 1 <= int(found[1]) <= 100:
        raise ValueError(f"expected a percentage from 1 to 100, got {word!r}")
    return int(found[1]) / 100


def _parse_kind(word: str) -> RecordKind:
    try:
        return RecordKind(word.lower())
    except ValueError:
        raise ValueError(f"expected a or srv, got {word!r}") from None


def _read_status(place: Place, word: str) -> Mapping[str, Any]:
    if not _STATUS.fullmatch(word):
        raise ValueError(f"expected letters of D S I R H E N C with + or -, got {word!r}")
    letters: dict[str, bool] = {}
    sign = True
    for character in word.upper():
        if character in "+-":
            sign = character == "+"
        else:
            letters[character] = sign
            sign = True
    for letter in letters:
        if letter not in _FLAGS:
            place.warn(
                f"status={word}: the letter {letter} does nothing: a member is put in error, or"
                " fails its health check, by what it does"
            )
    return {_FLAGS[letter]: given for letter, given in letters.items() if letter in _FLAGS}


def _read_flush(place: Place, word: str) -> Mapping[str, Any]:
    lower = word.lower()
    if lower not in ("on", "off", "auto"):
        raise ValueError(f"expected On, Off or Auto, got {word!r}")
    if lower != "on":
        place.warn(f"flushpackets={word} does nothing: what a backend sends goes out at once")
    return {}


def _read_enable_reuse(place: Place, word: str) -> Mapping[str, Any]:
    if parse_flag(word):
        place.warn(f"enablereuse={word} does nothing: SCGI has one request for each connection")
    return {}


def _size(word: str) -> int:
    value = parse_integer(word)
    if 0 < value < 512:
        raise ValueError(f"expected 0, or 512 or more, got {word}")
    return value


def _parse_address_ttl(word: str) -> int:
    return -1 if word == "-1" else parse_integer(word)


def _worker(
    name: str,
    syntax: str,
    doc: str,
    read: Callable[[Place, str], Mapping[str, Any]],
    *,
    inert: str = "",
    for_members: bool = False,
) -> tuple[str, Parameter]:
    parameter = Parameter(
        name=name, syntax=syntax, doc=doc, read=read, inert=inert, for_members=for_members
    )
    return name, parameter


_TIME = "TIME"
_NO_POOL = "no connection is kept: SCGI has one request for each"
_NOT_SCGI = "it belongs to another protocol"


def _seconds(word: str) -> float:
    return parse_duration(word)


WORKER_PARAMETERS: Mapping[str, Parameter] = dict(
    [
        _worker(
            "timeout",
            _TIME,
            "Longest wait for one read or write; a plain number is seconds.",
            field("timeout", _seconds),
        ),
        _worker(
            "connectiontimeout",
            _TIME,
            "Longest wait for a connection; a plain number is seconds.",
            field("connect_timeout", _seconds),
        ),
        _worker(
            "retry",
            _TIME,
            "How long a member in error is left alone; a plain number is seconds.",
            field("retry", lambda word: parse_duration(word, zero=True)),
            for_members=True,
        ),
        _worker(
            "acquire",
            _TIME,
            "Longest wait for one of max connections; a plain number is milliseconds.",
            field("acquire", lambda word: parse_duration(word, "ms")),
        ),
        _worker(
            "max",
            "NUMBER",
            "Connections at a time.",
            field("max_connections", lambda word: parse_integer(word, 1)),
        ),
        _worker(
            "maxheader",
            "BYTES",
            "The longest header block that this backend takes (rTorrent: 2000).",
            field("max_header", lambda word: parse_integer(word, 512)),
        ),
        _worker(
            "halfclose",
            "On|Off",
            "Whether the sending side is closed after the request.",
            field("half_close", parse_flag),
        ),
        _worker(
            "sslmode",
            "require|verify-ca|verify-full",
            "How far the certificate of an scgis:// backend is verified, in place of SSLProxyVerify"
            " and SSLProxyCheckPeerName: not at all, that it is of a trusted authority, that it is"
            " for the host of the URL, too.",
            field("tls_mode", parse_tls_mode),
        ),
        _worker(
            "pathinfo",
            "On|Off",
            "Whether PATH_INFO is sent, with the mount point as SCRIPT_NAME.",
            field("path_info", parse_flag),
        ),
        _worker(
            "keepalive", "On|Off", "SO_KEEPALIVE on connections.", field("keepalive", parse_flag)
        ),
        _worker(
            "status",
            "LETTERS",
            "D or S: disabled; H: used when no other member is; R: takes the place of one that is"
            " not usable; N: only for sessions that have it already; I: never put in error. E and C"
            " are set by the gateway itself.",
            _read_status,
        ),
        _worker(
            "loadfactor",
            "1..100",
            "The member's share of the requests.",
            field("load_factor", parse_load_factor),
            for_members=True,
        ),
        _worker(
            "lbset",
            "0..99",
            "Members of a set are used when none of a lower one is usable.",
            field("lbset", lambda word: parse_integer(word, 0, MAX_LBSET)),
            for_members=True,
        ),
        _worker(
            "route",
            "NAME",
            "What a session calls this member.",
            field("route", parse_route),
            for_members=True,
        ),
        _worker(
            "redirect",
            "NAME",
            "The route that takes over the sessions of this member while it is not usable.",
            field("redirect", parse_route),
            for_members=True,
        ),
        _worker(
            "slowstart",
            _TIME,
            "How long the load factor of a member that is up again takes to grow to the whole; a"
            " plain number is seconds.",
            field("slow_start", _seconds),
            for_members=True,
        ),
        _worker(
            "preconnect",
            "NUMBER",
            "Connections that are made before there is a request for them, and kept ready. Not for"
            " applications that serve one connection at a time: an unused one blocks them.",
            field("preconnect", lambda word: parse_integer(word, 0, 1000)),
        ),
        _worker(
            "ejectrate",
            "PERCENT",
            "The share of faulty exchanges that puts the member in error, in place of a single one.",
            field("eject_rate", _parse_rate),
            for_members=True,
        ),
        _worker(
            "discover",
            "a|srv",
            "A member for each address (a), or for each SRV record (srv), of the URL's host name, as"
            " name servers know them at the time.",
            field("discover", _parse_kind),
            for_members=True,
        ),
        _worker(
            "hcmethod",
            "NAME",
            "How the member is checked: NONE, TCP (by connecting), or by an OPTIONS, HEAD or GET; with"
            " 11 after the name the request is one of HTTP/1.1, else of HTTP/1.0.",
            READERS["hcmethod"],
            for_members=True,
        ),
        _worker(
            "hcinterval",
            _TIME,
            "How long after a check the next one begins; a plain number is seconds. Without it 30 s.",
            READERS["hcinterval"],
            for_members=True,
        ),
        _worker(
            "hcpasses",
            "NUMBER",
            "How many good checks in a row bring the member back.",
            READERS["hcpasses"],
            for_members=True,
        ),
        _worker(
            "hcfails",
            "NUMBER",
            "How many failed checks in a row put the member out of use.",
            READERS["hcfails"],
            for_members=True,
        ),
        _worker(
            "hcuri",
            "PATH",
            "What is asked for, after the path of the member's URL.",
            READERS["hcuri"],
            for_members=True,
        ),
        _worker(
            "hcexpr",
            "NAME",
            "The ProxyHCExpr that holds for a good answer. Without it the status is 200 to 399.",
            READERS["hcexpr"],
            for_members=True,
        ),
        _worker(
            "hctemplate",
            "NAME",
            "The ProxyHCTemplate whose parameters are taken; those after it change them.",
            READERS["hctemplate"],
            for_members=True,
        ),
        _worker("flushpackets", "On|Off|Auto", "Everything is flushed at once.", _read_flush),
        _worker("disablereuse", "On|Off", "No connection is reused.", _checked(parse_flag)),
        _worker("enablereuse", "On|Off", "No connection is reused.", _read_enable_reuse),
        *(
            _worker(name, syntax, "", _checked(parse), inert=inert)
            for name, syntax, parse, inert in (
                ("min", "NUMBER", parse_integer, _NO_POOL),
                ("smax", "NUMBER", parse_integer, _NO_POOL),
                ("ttl", _TIME, _seconds, _NO_POOL),
                ("addressttl", "SECONDS", _parse_address_ttl, "names are looked up again in time"),
                ("receivebuffersize", "BYTES", _size, "the system's buffers are used"),
                ("iobuffersize", "BYTES", _size, "buffers fit what comes"),
                ("responsefieldsize", "BYTES", _size, "an answer's head may have 64 KiB"),
                ("flushwait", "NUMBER", parse_integer, "nothing waits to be flushed"),
                ("flusher", "NAME", str, "nothing waits to be flushed"),
                ("ping", _TIME, lambda word: parse_duration(word, zero=True), _NOT_SCGI),
                ("upgrade", "PROTOCOL", str, _NOT_SCGI),
                ("secret", "TEXT", str, _NOT_SCGI),
                ("mapping", "encoded|servlet", str, "paths are mapped decoded and normalised"),
            )
        ),
    ]
)
"""By name, in lower case."""
