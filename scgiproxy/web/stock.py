"""Mounts in any twisted.web server: a stock request in the shape that an exchange works on.

A stock server has read the whole body before a Resource sees the request, so there is nothing to
stream or to spool; the answer is streamed with backpressure all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.interfaces import IProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from scgiproxy.errors import ClientGone, ScgiProxyError
from scgiproxy.message.environ import server_identity
from scgiproxy.message.framing import BodyKind, RequestFraming
from scgiproxy.message.headers import HeaderList, parse_host
from scgiproxy.message.target import parse_target
from scgiproxy.rules.mapping import Mapped
from scgiproxy.rules.settings import ServerSettings
from scgiproxy.web import refusal
from scgiproxy.web.address import ConnectionEnd
from scgiproxy.web.hosts import Host
from scgiproxy.web.request import GatewayRequest
from scgiproxy.web.statistics import count_answer
from scgiproxy.wire.body import FileBody
from scgiproxy.wire.spoolspace import SpoolSpace

if TYPE_CHECKING:
    from scgiproxy.web.mount import ProxyPassResource

# What an earlier pass of the same stock request left for the next one (internal redirects).
_PASSES = "_scgiproxy_passes"


class StockSite:
    """What a request asks of its site, for mounts outside a gateway's own."""

    log: ClassVar[Logger] = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.seconds = clock.seconds
        self.spool_space = SpoolSpace()
        self.server_line = b""

    def answer_error(self, request: Any, error: BaseException, detail: str = "") -> None:
        """Log `error`; an error page if there is time for one, else an abort."""
        if not isinstance(error, ClientGone):
            self.log.warn("{error} ({uri} {detail})", error=error, uri=request.uri, detail=detail)
        if request.head_sent:
            request.abort(error if isinstance(error, Exception) else Exception(str(error)))
        else:
            refusal.answer_error(request, error)

    def answered(self, request: StockRequest) -> None:
        """A stock server has its own access log."""
        count_answer(request, self.seconds())

    def reroute(self, request: StockRequest, raw_target: bytes) -> None:
        """Render the stock request once more, from the root of its site."""
        stock = request.stock
        setattr(stock, _PASSES, request)
        stock.method = request.method
        stock.uri = raw_target
        path = raw_target.partition(b"?")[0]
        stock.path = path
        stock.prepath = []
        stock.postpath = parse_target(raw_target, b"GET").path[1:].split(b"/")
        for name, value in request.carried:
            stock.responseHeaders.addRawHeader(name, value)
        request.carried = []
        request.finished = True
        site: Any = stock.site
        stock.render(site.getResourceFor(stock))


class StockChannel:
    """The ends of a stock request's connection."""

    def __init__(self, stock: Request) -> None:
        self.local = ConnectionEnd(stock.getHost(), bool(stock.isSecure()))
        self.remote = ConnectionEnd(stock.getClientAddress())
        self.transport = stock.transport


class StockRequest(GatewayRequest):
    """`stock`, any `twisted.web.server.Request`, for the mount `resource`.

    Its `prepath` is the mount point. Raises ScgiProxyError for a target or Host that cannot be.
    """

    def __init__(self, stock: Any, resource: ProxyPassResource, site: StockSite) -> None:
        length = 0
        if stock.content is not None:
            length = stock.content.seek(0, 2)
            stock.content.seek(0)
        headers = [
            (name.lower(), value)
            for name, values in stock.requestHeaders.getAllRawHeaders()
            for value in values
        ]
        super().__init__(
            StockChannel(stock),
            site,
            stock.method,
            stock.uri,
            stock.clientproto,
            RequestFraming(BodyKind.NONE, length, True, False),
            headers,
            True,
        )
        self.stock = stock
        earlier: StockRequest | None = getattr(stock, _PASSES, None)
        if earlier is not None:
            self.redirects = earlier.redirects
            self.environment = earlier.environment
            self.error_status = earlier.error_status
        elif length:
            self.body_read = length
            self.upload = FileBody(stock.content, length)  # type: ignore[assignment]
        self.host_resource = Host(ServerSettings(), resource.default_settings, b"scgiproxy")
        self.settings = resource.default_settings
        self.target = parse_target(stock.uri, stock.method, "on")
        prefix = b"".join(b"/" + step for step in stock.prepath or () if step)
        rest = b"/" + b"/".join(stock.postpath or ())
        path_on_backend = b"" if resource.mount.target is None else resource.mount.target.path
        self.mapped = Mapped(resource.mount, path_on_backend.rstrip(b"/") + rest, prefix)
        name = self.header(b"host")
        local = self.channel.local
        self.server_identity = server_identity(
            canonical=False,
            server_name=b"",
            server_name_port=None,
            host=parse_host(name) if name else None,
            listening_port=local.port_number,
            server_addr=local.host,
        )
        stock.notifyFinish().addErrback(self._stock_gone)

    @property
    def body_complete(self) -> bool:
        return True

    def _stock_gone(self, failure: Failure) -> None:
        if not self.gone and not self.finished:
            self._leave(failure)

    def send_head(
        self,
        status: int,
        reason: bytes | None,  # noqa: ARG002  it has no place in a stock answer
        headers: HeaderList,
        length: int | None,
    ) -> None:
        if self.head_sent or self.gone:
            return
        self.head_sent = True
        stock = self.stock
        self.status_sent = status if self.status_is_said else self.error_status or status
        stock.setResponseCode(self.status_sent)
        stock.defaultContentType = None
        for name, value in headers:
            # What stands there is the stock server's own guess.
            if name.lower() in (b"server", b"date", b"content-type"):
                stock.responseHeaders.removeHeader(name)
            stock.responseHeaders.addRawHeader(name, value)
        if length is not None:
            stock.setHeader(b"content-length", b"%d" % length)
        self._length = length

    def write(self, data: bytes) -> None:
        if self.gone or self.finished:
            return
        if self._length is not None:
            data = data[: self._length - self.body_sent]
        self.body_sent += len(data)
        self.stock.write(data)

    @property
    def takes_files(self) -> bool:
        return False

    def flush(self) -> None:
        if not self.gone and not self.finished and not self.stock.startedWriting:
            self.stock.write(b"")

    def finish(self) -> None:
        if self.gone or self.finished:
            return
        bodiless = self.method == b"HEAD" or self.stock.code in (204, 304)
        if self._length is not None and self.body_sent < self._length and not bodiless:
            self.abort(ClientGone(f"{self.body_sent} of {self._length} bytes"))
            return
        self._end()
        self.stock.finish()

    def abort(self, reason: Exception) -> None:
        if self.gone or self.finished:
            return
        self._leave(Failure(reason))
        # On HTTP/2 the request has no transport, and its channel ends the stream.
        transport: Any = self.stock.transport
        if transport is None:
            transport = self.stock.channel
        transport.abortConnection()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        if self.gone or self.finished:
            producer.stopProducing()
        else:
            self.stock.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        if not self.gone and not self.finished and self.stock.producer is not None:
            self.stock.unregisterProducer()


def serve_stock_request(stock: Request, resource: ProxyPassResource) -> int:
    """Answer a stock request from `resource`."""
    site = StockSite(resource.clock)
    try:
        request = StockRequest(stock, resource, site)
    except ScgiProxyError as error:
        stock.setResponseCode(error.status)
        stock.finish()
        return NOT_DONE_YET
    try:
        resource.serve(request)
    except ScgiProxyError as error:
        site.answer_error(request, error)
    return NOT_DONE_YET
