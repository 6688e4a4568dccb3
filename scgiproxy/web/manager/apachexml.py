"""``?xml=1``: the state in the elements of Apache httpd 2.4's balancer-manager, in its order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from scgiproxy.rules.parameters import as_text
from scgiproxy.web.manager.snapshot import BalancerState, MemberState, Snapshot
from scgiproxy.web.page import shown

_NAMESPACE = "http://httpd.apache.org"
_DEFAULT_PORT = 4000
Pairs = Iterator[tuple[str, object]]


def as_xml(snapshot: Snapshot) -> bytes:
    """The document. A member without a `max` has 0 in ``max`` and ``smax``: there is no limit."""
    lines = [
        "<?xml version='1.0' encoding='UTF-8' ?>",
        f"<httpd:manager xmlns:httpd='{_NAMESPACE}'>",
        "  <httpd:balancers>",
    ]
    for balancer in snapshot.balancers:
        lines.append("    <httpd:balancer>")
        lines += _elements(" " * 6, _balancer(balancer))
        lines.append("      <httpd:workers>")
        for member in balancer.members:
            lines.append("        <httpd:worker>")
            lines += _elements(" " * 10, _member(member))
            lines.append("        </httpd:worker>")
        lines += ["      </httpd:workers>", "    </httpd:balancer>"]
    lines += ["  </httpd:balancers>", "</httpd:manager>", ""]
    return "\n".join(lines).encode("utf-8")


def _balancer(balancer: BalancerState) -> Pairs:
    settings = balancer.settings
    yield "name", f"balancer://{balancer.name}"
    yield "nonce", balancer.nonce
    if settings.sticky is not None:
        # Apache tells the cookie's name alone.
        yield "stickysession", as_text(settings.sticky.cookie or settings.sticky.parameter)
        yield "nofailover", _switch(settings.no_failover)
    yield "timeout", f"{settings.wait:g}"
    attempts = settings.max_attempts
    yield "maxattempts", max(len(balancer.members) - 1, 0) if attempts is None else attempts
    yield "lbmethod", settings.method
    if settings.sticky is not None:
        yield "scolonpathdelim", _switch(settings.sticky.semicolon)


def _member(member: MemberState) -> Pairs:
    host, port = _place(member.name)
    limit = member.limit or 0
    yield "name", member.name
    yield "scheme", "scgis" if member.name.lower().startswith("scgis:") else "scgi"
    yield "hostname", host
    yield "loadfactor", f"{member.weight:.2f}"
    yield "port", port
    yield "min", 0
    yield "smax", limit
    yield "max", limit
    yield "ttl", 0
    yield "status", member.status_words
    yield "retries", member.errors
    yield "lbstatus", member.load
    yield "loadfactor", f"{member.weight:.2f}"
    yield "transferred", member.bytes_sent
    yield "read", member.bytes_received
    yield "elected", member.elected
    yield "route", member.route
    yield "redirect", member.redirect
    yield "busy", member.in_flight
    yield "lbset", member.lbset


def _place(label: str) -> tuple[str, int]:
    """Host and port of a member's URL, of a UNIX socket's those behind the bar."""
    try:
        parts = urlsplit(label.rpartition("|")[2])
        return parts.hostname or "", parts.port or _DEFAULT_PORT
    except ValueError:
        return "", _DEFAULT_PORT


def _elements(indent: str, pairs: Iterable[tuple[str, object]]) -> Iterator[str]:
    for name, value in pairs:
        yield f"{indent}<httpd:{name}>{escape(shown(str(value)))}</httpd:{name}>"


def _switch(on: bool) -> str:
    return "On" if on else "Off"
