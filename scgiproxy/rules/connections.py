"""How long clients are waited for, and how many connections they may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scgiproxy.rules.networks import Network

LEAST_SEND_RATE = 240
"""Bytes a second; what Windows' http.sys and Kestrel ask for."""


@dataclass(frozen=True, slots=True)
class ReadTimeout:
    """One stage of RequestReadTimeout: it lasts `initial` seconds, with a `rate` (bytes a second)
    one more for so many bytes that have come, but `most` at the most (0: any number).

    0 in `initial`: the stage may last as long as it wants.
    """

    initial: float
    most: float = 0.0
    rate: int = 0
    seconds_a_byte: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds_a_byte", 1 / self.rate if self.rate else 0.0)

    def __str__(self) -> str:
        """As RequestReadTimeout has it."""
        most = f"-{self.most:g}" if self.most else ""
        return f"{self.initial:g}{most}" + (f",MinRate={self.rate}" if self.rate else "")


READ_TIMEOUTS: Mapping[str, ReadTimeout] = {
    "handshake": ReadTimeout(0.0),
    "header": ReadTimeout(20.0, 40.0, 500),
    "body": ReadTimeout(20.0, 0.0, 500),
}
"""RequestReadTimeout if it says nothing, by stage. They are Apache's."""


@dataclass(frozen=True, slots=True)
class SendTimeout:
    """ResponseSendTimeout: in each `seconds` a client that is waited for has to take something, and
    at least `rate` bytes a second. None in `seconds`: as long as Timeout says."""

    seconds: float | None = None
    rate: int = LEAST_SEND_RATE


SEND_TIMEOUT = SendTimeout()
"""ResponseSendTimeout if it says nothing."""


@dataclass(frozen=True, slots=True)
class AddressLimit:
    """MaxConnectionsPerIP: connections of one address, which is in none of the networks `exempt`; 0:
    any number."""

    most: int = 0
    exempt: tuple[Network, ...] = ()


ANY_NUMBER = AddressLimit()
