"""The site: one listener's factory of channels, and the way of every request through it.

It is no `twisted.web.server.Site`, since that could not be compiled; Resources find one in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from twisted.internet.interfaces import (
    IAddress,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
)
from twisted.python.failure import Failure
from twisted.web.server import Site
from zope.interface import classImplements

from scgiproxy.errors import ScgiProxyError
from scgiproxy.log.events import Logger
from scgiproxy.message.conditions import format_http_date
from scgiproxy.message.environ import server_identity
from scgiproxy.message.framing import RequestFraming
from scgiproxy.message.headers import HeaderList, parse_host
from scgiproxy.message.target import parse_target
from scgiproxy.web import refusal
from scgiproxy.web.address import ConnectionEnd
from scgiproxy.web.channel import HttpChannel
from scgiproxy.web.failurelog import FailureLog
from scgiproxy.web.hosts import HostTable
from scgiproxy.web.limits import ConnectionLimits, HostTerms
from scgiproxy.web.reader import RequestReader
from scgiproxy.web.request import GatewayRequest
from scgiproxy.web.statistics import count_answer
from scgiproxy.wire.deadline import DeadlineWheel
from scgiproxy.wire.spoolspace import SpoolSpace

if TYPE_CHECKING:
    from scgiproxy.web.vhost import VirtualHostResource

MOST_REMEMBERED = 1024


class _Host:
    """What a Host field (or an absolute target) means on one local end.

    `terms` are None if all hosts of that end say the same.
    """

    __slots__ = ("identity", "resource", "terms")

    def __init__(
        self,
        resource: VirtualHostResource,
        identity: tuple[bytes, bytes],
        terms: HostTerms | None,
    ) -> None:
        self.resource = resource
        self.identity = identity
        self.terms = terms


class GatewaySite:
    """Serves the virtual hosts of `hosts` on one listener.

    - `server_software`: the Server field and SERVER_SOFTWARE; empty sends no Server.
    - `secure`: the listener is TLS.

    `resource_site` is what Resources have for a site: it keeps their sessions.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        hosts: HostTable,
        *,
        clock: IReactorTime,
        wheel: DeadlineWheel,
        server_software: bytes = b"",
        secure: bool = False,
        spool_space: SpoolSpace | None = None,
    ) -> None:
        # Its hosts find what answers: there is no one tree of resources.
        self.resource_site: Any = Site(None, reactor=clock)
        self.hosts = hosts
        self.clock = clock
        self.seconds = clock.seconds
        self.wheel = wheel
        self.server_line = _server_line(server_software)
        self.secure = secure
        self.channels: set[HttpChannel] = set()
        self.spare_readers: list[RequestReader] = []
        self.spool_space = spool_space or SpoolSpace()
        self._failures = FailureLog(self._log, wheel)
        self._locals: dict[tuple[Any, Any], ConnectionEnd] = {}
        self._limits: dict[ConnectionEnd, ConnectionLimits] = {}
        self._known_hosts: dict[tuple[ConnectionEnd, bytes | None], _Host] = {}
        self._date_second = -1
        self._date_line = b""

    def follow(self, hosts: HostTable, server_software: bytes) -> None:
        """Serve these hosts from the next request of each connection on. What is being answered is
        the affair of those that it has found."""
        self.hosts = hosts
        self.server_line = _server_line(server_software)
        self._limits.clear()
        self._known_hosts.clear()
        # It tells failures apart by hosts and mounts.
        self._failures = FailureLog(self._log, self.wheel)
        for channel in self.channels:
            channel.set_limits(self.limits_for(channel.local))

    # -- a factory of channels -----------------------------------------------------------------

    def doStart(self) -> None:
        """A port has it from now on: that changes nothing."""

    def doStop(self) -> None:
        """See `doStart`."""

    def buildProtocol(self, addr: IAddress | None) -> HttpChannel:  # noqa: ARG002
        channel = HttpChannel()
        channel.factory = self
        return channel

    def acceptableProtocols(self) -> list[bytes]:
        """What is offered to a client that asks by ALPN (RFC 7301)."""
        return [b"http/1.1"]

    def local_end(self, address: Any) -> ConnectionEnd:
        """Our end of a connection; one object for each address."""
        key = (getattr(address, "host", None), getattr(address, "port", None))
        found = self._locals.get(key)
        if found is None:
            if len(self._locals) >= MOST_REMEMBERED:
                self._locals.clear()
            found = self._locals[key] = ConnectionEnd(address, self.secure)
        return found

    def limits_for(self, local: ConnectionEnd) -> ConnectionLimits:
        """The limits of a connection to that end, before a virtual host is named."""
        found = self._limits.get(local)
        if found is None:
            servers = [host.server for host in self.hosts.candidates(local)]
            found = self._limits[local] = ConnectionLimits.of(servers)
        return found

    def make_request(
        self,
        channel: HttpChannel,
        method: bytes,
        uri: bytes,
        protocol: bytes,
        framing: RequestFraming,
        headers: HeaderList,
        keep_alive: bool,
    ) -> GatewayRequest:
        return GatewayRequest(channel, self, method, uri, protocol, framing, headers, keep_alive)

    def date_line(self) -> bytes:
        """The line of the Date field, formatted once a second."""
        now = int(self.seconds())
        if now != self._date_second:
            self._date_second = now
            self._date_line = b"Date: %b\r\n" % format_http_date(now)
        return self._date_line

    # -- a request's way -----------------------------------------------------------------------

    def serve(self, request: GatewayRequest) -> None:
        """Find out who serves `request`, and let them. What goes wrong is answered."""
        local = request.channel.local
        try:
            if request.refusal is not None:
                host = self._host(local, None)
                request.host_resource, request.server_identity = host.resource, host.identity
                raise request.refusal
            uri = request.uri
            name = request.header(b"host")
            if not uri.startswith(b"/"):
                target = parse_target(uri, request.method, "nodecode")
                if target.authority is not None:
                    # RFC 9112 section 3.2.2: it takes the place of the Host field.
                    name = target.authority
                    request.replace_header(b"host", name)
            host = self._host(local, name)
            request.host_resource, request.server_identity = host.resource, host.identity
            if host.terms is not None:
                request.channel.set_terms(request, host.terms)
            resource = host.resource
            request.target = parse_target(uri, request.method, resource.server.encoded_slashes)
            resource.serve(request)
        except ScgiProxyError as error:
            if getattr(request, "host_resource", None) is None:
                request.host_resource = self.hosts.candidates(local)[0]
            self.answer_error(request, error)

    def _host(self, local: ConnectionEnd, name: bytes | None) -> _Host:
        key = (local, name)
        found = self._known_hosts.get(key)
        if found is None:
            parsed = parse_host(name) if name is not None else None
            resource = self.hosts.select(local, parsed[0] if parsed else None)
            server = resource.server
            identity = server_identity(
                canonical=server.canonical_name.value == "on",
                server_name=server.name,
                server_name_port=server.port,
                host=parsed,
                listening_port=local.port_number,
                server_addr=local.host,
                scheme=b"https" if local.secure else server.scheme,
            )
            if len(self._known_hosts) >= MOST_REMEMBERED:
                self._known_hosts.clear()
            terms = HostTerms.of(server) if self.limits_for(local).differ else None
            found = self._known_hosts[key] = _Host(resource, identity, terms)
        return found

    def reroute(self, request: GatewayRequest, raw_target: bytes) -> None:
        """Serve `request` once more, at another target of its virtual host."""
        resource = cast("VirtualHostResource", request.host_resource)
        try:
            request.target = parse_target(raw_target, b"GET", resource.server.encoded_slashes)
            resource.serve(request)
        except Exception:
            # Whoever called has ended its own part: nobody else would answer.
            request.failed(Failure())

    # -- what answers call ---------------------------------------------------------------------

    def answer_error(self, request: GatewayRequest, error: BaseException, detail: str = "") -> None:
        """Log `error` (see `FailureLog`); an error page if there is time for one, else an abort."""
        self._failures.tell(request, error, detail)
        if request.gone or request.finished:
            return
        if request.head_sent:
            request.abort(error if isinstance(error, Exception) else Exception(str(error)))
            return
        refusal.answer_error(request, error)

    def answered(self, request: GatewayRequest) -> None:
        """The answer to `request` has ended, well or not."""
        count_answer(request, self.seconds())
        host = request.host_resource
        for log in host.access_logs:
            log.log(request)


classImplements(GatewaySite, IProtocolFactory, IProtocolNegotiationFactory)


def _server_line(software: bytes) -> bytes:
    return b"Server: %b\r\n" % software if software else b""
