"""Addresses of Listen and `<VirtualHost>`."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from scgiproxy.config.endpoints import ENDPOINT_TYPES, check_endpoint
from scgiproxy.config.model import HostAddress, Listener, Position
from scgiproxy.rules.parameters import suggest

_ENDPOINT = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*:")
_HOST_AND_PORT = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*):([0-9]+)")
_HOST_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")

LISTEN_FORMS = (
    "PORT, ADDRESS:PORT, [IPv6-ADDRESS]:PORT, or an endpoint string in quotes such as"
    ' "unix:/run/gateway.sock:mode=660"'
)


def parse_listen(word: str, position: Position) -> Listener:
    """One argument of Listen, or of ``--listen``.

    An endpoint string (of `twisted.internet.endpoints.serverFromString`) is known by its name and
    colon. Raises ValueError.
    """
    named = _HOST_AND_PORT.fullmatch(word)
    is_host = named is not None and named[1].lower() not in ENDPOINT_TYPES
    if _ENDPOINT.match(word) and not is_host:
        if word.endswith(":") and not word.endswith("\\:"):
            raise ValueError(f"nothing follows the colon of {word!r}; expected {LISTEN_FORMS}")
        try:
            check_endpoint(word)
        except ValueError as error:
            raise ValueError(f"'{word}': {error}") from None
        return Listener(position, endpoint=word)
    if named is not None:
        near = "" if "." in named[1] else suggest(named[1], ENDPOINT_TYPES)
        if near:
            raise ValueError(f"{named[1]!r} is no kind of endpoint{near}; expected {LISTEN_FORMS}")
        return Listener(position, named[1], _port(named[2]))
    if ":" not in word and not word.isdigit():
        raise ValueError(f"no port in {word!r}; expected {LISTEN_FORMS}")
    address, port = _split(word)
    if port is None:
        raise ValueError(f"no port in {word!r}; expected {LISTEN_FORMS}")
    return Listener(position, address or "", port)


def parse_host_address(word: str) -> tuple[HostAddress, str]:
    """One argument of `<VirtualHost>`: ``*``, ``_default_``, an address; each with ``:PORT``.

    The second value is a host name, if that is what stands there: names are not looked up, so the
    address is then None. Raises ValueError.
    """
    host, colon, port = word.rpartition(":")
    if not colon or "]" in port:
        host, port = word, "*"
    number = None if port == "*" else _port(port)
    if host.lower() in ("*", "_default_"):
        return HostAddress(None, number), ""
    if _HOST_NAME.fullmatch(host):
        return HostAddress(None, number), host
    return HostAddress(_address(host), number), ""


def _split(word: str) -> tuple[str | None, int | None]:
    if word.isdigit():
        return None, _port(word)
    host, _, port = word.rpartition(":")
    if "]" in port:
        return _address(word), None
    if host == "*":
        return None, _port(port)
    return _address(host), _port(port)


def _address(text: str) -> str:
    try:
        if text.startswith("[") and text.endswith("]"):
            return str(IPv6Address(text[1:-1]))
        return str(IPv4Address(text))
    except ValueError:
        raise ValueError(
            f"{text!r} is no address; expected one like 192.0.2.1, or [2001:db8::1] in brackets"
        ) from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError(f"{text!r} is no port; expected a number from 1 to 65535")
    return int(text)
