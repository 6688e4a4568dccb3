"""What a connection goes by: before a virtual host is named, and when one has answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scgiproxy.rules.connections import ReadTimeout
from scgiproxy.rules.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class HostTerms:
    """What the host that answers says of the connection's life, and how long it waits. In seconds.

    - `body`: for a request's body. `send`, `send_rate`: see `rules.connections.SendTimeout`.
    """

    keep_alive: bool
    keep_alive_timeout: float
    max_requests: int
    body: ReadTimeout
    send: float
    send_rate: int

    @classmethod
    def of(cls, server: ServerSettings) -> HostTerms:
        send = server.send_timeout
        return cls(
            server.keep_alive,
            server.keep_alive_timeout,
            server.max_keep_alive_requests,
            server.read_timeout("body"),
            server.timeout if send.seconds is None else send.seconds,
            send.rate,
        )

    def with_keep_alive_timeout(self, seconds: float) -> HostTerms:
        """The same for a connection whose next request has to come within `seconds`."""
        return HostTerms(
            self.keep_alive, seconds, self.max_requests, self.body, self.send, self.send_rate
        )


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a channel must know before it knows the virtual host. Sizes in bytes, 0 fields: any.

    - `timeout`: seconds for each wait. `handshake`, `header`: for the first request as a whole, and
      for each other one's head.
    - `terms`: those of the host, as long as none is named; `differ`: others have other ones.
    """

    line: int
    fields: int
    field_size: int
    timeout: float
    handshake: ReadTimeout
    header: ReadTimeout
    keep_alive: bool
    max_requests: int
    terms: HostTerms
    differ: bool

    @classmethod
    def of(cls, hosts: Sequence[ServerSettings]) -> ConnectionLimits:
        """For a connection that one of `hosts` will serve: the limits of the first, and as many
        requests as any of them allows."""
        server = hosts[0]
        most = [each.max_keep_alive_requests for each in hosts if each.keep_alive]
        terms = HostTerms.of(server)
        return cls(
            server.limit_request_line,
            server.limit_request_fields,
            server.limit_request_field_size,
            server.timeout,
            server.read_timeout("handshake"),
            server.read_timeout("header"),
            bool(most),
            0 if 0 in most else max(most, default=1),
            terms,
            any(HostTerms.of(each) != terms for each in hosts),
        )

    def without_keep_alive(self) -> ConnectionLimits:
        """The same for a connection whose next request is its last."""
        return ConnectionLimits(
            self.line,
            self.fields,
            self.field_size,
            self.timeout,
            self.handshake,
            self.header,
            False,
            self.max_requests,
            self.terms,
            self.differ,
        )
