"""TLS to backends: whether it can be had as it is configured."""

from __future__ import annotations

from scgiproxy.errors import Problem
from scgiproxy.message.backend_url import Address, TcpAddress
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.wire.dial import Dialer


def tls_problem(
    dialer: Dialer, settings: BackendSettings, address: Address, source: str
) -> Problem | None:
    """What is wrong with the certificates, keys and names for a ``scgis://`` backend, which is
    configured in the line `source`; None if nothing is, or there is no TLS."""
    if settings.tls is None or not isinstance(address, TcpAddress):
        return None
    try:
        dialer.through_tls(settings.tls, address.host)
    except ValueError as error:
        # That of the file, if it is one that cannot be used.
        file, _, line = (getattr(error, "source", "") or source).rpartition(":")
        return Problem(file, int(line), str(error))
    return None
