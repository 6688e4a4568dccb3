"""The pools of balancers: their methods, their members, and the name servers that know more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scgiproxy.config.model import Config, Member, Position
from scgiproxy.errors import Problem
from scgiproxy.pool.balance import BUILT_IN, MethodFactory, Surroundings, find_methods
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.managed import ManagedBalancer
from scgiproxy.pool.methods.apache import ByRequests
from scgiproxy.pool.resolve import Resolver
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
    - `discoveries`: to be started with the gateway, and stopped.
    - `members_changed`: called when a pool has other members, or other checks of them.
    """

    def __init__(self, config: Config, reactor: Any, resolver: Resolver, dialer: Dialer) -> None:
        self.problems: list[Problem] = []
        self.managed: dict[str, ManagedBalancer] = {}
        self.discoveries: list[Discovery] = []
        self.members_changed: Callable[[], object] = lambda: None
        self._reactor = reactor
        self._resolver = resolver
        self._dialer = dialer
        self._surroundings = Surroundings(reactor, config.heartbeat_storage)
        self._methods = self._find_methods(config.balancing_methods)
        self._config = config
        self._names: StubResolver | None = None

    def make_pool(self, key: str, timeout: float) -> Pool:
        """The pool of a balancer; `timeout` is for members that set none of their own."""
        balancer = self._config.balancers[key]
        settings = balancer.settings
        reachable = tuple(filter(self._is_reachable, balancer.members))
        members = BalancerMembers(replace(balancer, members=reachable), self._reactor)
        # A name that nobody knows is among the problems.
        make = self._methods.get(settings.method)
        pool = Pool(
            balancer.name,
            members.backends,
            dialer=self._dialer,
            resolver=self._resolver,
            settings=settings,
            method=ByRequests() if make is None else make(self._surroundings),
            connect_timeout=timeout,
        )
        managed = self.managed[key] = ManagedBalancer(
            pool,
            key,
            methods=self._methods,
            surroundings=self._surroundings,
            resolver=self._resolver,
            conditions=balancer.conditions,
            recorded=members.is_recorded,
            discovers=any(member.discovery for member in reachable),
        )
        managed.on_members = lambda: self.members_changed()
        if managed.discovers:
            self.discoveries += members.discoveries(
                pool, self._name_servers(), managed.on_members, managed.prepare
            )
        return pool

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
