"""The model becomes running parts. The one place where config and web meet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.plugin import getPlugins
from twisted.web.resource import IResource

import twisted.plugins
from scgiproxy import __version__
from scgiproxy.config.merge import merge
from scgiproxy.config.model import Config, VirtualHost
from scgiproxy.config.problems import suggest
from scgiproxy.errors import ConfigError, Problem
from scgiproxy.interfaces import IResourcePlugin
from scgiproxy.message.backend_url import BackendUrl
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.balance import BUILT_IN, Surroundings
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.resolve import Resolver
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.rules.mapping import Mount
from scgiproxy.rules.sections import SectionKind, SectionTable
from scgiproxy.rules.settings import AccessLog, Settings
from scgiproxy.service.errorlog import ErrorLogs
from scgiproxy.web.access import Authenticators
from scgiproxy.web.accesslog import AccessLogFile
from scgiproxy.web.hosts import HostTable
from scgiproxy.web.mount import ProxyPassResource
from scgiproxy.web.site import GatewaySite
from scgiproxy.web.vhost import VirtualHostResource
from scgiproxy.wire.deadline import DeadlineWheel
from scgiproxy.wire.descriptors import Descriptors
from scgiproxy.wire.dial import Dialer


class GatewayParts:
    """Everything that runs for one `Config`: pools, virtual hosts, logs.

    Raises ConfigError for what only shows when the parts are made (an unknown SetHandler).
    """

    def __init__(
        self, config: Config, reactor: Any, descriptors: Descriptors | None = None
    ) -> None:
        self.config = config
        self.reactor = reactor
        self.wheel = DeadlineWheel(reactor)
        self.dialer = Dialer(reactor, self.wheel, descriptors)
        self.resolver = Resolver(reactor)
        self.authenticators = Authenticators(reactor)
        self.server_software = server_software(config.server_tokens)
        self.pools: list[Pool] = []
        self._own_pools: dict[tuple[Mount, float], Pool] = {}
        self._balancers: dict[str, Pool] = {}
        self._single: dict[tuple[Mount, float], Pool] = {}
        self._logs: dict[AccessLog, AccessLogFile] = {}
        self._problems: list[Problem] = []
        self.hosts = HostTable(
            self._host(config.main), [self._host(host) for host in config.virtual_hosts]
        )
        if self._problems:
            # A section of the main server is one of every virtual host's, too.
            raise ConfigError(list(dict.fromkeys(self._problems)))
        servers = [host.server for host in config.virtual_hosts]
        self.error_logs = ErrorLogs(config.main.server, servers)

    def make_site(self, secure: bool) -> GatewaySite:
        """The factory of one listener."""
        return GatewaySite(
            self.hosts,
            clock=self.reactor,
            wheel=self.wheel,
            server_software=self.server_software,
            secure=secure,
        )

    @property
    def access_logs(self) -> Iterable[AccessLogFile]:
        return self._logs.values()

    # -- virtual hosts -------------------------------------------------------------------------

    def _host(self, host: VirtualHost) -> VirtualHostResource:
        places = (host.base, *(section.values for section in host.sections))
        # ProxyPass in a section, and SetHandler "proxy:URL".
        section_mounts, handlers = (
            [value for values in places if isinstance(value := values.get(key), Mount)]
            for key in ("proxy", "handler")
        )
        server = host.server
        timeout = server.proxy_timeout or server.timeout
        resources = {
            mount: ProxyPassResource(
                self._pool(mount, timeout),
                mount,
                wheel=self.wheel,
                clock=self.reactor,
                timeout=timeout,
            )
            for mount in (*host.mounts, *section_mounts, *handlers)
            if mount.target is not None
        }
        return VirtualHostResource(
            server,
            sections=SectionTable(host.base, host.sections, merge),
            base_settings=merge([host.base]),
            maps_in_locations=bool(section_mounts),
            mounts=host.mounts,
            aliases=host.aliases,
            resources=resources,
            plugins=self._plugins(host),
            plugin_paths=_plugin_paths(host),
            addresses=host.addresses,
            server_software=self.server_software,
            authenticators=self.authenticators,
            access_logs=[self._log(log) for log in server.access_logs],
        )

    def _log(self, log: AccessLog) -> AccessLogFile:
        found = self._logs.get(log)
        if found is None:
            found = self._logs[log] = AccessLogFile(log.path, log.format, self.reactor)
        return found

    def _plugins(self, host: VirtualHost) -> dict[str, IResource]:
        found: dict[str, IResource] = {}
        if not host.handlers:
            return found
        # Looked up only when a configuration names one: it imports every plugin file.
        plugins = {plugin.name: plugin for plugin in getPlugins(IResourcePlugin, twisted.plugins)}
        for name, positions in host.handlers.items():
            plugin = plugins.get(name)
            if plugin is None:
                known = ", ".join(sorted(plugins)) or "none is installed"
                near = suggest(name, plugins)
                message = f"SetHandler {name}: no such Resource plugin ({known}){near}"
            else:
                try:
                    found[name] = plugin.resource(self._settings(host))
                    continue
                except ValueError as error:
                    message = f"SetHandler {name}: {error}"
            self._problems += [Problem(at.file, at.line, message) for at in positions]
        return found

    @staticmethod
    def _settings(host: VirtualHost) -> Settings:
        return merge([host.base])

    # -- pools ---------------------------------------------------------------------------------

    def _pool(self, mount: Mount, timeout: float) -> Pool:
        target = mount.target
        assert target is not None
        if target.balancer:
            return self._balancer(target.balancer, timeout)
        # Virtual hosts that have a mount from the main server share its `max`.
        found = self._single.get((mount, timeout))
        if found is None:
            backend = self._backend(target, mount.settings)
            found = self._single[mount, timeout] = self._new_pool(target.label, [backend], timeout)
        return found

    def _balancer(self, key: str, timeout: float) -> Pool:
        found = self._balancers.get(key)
        if found is None:
            balancer = self.config.balancers[key]
            found = self._balancers[key] = self._new_pool(
                balancer.name,
                [
                    self._backend(member.url, member.settings, balancer=balancer.name)
                    for member in balancer.members
                ],
                timeout,
                {
                    "method": BUILT_IN[balancer.method](Surroundings(self.reactor)),
                    "settings": BalancerSettings(
                        method=balancer.method,
                        wait=balancer.timeout,
                        max_attempts=balancer.max_attempts,
                        force_recovery=balancer.force_recovery,
                    ),
                },
            )
        return found

    def _backend(
        self, url: BackendUrl, settings: BackendSettings, *, balancer: str | None = None
    ) -> Backend:
        assert url.address is not None
        return Backend(
            url.label, url.address, url.path, settings, clock=self.reactor, balancer=balancer
        )

    def _new_pool(
        self,
        name: str,
        backends: list[Backend],
        timeout: float,
        balancing: Mapping[str, Any] | None = None,
    ) -> Pool:
        pool = Pool(
            name,
            backends,
            dialer=self.dialer,
            resolver=self.resolver,
            connect_timeout=timeout,
            **(balancing or {}),
        )
        self.pools.append(pool)
        return pool


def _plugin_paths(host: VirtualHost) -> dict[str, list[bytes]]:
    """The literal Locations that each SetHandler name stands in."""
    paths: dict[str, list[bytes]] = {}
    for section in host.sections:
        name, path = section.values.get("handler"), section.pattern
        if section.kind is not SectionKind.LOCATION or not isinstance(path, bytes):
            continue
        if isinstance(name, str):
            paths.setdefault(name, []).append(path)
    return paths


def server_software(tokens: str) -> bytes:
    """The Server field for ServerTokens: Prod names the program, all others its version too."""
    if tokens.lower() in ("prod", "productonly"):
        return b"scgiproxy"
    return b"scgiproxy/" + __version__.encode("ascii")
