"""Rows of the table: how many clients there may be."""

from __future__ import annotations

from scgiproxy.config.arguments import integer
from scgiproxy.config.scopes import Place
from scgiproxy.config.table import Context, Directive
from scgiproxy.rules.connections import AddressLimit
from scgiproxy.rules.networks import parse_network
from scgiproxy.rules.parameters import parse_integer

_MOST = 1 << 30


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
)
