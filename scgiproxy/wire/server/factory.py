"""The factory: what is served, and within which limits."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource
from twisted.web.server import Site

from scgiproxy.wire.server.channel import ScgiChannel
from scgiproxy.wire.server.request import ScgiServerRequest

DEFAULT_MAX_BODY = 64 << 20


class ScgiServerFactory(Site):
    """A `twisted.web.server.Site` whose connections speak SCGI instead of HTTP.

    - `resource`: the root of the resource tree.
    - `reactor`: for timeouts and sessions.
    - `timeout`: seconds without a byte from the gateway, while it should send or read; None for no
      limit. How long a resource takes is its own affair.
    - `max_header`: bytes of the request's variables; more is answered with 400.
    - `max_body`: bytes of a request's body; more is answered with 413. Over 1 MiB it is kept in an
      unlinked temporary file.
    - `mount`: the decoded path where the application is, for gateways that send no PATH_INFO; such
      as ``b"/app"``. With PATH_INFO, SCRIPT_NAME says it.
    - `parse_forms`: put the fields of a POSTed form into ``request.args``. That takes several times
      the memory of the form; without it the resource reads ``request.content``.
    - `log_path`: a file for an access log of its own; the gateway usually has one already.

    Raises ValueError for limits that are not positive and for a `mount` without its first slash.
    """

    protocol = ScgiChannel  # type: ignore[assignment]
    requestFactory = ScgiServerRequest  # type: ignore[assignment]
    noisy = False

    def __init__(
        self,
        resource: IResource,
        *,
        reactor: IReactorTime,
        timeout: float | None = 60.0,
        max_header: int = 65536,
        max_body: int = DEFAULT_MAX_BODY,
        mount: bytes = b"",
        parse_forms: bool = True,
        log_path: str | None = None,
    ) -> None:
        if (timeout is not None and timeout <= 0) or max_header <= 0 or max_body < 0:
            raise ValueError("timeout and max_header must be positive, and max_body not negative")
        if mount and not mount.startswith(b"/"):
            raise ValueError(f"mount {mount!r} does not begin with a slash")
        super().__init__(  # type: ignore[no-untyped-call]
            resource,
            parsePOSTFormSubmission=parse_forms,
            logPath=log_path,
            timeout=timeout,
            reactor=reactor,
        )
        self.max_header = max_header
        self.max_body = max_body
        self.mount = mount
        self.channels: set[ScgiChannel] = set()
        """The connections that are open."""

    def startFactory(self) -> None:
        if self.logPath is not None:  # else it would log to the process's log
            super().startFactory()

    def abort_connections(self) -> None:
        """Break off everything that is being read or answered, such as when a service stops."""
        for channel in list(self.channels):
            channel.transport.abortConnection()

    def getResourceFor(self, request: ScgiServerRequest) -> Any:
        """The resource for `request`, found from where the application is mounted."""
        # The base class has split the whole path, and written headers that are the gateway's.
        request.prepath = list(request.target.prepath)
        request.postpath = list(request.target.postpath)
        request.responseHeaders.removeHeader(b"Server")
        request.responseHeaders.removeHeader(b"Date")
        return super().getResourceFor(request)  # type: ignore[no-untyped-call]

    def acceptableProtocols(self) -> list[bytes]:
        """None to negotiate: SCGI has no ALPN name."""
        return []
