"""A mount: the Resource that passes requests on to a pool of SCGI backends.

In a gateway's own site the mounts are leaves that `web.vhost` picks. In any other twisted.web tree
one is put like every Resource::

    root.putChild(b"app", ProxyPassResource.for_url(reactor, "scgi://127.0.0.1:4000/"))

and then the request's `prepath` is SCRIPT_NAME.
"""

from __future__ import annotations

from typing import Any, Final, cast

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET
from zope.interface import classImplements

from scgiproxy.interfaces import IGatewayRequest, IPool
from scgiproxy.message.backend_url import parse_backend_url
from scgiproxy.message.environ import request_block
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.resolve import Resolver
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.mapping import Mapped, Mount
from scgiproxy.rules.settings import Settings
from scgiproxy.web.address import ConnectionEnd
from scgiproxy.web.exchange import Exchange
from scgiproxy.web.request import GatewayRequest
from scgiproxy.web.statistics import MountStatistics
from scgiproxy.web.stock import serve_stock_request
from scgiproxy.wire.deadline import DeadlineWheel
from scgiproxy.wire.dial import Dialer

PATH_INFO_VARIABLE: Final = b"proxy-scgi-pathinfo"


class ProxyPassResource:
    """Serves every request, of any method, from `pool`. It is an `IResource`, and a leaf.

    - `mount`: where it is mounted; ``settings.path_info`` True sends PATH_INFO, None leaves it to
      the variable ``proxy-scgi-pathinfo``.
    - `settings`: for requests that do not come through a gateway's own site.
    - `timeout`: seconds for each wait on a backend that has no timeout of its own.
    - `max_header`: bytes of the header block that all backends take, those to come included; None
      is the least that one of `pool` takes.
    - `server`: the name of the virtual host, for the statistics.
    """

    isLeaf = True
    # `Resource.putChild` says here where it has been put.
    server: Any = None

    def __init__(
        self,
        pool: IPool,
        mount: Mount,
        *,
        wheel: DeadlineWheel,
        clock: IReactorTime,
        timeout: float = 60.0,
        settings: Settings | None = None,
        max_header: int | None = None,
        server: str = "",
    ) -> None:
        self.statistics = MountStatistics(server, mount.path_text)
        self.pool = pool
        self.mount = mount
        self.wheel = wheel
        self.clock = clock
        self.timeout = timeout
        self.default_settings = settings or Settings()
        if max_header is None:
            max_header = min(backend.settings.max_header for backend in pool.backends)
        self.max_header = max_header

    @classmethod
    def for_url(
        cls,
        reactor: Any,
        url: str,
        backend: BackendSettings | None = None,
        settings: Settings | None = None,
    ) -> ProxyPassResource:
        """A mount of one backend, for any tree of twisted.web.

        `url` is ``scgi://host:port/path`` or ``unix:/path|scgi://name/``; `backend` has its worker
        parameters (by default PATH_INFO is sent), `settings` what sections would say. Raises
        ValueError for a URL that is none.
        """
        parsed = parse_backend_url(url)
        if parsed.address is None:
            raise ValueError(f"{url} is a balancer; expected one backend")
        parameters = backend or BackendSettings(path_info=True)
        wheel = DeadlineWheel(reactor)
        pool = Pool(
            parsed.label,
            [Backend(parsed.label, parsed.address, parsed.path, parameters, clock=reactor)],
            dialer=Dialer(reactor, wheel),
            resolver=Resolver(reactor),
        )
        mount = Mount(b"/", parsed, parameters, source=parsed.label)
        return cls(pool, mount, wheel=wheel, clock=reactor, settings=settings)

    def __repr__(self) -> str:
        return f"<ProxyPassResource {self.mount.source} {self.pool!r}>"

    def render(self, request: Any) -> int:
        """Answer any `twisted.web.server.Request`, with the response to come."""
        ours = cast("GatewayRequest | None", IGatewayRequest(request, None))
        if ours is None:
            return serve_stock_request(request, self)
        self.serve(ours)
        return NOT_DONE_YET

    def getChildWithDefault(self, name: bytes, request: Any) -> ProxyPassResource:  # noqa: ARG002
        """It serves all that is below it itself."""
        return self

    def putChild(self, path: bytes, child: Any) -> None:  # noqa: ARG002
        """Raises ValueError."""
        raise ValueError(f"{self!r} is a leaf: it has no children")

    def serve(self, request: GatewayRequest) -> None:
        """Answer `request`. Raises ScgiProxyError if it cannot even be started."""
        statistics = request.statistics = self.statistics
        statistics.in_flight += 1
        Exchange(request, self).start()

    def block(self, request: GatewayRequest, member_path: bytes = b"") -> bytes:
        """The encoded variables for `request`, without the two that frame it.

        `member_path` is the path of a balancer member's URL, in front of the mount's.
        """
        environment = request.environment
        mapped = request.mapped or Mapped(self.mount, request.target.path, b"")
        wants_path_info = self.mount.settings.path_info
        if wants_path_info is None:
            wants_path_info = PATH_INFO_VARIABLE in environment
        if wants_path_info:
            script_name = mapped.script_name
            path_info: bytes | None = mapped.backend_path
            if member_path:
                path_info = member_path.rstrip(b"/") + mapped.backend_path
        else:
            script_name = request.target.path
            path_info = None
        host = request.host_resource
        channel = request.channel
        local: ConnectionEnd = channel.local
        remote: ConnectionEnd = channel.remote
        name, port = request.server_identity
        settings = request.settings or self.default_settings
        return request_block(
            host.static_environ(local),
            request.method,
            request.uri,
            request.protocol,
            request.backend_headers,
            environment,
            query=request.target.query,
            script_name=script_name,
            path_info=path_info,
            server_name=name,
            server_port=port,
            server_addr=local.host,
            remote_addr=remote.host,
            remote_port=remote.port,
            user=request.user,
            auth_type=b"Basic" if request.user is not None else None,
            pass_authorization=settings.cgi_pass_auth,
            document_root=host.document_root,
        )


classImplements(ProxyPassResource, IResource)
