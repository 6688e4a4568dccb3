"""The transport of a connection to a backend that goes through TLS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

_NOT_TLS = ("wrong version number", "record layer failure", "unsupported protocol", "http request")


class TlsConnection(TLSMemoryBIOProtocol):
    """A TLS connection over the transport `plain`, as a transport for `protocol`.

    - `complaint`: what is wrong with a certificate of the other end, once OpenSSL has seen it.
    - `plain`: the transport beneath.

    An end without TLS's own word for it (close_notify) is a ConnectionLost, and no ConnectionDone:
    anybody on the way could have made it.
    """

    complaint = ""
    plain: Any

    @property
    def protocol(self) -> Any:
        """Who reads what comes; may be changed while nothing has come yet."""
        return self.wrappedProtocol

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self.wrappedProtocol = protocol

    @property
    def connection(self) -> SSL.Connection:
        """That of OpenSSL, until the connection is lost."""
        return self._tlsConnection

    def makeConnection(self, transport: Any) -> None:
        """`transport` is up: begin the handshake."""
        self.plain = transport
        clock = self.factory._clock  # noqa: SLF001
        super().makeConnection(_Beneath(transport, clock.callLater))  # type: ignore[no-untyped-call]

    def loseWriteConnection(self) -> None:
        """Does nothing: what is sent ends where its length says."""

    def write_failed(self) -> None:
        """See `interfaces.IWriteFailed`."""
        tell = getattr(self.wrappedProtocol, "write_failed", None)
        if tell is not None:
            tell()

    def explain_end(self, reason: Failure) -> str:
        """Why it is no good end that ``connectionLost`` was told of."""
        error = reason.value
        if isinstance(error, SSL.Error):
            return f"TLS ended with an error: {openssl_reason(error)}"
        return "the backend's connection ended without TLS's close_notify"


class _Beneath:
    """The transport below TLS. It is closed in a later turn of the reactor: TLS is not made for one
    that is closed by the time its ``loseConnection`` returns."""

    def __init__(self, transport: Any, call_later: Callable[..., Any]) -> None:
        self._transport = transport
        self._call_later = call_later
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def loseConnection(self) -> None:
        """Close behind what waits to be sent."""
        if not self._closing:
            self._closing = True
            self._call_later(0, self._transport.loseConnection)


@implementer(IHandshakeListener)
class Handshake:
    """The protocol on a `TlsConnection` until the handshake is over: `done` and `lost` are told."""

    transport: TlsConnection

    def __init__(
        self,
        done: Callable[[TlsConnection], object],
        lost: Callable[[TlsConnection, BaseException], object],
    ) -> None:
        self._done = done
        self._lost = lost

    def makeConnection(self, transport: Any) -> None:
        """See `IProtocol`."""
        self.transport = transport

    def handshakeCompleted(self) -> None:
        """Nothing has been sent or read but the handshake."""
        self._done(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Not before `done` has put somebody else here, unless that has closed it."""

    def connectionLost(self, reason: Failure) -> None:
        """There will be no handshake."""
        self._lost(self.transport, reason.value or ConnectionDone())


def openssl_reason(error: SSL.Error) -> str:
    """OpenSSL's words for it."""
    queue = error.args[0] if error.args else ()
    if isinstance(queue, (list, tuple)) and queue:
        return str(queue[-1][-1])
    return str(error) or "the other end has closed"


def handshake_problem(connection: TlsConnection, error: BaseException) -> str:
    """Why there is no handshake, as a clause."""
    if connection.complaint:
        return connection.complaint
    if isinstance(error, SSL.Error):
        reason = openssl_reason(error)
        hint = " (does it speak TLS?)" if any(sign in reason for sign in _NOT_TLS) else ""
        return reason + hint
    return "it closed the connection in the handshake (does it speak TLS?)"


def tls_factory(creator: Any, clock: Any) -> TLSMemoryBIOFactory:
    """What the `TlsConnection` of one peer share."""
    # Protocols are made when a handshake is over, and by somebody else.
    return TLSMemoryBIOFactory(creator, True, Factory(), clock)
