"""How many connections clients may have."""

from __future__ import annotations

from dataclasses import dataclass

from scgiproxy.rules.networks import Network


@dataclass(frozen=True, slots=True)
class AddressLimit:
    """MaxConnectionsPerIP: connections of one address, which is in none of the networks `exempt`; 0:
    any number."""

    most: int = 0
    exempt: tuple[Network, ...] = ()


ANY_NUMBER = AddressLimit()
