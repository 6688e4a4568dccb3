"""Sessions that stay with a member: which one a request asks for (mod_proxy_balancer)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from scgiproxy.rules.balancer import Sticky

MAX_ROUTE = 63
"""Bytes of a member's `route` or `redirect` (Apache's PROXY_WORKER_MAX_ROUTE_SIZE)."""

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Session:
    """What a request says of its session: the BALANCER_SESSION_* variables.

    - `name`: of the cookie or the parameter that it comes from.
    - `value`: all of it, decoded and without quotes.
    - `route`: the end of `value`; empty if nothing follows the separator. Then there is a session
      that belongs to no member.
    """

    name: bytes
    value: bytes
    route: bytes


def find_session(
    sticky: Sticky, uri: bytes, cookie: bytes | None, routes: Collection[bytes] = ()
) -> Session | None:
    """The session of a request, None if it has none. Never raises; linear in what it is given.

    `uri` is the target as sent, path and query (in absolute form too); `cookie` is the Cookie
    field, several ones joined with ``; `` (`message.headers.combine`); `routes` are those of the
    members.

    Looked at in this order are parameters of the path's segments (``/a;jsessionid=x.r1/b``), those
    of the query, and cookies. The first value that is not empty counts: without the separator
    there is no session, and no further one is looked for. Names are whole and case-sensitive.
    Names and values of parameters are percent-decoded (a plus sign stays one); quotes around a
    cookie's value are removed. A value with a control byte is no session's.

    Of the ends of a value that follow a separator the longest counts that is one of `routes`, so
    that a route may have separators in it, and so may what stands before it. When none is, it is
    what follows the last separator.
    """
    name = sticky.parameter
    value = b""
    if name and (name in uri or b"%" in uri):
        path, _, query = uri.partition(b"?")
        value = _of_path(path, name) or _of_query(query, name, sticky.semicolon)
    if not value and cookie is not None and sticky.cookie:
        name = sticky.cookie
        value = _of_cookies(cookie, name)
    if not value or _CONTROL.search(value):
        return None
    separator = sticky.separator
    if not separator:
        return Session(name, value, value)
    last = value.rfind(separator)
    if last < 0:
        return None
    size = len(separator)
    # No member's route can be any longer: so this is a look-up or two, whatever a client sends.
    at = value.find(separator, max(0, len(value) - MAX_ROUTE - size))
    while 0 <= at < last:
        route = value[at + size :]
        if route in routes:
            return Session(name, value, route)
        at = value.find(separator, at + 1)
    return Session(name, value, value[last + size :])


def _of_path(path: bytes, name: bytes) -> bytes:
    if b";" in path:
        for segment in path.split(b"/"):
            _, _, parameters = segment.partition(b";")
            if parameters and (value := _parameter(parameters.split(b";"), name)):
                return value
    return b""


def _of_query(query: bytes, name: bytes, semicolon: bool) -> bytes:
    if semicolon:
        query = query.replace(b";", b"&")
    return _parameter(query.split(b"&"), name)


def _parameter(parameters: Iterable[bytes], name: bytes) -> bytes:
    """The first value of that name which is not empty, decoded; empty if there is none."""
    for parameter in parameters:
        key, _, value = parameter.partition(b"=")
        if value and (key == name or (b"%" in key and unquote_to_bytes(key) == name)):
            return unquote_to_bytes(value)
    return b""


def _of_cookies(cookies: bytes, name: bytes) -> bytes:
    """RFC 6265 section 5.4 read backwards: only ``;`` separates cookies, no comma, no blank."""
    if name in cookies:
        for pair in cookies.split(b";"):
            key, _, value = pair.partition(b"=")
            if key.strip() == name:
                value = value.strip()
                if len(value) > 1 and value[0] == value[-1] == 0x22:
                    value = value[1:-1]
                if value:
                    return value
    return b""


class Routed(Protocol):
    """A member, as far as sessions are concerned."""

    @property
    def route(self) -> bytes:
        """Empty if no session belongs to it."""

    @property
    def redirect(self) -> bytes:
        """The route that takes over its sessions while it cannot be used; empty for none."""


Member = TypeVar("Member", bound=Routed)


def redirect_chain(
    members: Collection[Member], route: bytes, usable: Callable[[Member], bool]
) -> Member | None:
    """The member that serves the sessions of `route` now, None if there is none.

    That is the first of `members` (ordinary ones before standbys) with this route that is
    `usable`. One that is not hands over to its `redirect`, whose members may hand over in turn,
    and only then the next one with its own route is asked. No route is followed twice, so that
    redirects in a circle end, and `usable` is asked at most once of each member.
    (find_route_worker of mod_proxy_balancer.)
    """
    if not route:
        return None
    followed = {route}
    searches = [(route, iter(members))]
    while searches:
        wanted, rest = searches[-1]
        for member in rest:
            if member.route == wanted:
                if usable(member):
                    return member
                redirect = member.redirect
                if redirect and redirect not in followed:
                    followed.add(redirect)
                    searches.append((redirect, iter(members)))
                    break
        else:
            searches.pop()
    return None
