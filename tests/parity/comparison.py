"""Whether two sides agree on a case, or differ as it says."""

from __future__ import annotations

from tests.parity.case import Case, Facts
from tests.parity.observation import compared


def compare(case: Case, apache: Facts, gateway: Facts) -> list[str]:
    """What is wrong, a line for each fact; nothing when all is as it must be."""
    wrong = []
    expected: set[str] = set()
    for differs in case.differences:
        named = set(differs.apache) | set(differs.gateway)
        wrong += _as_said("apache", differs.apache, apache)
        wrong += _as_said("gateway", differs.gateway, gateway)
        if not any(apache.get(name) != gateway.get(name) for name in named):
            wrong.append(f"the difference {differs.difference!r} is no more: take it off the list")
        expected |= named
    if not all(differs.only_these for differs in case.differences):
        return wrong
    apache, gateway = compared(apache), compared(gateway)
    for name in sorted(set(apache) | set(gateway)):
        if name not in expected and apache.get(name) != gateway.get(name):
            wrong.append(f"{name}: apache {apache.get(name)!r}, gateway {gateway.get(name)!r}")
    return wrong


def _as_said(side: str, said: Facts, seen: Facts) -> list[str]:
    return [
        f"{name}: {side} was to give {value!r}, and gives {seen.get(name)!r}"
        for name, value in said.items()
        if seen.get(name) != value
    ]
