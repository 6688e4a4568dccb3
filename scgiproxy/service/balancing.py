"""The pools of balancers: their methods, their members, and the name servers that know more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scgiproxy.config.model import Config, Member, Position
from scgiproxy.errors import Problem
from scgiproxy.interfaces import IBalancingMethod
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.balance import BUILT_IN, MethodFactory, Surroundings, find_methods
from scgiproxy.pool.changing import reset_accounts
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.managed import ManagedBalancer
from scgiproxy.pool.methods.apache import ByRequests
from scgiproxy.pool.methods.heartbeat import ByHeartbeat
from scgiproxy.pool.resolve import Resolver
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.rules.parameters import suggest
from scgiproxy.service.members import BalancerMembers
from scgiproxy.service.tls import tls_problem
from scgiproxy.wire.dial import Dialer

if TYPE_CHECKING:
    from scgiproxy.pool.discovery import Discovery
    from scgiproxy.pool.stub_resolver import StubResolver

HOSTS_FILE = Path("/etc/hosts")


class Balancing:
    """Makes the pools of the balancers of `config`.

    - `problems`: what is wrong with them: a method, a name server, or a member's address that this
      machine does not have.
    - `managed`: the balancers by key; what is changed of one while it runs goes by it.
    - `names`: what they are called from one configuration to the next; `members`: of each, by key;
      `surroundings`: what methods are made for.
    - `discoveries`: to be started with the gateway, and stopped.
    - `members_changed`: called when a pool has other members, or other checks of them.

    With `before`, that of the configuration before, balancers that are there still stay the same
    pools, which are changed at once. What was changed of them by hand is kept as over a restart (see
    `ManagedBalancer.restore`).
    """

    def __init__(
        self,
        config: Config,
        reactor: Any,
        resolver: Resolver,
        dialer: Dialer,
        before: Balancing | None = None,
    ) -> None:
        self.problems: list[Problem] = []
        self.managed: dict[str, ManagedBalancer] = {}
        self.discoveries: list[Discovery] = []
        self.members_changed: Callable[[], object] = lambda: None
        self._reactor = reactor
        self._resolver = resolver
        self._dialer = dialer
        self.surroundings = Surroundings(reactor, config.heartbeat_storage)
        self._methods = self._find_methods(config.balancing_methods)
        self._config = config
        self._names: StubResolver | None = None
        self.names = balancer_names(config)
        self.members: dict[str, BalancerMembers] = {}
        self._before = before
        self._keys_before: dict[str, str] = {}
        if before is not None:
            self._keys_before = {before.names[key]: key for key in before.managed}

    def make_pool(self, key: str, timeout: float) -> Pool:
        """The pool of a balancer; `timeout` is for members that set none of their own."""
        balancer = self._config.balancers[key]
        settings = balancer.settings
        reachable = tuple(filter(self._is_reachable, balancer.members))
        balancer = replace(balancer, members=reachable)
        key_before = self._keys_before.get(self.names[key])
        if self._before is None or key_before is None:
            before, saved, members_before = None, None, None
        else:
            before = self._before.managed[key_before]
            saved = before.saved()
            members_before = self._before.members[key_before]
        members = self.members[key] = BalancerMembers(balancer, self._reactor, members_before)
        if before is None:
            pool = Pool(
                balancer.name,
                members.backends,
                dialer=self._dialer,
                resolver=self._resolver,
                settings=settings,
                method=self._method(settings.method),
                connect_timeout=timeout,
            )
        else:
            pool = before.pool
            self._change(pool, settings, members.backends, timeout)
        managed = self.managed[key] = ManagedBalancer(
            pool,
            key,
            methods=self._methods,
            surroundings=self.surroundings,
            resolver=self._resolver,
            conditions=balancer.conditions,
            recorded=members.is_recorded,
            discovers=any(member.discovery for member in reachable),
            before=before,
        )
        if saved is not None:
            managed.restore(saved)
        managed.on_members = lambda: self.members_changed()
        if managed.discovers:
            self.discoveries += members.discoveries(
                pool, self._name_servers(), managed.on_members, managed.prepare
            )
        return pool

    def forget_before(self) -> None:
        """All pools are made. The configuration before would keep the one before it, and so on."""
        self._before = None
        self._keys_before = {}

    def _method(self, name: str) -> IBalancingMethod:
        make = self._methods.get(name)
        # A name that nobody knows is among the problems.
        return ByRequests() if make is None else make(self.surroundings)

    def _change(
        self, pool: Pool, settings: BalancerSettings, backends: Sequence[Backend], timeout: float
    ) -> None:
        """Have a pool of the configuration before be as this one says."""
        assert self._before is not None  # it comes from there
        storage = self._before.surroundings.heartbeat_storage
        other_storage = storage != self.surroundings.heartbeat_storage
        method, method_before = settings.method, pool.settings.method
        pool.change(settings, timeout)
        pool.set_backends(backends, drain=False)
        if method != method_before:
            reset_accounts(backends, method)
        if method != method_before or (method == ByHeartbeat.name and other_storage):
            pool.set_method(self._method(method))

    def _is_reachable(self, member: Member) -> bool:
        address = member.url.address
        if address is not None and member.discovery is None:
            try:
                self._resolver.lookup(address)
            except ValueError as error:
                self._tell([member.position], f"BalancerMember: {error}")
                return False
        if address is not None:
            source = str(member.position)
            problem = tls_problem(self._dialer, member.settings, address, source)
            if problem is not None:
                self.problems.append(problem)
                return False
        return True

    def _name_servers(self) -> StubResolver:
        # Here, as in `service.members`: DNS costs 0.7 MiB, and few balancers discover.
        from scgiproxy.pool.nameservers import ConfiguredServer, SystemServers
        from scgiproxy.pool.stub_resolver import StubResolver

        if self._names is None:
            self._names = StubResolver(self._reactor, SystemServers(), HOSTS_FILE)
            server = self._config.name_server
            if server is not None:
                try:
                    known = self._resolver.lookup(server.address)
                except ValueError as error:
                    self._tell([server.position], f"ProxyResolver: {error}")
                else:
                    asked = ConfiguredServer(str(server.address), known)
                    self._names = StubResolver(self._reactor, asked)
        return self._names

    def _find_methods(self, named: Mapping[str, Sequence[Position]]) -> Mapping[str, MethodFactory]:
        others = {name: positions for name, positions in named.items() if name not in BUILT_IN}
        if not others:
            return BUILT_IN
        try:
            methods = find_methods()
        except ValueError as error:
            for positions in others.values():
                self._tell(positions, f"lbmethod: {error}")
            return BUILT_IN
        for name, positions in others.items():
            if name not in methods:
                known = ", ".join(methods)
                near = suggest(name, methods)
                self._tell(positions, f"lbmethod: expected one of {known}, got {name!r}{near}")
        return methods

    def _tell(self, positions: Sequence[Position], message: str) -> None:
        self.problems += [Problem(at.file, at.line, message) for at in positions]


def balancer_names(config: Config) -> dict[str, str]:
    """What tells each balancer, by its key, from all others, whatever lines they stand in: its name,
    and of one of a virtual host the server's name behind an ``@``."""
    names: dict[str, str] = {}
    for host in (config.main, *config.virtual_hosts):
        own = "" if host is config.main else f"@{host.server.name.decode('latin-1')}"
        for key in host.balancers:
            names[key] = _free(config.balancers[key].name + own, names.values())
    return names


def _free(name: str, taken: Iterable[str]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}#{number}"
    return found
