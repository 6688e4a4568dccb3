"""What the configuration says of one backend: Apache's worker parameters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """Worker parameters (the ``key=value`` of ProxyPass, BalancerMember, ProxySet).

    Times in seconds; None means "take the server's".
    """

    timeout: float | None = None
    """Longest wait for one write, for the whole response head, for one piece of the body."""
    connect_timeout: float | None = None
    retry: float = 60.0
    """How long a failed balancer member is left alone."""
    max_connections: int | None = None
    """`max`: connections at a time."""
    acquire: float | None = None
    """Longest wait for one of them; None waits for ever."""
    max_header: int = 65536
    """`maxheader`: bytes of the SCGI header block that this backend takes."""
    half_close: bool = False
    path_info: bool | None = None
    """`pathinfo`; None leaves it to ``proxy-scgi-pathinfo``."""
    keepalive: bool = False
    """SO_KEEPALIVE."""
    disabled: bool = False
    """``status=D``, or S: 503 without a connection."""
    load_factor: float = 1.0
    route: bytes = b""
    lbset: int = 0
    standby: bool = False
    """``status=+H``: used only when no other member is usable."""
