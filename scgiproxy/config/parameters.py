"""Reading the ``key=value`` words of ProxyPass, BalancerMember, ProxySet and `<Proxy>`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scgiproxy.config.balancers import BALANCER_PARAMETERS
from scgiproxy.config.scopes import Parameters, Place
from scgiproxy.config.workers import MEMBER_FLAGS, WORKER_PARAMETERS, Parameter
from scgiproxy.message.backend_url import BackendUrl
from scgiproxy.rules.discovery import discovery_settings
from scgiproxy.rules.parameters import suggest


def read_parameters(
    place: Place, directive: str, words: list[str], *, balancer: bool, member: bool = False
) -> Parameters:
    """Read ``key=value`` words. Each error is told by itself, so that one run shows them all."""
    table = BALANCER_PARAMETERS if balancer else WORKER_PARAMETERS
    kind = "balancer" if balancer else "worker"
    values: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        parameter = table.get(key.lower())
        if parameter is None or not equals or not value:
            place.error(f"{directive}: {_explain(word, table, kind)}")
            continue
        try:
            fields = parameter.read(place, value)
        except ValueError as error:
            place.error(f"{directive}: {parameter.name}: {error}")
            continue
        if parameter.inert:
            place.warn(f"{directive}: {parameter.name} does nothing here: {parameter.inert}")
        elif parameter.for_members and not member:
            place.warn(f"{directive}: {parameter.name} does nothing outside a BalancerMember")
        elif not member and MEMBER_FLAGS & fields.keys():
            place.warn(f"{directive}: status: R, H and N do nothing outside a BalancerMember")
        values.update(fields)
    return place.parameters(values)


def read_member_parameters(
    place: Place, directive: str, words: list[str], url: BackendUrl
) -> Parameters:
    """Read those of a BalancerMember, or of a ProxySet that may be meant for one.

    Raises ValueError for a `discover` of what has no name.
    """
    parameters = read_parameters(place, directive, words, balancer=False, member=True)
    kind = parameters.values.get("discover")
    if kind is not None and url.address is not None:
        discovery_settings(kind.value, url.address)
    return parameters


def _explain(word: str, table: Mapping[str, Parameter], kind: str) -> str:
    key, equals, _ = word.partition("=")
    if key.lower() in table:
        return f"expected {key}={table[key.lower()].syntax}, got {word!r}"
    if not equals:
        return f"expected key=value, got {word!r}{suggest(key, table)}"
    other = "worker" if kind == "balancer" else "balancer"
    elsewhere = WORKER_PARAMETERS if kind == "balancer" else BALANCER_PARAMETERS
    if key.lower() in elsewhere:
        return f"{key} is a {other} parameter; expected a {kind} parameter ({', '.join(table)})"
    return f"unknown {kind} parameter {key!r}{suggest(key, table)}"


def set_parameters(place: Place, directive: str, backend: BackendUrl, words: list[str]) -> None:
    """Give parameters to a balancer, or to every mount and member of a backend."""
    if backend.address is None:
        parameters = read_parameters(place, directive, words, balancer=True)
        place.host.balancer(backend.balancer, place.position).parameters.append(parameters)
    elif words:
        parameters = read_member_parameters(place, directive, words, backend)
        place.host.proxy_sets.append((backend, parameters))
