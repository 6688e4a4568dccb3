"""Balancers of members a, b, c and d, and where requests to them go."""

from __future__ import annotations

from tests.directives.gateway import ConfiguredGateway

A, B, C, D = (f"127.0.0.1:400{number}" for number in (1, 2, 3, 4))
NAMES = {A: "a", B: "b", C: "c", D: "d"}


def balancer(*members: str, parameters: str = "") -> str:
    """A balancer of members a, b, c and d, each with the parameters that are given."""
    lines = [
        f"BalancerMember scgi://127.0.0.1:400{number} {words}"
        for number, words in enumerate(members, 1)
    ]
    inside = "\n".join(lines)
    return (
        f"ProxyPass / balancer://cluster/ {parameters}\n"
        f"<Proxy balancer://cluster>\n{inside}\n</Proxy>"
    )


def turn(gateway: ConfiguredGateway, *headers: str, path: str = "/") -> str:
    """Which member a request goes to; several are in brackets, ``-`` is nobody."""
    names = "".join(NAMES[where] for where in gateway.ask(path, *headers).where)
    return names if len(names) == 1 else f"({names})" if names else "-"


def turns(gateway: ConfiguredGateway, number: int) -> str:
    """`turn` of so many requests, one after the other."""
    return "".join(turn(gateway) for _ in range(number))


def members_down(names: str) -> set[str]:
    """What ``gateway.down`` is to be, for these members to refuse connections."""
    return {where for where, name in NAMES.items() if name in names}
