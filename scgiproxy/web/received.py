"""One HTTP request as it was received: its head, what the rules ask about it, and its body."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from scgiproxy.message.framing import BodyKind, RequestFraming
from scgiproxy.message.headers import HeaderList, combine
from scgiproxy.rules.headers import apply_edits
from scgiproxy.wire.body import LiveUpload, RequestBody
from scgiproxy.wire.spool import SpoolingConsumer

if TYPE_CHECKING:
    from scgiproxy.message.target import Target
    from scgiproxy.rules.settings import Settings
    from scgiproxy.web.channel import HttpChannel
    from scgiproxy.web.hosts import Host
    from scgiproxy.web.site import GatewaySite
    from scgiproxy.web.stock import StockChannel, StockSite


class ReceivedRequest:
    """See the module; `web.request.GatewayRequest` adds the answer. It is a `rules.facts.Facts`.

    - `target`: the normalised target, once the site has parsed it.
    - `host_resource`, `settings`: the virtual host, the merged settings.
    - `environment`: variables set by SetEnvIf, SetEnv and kin.
    - `user`: the authenticated user, or None.
    - `original_method`: as the client sent it; an internal redirect makes `method` GET.
    - `server_identity`: the name and the port by which the client knows this server.
    """

    target: Target
    host_resource: Host
    settings: Settings | None = None
    user: bytes | None = None
    head_sent = False
    gone = False
    finished = False
    body_read = 0
    upload: LiveUpload | None = None
    body_due = True
    """False as long as the client may wait for ``100 Continue``."""
    server_identity: tuple[bytes, bytes] = (b"", b"")
    _spooling: SpoolingConsumer | None = None
    _conditional: bool | None = None

    def __init__(
        self,
        channel: HttpChannel | StockChannel,
        site: GatewaySite | StockSite,
        method: bytes,
        uri: bytes,
        protocol: bytes,
        framing: RequestFraming,
        headers: HeaderList,
        keep_alive: bool,
    ) -> None:
        # Those of a stock request can do less, and are asked less.
        self.channel: Any = channel
        self.site: Any = site
        self.method = self.original_method = method
        self.uri = uri
        self.framing = framing
        self.raw_headers = headers
        self.keep_alive = keep_alive
        self.protocol = protocol
        self.is_http11 = protocol == b"HTTP/1.1"
        self.started = site.seconds()
        self.environment: dict[bytes, bytes] = {}
        self._gone_callbacks: list[Callable[[], None]] = []
        if framing.kind is not BodyKind.NONE:
            self._expect_body()

    # -- what the rules ask --------------------------------------------------------------------

    @property
    def decoded_path(self) -> bytes:
        return self.target.path

    @property
    def query(self) -> bytes:
        return self.target.query

    @property
    def remote_addr(self) -> bytes:
        return self.channel.remote.host  # type: ignore[no-any-return]

    @property
    def remote_ip(self) -> IPv4Address | IPv6Address | None:
        return self.channel.remote.ip  # type: ignore[no-any-return]

    @property
    def server_addr(self) -> bytes:
        return self.channel.local.host  # type: ignore[no-any-return]

    def header(self, name: bytes) -> bytes | None:
        """The header of that lower-case name, repeated ones joined; None if absent."""
        found = [value for key, value in self.raw_headers if key == name]
        if len(found) <= 1:
            return found[0] if found else None
        return combine(name, found)

    def replace_header(self, name: bytes, value: bytes) -> None:
        """Set the header of that lower-case name, in place of those that came."""
        kept = [item for item in self.raw_headers if item[0] != name]
        self.raw_headers = [(name, value), *kept]

    def header_names(self) -> Iterable[bytes]:
        return (name for name, _ in self.raw_headers)

    def _times(self) -> tuple[int, int]:
        """When the request began, and for how long it has gone on, in microseconds."""
        elapsed = self.site.seconds() - self.started
        return int(self.started * 1_000_000), int(elapsed * 1_000_000)

    @property
    def conditional(self) -> bool:
        """The request has a precondition (RFC 9110 section 13.1)."""
        found = self._conditional
        if found is None:
            found = any(name.startswith(b"if-") for name, _ in self.raw_headers)
            self._conditional = found
        return found

    @property
    def origin(self) -> bytes:
        """Scheme and authority by which the client knows this server."""
        name, port = self.server_identity
        secure = self.channel.local.secure
        if port == (b"443" if secure else b"80"):
            return (b"https://" if secure else b"http://") + name
        return (b"https://" if secure else b"http://") + name + b":" + port

    @property
    def backend_headers(self) -> HeaderList:
        """The request's headers as a backend gets them (RequestHeader, ProxyAddHeaders)."""
        settings = self.settings
        headers = self.raw_headers
        hop_by_hop = self.framing.hop_by_hop
        if hop_by_hop:
            # Before the operator's own: a client must not name those away.
            headers = [item for item in headers if item[0] not in hop_by_hop]
        if settings is None or not (settings.request_headers or settings.add_forwarded_headers):
            return headers
        headers = list(headers)
        if settings.add_forwarded_headers:
            headers.append((b"x-forwarded-for", self.remote_addr))
            headers.append((b"x-forwarded-host", self.header(b"host") or self.server_identity[0]))
            own_name = self.host_resource.server.name or self.server_identity[0]
            headers.append((b"x-forwarded-server", own_name))
        apply_edits(settings.request_headers, headers, self, times=self._times)
        return headers

    # -- the client leaves ---------------------------------------------------------------------

    def on_gone(self, callback: Callable[[], None]) -> None:
        if self.gone:
            callback()
        elif not self.finished:
            self._gone_callbacks.append(callback)

    # -- the upload ----------------------------------------------------------------------------

    def _expect_body(self) -> None:
        channel, framing = self.channel, self.framing
        self.upload = LiveUpload(
            framing.length or 0, channel.pause_upload, channel.resume_upload, self._wanted
        )
        self.body_due = not framing.expects_continue

    def body_received(self, data: bytes) -> None:
        self.body_read += len(data)
        if self.upload is not None:
            self.upload.received(data)

    def body_ended(self) -> None:
        if self.upload is not None:
            self.upload.ended()

    def body_failed(self, failure: Failure) -> None:
        """The rest of the body will not come, or cannot be read."""
        if self.upload is not None:
            self.upload.failed(failure)

    @property
    def body_complete(self) -> bool:
        return self.upload is None or self.upload.complete

    def _wanted(self) -> None:
        if not self.body_due:
            self.body_due = True
            if not self.head_sent:
                self.channel.send_continue(self)

    def spool(self, limit: int) -> Deferred[RequestBody]:
        """Collect an upload of unknown length; fires with a source of its true length.

        Fails with BodyTooLarge over `limit` bytes (0: no limit), with GatewayError when it cannot
        be kept, or with what made the client's sending fail.
        """
        assert self.upload is not None
        consumer = self._spooling = SpoolingConsumer(self.upload, limit, self.site.spool_space)
        self.on_gone(self.stop_spooling)
        return consumer.start()

    def stop_spooling(self) -> None:
        """Free what `spool` has collected. What it has returned does not fire any more."""
        spooling, self._spooling = self._spooling, None
        if spooling is not None:
            spooling.stop()
