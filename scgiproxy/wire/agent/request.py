"""The agent: from a method, a URL, headers and a body to a connection that sends them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IConsumer
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from scgiproxy.errors import BadRequest, ConnectFailed, TlsFailed, quoted
from scgiproxy.message.backend_url import (
    TcpAddress,
    UnixAddress,
    parse_backend_url,
    split_authority,
)
from scgiproxy.message.environ import StaticEnviron, request_block
from scgiproxy.message.headers import HeaderList, is_token
from scgiproxy.rules.tls import TlsSettings
from scgiproxy.wire.agent.response import AgentRequest, ResponseReceiver
from scgiproxy.wire.client import ScgiClientProtocol, ScgiRequest
from scgiproxy.wire.clientfactory import ScgiClientFactory
from scgiproxy.wire.deadline import DeadlineWheel
from scgiproxy.wire.dial import Dialer
from scgiproxy.wire.spool import Spool

STATIC = StaticEnviron({b"SERVER_SOFTWARE": b"scgiproxy", b"REQUEST_SCHEME": b"http"})


@implementer(IAgent)
class ScgiAgent:
    """Sends HTTP requests to SCGI applications.

    - `reactor`: for connections and time.
    - `socket`: path of a UNIX socket that all requests go to; the host of the URL is only a name
      then. Without it the URL says where: ``scgi://host[:4000]/path``, or
      ``unix:/path/to.sock|scgi://name/path`` (which treq does not pass on as it is).
    - `timeout`: seconds to wait for the application, each time something is due from it.
    - `connect_timeout`: seconds for a connection.
    - `max_spool`: bytes of a body of unknown length, which has to be spooled as SCGI wants its
      length first; 0 is no limit.
    - `variables`: more variables for each request, such as ``{b"REMOTE_USER": b"ann"}``.
    - `tls`: for ``scgis://host:port/path``: whom to trust, and what to say of oneself; by default the
      authorities of the system, and nothing. Needs the packages of ``scgiproxy[tls]``.

    A relative Location cannot be followed, for ``urllib`` does not know the scheme.
    """

    def __init__(
        self,
        reactor: Any,
        socket: str | None = None,
        *,
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        max_spool: int = 64 << 20,
        variables: Mapping[bytes, bytes] | None = None,
        tls: TlsSettings | None = None,
    ) -> None:
        self._reactor = reactor
        self._socket = socket
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._max_spool = max_spool
        self._variables = dict(variables or {})
        self._tls = tls or TlsSettings()
        self._wheel = DeadlineWheel(reactor)
        self._dialer = Dialer(reactor, self._wheel)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Ask for `uri`. The Deferred fires with the response when its head is there.

        It fails with BadRequest for a request that cannot be sent, with a BackendError for what the
        application does (ConnectFailed, HeadTimeout, BadResponse, ...), BodyTooLarge over
        `max_spool`, and with whatever `bodyProducer` fails with. Cancelling closes the connection.
        """
        headers = headers or Headers()
        try:
            where, block = self._prepare(method, uri, headers)
        except (BadRequest, TlsFailed) as error:
            return _failed(error)
        asked = AgentRequest(method, uri, headers)
        if bodyProducer is not None and bodyProducer.length == UNKNOWN_LENGTH:
            return self._spooled(asked, where, block, bodyProducer)
        body = None if bodyProducer is None else MeasuredBody(bodyProducer)
        return self._send(asked, where, ScgiRequest(block, body, method == b"HEAD"))

    def _prepare(self, method: bytes, uri: bytes, headers: Headers) -> tuple[_Where, bytes]:
        """Where to connect, and the header block. Raises BadRequest, TlsFailed."""
        if not is_token(method):
            raise BadRequest(f"{quoted(method)} is no method")
        without_fragment = uri.partition(b"#")[0]
        base, _, query = without_fragment.partition(b"?")
        try:
            url = parse_backend_url(base.decode("ascii"))
            authority = base.rpartition(b"://")[2].partition(b"/")[0].rpartition(b"@")[2]
            host = split_authority(authority.decode("ascii"))[0] if authority else "localhost"
        except ValueError as error:
            raise BadRequest(
                f"{quoted(uri, 200)} is no URL of an SCGI application: {error}"
            ) from error
        address = url.address if self._socket is None else UnixAddress(self._socket)
        if address is None:
            raise BadRequest(f"{quoted(uri, 200)} is no single application but a balancer")
        where = self._where(address, url.secure)
        name = b"[%b]" % host.encode() if ":" in host else host.encode()
        fields: HeaderList = [
            (field, value) for field, values in headers.getAllRawHeaders() for value in values
        ]
        if not headers.hasHeader(b"Host"):
            fields.insert(0, (b"Host", name))
        path = url.path or b"/"
        block = request_block(
            STATIC,
            headers=fields,
            environment=self._variables,
            method=method,
            protocol=b"HTTP/1.1",
            request_uri=path + b"?" + query if query else path,
            query=query,
            script_name=b"",
            path_info=unquote_to_bytes(path),
            server_name=name,
            server_port=b"80",
            server_addr=b"127.0.0.1",
            remote_addr=b"127.0.0.1",
            remote_port=b"",
            pass_authorization=True,
        )
        return where, block

    def _where(self, address: TcpAddress | UnixAddress, secure: bool) -> _Where:
        if not secure:
            return _Where(address, self._dialer)
        if isinstance(address, UnixAddress):
            raise BadRequest("TLS is for TCP and not for a UNIX socket; expected scgi://")
        try:
            return _Where(address, self._dialer.through_tls(self._tls, address.host))
        except ValueError as error:
            raise TlsFailed(f"no TLS with {address}: {error}") from error

    def _spooled(
        self,
        asked: AgentRequest,
        where: _Where,
        block: bytes,
        producer: IBodyProducer,
    ) -> Deferred[IResponse]:
        spool = Spool(self._max_spool)

        def send(_: object) -> Deferred[IResponse]:
            request = ScgiRequest(block, spool.body(), asked.method == b"HEAD")
            return self._send(asked, where, request)

        def give_up(failure: Failure) -> Failure:
            producer.stopProducing()
            spool.close()
            return failure

        try:
            filled: Deferred[None] = producer.startProducing(SpoolConsumer(spool))
        except Exception:
            spool.close()
            return _failed(Failure())
        return filled.addErrback(give_up).addCallback(send)

    def _send(
        self, asked: AgentRequest, where: _Where, request: ScgiRequest
    ) -> Deferred[IResponse]:
        receiver = ResponseReceiver(asked)
        factory = _ExchangeFactory(
            request, receiver, wheel=self._wheel, clock=self._reactor, timeout=self._timeout
        )
        address = where.address
        socket_address = _socket_address(address)
        if socket_address is not None:
            dialling = where.dialer.dial(socket_address, factory, self._connect_timeout)
            receiver.stop_connecting = dialling.stopConnecting
            return receiver.response
        assert isinstance(address, TcpAddress)
        endpoint = HostnameEndpoint(
            self._reactor, address.host, address.port, timeout=self._connect_timeout
        )
        if where.dialer is self._dialer:
            connecting = endpoint.connect(factory)
            receiver.stop_connecting = connecting.cancel
        else:
            attempt = where.dialer.attempt(address, factory, self._connect_timeout)
            connecting = endpoint.connect(_Handshaking(attempt))

            def stop() -> None:
                connecting.cancel()
                attempt.stopConnecting()

            receiver.stop_connecting = stop
        connecting.addErrback(factory.connection_failed)
        return receiver.response


