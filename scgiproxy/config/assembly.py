"""Drafts to the frozen model: ProxySet applied, virtual hosts merged, balancers resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from scgiproxy.config.balancerchecks import check_balancers, check_loops
from scgiproxy.config.balancers import balancer_settings, without_sessions
from scgiproxy.config.checks import check_tls, check_use, check_users
from scgiproxy.config.directives import SERVER_RULES
from scgiproxy.config.health import with_health_check
from scgiproxy.config.merge import merge_values
from scgiproxy.config.model import (
    Balancer,
    Config,
    Member,
    Position,
    Section,
    VirtualHost,
)
from scgiproxy.config.scopes import (
    BalancerDraft,
    ConfigurationDraft,
    HostDraft,
    MemberDraft,
    MountDraft,
    Parameters,
    ReverseDraft,
)
from scgiproxy.config.table import Merge, merge_fields
from scgiproxy.config.tls import covers, tls_of
from scgiproxy.errors import ConfigError
from scgiproxy.message.backend_url import BackendUrl
from scgiproxy.rules.access import LOOPBACK_HANDLERS, RequireLoopback
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.discovery import MAX_ROUTE_PREFIX, RecordKind, discovery_settings
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
    hosts = [_Host(draft, host, balancers, main) for host in draft.virtual_hosts]
    main_host = main.virtual_host(None)
    virtual_hosts = tuple(host.virtual_host(main) for host in hosts)
    check_use(draft)
    check_balancers(draft, balancers.values())
    check_loops(draft, balancers.values())
    for host in (main_host, *virtual_hosts):
        check_users(draft, host)
    server = main_host.server
    config = Config(
        listeners=tuple(draft.listeners),
        main=main_host,
        virtual_hosts=virtual_hosts,
        balancers=balancers,
        log_level=server.log_level,
        error_log=server.error_log,
        balancing_methods=draft.balancing_methods,
        persistent=_persistent(draft, [main_host, *virtual_hosts]),
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


def _persistent(draft: ConfigurationDraft, hosts: Iterable[VirtualHost]) -> dict[str, Position]:
    drafts = (draft.main, *draft.virtual_hosts)
    found: dict[str, Position] = {}
    for host, made in zip(hosts, drafts, strict=True):
        if host.server.balancer_persist:
            position = made.persist_position or draft.main.persist_position or host.position
            found |= dict.fromkeys(host.balancers, position)
    return found


class _Host:
    """One server with its own mounts and sections in their final form."""

    def __init__(
        self,
        draft: ConfigurationDraft,
        host: HostDraft,
        balancers: dict[str, Balancer],
        main: _Host | None = None,
    ) -> None:
        self._draft = draft
        self.host = host
        self._main = main or self
        self.balancers: list[str] = []
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
            tuple(self.balancers),
        )

    def _section(self, section: Section) -> Section:
        return replace(section, values=self._values(section.values))

    def _values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {
            name: self._mount(value) if isinstance(value, MountDraft) else value
            for name, value in values.items()
        }
        if made.get("handler") in LOOPBACK_HANDLERS and made.keys().isdisjoint(
            ("require", "hosts")
        ):
            made |= {"require": (RequireLoopback(),), "satisfy": "all"}
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
            settings, _ = self._settings(target, draft.parameters, "")
        return Mount(
            draft.pattern,
            target,
            settings,
            str(draft.parameters.position),
        )

    def _settings(
        self, url: BackendUrl, own: Parameters, balancer: str
    ) -> tuple[BackendSettings, RecordKind | None]:
        """The parameters of a mount, or of a member of `balancer`, and of each ProxySet for its
        backend; what it is to be discovered by stands apart."""
        layers = [own]
        hosts = (self._draft.main, self.host)
        for host in {id(host): host for host in hosts}.values():
            for backend, given in host.proxy_sets:
                if covers(backend, url):
                    given.used = True
                    layers.append(given)
        fields = with_health_check(
            _combined(layers), lambda message: self._draft.problems.warn(own.position, message)
        )
        kind = fields.pop("discover", None)
        mode = fields.pop("tls_mode", None)
        if url.secure:
            fields["tls"] = tls_of(hosts, url, balancer, mode)
        settings = BackendSettings(**fields)
        check_tls(url, settings, mode, self._draft.problems, own.position)
        most = settings.max_connections
        if most is not None and settings.preconnect > most:
            message = f"preconnect={settings.preconnect}: no more than max={most} are kept ready"
            self._draft.problems.warn(own.position, message)
        return settings, kind

    # Balancers

    def _balancer(self, name: str, used: Parameters) -> tuple[str, dict[str, Any]]:
        """The key of a balancer as this host knows it (empty if it has no members), and what it
        says of the mount."""
        own = self.host.balancers.get(name)
        inherited = self._draft.main.balancers.get(name)
        drafts = list({id(draft): draft for draft in (inherited, own) if draft}.values())
        for draft in drafts:
            draft.used = True
        layers = [given for draft in drafts for given in draft.parameters]
        combined = _combined(layers)
        mount_fields = {k: combined.pop(k) for k in ("path_info",) if k in combined}
        # A virtual host's own members replace the main server's; its parameters are added.
        source = self._balancer_draft(name)
        if source is None and drafts and combined.get("growth"):
            source = drafts[-1]
        if source is None:
            if "balancermember" not in self._draft.failed:
                self._draft.problems.error(
                    used.position,
                    f"ProxyPass: balancer://{name} has no BalancerMember; expected at least one, or"
                    " growth=NUMBER",
                )
            return "", {}
        key = self._keys.get(name)
        if key is None:
            is_main = own is None or own is inherited or not (own.members or own.parameters)
            key = name if is_main else self._free_key(name, own or source)
            self._keys[name] = key
            if key not in self._balancers:
                owner = self._main if is_main else self
                owner.balancers.append(key)
                self._balancers[key] = self._made(name, source, combined, owner)
                self._check_sessions(self._balancers[key], layers)
        return key, mount_fields

    def _free_key(self, name: str, draft: BalancerDraft) -> str:
        taken = name in self._draft.main.balancers or name in self._balancers
        return f"{name}@{draft.position}" if taken else name

    def _made(
        self, name: str, source: BalancerDraft, fields: Mapping[str, Any], owner: _Host
    ) -> Balancer:
        members = tuple(self._member(member, name) for member in source.members)
        conditions = {**self._draft.main.health_conditions, **owner.host.health_conditions}
        added = BackendUrl(None, b"", "scgis://", secure=True)
        tls = tls_of((self._draft.main, owner.host), added, name)
        return Balancer(name, members, balancer_settings({**fields, "tls": tls}), conditions)

    def _member(self, draft: MemberDraft, balancer: str) -> Member:
        url, position = draft.url, draft.parameters.position
        settings, kind = self._settings(url, draft.parameters, balancer)
        discovery = None
        if kind is not None and url.address is not None:
            discovery = discovery_settings(kind.value, url.address)
            self._check_discovered(kind, url, settings, position)
        return Member(url, settings, position, discovery)

    def _check_discovered(
        self, kind: RecordKind, url: BackendUrl, settings: BackendSettings, position: Position
    ) -> None:
        problems = self._draft.problems
        if len(settings.route) > MAX_ROUTE_PREFIX:
            problems.error(
                position,
                f"BalancerMember: route: expected at most {MAX_ROUTE_PREFIX} bytes with"
                f" discover={kind.value}: each member's own route begins with it",
            )
        if kind is RecordKind.SERVICE:
            if ":" in url.label.rpartition("://")[2].partition("/")[0]:
                message = "the port does nothing with discover=srv: the records say it"
                problems.warn(position, f"BalancerMember: {message}")
            plain = BackendSettings()
            for name, given, default in (
                ("lbset", settings.lbset, plain.lbset),
                ("loadfactor", settings.load_factor, plain.load_factor),
            ):
                if given != default:
                    message = f"{name} does nothing with discover=srv: the records say it"
                    problems.warn(position, f"BalancerMember: {message}")

    def _check_sessions(self, balancer: Balancer, layers: Sequence[Parameters]) -> None:
        """Warn of what needs a stickysession and has none, and of one that finds no member."""
        sticky = balancer.settings.sticky
        routed = balancer.settings.growth or any(
            member.settings.route or member.discovery for member in balancer.members
        )
        for given in layers:
            if sticky is None:
                for parameter in without_sessions(given.values):
                    message = f"{parameter} does nothing without stickysession"
                    self._draft.problems.warn(given.position, message)
            elif "sticky_names" in given.values and not routed:
                message = f"stickysession: no member of balancer://{balancer.name} has a route"
                self._draft.problems.warn(given.position, message)


def _combined(layers: Iterable[Parameters]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for layer in sorted(layers, key=lambda parameters: parameters.serial):
        fields.update(layer.values)
    return fields
