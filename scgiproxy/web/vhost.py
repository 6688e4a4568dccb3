"""A virtual host: from a normalised target to the resource that answers.

The order is Apache's: server-level SetEnvIf, the mapping (ProxyPass of a Location before the
host's table), the sections' settings, their SetEnvIf, access and authentication, SetEnv, and then
the mount, the plugin's Resource or the file. One normal form of the path serves all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import IResource, getChildForRequest

from scgiproxy.errors import BodyTooLarge, GatewayError, NotFound, quoted
from scgiproxy.rules.access import Outcome
from scgiproxy.rules.environment import apply_rules
from scgiproxy.rules.mapping import (
    Alias,
    Mapped,
    MappingTable,
    Mount,
    find_alias,
    mapped_url,
)
from scgiproxy.rules.sections import SectionTable
from scgiproxy.rules.settings import ServerSettings, Settings
from scgiproxy.web.access import admit
from scgiproxy.web.hosts import Host, HostNames
from scgiproxy.web.mount import ProxyPassResource
from scgiproxy.web.refusal import answer_status
from scgiproxy.web.request import GatewayRequest
from scgiproxy.web.resourcerequest import ResourceRequest
from scgiproxy.web.static import answer_static
from scgiproxy.web.statistics import MountStatistics
from scgiproxy.wire.body import FileBody, RequestBody

if TYPE_CHECKING:
    from scgiproxy.web.accesslog import AccessLogFile
    from scgiproxy.web.passwords import Authenticators

NO_PROXY: Final = b"no-proxy"


class VirtualHostResource(Host):
    """One virtual host, or the main server.

    - `addresses`: of the VirtualHost line, each with `address` and `port` (None: any).
    - `mounts`: the host's own table; `maps_in_locations`: sections hold mounts too.
    - `resources`: what serves each mount.
    - `plugins`: the Resource for each SetHandler name; `plugin_paths`: the Locations it stands in.
    """

    def __init__(
        self,
        server: ServerSettings,
        *,
        sections: SectionTable,
        base_settings: Settings,
        maps_in_locations: bool = False,
        mounts: Sequence[Mount] = (),
        aliases: Sequence[Alias] = (),
        resources: Mapping[Mount, ProxyPassResource] | None = None,
        plugins: Mapping[str, IResource] | None = None,
        plugin_paths: Mapping[str, Sequence[bytes]] | None = None,
        addresses: Sequence[Any] = (),
        server_software: bytes = b"",
        authenticators: Authenticators | None = None,
        access_logs: Sequence[AccessLogFile] = (),
    ) -> None:
        super().__init__(server, base_settings, server_software, access_logs)
        self.addresses = tuple(addresses)
        self._names = HostNames(server.name, server.aliases)
        self._table = MappingTable(mounts)
        self._aliases = tuple(aliases)
        self._sections = sections
        self._resources = dict(resources or {})
        self._plugins = dict(plugins or {})
        self._plugin_paths = {
            name: sorted((path.rstrip(b"/") for path in paths), key=len, reverse=True)
            for name, paths in (plugin_paths or {}).items()
        }
        self._authenticators = authenticators
        self._maps_in_locations = maps_in_locations

    def __repr__(self) -> str:
        return f"<VirtualHostResource {self.server.name!r}>"

    def mount_statistics(self) -> Iterator[MountStatistics]:
        """Of all its requests: those of each mount, and those that none has answered."""
        yield self.statistics
        for resource in self._resources.values():
            yield resource.statistics

    def has_name(self, name: bytes) -> bool:
        """True if `name` (lower case) is the ServerName or matches a ServerAlias."""
        return name in self._names

    def may_have(self, request: GatewayRequest, file_path: str) -> bool:
        """Whether `<Directory>` and `<Files>` let `request` have a file that a backend names."""
        settings = self._sections.for_named_file(os.path.normpath(file_path))
        if settings is None or settings.access is None:
            return True
        return settings.access.check(request, request.user) is Outcome.GRANTED

    # -- the way of a request ------------------------------------------------------------------

    def serve(self, request: GatewayRequest) -> None:
        """Answer `request`, whose target is set. Raises ScgiProxyError if it is refused."""
        if self.server.environment:
            apply_rules(self.server.environment, request)
        mapped = self._map(request)
        request.mapped = mapped
        if mapped is not None and mapped.mount.target is not None:
            path, url = request.target.path, mapped_url(mapped)
            request.settings = settings = self._sections.for_mount(path, url)
            if self._sections.names_groups:
                names = self._sections.named_groups(path, mapped_url=url)
                request.environment.update(names)
            self._admit(request, settings)
        else:
            request.mapped = None
            path = request.target.path
            root, rest = self._file(path)
            file_path = os.path.join(root, os.fsdecode(rest.lstrip(b"/"))) if root else ""  # noqa: PTH118
            request.settings = settings = self._sections.for_file(path, file_path)
            if isinstance(settings.handler, Mount):
                request.mapped = settings.handler.match(path)
            if self._sections.names_groups:
                names = self._sections.named_groups(path, file_path=file_path)
                request.environment.update(names)
            self._admit(request, settings)

    def _map(self, request: GatewayRequest) -> Mapped | None:
        if NO_PROXY in request.environment:
            return None
        path = request.target.path
        if self._maps_in_locations:
            mount = self._sections.location_only(path).proxy
            if mount is not None and (mapped := mount.match(path)) is not None:
                return mapped
        return self._table.find(path)

    def _file(self, path: bytes) -> tuple[str, bytes]:
        """The root folder that `path` belongs to (empty if none), and the rest of it."""
        found = find_alias(self._aliases, path)
        if found is not None:
            return found[0].path, found[1]
        return self.server.document_root or "", path

    def _admit(self, request: GatewayRequest, settings: Settings) -> None:
        if settings.set_env_if:
            apply_rules(settings.set_env_if, request)
        if settings.access is None:
            self._admitted(request, settings)
            return
        waiting = admit(request, settings, self._authenticators)
        if waiting is None:
            self._admitted(request, settings)
        else:
            waiting.addCallback(lambda _: self._admitted(request, settings))
            waiting.addErrback(request.failed)

    def _admitted(self, request: GatewayRequest, settings: Settings) -> None:
        if request.gone:
            return
        if settings.set_env:
            apply_rules(settings.set_env, request)
        length = 0 if request.upload is None else request.framing.length or 0
        limit = settings.limit_request_body
        if limit and length > limit:
            raise BodyTooLarge(f"the body is {length} bytes; LimitRequestBody is {limit}")
        if request.mapped is not None:
            self._resources[request.mapped.mount].serve(request)
        elif isinstance(settings.handler, str):
            self._serve_plugin(request, settings.handler, settings)
        else:
            self._serve_file(request)

    # -- what is not a mount -------------------------------------------------------------------

    def _serve_file(self, request: GatewayRequest) -> None:
        path = request.target.path
        if path == b"*":
            request.send_head(200, None, [(b"Allow", b"GET, HEAD, OPTIONS, POST")], 0)
            request.finish()
            return
        root, rest = self._file(path)
        if not root:
            raise NotFound(f"no mount and no DocumentRoot serves {quoted(path, 200)}")
        answer_static(
            request,
            root,
            rest,
            url_path=path,
            query=request.target.query,
            status=request.error_status or 200,
            default_type=request.default_type,
            refuse=answer_status,
        )

    def _serve_plugin(self, request: GatewayRequest, name: str, settings: Settings) -> None:
        resource = self._plugins.get(name)
        if resource is None:
            raise GatewayError(f"no plugin serves SetHandler {name}")
        if request.upload is None:
            self._render_plugin(request, resource, name)
            return
        limit = settings.limit_request_body
        longest: int | None = getattr(resource, "longest_body", None)
        if longest is not None:
            limit = min(limit, longest) if limit else longest
            if (request.framing.length or 0) > limit:
                raise BodyTooLarge(f"the body is {request.framing.length} bytes; {limit} may be")
        spooled: Deferred[RequestBody] = request.spool(limit)
        spooled.addCallback(self._give_content, request, resource, name)
        spooled.addErrback(request.failed)

    def _give_content(
        self, body: RequestBody, request: GatewayRequest, resource: IResource, name: str
    ) -> None:
        content = body.detach() if isinstance(body, FileBody) else None
        if not request.gone:
            self._render_plugin(request, resource, name, content)
        elif content is not None:
            content.close()

    def _render_plugin(
        self,
        request: GatewayRequest,
        resource: IResource,
        name: str,
        content: IO[bytes] | None = None,
    ) -> None:
        """Render it as if it had been put where its Location is: that is the `prepath`."""
        path = request.target.path
        places = self._plugin_paths.get(name, ())
        place = next((p for p in places if (path + b"/").startswith(p + b"/")), b"")
        rest = path[len(place) :]
        postpath = rest[1:].split(b"/") if rest else []
        try:
            asked = ResourceRequest(request, place.split(b"/")[1:], postpath, content)
            resource = getChildForRequest(resource, asked)
            get_encoder = getattr(resource, "getEncoder", None)
            if get_encoder is not None:
                asked.encode_with(get_encoder(asked))
            asked.render(resource)  # type: ignore[no-untyped-call]
        except Exception:
            request.failed(Failure())
