"""The model becomes running parts. The one place where config and web meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.plugin import getPlugins
from twisted.web.resource import IResource

import twisted.plugins
from scgiproxy import __version__
from scgiproxy.config.merge import merge
from scgiproxy.config.model import Config, VirtualHost
from scgiproxy.errors import ConfigError, Problem
from scgiproxy.interfaces import IResourcePlugin
from scgiproxy.message.backend_url import BackendUrl
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.managed import ManagedBalancer
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.mapping import Mount
from scgiproxy.rules.parameters import suggest
from scgiproxy.rules.sections import SectionKind, SectionTable
from scgiproxy.rules.settings import AccessLog, Settings
from scgiproxy.service.balancing import Balancing
from scgiproxy.service.errorlog import ErrorLogs
from scgiproxy.service.numbers import take_numbers
from scgiproxy.service.persistence import Persistence
from scgiproxy.service.spooling import check_spool_directory, set_spool_space
from scgiproxy.service.succession import Process, Succession
from scgiproxy.service.tls import tls_problem
from scgiproxy.web.accesslog import AccessLogFile
from scgiproxy.web.gatewaynumbers import GatewayNumbers
from scgiproxy.web.hosts import HostTable
from scgiproxy.web.mount import ProxyPassResource
from scgiproxy.web.site import GatewaySite
from scgiproxy.web.statistics import MountStatistics
from scgiproxy.web.vhost import VirtualHostResource

if TYPE_CHECKING:
    from scgiproxy.web.manager.resource import BalancerManagerResource
    from scgiproxy.web.passwords import Authenticators

PageNumbers = Callable[[str, float], "GatewayNumbers | Deferred[GatewayNumbers]"]
"""The numbers that the page with this name of SetHandler shows; they may be so many seconds old."""


class GatewayParts:
    """Everything that runs for one `Config`: pools, virtual hosts, logs.

    `numbers` are those of this process, unless somebody sets it who knows of more.

    `process` is what there is once, whatever the configuration says: by default, new.

    With `before`, they take the place of these at once: backends stay the same objects, with all that
    is known of them, and so does what counts requests. Parts made without it have shown no error.

    Raises ConfigError for what only shows when the parts are made (SetHandler, lbmethod).
    """

    def __init__(
        self,
        config: Config,
        reactor: Any,
        process: Process | None = None,
        before: GatewayParts | None = None,
    ) -> None:
        self.config = config
        self.reactor = reactor
        self.process: Process = (
            before.process if before is not None else process or Process(reactor)
        )
        self.admission = self.process.admission
        self.wheel = self.process.wheel
        self.dialer = self.process.dialer
        self.resolver = self.process.resolver
        self.checks = self.process.checks
        self.readiness = self.process.readiness
        self.sites = self.process.sites
        self.spool_space = self.process.spool_space
        self.started = self.process.started
        self._authenticators = _authenticators(config, reactor)
        self.server_software = server_software(config.server_tokens)
        old: Balancing | None = None if before is None else before.balancing
        self.balancing: Balancing = Balancing(config, reactor, self.resolver, self.dialer, old)
        self.pools: list[Pool] = []
        set_spool_space(config, self.spool_space)
        self.checks.change(self.pools, config.probes_at_once, self.server_software)
        self.readiness.change(self.pools)
        self.balancing.members_changed = self._members_changed
        self.managers: list[BalancerManagerResource] = []
        self._succession = Succession(before)
        self.numbers: PageNumbers = lambda page, age: take_numbers(self)  # noqa: ARG005
        self._balancers: dict[str, Pool] = {}
        self._single: dict[tuple[Mount, float], Pool] = {}
        self.logs: dict[AccessLog, AccessLogFile] = {}
        self._problems: list[Problem] = []
        self.hosts = HostTable(
            self._host(config.main), [self._host(host) for host in config.virtual_hosts]
        )
        self._succession = Succession(None)
        self.balancing.forget_before()
        self._problems += self.balancing.problems
        self.persistence = Persistence(config, self.balancing.managed, reactor)
        self._problems += self.persistence.problems
        self._problems += check_spool_directory(config)
        if self._problems:
            # A section of the main server is one of every virtual host's, too.
            raise ConfigError(list(dict.fromkeys(self._problems)))
        servers = [host.server for host in config.virtual_hosts]
        older: ErrorLogs | None = None if before is None else before.error_logs
        self.error_logs: ErrorLogs = ErrorLogs(config.main.server, servers, older)
        if before is not None:
            self._forget_others()

    def _forget_others(self) -> None:
        """Names and certificates of a configuration before."""
        backends = {one for pool in self.pools for one in pool.backends}
        self.resolver.keep({one.address for one in backends})
        self.dialer.keep({one.settings.tls for one in backends if one.settings.tls is not None})

    def _members_changed(self) -> None:
        self.checks.update()
        self.readiness.update()

    @property
    def single_pools(self) -> Iterator[tuple[Mount, Pool]]:
        """Those of backends that stand alone, with the first of the mounts that lead there."""
        return ((mount, pool) for (mount, _), pool in self._single.items())

    @property
    def all_hosts(self) -> Sequence[VirtualHostResource]:
        """The main server, and the virtual hosts."""
        return self.hosts.main, *self.hosts.hosts

    def mount_statistics(self) -> Iterator[MountStatistics]:
        """Of all hosts, in the same order in each process of one configuration."""
        for host in self.all_hosts:
            yield from host.mount_statistics()

    def make_site(self, secure: bool) -> GatewaySite:
        """The factory of one listener."""
        site = GatewaySite(
            self.hosts,
            clock=self.reactor,
            wheel=self.wheel,
            server_software=self.server_software,
            secure=secure,
            spool_space=self.spool_space,
        )
        self.sites.append(site)
        return site

    def managed(self, host: VirtualHost) -> Sequence[ManagedBalancer]:
        """The balancers that `host` may change, in the order of their definition: its own, and,
        with BalancerInherit, before them the main server's, but for names that it has itself."""
        main, known = self.config.main, self.balancing.managed
        found = [known[key] for key in host.balancers if key in known]
        if host is not main and host.server.balancer_inherit:
            own = {balancer.name for balancer in found}
            inherited = [known[key] for key in main.balancers if key in known]
            found = [one for one in inherited if one.name not in own] + found
        return found

    @property
    def access_logs(self) -> Iterable[AccessLogFile]:
        return self.logs.values()

    # -- virtual hosts -------------------------------------------------------------------------

    def _host(self, host: VirtualHost) -> VirtualHostResource:
        # ProxyPass in a section, and SetHandler "proxy:URL".
        section_mounts, handlers = (
            [value for values in _places(host) if isinstance(value := values.get(key), Mount)]
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
                max_header=self._max_header(mount),
                server=server.name.decode("utf-8", "backslashreplace"),
            )
            for mount in (*host.mounts, *section_mounts, *handlers)
            if mount.target is not None and self._is_reachable(mount)
        }
        made = VirtualHostResource(
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
            authenticators=self._authenticators,
            access_logs=[self._log(log) for log in server.access_logs],
        )
        made.statistics = self._succession.statistics(made.statistics)
        for resource in resources.values():
            resource.statistics = self._succession.statistics(resource.statistics)
        return made

    def _log(self, log: AccessLog) -> AccessLogFile:
        found = self.logs.get(log) or self._succession.log(log)
        if found is None:
            found = AccessLogFile(log.path, log.format, self.reactor)
        self.logs[log] = found
        return found

    def _plugins(self, host: VirtualHost) -> dict[str, IResource]:
        found: dict[str, IResource] = {}
        if not host.handlers:
            return found
        # Here, since the pages cost 2 MiB, and most gateways show none.
        from scgiproxy.service.pages import own_pages

        plugins: dict[str, Any] = own_pages(self, host)
        if not host.handlers.keys() <= plugins.keys():
            # Looked up only when a configuration names one: it imports every plugin file.
            found_plugins = getPlugins(IResourcePlugin, twisted.plugins)
            plugins = {plugin.name: plugin for plugin in found_plugins} | plugins
        for name, positions in host.handlers.items():
            plugin = plugins.get(name)
            if plugin is None:
                known = ", ".join(sorted(plugins))
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
            found = self._single[mount, timeout] = self._single_pool(mount, target, timeout)
            self.pools.append(found)
        return found

    def _single_pool(self, mount: Mount, target: BackendUrl, timeout: float) -> Pool:
        known = self._succession.pool(mount)
        if known is not None:
            (backend,) = known.backends
            backend.configure(mount.settings)
            known.change(None, timeout)
            known.set_backends(known.backends)
            return known
        address, path, settings = target.address, target.path, mount.settings
        assert address is not None  # it is no balancer
        return Pool(
            target.label,
            [Backend(target.label, address, path, settings, clock=self.reactor)],
            dialer=self.dialer,
            resolver=self.resolver,
            connect_timeout=timeout,
        )

    def _max_header(self, mount: Mount) -> int:
        """Of every member, also of those that are to be discovered."""
        assert mount.target is not None
        settings = [mount.settings]
        if mount.target.balancer:
            settings = [
                one.settings for one in self.config.balancers[mount.target.balancer].members
            ]
        return min((one.max_header for one in settings), default=BackendSettings().max_header)

    def _is_reachable(self, mount: Mount) -> bool:
        """Whether this machine can have a connection to that address at all."""
        if mount.target is None or mount.target.address is None:
            return True
        try:
            self.resolver.lookup(mount.target.address)
        except ValueError as error:
            file, _, line = mount.source.rpartition(":")
            self._problems.append(Problem(file, int(line), f"ProxyPass: {error}"))
            return False
        problem = tls_problem(self.dialer, mount.settings, mount.target.address, mount.source)
        if problem is not None:
            self._problems.append(problem)
        return problem is None

    def _balancer(self, key: str, timeout: float) -> Pool:
        found = self._balancers.get(key)
        if found is None:
            found = self._balancers[key] = self.balancing.make_pool(key, timeout)
            self.pools.append(found)
        return found


def _authenticators(config: Config, reactor: Any) -> Authenticators | None:
    """None if there are no passwords to be checked."""
    hosts = (config.main, *config.virtual_hosts)
    if not any("auth_user_file" in values for host in hosts for values in _places(host)):
        return None
    # Here, since libpass costs 1 MiB, and most gateways ask for no password.
    from scgiproxy.web.passwords import Authenticators

    return Authenticators(reactor)


def _places(host: VirtualHost) -> Iterator[Mapping[str, Any]]:
    yield host.base
    yield from (section.values for section in host.sections)


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