class _Where(NamedTuple):
    """Where a request goes, and by what (a `Dialer` or a `wire.tlsdial.TlsDialer`)."""

    address: TcpAddress | UnixAddress
    dialer: Any


class _Handshaking(Factory):
    """The factory of a TLS `attempt` for an endpoint."""

    noisy = False

    def __init__(self, attempt: Any) -> None:
        self._attempt = attempt

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return self._attempt.buildProtocol(addr)


class _ExchangeFactory(ScgiClientFactory):
    """Lets the receiver know its connection."""

    _receiver: ResponseReceiver

    def buildProtocol(self, addr: IAddress | None) -> ScgiClientProtocol:
        protocol = super().buildProtocol(addr)
        self._receiver.protocol = protocol
        return protocol

    def connection_failed(self, failure: Failure) -> None:
        """What an endpoint has to say."""
        self._receiver.response_failed(ConnectFailed(failure.getErrorMessage()))


@implementer(IConsumer)
class SpoolConsumer:
    """Where a body of unknown length goes first."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def write(self, data: bytes) -> None:
        """Raises BodyTooLarge and GatewayError, as `Spool.write` does."""
        self._spool.write(data)

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """A spool is as fast as its producer."""

    def unregisterProducer(self) -> None:
        """See `registerProducer`."""


@implementer(IBodyProducer, IConsumer)
class MeasuredBody:
    """Somebody else's body, held to the length that it has announced.

    One that turns out longer or shorter fails with ValueError: the application would take a part of
    it for the whole, or wait for the rest.
    """

    def __init__(self, producer: IBodyProducer) -> None:
        self.length: int = producer.length
        self._producer = producer
        self._left = self.length
        self._consumer: IConsumer | None = None

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self._consumer = consumer
        produced: Deferred[None] = self._producer.startProducing(self)
        return produced.addCallback(self._check_end)

    def write(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"the body is longer than the {self.length} bytes it announced")
        if self._consumer is not None:
            self._consumer.write(data)

    def _check_end(self, _: object) -> None:
        if self._left:
            raise ValueError(f"the body ended {self._left} bytes short of its {self.length}")

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Pauses go to the producer directly."""

    def unregisterProducer(self) -> None:
        """See `registerProducer`."""

    def pauseProducing(self) -> None:
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        self._consumer = None
        self._producer.stopProducing()


def _socket_address(
    address: TcpAddress | UnixAddress,
) -> IPv4Address | IPv6Address | UNIXAddress | None:
    """The address to dial; None for a host name."""
    if isinstance(address, UnixAddress):
        return UNIXAddress(os.fsencode(address.path))
    try:
        version = ip_address(address.host).version
    except ValueError:
        return None
    return (IPv6Address if version == 6 else IPv4Address)("TCP", address.host, address.port)


def _failed(reason: Exception | Failure) -> Deferred[IResponse]:
    failed: Deferred[IResponse] = Deferred()
    failed.errback(reason)
    return failed
