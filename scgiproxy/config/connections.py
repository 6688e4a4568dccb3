"""Rows of the table: how many clients there may be, and how long each is waited for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from scgiproxy.config.arguments import integer, parse_duration
from scgiproxy.config.scopes import Place
from scgiproxy.config.table import HOST, Context, Directive, Merge
from scgiproxy.rules.connections import (
    LEAST_SEND_RATE,
    READ_TIMEOUTS,
    AddressLimit,
    ReadTimeout,
    SendTimeout,
)
from scgiproxy.rules.networks import parse_network
from scgiproxy.rules.parameters import parse_integer, suggest

_STAGES = tuple(READ_TIMEOUTS)
_MIN_RATE = re.compile(r"(?P<times>.*?),minrate=(?P<rate>.*)", re.IGNORECASE | re.DOTALL)
_MOST = 1 << 30


def _read_read_timeout(_: Place, words: list[str]) -> Mapping[str, ReadTimeout]:
    found: dict[str, ReadTimeout] = {}
    for word in words:
        key, equals, value = word.partition("=")
        stage = key.lower()
        if not equals:
            raise ValueError(f"expected {'=, '.join(_STAGES)}= and seconds, got {word!r}")
        if stage not in _STAGES:
            near = suggest(stage, _STAGES)
            raise ValueError(f"{key!r} is no stage; expected one of {', '.join(_STAGES)}{near}")
        try:
            found[stage] = _read_stage(value)
        except ValueError as error:
            raise ValueError(f"{word}: {error}") from None
    return found


def _read_stage(value: str) -> ReadTimeout:
    """``20``, ``20,MinRate=500`` or ``20-40,MinRate=500``."""
    with_rate = _MIN_RATE.fullmatch(value)
    if with_rate is None:
        if "," in value:
            more = value.partition(",")[2]
            raise ValueError(f"expected MinRate=RATE behind the comma, got {more!r}")
        if "-" in value.lstrip("-"):
            raise ValueError("a range of seconds needs MinRate too, as in 20-40,MinRate=500")
        return ReadTimeout(parse_integer(value, 0, _MOST))
    rate = parse_integer(with_rate["rate"], 1, _MOST)
    initial, dash, most = with_rate["times"].partition("-")
    made = ReadTimeout(
        parse_integer(initial, 0, _MOST), parse_integer(most, 0, _MOST) if dash else 0, rate
    )
    if made.most and made.initial >= made.most:
        raise ValueError(f"the most seconds are to be more than the first ones, {initial}")
    return made


def _read_send_timeout(_: Place, words: list[str]) -> SendTimeout:
    with_rate = _MIN_RATE.fullmatch(words[0])
    if with_rate is None:
        return SendTimeout(parse_duration(words[0]))
    return SendTimeout(
        parse_duration(with_rate["times"]) if with_rate["times"] else None,
        parse_integer(with_rate["rate"], 0, _MOST),
    )


def _read_max_connections(_: Place, words: list[str]) -> int | None:
    if words[0].lower() == "auto":
        return None
    try:
        return parse_integer(words[0], 1, _MOST)
    except ValueError:
        raise ValueError(f"expected a number of 1 or more, or auto, got {words[0]!r}") from None


def _read_address_limit(_: Place, words: list[str]) -> AddressLimit:
    most, *exempt = words
    return AddressLimit(
        parse_integer(most, 0, _MOST), tuple(parse_network(word) for word in exempt)
    )


ROWS = (
    Directive(
        name="RequestReadTimeout",
        contexts=HOST,
        syntax="STAGE=SECONDS[-MAXIMUM][,MinRate=RATE] ...",
        count=(1, None),
        read=_read_read_timeout,
        server="read_timeouts",
        merge=Merge.BY_KEY,
        doc="How long a client may take for each stage (handshake, header, body) of a request: a"
        " second more for each RATE bytes, up to MAXIMUM. 0: any time.",
        default="handshake=0 header=20-40,MinRate=500 body=20,MinRate=500",
    ),
    Directive(
        name="ResponseSendTimeout",
        contexts=HOST,
        syntax="[SECONDS[ms|s|min|h]][,MinRate=RATE]",
        read=_read_send_timeout,
        server="send_timeout",
        doc="How long a client that reads too slowly is waited for: in each SECONDS it has to take"
        " something of its answer, and RATE bytes a second on average.",
        default=f"value of Timeout,MinRate={LEAST_SEND_RATE}",
    ),
    Directive(
        name="ListenBacklog",
        contexts=Context.SERVER,
        syntax="NUMBER",
        read=integer(1, (1 << 31) - 1),
        config="listen_backlog",
        doc="How many connections may wait to be accepted, on each socket.",
        default="511",
    ),
    Directive(
        name="MaxConnections",
        contexts=Context.SERVER,
        syntax="NUMBER|auto",
        read=_read_max_connections,
        config="max_connections",
        doc="How many clients may be connected, to all workers together; others wait until one"
        " leaves. auto: half of what the limit of open files leaves, for each process.",
        default="auto",
    ),
    Directive(
        name="MaxConnectionsPerIP",
        contexts=Context.SERVER,
        syntax="NUMBER [ADDRESS[/BITS] ...]",
        count=(1, None),
        read=_read_address_limit,
        config="max_connections_per_ip",
        doc="How many connections one address may have with each worker; more are closed at once. 0:"
        " any number. For the addresses that follow it does not hold.",
        default="0",
    ),
    Directive(
        name="GracefulShutdownTimeout",
        contexts=Context.SERVER,
        syntax="SECONDS",
        read=integer(0, _MOST),
        config="graceful_shutdown_timeout",
        doc="How long requests under way may go on after SIGTERM, before they are cut off. 0: as long"
        " as they take.",
        default="30",
    ),
)
