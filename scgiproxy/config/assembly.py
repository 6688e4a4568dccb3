"""Drafts to the frozen model: ProxySet applied, virtual hosts merged, balancers resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from scgiproxy.config.directives import SERVER_RULES
from scgiproxy.config.health import with_health_check
from scgiproxy.config.merge import AUTH_PARTS, merge_values
from scgiproxy.config.model import (
    Balancer,
    Config,
    Member,
    Section,
    SectionKind,
    VirtualHost,
)
from scgiproxy.config.parameters import combine_parameters
from scgiproxy.config.scopes import (
    BalancerDraft,
    ConfigurationDraft,
    HostDraft,
    MountDraft,
    Parameters,
    ReverseDraft,
)
from scgiproxy.config.table import Merge, merge_fields
from scgiproxy.errors import ConfigError
from scgiproxy.message.backend_url import BackendUrl
from scgiproxy.rules.access import (
    RequireAll,
    RequireAny,
    Requirement,
    RequireNone,
    RequireNot,
    RequireUser,
    RequireValidUser,
)
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.mapping import Mount
from scgiproxy.rules.rewriting import ReverseRule
from scgiproxy.rules.settings import ServerSettings

Check = Callable[[Config], object]
"""Raises ConfigError with what is wrong with a model; it may get one that is not whole."""


def assemble(draft: ConfigurationDraft, check: Check | None = None) -> Config:
    """The model of what was read.

    Raises ConfigError with every problem, if one is an error: those of `check` too, which gets what
    could be made.
    """
    balancers: dict[str, Balancer] = {}
    main = _Host(draft, draft.main, balancers)
    hosts = [_Host(draft, host, balancers) for host in draft.virtual_hosts]
    main_host = main.virtual_host(None)
    virtual_hosts = tuple(host.virtual_host(main) for host in hosts)
    _check_ports(draft)
    _check_use(draft)
    for host in (main_host, *virtual_hosts):
        _check_users(draft, host)
    server = main_host.server
    config = Config(
        listeners=tuple(draft.listeners),
        main=main_host,
        virtual_hosts=virtual_hosts,
        balancers=balancers,
        log_level=server.log_level,
        error_log=server.error_log,
        notes=draft.problems.found(),
        **draft.values,
    )
    if check is not None:
        try:
            check(config)
        except ConfigError as error:
            draft.problems.include(error)
    draft.problems.raise_errors()
    return config


class _Host:
    """One server with its own mounts and sections in their final form."""

    def __init__(
        self, draft: ConfigurationDraft, host: HostDraft, balancers: dict[str, Balancer]
    ) -> None:
        self._draft = draft
        self.host = host
        self._balancers = balancers
        self._keys: dict[str, str] = {}
        self.mounts = tuple(self._mount(mount) for mount in host.mounts)
        self.sections = tuple(self._section(section) for section in host.sections)
        self.base = self._values(host.base)

    def virtual_host(self, main: _Host | None) -> VirtualHost:
        """This host with the values of the main server merged in, whose mounts, sections and
        variables come first; its aliases come last."""
        host = self.host
        server, base = dict(host.server), self.base
        sections, mounts, aliases = self.sections, self.mounts, tuple(host.aliases)
        handlers = dict(host.handlers)
        if main is not None:
            inherited = {
                name: value
                for name, value in main.host.server.items()
                if SERVER_RULES[name] is not Merge.OWN
            }
            if "name" in server:
                # ServerName is one directive: the port and the scheme of another are not its own.
                inherited = {k: v for k, v in inherited.items() if k not in ("port", "scheme")}
            server = merge_fields(SERVER_RULES, inherited, server)
            base = merge_values([main.base, base])
            sections = main.sections + sections
            mounts = main.mounts + mounts
            aliases += tuple(main.host.aliases)
            for name, positions in main.host.handlers.items():
                handlers[name] = positions + handlers.get(name, ())
        return VirtualHost(
            host.position,
            host.addresses,
            ServerSettings(**server),
            base,
            sections,
            mounts,
            aliases,
            handlers,
        )

    def _section(self, section: Section) -> Section:
        return replace(section, values=self._values(section.values))

    def _values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {
            name: self._mount(value) if isinstance(value, MountDraft) else value
            for name, value in values.items()
        }
        if "reverse" in made:
            made["reverse"] = tuple(chain.from_iterable(map(self._reverse, made["reverse"])))
        return made

    def _reverse(self, rule: ReverseRule | ReverseDraft) -> Iterator[ReverseRule]:
        if isinstance(rule, ReverseRule):
            yield rule
            return
        balancer = self._balancer_draft(rule.balancer)
        if balancer is None:
            self._draft.problems.warn(
                rule.position,
                f"ProxyPassReverse: balancer://{rule.balancer} has no BalancerMember",
            )
            return
        for member in balancer.members:
            label = member.url.label.rpartition("|")[2].encode("utf-8", "surrogateescape")
            yield ReverseRule(rule.local, label.rstrip(b"/") + rule.path)

    def _balancer_draft(self, name: str) -> BalancerDraft | None:
        """The balancer of that name that has members, as this host knows it."""
        for host in (self.host, self._draft.main):
            draft = host.balancers.get(name)
            if draft is not None and draft.members:
                return draft
        return None

    def _mount(self, draft: MountDraft) -> Mount:
        target = draft.target
        settings = BackendSettings()
        if target is not None and target.address is None:
            key, balancer = self._balancer(target.balancer, draft.parameters)
            # Without members there has been an error, and only a check sees the model.
            target = replace(target, balancer=key) if key else None
            settings = BackendSettings(**{**balancer, **draft.parameters.values})
        elif target is not None:
            settings = self._settings(target, draft.parameters)
        return Mount(
            draft.pattern,
            target,
            settings,
            str(draft.parameters.position),
        )

    def _settings(self, url: BackendUrl, own: Parameters) -> BackendSettings:
        """The parameters of a mount or member, and of each ProxySet for its backend."""
        layers = [own]
        for host in {id(host): host for host in (self._draft.main, self.host)}.values():
            for backend, given in host.proxy_sets:
                if _covers(backend, url):
                    given.used = True
                    layers.append(given)
        return BackendSettings(
            **with_health_check(
                _combined(layers),
                lambda message: self._draft.problems.warn(own.position, message),
            )
        )

    # Balancers

    def _balancer(self, name: str, used: Parameters) -> tuple[str, dict[str, Any]]:
        """The key of a balancer as this host knows it (empty if it has no members), and what it
        says of the mount."""
        own = self.host.balancers.get(name)
        inherited = self._draft.main.balancers.get(name)
        drafts = list({id(draft): draft for draft in (inherited, own) if draft}.values())
        for draft in drafts:
            draft.used = True
        # A virtual host's own members replace the main server's; its parameters are added.
        source = self._balancer_draft(name)
        if source is None:
            if "balancermember" not in self._draft.failed:
                self._draft.problems.error(
                    used.position,
                    f"ProxyPass: balancer://{name} has no BalancerMember; expected at least one",
                )
            return "", {}
        layers = [given for draft in drafts for given in draft.parameters]
        combined = _combined(layers)
        mount_fields = {k: combined.pop(k) for k in ("path_info",) if k in combined}
        key = self._keys.get(name)
        if key is None:
            is_main = own is None or own is inherited or not (own.members or own.parameters)
            key = name if is_main else self._free_key(name, own or source)
            self._keys[name] = key
            if key not in self._balancers:
                self._balancers[key] = self._made(name, source, combined)
        return key, mount_fields

    def _free_key(self, name: str, draft: BalancerDraft) -> str:
        taken = name in self._draft.main.balancers or name in self._balancers
        return f"{name}@{draft.position}" if taken else name

    def _made(self, name: str, source: BalancerDraft, fields: Mapping[str, Any]) -> Balancer:
        members = tuple(
            Member(
                member.url,
                self._settings(member.url, member.parameters),
                member.parameters.position,
            )
            for member in source.members
        )
        return Balancer(name, members, **fields)


def _combined(layers: Iterable[Parameters]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for layer in sorted(layers, key=lambda parameters: parameters.serial):
        combine_parameters(fields, layer.values)
    return fields


def _covers(backend: BackendUrl, url: BackendUrl) -> bool:
    """Whether parameters of `backend` are meant for `url`: the same address, and a path that is
    its path or below it (as a worker of Apache takes every URL that begins with its name)."""
    if backend.address != url.address:
        return False
    path = backend.path.rstrip(b"/")
    return url.path.startswith(path) and url.path[len(path) : len(path) + 1] in (b"", b"/")


def _check_ports(draft: ConfigurationDraft) -> None:
    """Warn of a virtual host that nobody can reach."""
    if any(listener.endpoint for listener in draft.listeners):
        return
    ports = {listener.port for listener in draft.listeners}
    for host in draft.virtual_hosts:
        wanted = [address.port for address in host.addresses]
        if wanted and ports and not any(port is None or port in ports for port in wanted):
            shown = ", ".join(str(port) for port in wanted)
            draft.problems.warn(
                host.position, f"<VirtualHost>: there is no Listen for port {shown}"
            )


def _check_use(draft: ConfigurationDraft) -> None:
    """Warn of what is said of a backend or balancer that nothing goes to."""
    if not draft.failed.isdisjoint(("proxypass", "proxypassmatch", "sethandler", "balancermember")):
        return
    for host in (draft.main, *draft.virtual_hosts):
        for backend, given in host.proxy_sets:
            if not given.used:
                message = f"no ProxyPass and no BalancerMember goes to {backend.label}"
                draft.problems.warn(given.position, message)
        for balancer in host.balancers.values():
            if not balancer.used:
                message = f"no ProxyPass goes to balancer://{balancer.name}"
                draft.problems.warn(balancer.position, message)


def _check_users(draft: ConfigurationDraft, host: VirtualHost) -> None:
    """A rule about users needs to know how to ask for one."""
    everywhere = [host.base, *(section.values for section in host.sections)]
    given = {name for values in everywhere for name in values}
    missing = [
        name
        for part, name in AUTH_PARTS.items()
        if part not in given and name.lower() not in draft.failed
    ]
    if not missing:
        return
    for section in host.sections:
        in_directory = section.kind is SectionKind.DIRECTORY or section.within is not None
        if in_directory and not host.server.document_root:
            continue
        if any(_asks_for_user(rule) for rule in section.values.get("require", ())):
            draft.problems.error(
                section.position,
                f"<{section.kind.value}>: Require of a user needs {' and '.join(missing)}",
            )


def _asks_for_user(rule: Requirement) -> bool:
    if isinstance(rule, RequireNot):
        return _asks_for_user(rule.inner)
    children: Sequence[Requirement] = ()
    if isinstance(rule, RequireAll | RequireAny | RequireNone):
        children = rule.children
    return isinstance(rule, RequireUser | RequireValidUser) or any(map(_asks_for_user, children))
