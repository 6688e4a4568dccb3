"""The PROXY protocol, versions 1 and 2: who connects is a proxy, and says first who its client is.

Not Twisted's, which is private but for an endpoint around another: it believes any word to be an
address, ends in a traceback for a port that is no number, closes without a word to anybody, and does
not know ``PROXY UNKNOWN`` alone, which proxies check a server's health with, nor a header that comes
in pieces. See the protocol's specification (HAProxy's ``proxy-protocol.txt``), section 2.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.internet import address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import implementer

from scgiproxy.errors import quoted
from scgiproxy.log.events import Logger
from scgiproxy.rules.networks import unmapped
from scgiproxy.web.address import ConnectionEnd

LONGEST_LINE = 107
"""Bytes of a header of version 1, with its CRLF."""

LONGEST = 4096
"""Bytes of a header of version 2, of which the addresses are 232 at most."""

TOLD_EVERY = 1.0
"""Seconds between two log lines of a port."""

Ends = tuple[IAddress, IAddress]
"""Where the client is, and where it has connected to."""

_WORD = b"PROXY "
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: .*)?|TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (\d{1,5}) (\d{1,5}))",
    re.DOTALL,
)

_FIXED = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0, 1
_UNSPECIFIED, _INET, _INET6, _UNIX = range(4)
_ADDRESSES = {
    _INET: struct.Struct("!4s4sHH"),
    _INET6: struct.Struct("!16s16sHH"),
    _UNIX: struct.Struct("!108s108s"),
}


def read_header(data: bytes) -> tuple[int, Ends | None] | None:
    """The size of the header that `data` begins with, and the ends that it tells; None for those if
    they are the connection's own. None if it is not complete. Raises ValueError."""
    if data.startswith(_WORD):
        return _read_line(data)
    if data.startswith(_SIGNATURE):
        return _read_binary(data)
    if _WORD.startswith(data) or _SIGNATURE.startswith(data):
        return None
    raise ValueError(f"expected a header of the PROXY protocol, got {quoted(data, 40)}")


def _read_line(data: bytes) -> tuple[int, Ends | None] | None:
    size = data.find(b"\r\n", 0, LONGEST_LINE) + 2
    if size < 2:
        if len(data) < LONGEST_LINE:
            return None
        raise ValueError(f"a PROXY line is longer than {LONGEST_LINE} bytes")
    line = data[: size - 2]
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError(f"malformed: {quoted(line, LONGEST_LINE)}")
    version, *words = found.groups()
    if version is None:
        return size, None
    kind = IPv4Address if version == b"4" else IPv6Address
    source, destination, source_port, port = (word.decode("ascii") for word in words)
    try:
        return size, (_tcp(kind(source), int(source_port)), _tcp(kind(destination), int(port)))
    except ValueError as error:
        raise ValueError(f"malformed: {quoted(line, LONGEST_LINE)}: {error}") from None


def _read_binary(data: bytes) -> tuple[int, Ends | None] | None:
    if len(data) < _FIXED.size:
        return None
    _, what, kind, length = _FIXED.unpack_from(data)
    version, command, family = what >> 4, what & 15, kind >> 4
    size = _FIXED.size + length
    if version != 2 or command not in (_LOCAL, _PROXY):
        raise ValueError(f"a PROXY header of version {version} with command {command} is not known")
    if size > LONGEST:
        raise ValueError(f"a PROXY header of {size} bytes is longer than {LONGEST}")
    if len(data) < size:
        return None
    if command == _LOCAL or family == _UNSPECIFIED or kind & 15 == 0:
        return size, None
    layout = _ADDRESSES.get(family)
    if layout is None or kind & 15 > 2:
        raise ValueError(
            f"the address family and protocol {kind:#04x} of a PROXY header are not known"
        )
    if length < layout.size:
        raise ValueError(f"a PROXY header has {length} bytes of addresses; expected {layout.size}")
    source, destination, *ports = layout.unpack_from(data, _FIXED.size)
    if family == _UNIX:
        here, there = (address.UNIXAddress(name.rstrip(b"\0")) for name in (source, destination))
        return size, (here, there)
    ip = IPv4Address if family == _INET else IPv6Address
    return size, (_tcp(ip(source), ports[0]), _tcp(ip(destination), ports[1]))


def _tcp(ip: IPv4Address | IPv6Address, port: int) -> IAddress:
    if port > 65535:
        raise ValueError(f"{port} is no port")
    ip = unmapped(ip)
    kind = address.IPv4Address if isinstance(ip, IPv4Address) else address.IPv6Address
    return kind("TCP", str(ip), port)


class ProxiedProtocol(ProtocolWrapper):
    """A connection that a header comes first on; its ends are what that says."""

    factory: ProxiedFactory
    transport: Any

    def __init__(self, factory: ProxiedFactory, wrapped: Any) -> None:
        super().__init__(factory, wrapped)
        self._header: bytes | None = b""
        self._ends: Ends | None = None

    def dataReceived(self, data: bytes) -> None:
        header = self._header
        if header is None:
            self.wrappedProtocol.dataReceived(data)
            return
        if self.disconnecting:
            return
        self._header = header = header + data
        try:
            found = read_header(header)
        except ValueError as error:
            self.factory.refused(ConnectionEnd(self.getPeer()), error)
            self.disconnecting = True
            # Behind TLS, closing in order waits for the producer that the protocol inside is.
            self.transport.abortConnection()
            return
        if found is not None:
            size, self._ends = found
            self._header = None
            if len(header) > size:
                self.wrappedProtocol.dataReceived(header[size:])

    def getPeer(self) -> IAddress:
        """The client."""
        return self._ends[0] if self._ends else self.transport.getPeer()

    def getHost(self) -> IAddress:
        """Where the client has connected to: at the proxy."""
        return self._ends[1] if self._ends else self.transport.getHost()


class ProxiedFactory(WrappingFactory[ProxiedProtocol]):
    """Of connections that proxies make, each with a protocol of another factory's inside."""

    protocol = ProxiedProtocol
    noisy = False
    log = Logger()

    def __init__(self, wrapped: IProtocolFactory, seconds: Callable[[], float]) -> None:
        super().__init__(wrapped)  # type: ignore[no-untyped-call]
        self._seconds = seconds
        self._told_at = float("-inf")
        self._untold = 0

    def refused(self, proxy: ConnectionEnd, error: ValueError) -> None:
        """Log that what `proxy` has said first is no header, once in a while."""
        now = self._seconds()
        more = ""
        if now < self._told_at + TOLD_EVERY:
            self._untold += 1
            level: Any = self.log.debug
        else:
            if self._untold:
                more = f"; {self._untold} more since the last line"
            self._told_at, self._untold = now, 0
            level = self.log.warn
        level(
            "{log_key}: {error} (from {proxy}, which is closed{more})",
            log_key="client.proxy_header",
            error=error,
            proxy=proxy,
            more=more,
        )


@implementer(IStreamServerEndpoint)
class ProxiedEndpoint:
    """What `endpoint` is, for connections of proxies that speak the PROXY protocol."""

    def __init__(self, endpoint: IStreamServerEndpoint, seconds: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._seconds = seconds

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See `IStreamServerEndpoint`."""
        return self._endpoint.listen(ProxiedFactory(protocolFactory, self._seconds))
