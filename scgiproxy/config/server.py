"""Rows of the table: what a server is called, where it listens, its time and size limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scgiproxy.config.addresses import LISTEN_FORMS, parse_host_address, parse_listen
from scgiproxy.config.arguments import (
    choice,
    duration,
    flag,
    integer,
    parse_workers,
    text,
    texts,
)
from scgiproxy.config.model import HostAddress, Listener
from scgiproxy.config.scopes import HostDraft, Place
from scgiproxy.config.table import ANYWHERE, HOST, Context, Directive, Merge
from scgiproxy.config.tree import Node
from scgiproxy.rules.parameters import as_bytes, parse_integer
from scgiproxy.rules.settings import CanonicalName

_SERVER_NAME = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]+))?"
)


def _read_listen(place: Place, words: list[str]) -> Listener:
    listener = parse_listen(words[0], place.position)
    protocol = words[1].lower() if len(words) == 2 else "http"
    if protocol == "https":
        raise ValueError(
            "TLS is spoken by an endpoint string:"
            ' Listen "ssl:443:privateKey=KEY.pem:certKey=CERTIFICATE.pem"'
        )
    if protocol != "http":
        raise ValueError(f"expected http after the address, got {words[1]!r}")
    return listener


def _listen(place: Place, listener: Listener) -> None:
    for other in place.configuration.listeners:
        same = (other.address, other.port, other.endpoint)
        if same == (listener.address, listener.port, listener.endpoint):
            raise ValueError(f"the same address is listened to at {other.position} already")
    place.configuration.listeners.append(listener)


def _read_server_name(_: Place, words: list[str]) -> Mapping[str, Any]:
    found = _SERVER_NAME.fullmatch(words[0])
    if found is None:
        raise ValueError(f"expected [scheme://]name[:port] without wildcards, got {words[0]!r}")
    # https:// is for a server behind something that speaks TLS: its own port is not the client's.
    port = found["port"] or ("443" if found["scheme"] == "https" else "")
    return {
        "name": as_bytes(found["name"]),
        "port": parse_integer(port, 1, 65535) if port else None,
        "scheme": as_bytes(found["scheme"] or "http"),
    }


def _server_name(place: Place, values: Mapping[str, Any]) -> None:
    place.host.server.update(values)


def _read_recursion(_: Place, words: list[str]) -> int:
    """The second number limits subrequests, which do not exist here; it is only checked."""
    numbers = [parse_integer(word, 1) for word in words]
    return numbers[0]


def _enter_virtual_host(place: Place, node: Node) -> None:
    addresses: list[HostAddress] = []
    for word in node.words():
        try:
            address, name = parse_host_address(word.text)
        except ValueError as error:
            place.error(f"<VirtualHost>: {error}")
            continue
        if name:
            place.warn(
                f"<VirtualHost {word.text}>: names are not looked up, {name} is taken as *;"
                " expected an IP address or *, and the name in ServerName"
            )
        addresses.append(address)
    host = HostDraft(node.position, tuple(addresses))
    place.configuration.virtual_hosts.append(host)
    inside = Place(
        Context.VIRTUAL_HOST,
        place.configuration,
        host,
        host.base,
        node.position,
        place.load,
    )
    place.load(node.children or (), inside)


def _read_proxy_requests(place: Place, words: list[str]) -> bool:
    if flag(place, words):
        raise ValueError("this is a gateway and no forward proxy; expected Off")
    return False


ROWS = (
    Directive(
        name="Listen",
        contexts=Context.SERVER,
        syntax="[ADDRESS:]PORT|ENDPOINT [http]",
        count=(1, 2),
        read=_read_listen,
        effect=_listen,
        merge=Merge.OWN,
        doc=f"Where to accept connections: {LISTEN_FORMS} (a Twisted server endpoint).",
    ),
    Directive(
        name="Workers",
        contexts=Context.SERVER,
        syntax="NUMBER|auto",
        read=lambda _, words: parse_workers(words[0]),
        config="workers",
        doc="How many processes serve; auto: one for each core that the gateway may use.",
        default="1",
    ),
    Directive(
        name="VirtualHost",
        contexts=Context.SERVER,
        syntax="ADDRESS[:PORT] ...",
        count=(1, None),
        enter=_enter_virtual_host,
        inside=Context.VIRTUAL_HOST,
        doc="A site of its own, chosen by the local address and the name that is asked for.",
    ),
    Directive(
        name="ServerName",
        contexts=HOST,
        syntax="[SCHEME://]NAME[:PORT]",
        read=_read_server_name,
        effect=_server_name,
        doc="The name of the server, and what it calls itself when it must say so.",
        default="none",
    ),
    Directive(
        name="ServerAlias",
        contexts=Context.VIRTUAL_HOST,
        syntax="NAME ...",
        count=(1, None),
        read=texts,
        server="aliases",
        merge=Merge.OWN,
        doc="Other names of a virtual host; * and ? are wildcards.",
    ),
    Directive(
        name="ServerAdmin",
        contexts=HOST,
        syntax="ADDRESS|URL",
        read=text,
        server="admin",
        doc="Whom to write to; the backend's SERVER_ADMIN.",
        default="[no address given]",
    ),
    Directive(
        name="ServerTokens",
        contexts=Context.SERVER,
        syntax="Full|OS|Minimal|Minor|Major|Prod",
        read=choice(
            {
                "full": "Full",
                "os": "OS",
                "minimal": "Minimal",
                "min": "Minimal",
                "minor": "Minor",
                "major": "Major",
                "prod": "Prod",
                "productonly": "Prod",
            }
        ),
        config="server_tokens",
        doc="How much the Server header, and SERVER_SOFTWARE, tell.",
        default="Full",
    ),
    Directive(
        name="UseCanonicalName",
        contexts=HOST,
        syntax="On|Off",
        read=choice({"on": CanonicalName.ON, "off": CanonicalName.OFF}),
        server="canonical_name",
        doc="Whether SERVER_NAME and SERVER_PORT come from ServerName, or from the request.",
        default="Off",
    ),
    Directive(
        name="Timeout",
        contexts=HOST,
        syntax="SECONDS[ms|s|min|h]",
        read=duration(),
        server="timeout",
        doc="The longest wait for a client, and for a backend without a limit of its own.",
        default="60",
    ),
    Directive(
        name="ProxyTimeout",
        contexts=HOST,
        syntax="SECONDS[ms|s|min|h]",
        read=duration(),
        server="proxy_timeout",
        doc="The longest wait for one read from, or write to, a backend.",
        default="value of Timeout",
    ),
    Directive(
        name="ProxyMaxDuration",
        contexts=ANYWHERE,
        syntax="SECONDS[ms|s|min|h]",
        read=duration(zero=True),
        settings="proxy_max_duration",
        doc="How long a request to a backend may take in all, from its head to the end of its answer,"
        " whoever is waited for. 0 is no limit.",
        default="0",
    ),
    Directive(
        name="KeepAlive",
        contexts=HOST,
        syntax="On|Off",
        read=flag,
        server="keep_alive",
        doc="Whether a client's connection serves more than one request.",
        default="On",
    ),
    Directive(
        name="KeepAliveTimeout",
        contexts=HOST,
        syntax="SECONDS[ms|s|min|h]",
        read=duration(zero=True),
        server="keep_alive_timeout",
        doc="How long an idle connection of a client stays open.",
        default="5",
    ),
    Directive(
        name="MaxKeepAliveRequests",
        contexts=HOST,
        syntax="NUMBER",
        read=integer(),
        server="max_keep_alive_requests",
        doc="How many requests one connection may bring; 0 is no limit.",
        default="100",
    ),
    Directive(
        name="LimitRequestLine",
        contexts=HOST,
        syntax="BYTES",
        read=integer(1),
        server="limit_request_line",
        doc="The longest request line; a longer one is answered with 414.",
        default="8190",
    ),
    Directive(
        name="LimitRequestFields",
        contexts=HOST,
        syntax="NUMBER",
        read=integer(0, 32767),
        server="limit_request_fields",
        doc="How many header fields a request may have; more are answered with 431. 0: no limit.",
        default="100",
    ),
    Directive(
        name="LimitRequestFieldSize",
        contexts=HOST,
        syntax="BYTES",
        read=integer(1),
        server="limit_request_field_size",
        doc="The longest header field; a longer one is answered with 431.",
        default="8190",
    ),
    Directive(
        name="LimitInternalRecursion",
        contexts=HOST,
        syntax="NUMBER [NUMBER]",
        count=(1, 2),
        read=_read_recursion,
        server="limit_internal_recursion",
        doc="How many internal redirects one request may take.",
        default="10",
    ),
    Directive(
        name="AllowEncodedSlashes",
        contexts=HOST,
        syntax="On|Off|NoDecode",
        read=choice({"on": "on", "off": "off", "nodecode": "nodecode"}),
        server="encoded_slashes",
        doc="Whether %2F in a path is refused with 404, decoded, or passed on as it is.",
        default="Off",
    ),
    Directive(
        name="ProxyRequests",
        contexts=HOST,
        syntax="Off",
        read=_read_proxy_requests,
        doc="Off is the only value: forward proxying is not offered.",
        default="Off",
    ),
)
