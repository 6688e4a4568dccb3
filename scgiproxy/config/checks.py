"""What a whole configuration says that cannot work, or that nothing comes of."""

from __future__ import annotations

from collections.abc import Sequence

from scgiproxy.config.merge import AUTH_PARTS
from scgiproxy.config.model import Position, SectionKind, VirtualHost
from scgiproxy.config.problems import Problems
from scgiproxy.config.scopes import ConfigurationDraft
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
from scgiproxy.rules.tls import TlsVerify


def check_use(draft: ConfigurationDraft) -> None:
    """Warn of what nobody can reach, and of what nothing goes to."""
    _check_ports(draft)
    _check_backends(draft)
    _check_heartbeat(draft)


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


def _check_backends(draft: ConfigurationDraft) -> None:
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


def _check_heartbeat(draft: ConfigurationDraft) -> None:
    """Warn of a method that nobody tells anything."""
    if "heartbeat_storage" in draft.values or "heartbeatstorage" in draft.failed:
        return
    for position in draft.balancing_methods.get("heartbeat", ()):
        message = "lbmethod=heartbeat chooses nobody without HeartbeatStorage"
        draft.problems.warn(position, message)


def check_tls(
    url: BackendUrl,
    settings: BackendSettings,
    mode: TlsVerify | None,
    problems: Problems,
    position: Position,
) -> None:
    """What does not go together with TLS to a backend, or without it; `mode` is its `sslmode`."""
    if settings.tls is None:
        if mode is not None:
            problems.error(
                position, f"sslmode: expected it with scgis://, and not with {url.label}"
            )
        return
    if settings.tls.verify is TlsVerify.NOTHING:
        problems.warn(
            position,
            f"{url.label}: its certificate is not verified: whoever is on the way to it can take its"
            " place, and read and change everything",
        )
    if settings.half_close:
        problems.warn(
            position, "halfclose does nothing with scgis://: TLS has no half-closed state"
        )


def check_users(draft: ConfigurationDraft, host: VirtualHost) -> None:
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
