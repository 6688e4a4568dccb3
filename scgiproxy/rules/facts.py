"""What a rule may ask about the request it is applied to."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Protocol

IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""Methods of requests that do no harm when they are done twice (RFC 9110 section 9.2.2), and may be
repeated. (Upper case: methods are case-sensitive.)"""


class Facts(Protocol):
    """The request as the rules see it. All text is bytes, as on the wire.

    `web.request.GatewayRequest` is one; tests make small ones of their own. Every member is
    available from the moment the target has been normalised.
    """

    @property
    def method(self) -> bytes: ...

    @property
    def protocol(self) -> bytes:
        """``HTTP/1.1`` or ``HTTP/1.0``."""

    @property
    def uri(self) -> bytes:
        """The target as it was sent."""

    @property
    def decoded_path(self) -> bytes:
        """The normal form of the path: decoded, dot segments and double slashes resolved."""

    @property
    def remote_addr(self) -> bytes:
        """The client's address as text; empty on a UNIX socket."""

    @property
    def remote_ip(self) -> IPv4Address | IPv6Address | None:
        """The client's address to compare with networks; None on a UNIX socket."""

    @property
    def server_addr(self) -> bytes:
        """The local address as text; empty on a UNIX socket."""

    @property
    def environment(self) -> dict[bytes, bytes]:
        """The variables set so far (SetEnvIf, SetEnv, ...); rules write here."""

    def header(self, name: bytes) -> bytes | None:
        """The value of the header of that lower-case name, repeated ones joined; None if absent."""

    def header_names(self) -> Iterable[bytes]:
        """The lower-case names of the request's headers."""
