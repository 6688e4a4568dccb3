"""Who may change something: the balancer's nonce, and a request of the page itself.

Browsers send what a page of somebody else makes them send, to this machine too. So a change must
carry what only this page knows (the nonce), and say that it comes from here (`Sec-Fetch-Site`,
`Origin` or `Referer`: no script of a page can set these).
"""

from __future__ import annotations

import hmac
import socket
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from twisted.web.server import Request

from scgiproxy.message.headers import parse_host

_PORTS = {"http": ":80", "https": ":443"}
_OWN_NAMES = frozenset((b"localhost", socket.gethostname().lower().encode()))


def refusal(request: Request) -> str:
    """Why a request cannot come from this page; empty if it can. A sentence for the user."""
    site = request.getHeader(b"sec-fetch-site")
    if site is not None:
        if site in (b"same-origin", b"none"):
            return ""
        return "The change was sent by a page of another site (Sec-Fetch-Site)."
    for name in ("Origin", "Referer"):
        value = request.getHeader(name.lower().encode())
        if value is not None:
            if is_same_place(value, request.getHeader(b"host")):
                return ""
            return f"The change was sent by another page: {name} is not this server."
    return (
        "The request does not say where it comes from. Browsers do so; a program sends the header"
        " Origin (or Referer) with the address of this server."
    )


def is_same_place(address: bytes, host: bytes | None) -> bool:
    """Whether the URL `address` is on the host and port of the Host field `host`."""
    try:
        parts = urlsplit(address.decode("ascii"))
        wanted = (host or b"").decode("ascii").lower()
    except ValueError:
        return False
    default = _PORTS.get(parts.scheme)
    if default is None or not parts.netloc or "@" in parts.netloc or not wanted:
        return False
    return _without(parts, default) == wanted.removesuffix(default)


def has_nonce(sent: str, nonce: str) -> bool:
    """Whether `sent` is the balancer's nonce, in constant time; an empty one asks for nothing."""
    if not nonce:
        return True
    return hmac.compare_digest(*(one.encode("utf-8", "surrogatepass") for one in (sent, nonce)))


def is_rebound(request: Any) -> bool:
    """Whether a client on this machine calls it by a name that is not this server's.

    Anybody can let a name of his own lead to 127.0.0.1. A page that came by that name would then
    be of the same origin as this one, and could read it: so the name must be known here. It may be
    an address, ``localhost``, this machine's name, ServerName or a ServerAlias.
    """
    host = getattr(request, "host_resource", None)
    peer = getattr(request, "remote_ip", None)
    if host is None or (peer is not None and not peer.is_loopback):
        return False
    field = request.getHeader(b"host")
    if field is None:
        return False
    name = parse_host(field)[0].lower()
    if name in _OWN_NAMES or name.endswith(b".localhost") or host.has_name(name):
        return False
    try:
        ip_address(name.decode("latin-1").strip("[]"))
    except ValueError:
        return True
    return False


def _without(parts: SplitResult, default: str) -> str:
    return parts.netloc.lower().removesuffix(default)
