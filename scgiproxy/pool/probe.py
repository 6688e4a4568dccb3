"""One look at a backend: a connection, and maybe a request on it."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from urllib.parse import unquote_to_bytes

from twisted.python.failure import Failure
from zope.interface import implementer

from scgiproxy.errors import BackendError, ConnectFailed, GatewayError
from scgiproxy.interfaces import IDeadline, IResponseReceiver
from scgiproxy.message.backend_url import TcpAddress, split_authority
from scgiproxy.message.environ import StaticEnviron, request_block
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.connecting import Connecting
from scgiproxy.pool.route import Route
from scgiproxy.rules.health import KEPT_BODY, MOST_READ, CheckAnswer, HealthCheck
from scgiproxy.scgi.response import ResponseHead
from scgiproxy.wire.client import ScgiClientProtocol, ScgiRequest
from scgiproxy.wire.dial import Dialer
from scgiproxy.wire.streamsocket import SocketAddress

USER_AGENT = b"scgiproxy (health check)"

Done = Callable[[bool | None, str], object]
"""Takes how a probe went: see `rules.health.ProbeResult`."""


@implementer(IDeadline, IResponseReceiver)
class Probe:
    """Connects along `route`, asks what `check` says, and tells `done` once; after `cancel` nobody.

    - `check`: None, or one whose method does not ask, looks no further than the connection.
    - `block`: the variables of the request, by `check_block`.
    - `timeout`: seconds for all of it.

    It takes none of the backend's places and is in none of its counters. What says nothing about
    the backend (its listen queue is full, its name cannot be resolved, the gateway has no socket
    left) neither passes nor fails.
    """

    __slots__ = (
        "_body",
        "_check",
        "_client",
        "_connecting",
        "_dialer",
        "_done",
        "_ended",
        "_head",
        "_read",
        "_request",
        "_route",
        "_timeout",
        "deadline",
    )

    def __init__(
        self,
        route: Route,
        done: Done,
        *,
        dialer: Dialer,
        timeout: float,
        check: HealthCheck | None = None,
        block: bytes = b"",
    ) -> None:
        self._route = route
        self._done = done
        self._dialer = dialer
        self._timeout = timeout
        self._check = check
        self._request: ScgiRequest | None = None
        if check is not None and check.method.asks:
            half_close = route.backend.settings.half_close
            self._request = ScgiRequest(block, None, check.method.verb == b"HEAD", half_close)
        self._connecting: Connecting | None = None
        self._client: ScgiClientProtocol | None = None
        self._head: ResponseHead | None = None
        self._body = bytearray()
        self._read = 0
        self._ended = False
        self.deadline = inf

    def __repr__(self) -> str:
        return f"<Probe {self._route.backend.label}>"

    def start(self) -> None:
        """Begin. `done` may be called before this returns."""
        self.deadline = self._dialer.reactor.seconds() + self._timeout
        self._dialer.wheel.watch(self)
        addresses = self._route.addresses.current()
        if addresses:
            self._connect(addresses)
        else:
            self._route.addresses.wait(self)

    def cancel(self) -> None:
        """Break it off. Safe at any time."""
        if self._ended:
            return
        self._ended = True
        self._dialer.wheel.forget(self)
        self._route.addresses.forget(self)
        if self._connecting is not None:
            self._connecting.stop()
        if self._client is not None:
            self._client.cancel()
            self._client = None

    def _end(self, passed: bool | None, told: str) -> None:
        self.cancel()
        self._done(passed, told)

    # -- the connection ------------------------------------------------------------------------

    def resolved(self, addresses: tuple[SocketAddress, ...]) -> None:
        """The first answer of the name server (see `pool.resolve.Addresses.wait`)."""
        if self._ended:
            return
        if addresses:
            self._connect(addresses)
        else:
            self._end(None, "its host name has no address")

    def _connect(self, addresses: tuple[SocketAddress, ...]) -> None:
        route = self._route
        self._connecting = Connecting(
            route,
            addresses,
            # With less time than a connection may take, it is the whole that is out of time.
            timeout=route.timeout if route.timeout < self._timeout else inf,
            connected=self._connected,
            failed=self._failed,
        )
        self._connecting.start()

    def _connected(self, _: Connecting, address: SocketAddress) -> ScgiClientProtocol | None:  # noqa: ARG002
        if self._request is None:
            self._end(True, "connected")
            return None
        self._client = ScgiClientProtocol(
            self._request, self, self._dialer.wheel, self._dialer.reactor, inf
        )
        return self._client

    def _failed(self, _: Connecting, error: BaseException | None) -> None:
        counts = not isinstance(error, ConnectFailed) or error.counts
        self._end(False if counts else None, str(error))

    def deadline_passed(self) -> None:
        """Of the whole."""
        seconds = f"within {self._timeout:g} s"
        if self._connecting is None:
            self._end(None, f"its host name could not be resolved {seconds}")
        elif self._client is None:
            self._end(False, f"no connection {seconds}")
        else:
            what = "answer" if self._head is None else "end of its answer"
            self._end(False, f"no {what} {seconds}")

    # -- the answer ----------------------------------------------------------------------------

    def head_received(self, head: ResponseHead) -> None:
        self._head = head

    def body_received(self, data: bytes) -> None:
        # More than is kept is read: a backend that cannot write may log that as an error.
        self._read += len(data)
        if (room := KEPT_BODY - len(self._body)) > 0:
            self._body += data[:room]
        if self._read > MOST_READ and not self._ended:
            # Enough has been seen. Nobody needs a download every few seconds.
            self._judge()

    def pieces_received(self) -> None:
        """Nothing is passed on."""

    def response_complete(self) -> None:
        self._client = None
        self._judge()

    def _judge(self) -> None:
        head, check = self._head, self._check
        if head is None or check is None:
            return
        try:
            complaint = check.complaint(CheckAnswer(head.status, head.headers, bytes(self._body)))
        except GatewayError as error:
            complaint = str(error)
        self._end(not complaint, complaint or f"status {head.status}")

    def response_failed(self, error: BackendError) -> None:
        self._client = None
        self._end(False, str(error))

    def upload_failed(self, failure: Failure) -> None:
        """Nothing is uploaded."""


def check_block(backend: Backend, check: HealthCheck, server_software: bytes) -> bytes:
    """The variables of a request by which the gateway itself asks `backend`.

    The path is that of the member's URL and `hcuri`, with one slash in between. It is SCRIPT_NAME,
    or, with ``pathinfo=On``, PATH_INFO; the Host is that of the URL.
    """
    uri = backend.path or b"/"
    if check.uri:
        uri = uri.rstrip(b"/") + b"/" + check.uri.lstrip(b"/")
    written, _, query = uri.partition(b"?")
    path = unquote_to_bytes(written)
    has_path_info = bool(backend.settings.path_info)
    host = _host_name(backend)
    return request_block(
        StaticEnviron({b"SERVER_SOFTWARE": server_software, b"REQUEST_SCHEME": b"http"}),
        check.method.verb,
        uri,
        check.method.protocol,
        [(b"Host", host), (b"User-Agent", USER_AGENT)],
        {},
        query=query,
        script_name=b"" if has_path_info else path,
        path_info=path if has_path_info else None,
        server_name=host,
        server_port=b"80",
        server_addr=b"127.0.0.1",
        remote_addr=b"127.0.0.1",
        remote_port=b"",
    )


def _host_name(backend: Backend) -> bytes:
    """What stands for the host in the URL, as HTTP writes it; of an address alone ``localhost``."""
    if isinstance(backend.address, TcpAddress):
        host = backend.address.host
    else:
        authority = backend.label.rpartition("|")[2].partition("://")[2].partition("/")[0]
        try:
            host = split_authority(authority.rpartition("@")[2])[0]
        except ValueError:
            host = ""
    return b"[%b]" % host.encode() if ":" in host else host.encode() or b"localhost"
