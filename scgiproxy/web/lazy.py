"""`twisted.web.server.Request` at the price of what is looked at.

A gateway needs next to nothing of what twisted.web prepares for every request (header objects,
cookies, arguments, peer addresses). `LazyRequest` makes each of these when somebody asks, so that
any twisted.web Resource still finds the request that it expects.
"""

from __future__ import annotations

from collections.abc import Callable
from email.parser import BytesParser
from functools import cached_property
from io import BytesIO
from typing import IO, Any
from urllib.parse import parse_qs, quote

from twisted.internet.defer import Deferred
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from scgiproxy.errors import BodyTooLarge, ClientGone
from scgiproxy.message.conditions import format_http_date
from scgiproxy.message.headers import HeaderList, is_field_value
from scgiproxy.web.access import parse_credentials

MOST_OF_FORM = 8 << 20
"""Bytes of a posted form that `LazyRequest.args` takes apart, in memory as twisted.web does."""


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

_OF_A_RESOURCE = (
    *("args", "requestHeaders", "received_cookies", "responseHeaders", "cookies"),
    *("code", "code_message", "etag", "lastModified", "_encoder"),
)


class LazyRequest(Request):
    """See the module. What is declared here is the subclass's to set."""

    raw_headers: HeaderList
    """Request headers in order, names in lower case."""
    query: bytes
    channel: Any
    user: bytes | None  # type: ignore[assignment]
    server_identity: tuple[bytes, bytes]
    gone: bool
    head_sent: bool
    body_sent: int

    def send_head(
        self, status: int, reason: bytes | None, headers: HeaderList, length: int | None
    ) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        raise NotImplementedError

    def abort(self, reason: Exception) -> None:
        raise NotImplementedError

    @property
    def origin(self) -> bytes:
        raise NotImplementedError

    # -- the request ---------------------------------------------------------------------------

    @cached_property
    def requestHeaders(self) -> Headers:  # type: ignore[override]
        headers = Headers()
        for name, value in self.raw_headers:
            headers.addRawHeader(name, value)
        return headers

    @cached_property
    def responseHeaders(self) -> Headers:  # type: ignore[override]
        return Headers()

    @cached_property
    def cookies(self) -> list[bytes]:  # type: ignore[override]
        return []

    @cached_property
    def notifications(self) -> list[Deferred[None]]:  # type: ignore[override]
        return []

    @cached_property
    def received_cookies(self) -> dict[bytes, bytes]:  # type: ignore[override]
        found = self.__dict__["received_cookies"] = {}
        self.parseCookies()  # type: ignore[no-untyped-call]
        return found

    @cached_property
    def args(self) -> dict[bytes, list[bytes]]:  # type: ignore[override]
        return self._parse_args()

    def _parse_args(self) -> dict[bytes, list[bytes]]:
        """Of the query and of a form that was posted. Raises BodyTooLarge over `MOST_OF_FORM`."""
        args = _parse_query(self.query)
        kind = self.getHeader(b"content-type") or b""
        media_type = kind.partition(b";")[0].strip().lower()
        if self.method == b"POST" and media_type in _FORMS:
            data = self.content.read(MOST_OF_FORM + 1)
            self.content.seek(0)
            if len(data) > MOST_OF_FORM:
                raise BodyTooLarge(f"a form of over {MOST_OF_FORM} bytes cannot be in args")
            args.update(_FORMS[media_type](kind, data))
        return args

    @cached_property
    def content(self) -> IO[bytes]:  # type: ignore[override]
        return BytesIO()

    @cached_property
    def path(self) -> bytes:  # type: ignore[override]
        return self.uri.partition(b"?")[0]

    @cached_property
    def sitepath(self) -> list[bytes]:
        """Sessions are of the whole site."""
        return []

    @cached_property
    def client(self) -> Any:
        return self.channel.transport.getPeer()

    @cached_property
    def host(self) -> Any:
        return self.channel.transport.getHost()

    @cached_property
    def transport(self) -> Any:  # type: ignore[override]
        return self.channel.transport

    @cached_property
    def _adapterCache(self) -> dict[Any, Any]:  # type: ignore[override]
        return {}

    @property
    def _disconnected(self) -> bool:  # type: ignore[override]
        return self.gone

    @property
    def startedWriting(self) -> int:  # type: ignore[override]
        return int(self.head_sent)

    @property
    def sentLength(self) -> int:  # type: ignore[override]
        return self.body_sent

    def getUser(self) -> bytes:
        """The authenticated user; without one, whom the request claims to be from."""
        if self.user is not None:
            return self.user
        return (self._credentials() or (b"", b""))[0]

    def getPassword(self) -> bytes:
        return (self._credentials() or (b"", b""))[1]

    def _credentials(self) -> tuple[bytes, bytes] | None:
        return parse_credentials(self.getHeader(b"authorization"))

    def getRequestHostname(self) -> bytes:
        return self.server_identity[0].strip(b"[]")

    def _prePathURL(self, prepath: list[bytes]) -> bytes:
        path = "/".join(quote(segment, safe="") for segment in prepath)
        return self.origin + b"/" + path.encode("ascii")

    def loseConnection(self) -> None:
        self.abort(ClientGone("the resource has closed the connection"))

    def encode_with(self, encoder: Any) -> None:
        """Let `encoder` (an ``EncodingResourceWrapper`` has one) change the body; None: nobody."""
        self._encoder = encoder

    # -- the answer of a Resource --------------------------------------------------------------

    def _begin_resource_answer(self, data: bytes) -> bytes:
        """Send the head that a Resource has put together; what is left of its first `data`."""
        if self._inFakeHead:
            return b""
        if self._encoder is not None:
            data = self._encoder.encode(data)
        self._send_resource_head(None)
        if not data:
            self.flush()
        return data

    def _finish_resource_answer(self) -> None:
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            if not self.head_sent:
                self.responseHeaders.removeHeader(b"Content-Length")
            data = encoder.finish()
            if data:
                self.write(data)
        if not self.head_sent:
            self._send_resource_head(0)

    def _send_resource_head(self, length: int | None) -> None:
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
        self.send_head(self.code, None if standard else reason, headers, length)

    def forget_resource(self) -> None:
        """Nothing that a Resource was given or has set is for the next one."""
        made = self.__dict__
        content = made.pop("content", None)
        if content is not None:
            content.close()
        for name in _OF_A_RESOURCE:
            made.pop(name, None)
