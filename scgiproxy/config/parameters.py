"""Reading the ``key=value`` words of ProxyPass, BalancerMember, ProxySet and `<Proxy>`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scgiproxy.config.problems import suggest
from scgiproxy.config.scopes import Parameters, Place
from scgiproxy.config.workers import BALANCER_PARAMETERS, WORKER_PARAMETERS, Parameter
from scgiproxy.message.backend_url import BackendUrl


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
        combine_parameters(values, fields)
    return place.parameters(values)


def combine_parameters(values: dict[str, Any], later: Mapping[str, Any]) -> None:
    """Add fields to `values` in place; of two of one name the later counts."""
    options = {**values.get("options", {}), **later.get("options", {})}
    values.update(later)
    if options:
        values["options"] = options


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
    is_balancer = backend.address is None
    parameters = read_parameters(place, directive, words, balancer=is_balancer, member=True)
    if is_balancer:
        balancer = place.host.balancer(backend.balancer, place.position)
        balancer.parameters.append(parameters)
    elif words:
        place.host.proxy_sets.append((backend, parameters))
