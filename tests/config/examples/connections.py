"""How many clients there may be, and how long each is waited for."""

from __future__ import annotations

from scgiproxy.rules.connections import AddressLimit, ReadTimeout, SendTimeout
from scgiproxy.rules.networks import parse_networks
from tests.config.examples.base import Example, server

EXAMPLES: dict[str, Example] = {
    "RequestReadTimeout": server(
        "read_timeouts",
        "RequestReadTimeout header=20-40,MinRate=500 handshake=5\nRequestReadTimeout Body=10",
        {
            "handshake": ReadTimeout(5),
            "header": ReadTimeout(20, 40, 500),
            "body": ReadTimeout(10),
        },
        "RequestReadTimeout header=20-40",
        "header=20-40: a range of seconds needs MinRate too, as in 20-40,MinRate=500",
        "RequestReadTimeout body=0 header=30,minrate=100",
        {
            "handshake": ReadTimeout(5),
            "header": ReadTimeout(30, 0, 100),
            "body": ReadTimeout(0),
        },
    ),
    "ResponseSendTimeout": server(
        "send_timeout",
        "ResponseSendTimeout 30s,MinRate=1000",
        SendTimeout(30.0, 1000),
        "ResponseSendTimeout 0",
        "expected a time above zero, got '0'",
        "ResponseSendTimeout ,MinRate=0",
        SendTimeout(None, 0),
    ),
    "ListenBacklog": Example(
        "ListenBacklog 100",
        100,
        "ListenBacklog 0",
        "expected a number from 1 to 2147483647, got 0",
        "ListenBacklog 4096",
        4096,
        lambda c: c.listen_backlog,
        inner="{}",
    ),
    "MaxConnections": Example(
        "MaxConnections 1000",
        1000,
        "MaxConnections 0",
        "expected a number of 1 or more, or auto, got '0'",
        "MaxConnections AUTO",
        None,
        lambda c: c.max_connections,
        inner="{}",
    ),
    "MaxConnectionsPerIP": Example(
        "MaxConnectionsPerIP 20 10.0.0.0/8 ::1",
        AddressLimit(20, parse_networks(["10.0.0.0/8", "::1"])),
        "MaxConnectionsPerIP 20 proxy.example",
        "'proxy.example' is no address or network; expected one like 10.1.2.3",
        "MaxConnectionsPerIP 0",
        AddressLimit(0),
        lambda c: c.max_connections_per_ip,
        inner="{}",
    ),
    "GracefulShutdownTimeout": Example(
        "GracefulShutdownTimeout 5",
        5,
        "GracefulShutdownTimeout 5s",
        "expected a number from 0 to 1073741824, got '5s'",
        "GracefulShutdownTimeout 0",
        0,
        lambda c: c.graceful_shutdown_timeout,
        inner="{}",
    ),
}
