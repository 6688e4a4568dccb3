"""`twisted.web.server.Request` at the price of what is looked at.

A gateway needs next to nothing of what twisted.web prepares for every request (header objects,
cookies, arguments, peer addresses). `LazyRequest` makes each of these when somebody asks, so that
any twisted.web Resource still finds the request that it expects.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from scgiproxy.message.headers import HeaderList


class LazyRequest(Request):
    """See the module. Subclasses set `raw_headers`, `channel`, `uri`, `method`, `query`."""

    raw_headers: HeaderList
    """Request headers in order, names in lower case."""
    query: bytes
    channel: Any
    defaultContentType = None

    @property  # type: ignore[override]
    def requestHeaders(self) -> Headers:
        found = self.__dict__.get("requestHeaders")
        if found is None:
            found = Headers()
            for name, value in self.raw_headers:
                found.addRawHeader(name, value)
            self.__dict__["requestHeaders"] = found
        return found  # type: ignore[no-any-return]

    @property  # type: ignore[override]
    def responseHeaders(self) -> Headers:
        return self._made("responseHeaders", Headers)  # type: ignore[no-any-return]

    @property  # type: ignore[override]
    def cookies(self) -> list[bytes]:
        return self._made("cookies", list)  # type: ignore[no-any-return]

    @property  # type: ignore[override]
    def notifications(self) -> list[Deferred[None]]:
        return self._made("notifications", list)  # type: ignore[no-any-return]

    @notifications.setter
    def notifications(self, value: list[Deferred[None]]) -> None:
        self.__dict__["notifications"] = value

    @property  # type: ignore[override]
    def received_cookies(self) -> dict[bytes, bytes]:
        found = self.__dict__.get("received_cookies")
        if found is None:
            found = self.__dict__["received_cookies"] = {}
            self.parseCookies()
        return found  # type: ignore[no-any-return]

    @property  # type: ignore[override]
    def args(self) -> dict[bytes, list[bytes]]:
        return self._made("args", lambda: parse_qs(self.query, keep_blank_values=True))  # type: ignore[no-any-return]

    @property  # type: ignore[override]
    def content(self) -> Any:
        return self._made("content", BytesIO)

    @content.setter
    def content(self, value: Any) -> None:
        self.__dict__["content"] = value

    @property  # type: ignore[override]
    def client(self) -> Any:
        return self.channel.getPeer()

    @property  # type: ignore[override]
    def host(self) -> Any:
        return self._made("host", self.channel.getHost)

    @host.setter
    def host(self, value: Any) -> None:
        self.__dict__["host"] = value

    @property  # type: ignore[override]
    def transport(self) -> Any:
        return self.channel.transport

    @property
    def _adapterCache(self) -> dict[Any, Any]:
        return self._made("_adapterCache", dict)  # type: ignore[no-any-return]

    def _made(self, name: str, make: Any) -> Any:
        found = self.__dict__.get(name)
        if found is None:
            found = self.__dict__[name] = make()
        return found
