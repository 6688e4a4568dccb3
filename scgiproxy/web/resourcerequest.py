"""The `twisted.web.server.Request` that a Resource finds, in front of a gateway's own request.

A gateway needs next to nothing of what twisted.web prepares for every request (header objects,
cookies, arguments, peer addresses). It is made for requests that a Resource answers, no others.
"""

from __future__ import annotations

from collections.abc import Callable
from email.parser import BytesParser
from functools import cached_property
from io import BytesIO
from ipaddress import IPv4Address, IPv6Address
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from twisted.internet.interfaces import IProducer
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from scgiproxy.errors import BodyTooLarge, ClientGone
from scgiproxy.interfaces import IGatewayRequest
from scgiproxy.message.conditions import format_http_date
from scgiproxy.message.headers import HeaderList, is_field_value
from scgiproxy.web.access import parse_credentials

if TYPE_CHECKING:
    from scgiproxy.web.hosts import Host
    from scgiproxy.web.request import GatewayRequest

MOST_OF_FORM = 8 << 20
"""Bytes of a posted form that `ResourceRequest.args` takes apart, in memory as twisted.web does."""


def _parse_query(data: bytes) -> dict[bytes, list[bytes]]:
    # As text of one byte for each character: of bytes, parse_qs takes ASCII only.
    text = parse_qs(data.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    return {
        name.encode("latin-1"): [value.encode("latin-1") for value in values]
        for name, values in text.items()
    }


def _parse_urlencoded(_: bytes, data: bytes) -> dict[bytes, list[bytes]]:
    return _parse_query(data)


def _parse_multipart(content_type: bytes, data: bytes) -> dict[bytes, list[bytes]]:
    fields: dict[bytes, list[bytes]] = {}
    message = BytesParser().parsebytes(b"Content-Type: " + content_type + b"\r\n\r\n" + data)
    for part in message.get_payload() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
        if isinstance(name, str):
            value = part.get_payload(decode=True)  # type: ignore[union-attr]
            fields.setdefault(name.encode("utf-8", "surrogateescape"), []).append(value)  # type: ignore[arg-type]
    return fields


_FORMS: dict[bytes, Callable[[bytes, bytes], dict[bytes, list[bytes]]]] = {
    b"application/x-www-form-urlencoded": _parse_urlencoded,
    b"multipart/form-data": _parse_multipart,
}


class ResourceRequest(Request):
    """`request` for a Resource whose place is at `prepath`, with `postpath` behind it.

    It is over when the answer is, or when something else has begun to answer in its place: then it
    changes nothing any more. `IGatewayRequest` of it is `request`.
    """

    def __init__(
        self,
        request: GatewayRequest,
        prepath: list[bytes],
        postpath: list[bytes],
        content: IO[bytes] | None = None,
    ) -> None:
        # Not that of `Request`, which wants a channel of Twisted's own.
        Componentized.__init__(self)
        self.setComponent(IGatewayRequest, request)  # type: ignore[no-untyped-call]
        self._request = request
        self._over = False
        self.site = request.site.resource_site
        self.channel: Any = request.channel
        self.transport: Any = self.channel.transport
        self.client = self.transport.getPeer()
        self.host = self.transport.getHost()
        self.method = request.method
        self.uri = request.uri
        self.path = request.uri.partition(b"?")[0]
        self.clientproto = request.protocol
        self.prepath = prepath
        self.postpath = postpath
        # Sessions are of the whole site.
        self.sitepath: list[bytes] = []
        self.content: Any = content or BytesIO()
        self.requestHeaders = Headers()
        for name, value in request.raw_headers:
            self.requestHeaders.addRawHeader(name, value)
        self.received_cookies = {}
        self.parseCookies()  # type: ignore[no-untyped-call]
        self.responseHeaders = Headers()
        self.cookies = []
        self.notifications = []
        request.rendered += (self,)

    # -- the request ---------------------------------------------------------------------------

    @cached_property
    def args(self) -> dict[bytes, list[bytes]]:  # type: ignore[override]
        """Of the query and of a form that was posted. Raises BodyTooLarge over `MOST_OF_FORM`."""
        args = _parse_query(self._request.query)
        kind = self.getHeader(b"content-type") or b""
        media_type = kind.partition(b";")[0].strip().lower()
        if self.method == b"POST" and media_type in _FORMS:
            data = self.content.read(MOST_OF_FORM + 1)
            self.content.seek(0)
            if len(data) > MOST_OF_FORM:
                raise BodyTooLarge(f"a form of over {MOST_OF_FORM} bytes cannot be in args")
            args.update(_FORMS[media_type](kind, data))
        return args

    @property
    def host_resource(self) -> Host:
        """The virtual host, for pages of ours, and for the log: it has the events of its requests."""
        return self._request.host_resource

    @property
    def remote_ip(self) -> IPv4Address | IPv6Address | None:
        """The client's address to compare with networks; None on a UNIX socket."""
        return self._request.remote_ip

    @property
    def user(self) -> bytes | None:  # type: ignore[override]
        return self._request.user

    def getUser(self) -> bytes:
        """The authenticated user; without one, whom the request claims to be from."""
        if self.user is not None:
            return self.user
        return (self._credentials() or (b"", b""))[0]

    def getPassword(self) -> bytes:
        return (self._credentials() or (b"", b""))[1]

    def _credentials(self) -> tuple[bytes, bytes] | None:
        return parse_credentials(self.getHeader(b"authorization"))

    def isSecure(self) -> bool:
        return bool(self.channel.local.secure)

    def getRequestHostname(self) -> bytes:
        return self._request.server_identity[0].strip(b"[]")

    def _prePathURL(self, prepath: list[bytes]) -> bytes:
        path = "/".join(quote(segment, safe="") for segment in prepath)
        return self._request.origin + b"/" + path.encode("ascii")

    # -- the answer ----------------------------------------------------------------------------

    @property
    def finished(self) -> int:  # type: ignore[override]
        return int(self._request.finished)

    @property
    def _disconnected(self) -> bool:  # type: ignore[override]
        return self._request.gone

    @property
    def startedWriting(self) -> int:  # type: ignore[override]
        return int(self._request.head_sent)

    @property
    def sentLength(self) -> int:  # type: ignore[override]
        return self._request.body_sent

    def encode_with(self, encoder: Any) -> None:
        """Let `encoder` (an ``EncodingResourceWrapper`` has one) change the body; None: nobody."""
        self._encoder = encoder

    def write(self, data: bytes) -> None:
        if self._over or self._inFakeHead:
            return
        request = self._request
        if self._encoder is not None:
            data = self._encoder.encode(data)
        if not request.head_sent:
            self._send_head(None)
            if not data:
                request.flush()
        # A Resource may also have a bytearray, which it goes on to change.
        request.write(data if isinstance(data, bytes) else bytes(memoryview(data)))

    def finish(self) -> None:
        if self._over:
            return
        request = self._request
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            if not request.head_sent:
                self.responseHeaders.removeHeader(b"Content-Length")
            data = encoder.finish()
            if data:
                self.write(data)
        if not request.head_sent:
            self._send_head(0)
        request.finish()

    def _send_head(self, length: int | None) -> None:
        found = self.responseHeaders
        if self.lastModified is not None and not found.hasHeader(b"Last-Modified"):
            found.setRawHeaders(b"Last-Modified", [format_http_date(self.lastModified)])
        if self.etag is not None:
            found.setRawHeaders(b"ETag", [self.etag])
        headers: HeaderList = []
        for name, values in found.getAllRawHeaders():
            lower = name.lower()
            if lower == b"content-length":
                length = int(values[-1])
            elif lower not in (b"transfer-encoding", b"connection"):
                headers.extend((name, value) for value in values)
        if length != 0 and not found.hasHeader(b"Content-Type") and self.defaultContentType:
            headers.append((b"Content-Type", self.defaultContentType))
        headers.extend((b"Set-Cookie", cookie) for cookie in self.cookies)
        reason = self.code_message
        standard = reason == RESPONSES.get(self.code) or not is_field_value(reason)
        self._request.send_head(self.code, None if standard else reason, headers, length)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        if self._over:
            producer.stopProducing()
        else:
            # Resources say 0 and 1 as well.
            self._request.registerProducer(producer, bool(streaming))

    def unregisterProducer(self) -> None:
        if not self._over:
            self._request.unregisterProducer()

    def processingFailed(self, reason: Failure) -> Failure:
        self._request.failed(reason)
        return reason

    def loseConnection(self) -> None:
        self._request.abort(ClientGone("the resource has closed the connection"))

    # -- the end -------------------------------------------------------------------------------

    def let_go(self) -> None:
        """What this Resource answers is not wanted any more."""
        self._over = True
        self.content.close()

    def notify(self, failure: Failure | None) -> None:
        """Tell who waits for it that the answer has ended: well, or with `failure`."""
        notifications, self.notifications = self.notifications, []
        for deferred in notifications:
            if failure is None:
                deferred.callback(None)
            else:
                deferred.errback(failure)
