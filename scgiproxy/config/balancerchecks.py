"""What a balancer's members say that cannot work, or that nothing comes of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scgiproxy.config.model import Balancer, Listener, Member, Position
from scgiproxy.config.problems import Problems
from scgiproxy.config.scopes import ConfigurationDraft
from scgiproxy.message.backend_url import Address, TcpAddress
from scgiproxy.rules.networks import is_loopback

_EVERYWHERE = ("", "*", "0.0.0.0", "::")  # noqa: S104  nothing is bound here


def check_balancers(draft: ConfigurationDraft, balancers: Iterable[Balancer]) -> None:
    """Warn of routes that lead nowhere, and of members of whom none can ever be used."""
    manager_is_missing = "sethandler" not in draft.failed and not any(
        "balancer-manager" in host.handlers for host in (draft.main, *draft.virtual_hosts)
    )
    for balancer in balancers:
        _check_routes(draft.problems, balancer)
        _check_use(draft.problems, balancer)
        if manager_is_missing and balancer.settings.growth:
            message = "growth does nothing without a SetHandler balancer-manager"
            draft.problems.warn(_growth_position(draft, balancer), message)


def check_loops(draft: ConfigurationDraft, balancers: Iterable[Balancer]) -> None:
    """Each backend at which the gateway itself listens is an error."""
    for what, address, position in _backends(draft, balancers):
        for listener in draft.listeners:
            if _is_own(listener, address):
                message = f"{address} is where this gateway listens ({listener.position})"
                draft.problems.error(
                    position, f"{what}: {message}; expected where the application listens"
                )
                break


def _check_routes(problems: Problems, balancer: Balancer) -> None:
    if balancer.settings.growth or any(member.discovery for member in balancer.members):
        return
    first: dict[tuple[bytes, int, bool, bool], Member] = {}
    routes = {member.settings.route for member in balancer.members}
    for member in balancer.members:
        settings = member.settings
        route, redirect = settings.route, settings.redirect
        if redirect and redirect == route:
            message = f"redirect={_shown(redirect)} is the member's own route, and does nothing"
            problems.warn(member.position, f"BalancerMember: {message}")
        elif redirect and redirect not in routes:
            message = f"redirect={_shown(redirect)}: no member of balancer://{balancer.name} has"
            problems.warn(member.position, f"BalancerMember: {message} that route")
        if route:
            # A standby, a spare or another set may well take over a route.
            kind = (route, settings.lbset, settings.standby, settings.spare)
            other = first.setdefault(kind, member)
            if other is not member:
                message = f"route={_shown(route)} is that of {other.url.label} too"
                problems.warn(
                    member.position,
                    f"BalancerMember: {message} ({other.position}): its sessions go to the first of"
                    " them that can be used",
                )


def _check_use(problems: Problems, balancer: Balancer) -> None:
    members = balancer.members
    if not members:
        return
    position = members[0].position
    if all(one.settings.disabled or one.settings.stopped for one in members):
        message = f"every member of balancer://{balancer.name} is disabled: its requests are 503"
        problems.warn(position, f"BalancerMember: {message}")
    elif all(one.settings.spare and not one.settings.standby for one in members):
        message = f"every member of balancer://{balancer.name} is a spare (status=R)"
        problems.warn(
            position,
            f"BalancerMember: {message}, and there is nobody whose place it could take: its requests"
            " are 503",
        )


def _growth_position(draft: ConfigurationDraft, balancer: Balancer) -> Position:
    for host in (draft.main, *draft.virtual_hosts):
        found = host.balancers.get(balancer.name)
        for given in found.parameters if found else ():
            if "growth" in given.values:
                return given.position
    return draft.main.position


def _backends(
    draft: ConfigurationDraft, balancers: Iterable[Balancer]
) -> Iterator[tuple[str, Address, Position]]:
    for balancer in balancers:
        for member in balancer.members:
            if member.url.address is not None:
                yield "BalancerMember", member.url.address, member.position
    for host in (draft.main, *draft.virtual_hosts):
        for mount in host.mounts:
            if mount.target is not None and mount.target.address is not None:
                yield "ProxyPass", mount.target.address, mount.parameters.position


def _is_own(listener: Listener, address: Address) -> bool:
    if listener.endpoint or not isinstance(address, TcpAddress) or address.port != listener.port:
        return False
    host = address.host
    own = listener.address.strip("[]").lower()
    if own == host:
        return True
    if not is_loopback(host):
        return False
    # Whoever listens everywhere has the loopback addresses as well.
    return own in _EVERYWHERE or (host == "localhost" and own == "127.0.0.1")


def _shown(route: bytes) -> str:
    return route.decode("utf-8", "backslashreplace")
