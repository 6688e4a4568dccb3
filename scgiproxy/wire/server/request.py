"""A SCGI request, as an ordinary `twisted.web.server.Request`."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import IO, TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import InvalidHeaderName
from twisted.web.server import Request

from scgiproxy.errors import BadRequest, quoted
from scgiproxy.message.headers import is_token
from scgiproxy.wire.server.target import Target, read_target

if TYPE_CHECKING:
    from scgiproxy.wire.server.channel import ScgiChannel

NO_REAL_HEADERS = frozenset((b"HTTP_CONTENT_LENGTH", b"HTTP_CONTENT_TYPE", b"HTTP_PROXY"))
FAILED_PAGE = (
    b"<!DOCTYPE html>\n<html lang=en><meta charset=utf-8><title>500 Internal Server Error</title>"
    b"<h1>Internal Server Error</h1><p>The application failed. The reason is in its log.</p></html>\n"
)


class ScgiServerRequest(Request):
    """What a Resource is asked to render.

    Everything of the base class works: `args`, `content`, `getClientAddress`, `isSecure`, sessions,
    producers, `notifyFinish`. `scgi_variables` has what the gateway sent, such as REMOTE_USER::

        def render_GET(self, request):
            return b"Hello, " + request.scgi_variables.get(b"REMOTE_USER", b"stranger")
    """

    channel: ScgiChannel | None  # type: ignore[assignment]
    scgi_variables: Mapping[bytes, bytes]
    target: Target
    _log = Logger()

    def __init__(self, channel: ScgiChannel) -> None:
        super().__init__(channel)  # type: ignore[no-untyped-call]
        self.scgi_variables = {}

    def variables_received(
        self, variables: Mapping[bytes, bytes], content: IO[bytes], mount: bytes
    ) -> None:
        """Become the request that `variables` describe, with the whole body in `content`.

        `mount` is where the application is if the gateway does not say. Raises BadRequest or
        NotFound, and nothing is rendered then; else the resource is found and rendered.
        """
        self.content = content
        method = variables.get(b"REQUEST_METHOD", b"")
        if not is_token(method):
            raise BadRequest(f"REQUEST_METHOD {quoted(method)} is no method")
        self.scgi_variables = variables
        self.target = read_target(variables, mount)
        self._read_headers(variables)
        self._read_addresses(variables)
        self.parseCookies()  # type: ignore[no-untyped-call]
        protocol = variables.get(b"SERVER_PROTOCOL", b"HTTP/1.0")
        self.requestReceived(method, self.target.uri, protocol)  # type: ignore[no-untyped-call]

    def _read_headers(self, variables: Mapping[bytes, bytes]) -> None:
        headers = self.requestHeaders
        for name, value in variables.items():
            if name.startswith(b"HTTP_") and name not in NO_REAL_HEADERS:
                try:
                    headers.addRawHeader(name[5:].replace(b"_", b"-"), value)
                except InvalidHeaderName:
                    self._log.debug("{name} is no header; only a variable", name=quoted(name))
        headers.setRawHeaders(b"Content-Length", [variables.get(b"CONTENT_LENGTH", b"0")])
        if content_type := variables.get(b"CONTENT_TYPE"):
            headers.setRawHeaders(b"Content-Type", [content_type])

    def _read_addresses(self, variables: Mapping[bytes, bytes]) -> None:
        get = variables.get
        secure = (
            get(b"HTTPS", b"").lower() in (b"on", b"1") or get(b"REQUEST_SCHEME", b"") == b"https"
        )
        self._forceSSL = int(secure)
        self.client = _address(get(b"REMOTE_ADDR", b""), get(b"REMOTE_PORT", b""), 0)
        name = get(b"SERVER_NAME") or get(b"SERVER_ADDR", b"")
        self.host = _address(name, get(b"SERVER_PORT", b""), 443 if secure else 80)

    def write(self, data: bytes) -> None:
        """Send body bytes; the first call sends the headers before them."""
        if self.startedWriting:
            super().write(data)  # type: ignore[no-untyped-call]
            return
        # The base class chooses chunked coding for HTTP/1.1. CGI has none: closing ends the body.
        protocol, self.clientproto = self.clientproto, b"CGI/1.1"
        try:
            super().write(data)  # type: ignore[no-untyped-call]
        finally:
            self.clientproto = protocol

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Pace `producer` by how fast the gateway reads; stop it at once if that has gone."""
        if self._disconnected:
            producer.stopProducing()
        else:
            super().registerProducer(producer, streaming)  # type: ignore[no-untyped-call]

    def unregisterProducer(self) -> None:
        """The end of `registerProducer`; harmless after the gateway has gone."""
        if getattr(self, "channel", None) is None:
            self.producer = None
        else:
            super().unregisterProducer()  # type: ignore[no-untyped-call]

    def processingFailed(self, reason: Failure) -> Failure:
        """A resource raised: a page without a word of why, or an abort if the answer has begun."""
        if self.site is not None and self.site.displayTracebacks and not self.startedWriting:
            return super().processingFailed(reason)  # type: ignore[no-untyped-call, no-any-return]
        self._log.failure(
            "{method} {path} failed", reason, method=self.method, path=self.target.path
        )
        if self.finished or self.channel is None:
            return reason
        if self.producer is not None:
            self.unregisterProducer()
        if self.startedWriting:
            self.channel.loseConnection()
            return reason
        for name, _ in list(self.responseHeaders.getAllRawHeaders()):
            self.responseHeaders.removeHeader(name)
        self.cookies.clear()
        self.lastModified = self.etag = None
        self.setResponseCode(500)
        self.setHeader(b"Content-Type", b"text/html; charset=utf-8")  # type: ignore[no-untyped-call]
        self.setHeader(b"Content-Length", b"%d" % len(FAILED_PAGE))  # type: ignore[no-untyped-call]
        self.write(FAILED_PAGE)
        self.finish()  # type: ignore[no-untyped-call]
        return reason


def _address(host: bytes, port: bytes, default_port: int) -> IPv4Address | IPv6Address:
    """An address to show: `host` may also be a name, or empty for a client on a UNIX socket."""
    text = host.decode("ascii", "backslashreplace").strip("[]")
    number = int(port) if port.isdigit() and len(port) < 6 else default_port
    try:
        version = ip_address(text).version
    except ValueError:
        version = 4
    return (IPv6Address if version == 6 else IPv4Address)("TCP", text, number)
