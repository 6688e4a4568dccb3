"""What the head of a backend's answer decides, other than that its body is relayed.

A file is sent in its place (X-Sendfile), or the request goes through the site again (internal
redirect), or the client gets the gateway's page for that status (ProxyErrorOverride), or 304 or 412.
Whoever answers so calls `Exchange.hand_over` first.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from scgiproxy.errors import Forbidden, ScgiProxyError, quoted
from scgiproxy.message.conditions import (
    Precondition,
    Validators,
    evaluate_conditions,
    parse_etag,
    parse_http_date,
)
from scgiproxy.message.headers import HOP_BY_HOP, HeaderList, end_to_end, take_field
from scgiproxy.rules.rewriting import rewrite_headers
from scgiproxy.scgi.response import ResponseHead
from scgiproxy.web.redirect import redirect_internally
from scgiproxy.web.refusal import answer_status
from scgiproxy.web.sendfile import answer_with_file

if TYPE_CHECKING:
    from scgiproxy.web.exchange import Exchange

_SENDFILE = b"x-sendfile"
_FOR_SERVERS: Final = frozenset((_SENDFILE, b"x-accel-redirect", b"x-lighttpd-send-file"))
"""What an application names a file by, to one server or another: a path that is no client's affair."""

WATCHED: Final = HOP_BY_HOP | _FOR_SERVERS
"""Lower-case names of the fields that something is to be done about, whatever the settings say;
beside them there are those that `Settings.watched` has."""


def act_upon_fields(exchange: Exchange, head: ResponseHead) -> HeaderList | None:
    """The fields of `head` as the client may see them; None if they have led to another answer."""
    settings = exchange.settings
    headers = end_to_end(head.headers)
    file_name, headers = take_field(headers, settings.sendfile or _SENDFILE)
    if not _FOR_SERVERS.isdisjoint(head.names):
        headers = [field for field in headers if field[0].lower() not in _FOR_SERVERS]
    if settings.sendfile is not None and file_name is not None:
        _send_file(exchange, file_name, headers, head)
        return None
    field = settings.internal_redirect
    if field is not None and field in head.names:
        target, rest = take_field(headers, field)
        if _redirects(exchange, head, target):
            assert target is not None
            _redirect(exchange, target, rest)
            return None
        if field != b"location":
            # A header of the operator's own choosing is for the gateway only.
            headers = rest
    return rewrite_headers(
        headers,
        exchange.request.origin,
        settings.reverse,
        settings.reverse_cookie_domains,
        settings.reverse_cookie_paths,
    )


def _send_file(exchange: Exchange, name: bytes, headers: HeaderList, head: ResponseHead) -> None:
    exchange.hand_over()
    request = exchange.request
    roots = exchange.settings.sendfile_roots or request.host_resource.file_roots
    try:
        if not request.host_resource.may_have(request, os.fsdecode(name)):
            raise Forbidden(f"<Directory> closes {quoted(name, 200)}, which the backend names")
        answer_with_file(
            request, name, headers, head.status, head.reason, roots, refuse=answer_status
        )
    except ScgiProxyError as error:
        request.site.answer_error(request, error, exchange.description())


def _redirects(exchange: Exchange, head: ResponseHead, target: bytes | None) -> bool:
    # The page of an error is redirected only if its backend says 200, as in Apache: then it is
    # no page of an error any more.
    if head.status != 200 or not (head.explicit_status or not exchange.request.error_status):
        return False
    return target is not None and target.startswith(b"/")


def _redirect(exchange: Exchange, target: bytes, headers: HeaderList) -> None:
    exchange.hand_over()
    request = exchange.request
    request.error_status = 0
    try:
        redirect_internally(request, target, headers, exchange.block)
    except ScgiProxyError as error:
        request.site.answer_error(request, error, exchange.description())


def override_error(exchange: Exchange, status: int, headers: HeaderList) -> None:
    """The gateway's page in place of the backend's (ProxyErrorOverride)."""
    exchange.hand_over()
    kept = [(n, v) for n, v in headers if n.lower() in (b"www-authenticate", b"set-cookie")]
    answer_status(exchange.request, status, kept)


def judge_conditions(exchange: Exchange, headers: HeaderList) -> bool:
    """Whether 304 or 412 was answered here, as Apache does when the backend says no Status."""
    request = exchange.request
    if request.method not in (b"GET", b"HEAD") or not request.conditional:
        return False
    found = {name.lower(): value for name, value in headers}
    modified = parse_http_date(found.get(b"last-modified", b""))
    validators = Validators(parse_etag(found.get(b"etag", b"")), modified)
    outcome = evaluate_conditions(request.method, request.header, validators)
    if outcome is Precondition.HOLDS:
        return False
    exchange.hand_over()
    if outcome is Precondition.FAILED:
        answer_status(request, 412, [])
        return True
    kept = [(n, v) for n, v in headers if n.lower() != b"content-type"]
    request.send_head(304, None, kept, None)
    request.finish()
    return True
