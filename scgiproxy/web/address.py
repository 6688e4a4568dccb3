"""The two ends of a client connection, in the forms that variables and rules want."""

from __future__ import annotations

import select
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any


class ConnectionEnd:
    """One end: `host` and `port` as bytes, both empty on a UNIX socket.

    `port_number` is None there. `secure` says that the connection is TLS.
    """

    __slots__ = ("_ip", "host", "port", "port_number", "secure")

    def __init__(self, address: Any, secure: bool = False) -> None:
        host = getattr(address, "host", None)
        self.port_number: int | None = getattr(address, "port", None)
        if not isinstance(host, str):
            host = ""
        elif host.startswith("::ffff:") and "." in host:
            # A client that came by IPv4 to a socket that listens for both.
            host = host[7:]
        self.host = host.encode("ascii", "replace")
        self.port = b"" if self.port_number is None else b"%d" % self.port_number
        self.secure = secure
        self._ip: IPv4Address | IPv6Address | bool | None = False

    @property
    def ip(self) -> IPv4Address | IPv6Address | None:
        """The address to compare with networks; made when somebody asks."""
        ip = self._ip
        if isinstance(ip, bool):
            ip = self._ip = self._parse_ip()
        return ip

    def _parse_ip(self) -> IPv4Address | IPv6Address | None:
        try:
            return ip_address(self.host.decode("ascii").partition("%")[0])
        except ValueError:
            return None

    def __repr__(self) -> str:
        return f"{self.host.decode()}:{self.port.decode()}" if self.host else "unix socket"


def peer_has_left(transport: Any) -> bool:
    """True if the other end has closed or reset a connection that is not being read.

    The reactor tells that to readers only. False where it cannot be known: no descriptor (TLS,
    in memory), or a system without POLLRDHUP.
    """
    fileno = getattr(transport, "fileno", None)
    if fileno is None or not hasattr(select, "POLLRDHUP"):
        return False
    poller = select.poll()
    poller.register(fileno(), select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    return bool(poller.poll(0))
