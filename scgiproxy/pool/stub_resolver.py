"""Asks name servers (the stub resolver of RFC 1034, section 5.3.1).

Messages, records, errors and the interface are those of `twisted.names`. Its own client is not
used: it logs two lines for each question, never answers again for a name that it once had no
socket for, cannot be made to let go of its sockets and delayed calls, stays with a first server
that only answers SERVFAIL, and takes no notice of which question an answer is to.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from errno import ECANCELED
from pathlib import Path
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed
from twisted.internet.interfaces import IAddress, IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.names import dns
from twisted.names.common import ResolverBase
from twisted.names.error import DNSFormatError, DNSNameError, DomainError
from twisted.names.hosts import searchFileForAll
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from zope.interface import implementer

from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool.nameservers import NameServers
from scgiproxy.pool.records import Answer

PATIENCE = (1.0, 2.0, 4.0)
"""Seconds to wait for each server, the first time, the second time and so on."""

STREAM_PATIENCE = 5.0
"""Seconds for an answer over TCP, which a datagram was too small for."""

HOSTS_TTL = 60
"""How long an entry of the hosts file is good, in seconds."""

_DATAGRAM = 4096
"""Bytes of a datagram that are looked at. A server sends 512 to those who offer no more."""

_RESPONSE_CODES = {
    dns.EFORMAT: "FORMERR",
    dns.ESERVER: "SERVFAIL",
    dns.ENAME: "NXDOMAIN (there is no such name)",
    dns.ENOTIMP: "NOTIMP",
    dns.EREFUSED: "REFUSED",
}


class StubResolver(ResolverBase):
    """An `IResolver` whose lookups go to `servers`, with a socket each, closed when it is over.

    A lookup may be cancelled. It fails with `DNSNameError` if there is no such name, with another
    DomainError if no server could say, with `defer.TimeoutError` if none answered in time, with an
    OSError if none could be reached; the text says which server it was. A name without such
    records is an empty answer.

    `reactor` is an IReactorFDSet, IReactorTime and IReactorTCP. With `hosts`, a hosts(5) file, the
    addresses in there come first; a name that has one there is not asked for elsewhere.
    """

    def __init__(self, reactor: Any, servers: NameServers, hosts: Path | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._reactor = reactor
        self._servers = servers
        self._hosts = None if hosts is None else FilePath(str(hosts))

    def _lookup(
        self,
        name: bytes,
        cls: int,
        type: int,  # noqa: A002  the base class calls it so
        timeout: Sequence[float] | None,
    ) -> Deferred[Answer]:
        query = dns.Query(name, type, cls)
        return Deferred.fromCoroutine(self._ask(query, timeout or PATIENCE))

    async def _ask(self, query: dns.Query, patience: Sequence[float]) -> Answer:
        if self._hosts is not None and query.type in (dns.A, dns.AAAA):
            local = _local_answer(self._hosts, query)
            if local is not None:
                return local
        left = list(await self._servers.addresses())
        error: Exception | None = None
        for seconds in patience:
            for server in tuple(left):
                try:
                    return await self._ask_server(server, query, seconds)
                except DNSNameError:
                    raise
                except defer.TimeoutError:
                    error = error or defer.TimeoutError(f"the name server {server} is silent")
                except (DomainError, OSError) as refusal:
                    error = refusal
                    left.remove(server)
        assert error is not None
        raise error

    async def _ask_server(self, server: TcpAddress, query: dns.Query, seconds: float) -> Answer:
        question = _Question(query)
        datagram = _Datagram(self._reactor, server, question)
        message = await datagram.answer.addTimeout(seconds, self._reactor)
        if message.trunc:
            over_tcp = Deferred.fromCoroutine(self._ask_over_tcp(server, question))
            message = await over_tcp.addTimeout(STREAM_PATIENCE, self._reactor)
            if message.trunc:
                raise DNSFormatError(f"the name server {server} cuts its answers short")
        if message.rCode != dns.OK:
            code = _RESPONSE_CODES.get(message.rCode, f"RCODE {message.rCode}")
            text = f"the name server {server} answers {code}"
            error = self.exceptionForCode(message.rCode)  # type: ignore[no-untyped-call]
            raise error(text)
        return message.answers, message.authority, message.additional

    async def _ask_over_tcp(self, server: TcpAddress, question: _Question) -> dns.Message:
        kind = TCP6ClientEndpoint if ":" in server.host else TCP4ClientEndpoint
        endpoint = kind(self._reactor, server.host, server.port, timeout=STREAM_PATIENCE)
        stream = _Stream(server, question)
        try:
            await endpoint.connect(_StreamFactory(stream))
            return await stream.answer
        except ConnectingCancelledError:
            raise CancelledError from None
        except (ConnectError, ConnectionClosed) as error:
            text = f"the name server {server} cannot be asked over TCP: {error}"
            raise ConnectionError(text) from None


class _Question:
    """One query, and which message answers it."""

    def __init__(self, query: dns.Query) -> None:
        self._id = dns.randomSource()
        self._query = query
        message = dns.Message(self._id, recDes=True)
        message.queries = [query]
        self.octets = message.toStr()

    def answer(self, octets: bytes) -> dns.Message | None:
        """The message, if it is the answer to this."""
        message = dns.Message()
        try:
            message.fromStr(octets)
        except (EOFError, ValueError):
            return None
        if message.id != self._id or not message.answer:
            return None
        # A server that could not read the question does not repeat it.
        if not message.queries and message.rCode != dns.OK:
            return message
        return message if message.queries == [self._query] else None


@implementer(IReadDescriptor)
class _Datagram:
    """A question in a datagram; what comes that is no answer to it is dropped.

    The socket is connected: its port is new for each question, nobody but the server can send to
    it, and that nobody listens there is known at once. Raises OSError.
    """

    def __init__(self, reactor: Any, server: TcpAddress, question: _Question) -> None:
        self._reactor = reactor
        self._server = server
        self._question = question
        self.answer: Deferred[dns.Message] = Deferred(lambda _: self._close())
        try:
            self._socket = _connected(server)
        except OSError as error:
            raise self._unreachable(error) from None
        try:
            self._socket.send(question.octets)
        except OSError as error:
            self._socket.close()
            raise self._unreachable(error) from None
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "name server"

    def doRead(self) -> None:
        try:
            octets = self._socket.recv(_DATAGRAM)
        except BlockingIOError:
            return
        except OSError as error:
            self._close()
            self.answer.errback(self._unreachable(error))
            return
        message = self._question.answer(octets)
        if message is not None:
            self._close()
            self.answer.callback(message)

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002  the socket knows better
        """The reactor noticed an error before it had anything to read, or stops."""
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or ECANCELED
        self._close()
        self.answer.errback(self._unreachable(OSError(code, os.strerror(code))))

    def _close(self) -> None:
        self._reactor.removeReader(self)
        self._socket.close()

    def _unreachable(self, error: OSError) -> OSError:
        return type(error)(f"the name server {self._server} cannot be reached: {error.strerror}")


def _connected(server: TcpAddress) -> socket.socket:
    # The system reads addresses in every form, with names of interfaces.
    family, kind, protocol, _, address = socket.getaddrinfo(
        server.host,
        server.port,
        type=socket.SOCK_DGRAM,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )[0]
    connected = socket.socket(family, kind, protocol)
    try:
        connected.setblocking(False)
        connected.connect(address)
    except OSError:
        connected.close()
        raise
    return connected


class _Stream(Int16StringReceiver):
    """A question over TCP (RFC 7766), one for each connection.

    `answer` fires when the connection is closed, so that nothing is left of it then.
    """

    transport: Any

    def __init__(self, server: TcpAddress, question: _Question) -> None:
        self.answer: Deferred[dns.Message] = Deferred(lambda _: self.close())
        self._server = server
        self._question = question
        self._message: dns.Message | None = None
        self._garbled = False

    def connectionMade(self) -> None:
        self.sendString(self._question.octets)  # type: ignore[no-untyped-call]

    def stringReceived(self, string: bytes) -> None:
        if self._message is None:
            self._message = self._question.answer(string)
            # Unreadable is also an answer of over a thousand records, to Twisted.
            self._garbled = self._message is None
            self.close()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if self.answer.called:
            return
        if self._message is not None:
            self.answer.callback(self._message)
        elif self._garbled:
            text = f"the name server {self._server}: its answer over TCP cannot be read"
            self.answer.errback(DNSFormatError(text))
        else:
            self.answer.errback(reason)

    def close(self) -> None:
        """Nothing more is wanted of it."""
        self.transport.abortConnection()


class _StreamFactory(Factory):
    """For one connection. The factory of `connectProtocol` logs two lines for each question."""

    noisy = False

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def buildProtocol(self, addr: IAddress | None) -> _Stream:  # noqa: ARG002  it is the server's
        return self._stream


def _local_answer(hosts: FilePath[str], query: dns.Query) -> Answer | None:
    name = query.name.name.removesuffix(b".")
    addresses = searchFileForAll(hosts, name)
    if not addresses:
        return None
    wanted: Callable[[str], Any] = dns.Record_AAAA if query.type == dns.AAAA else dns.Record_A
    records = [
        dns.RRHeader(name, query.type, dns.IN, HOSTS_TTL, wanted(address))
        for address in addresses
        if (":" in address) == (query.type == dns.AAAA) and "%" not in address
    ]
    return records, [], []
