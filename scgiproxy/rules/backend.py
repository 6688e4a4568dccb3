"""What the configuration says of one backend: Apache's worker parameters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from scgiproxy.rules.health import HealthCheck
from scgiproxy.rules.tls import TlsSettings


class Flag(Enum):
    """A letter of `status`."""

    IGNORE_ERRORS = "I"
    DRAINING = "N"
    DISABLED = "D"
    STOPPED = "S"
    STANDBY = "H"
    SPARE = "R"
    CHECK_FAILED = "C"

    @property
    def attribute(self) -> str:
        """What a `pool.backend.Backend` calls it, and `BackendSettings` too: but for CHECK_FAILED,
        which is found out and not set."""
        return self.name.lower()

    @property
    def form_field(self) -> str:
        """What a form of the balancer-manager calls it."""
        return f"w_status_{self.value}"


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
    """``status=D``: 503 without a connection."""
    stopped: bool = False
    """``status=S``: disabled, and not probed either."""
    ignore_errors: bool = False
    """``status=I``: never put in error."""
    draining: bool = False
    """``status=N``: only for sessions that have it already."""
    standby: bool = False
    """``status=H``: used only when no other member of its set is usable."""
    spare: bool = False
    """``status=R``: takes the place of a member of its set that is not usable."""
    load_factor: float = 1.0
    route: bytes = b""
    """What a session calls this member."""
    redirect: bytes = b""
    """The route to take instead while this member is not usable."""
    lbset: int = 0
    slow_start: float = 0.0
    """`slowstart`: over how many seconds the load factor of a member that is up again grows."""
    preconnect: int = 0
    """Connections that are made before there is a request for them."""
    eject_rate: float | None = None
    """`ejectrate`: the share of faulty exchanges (0 to 1) that puts a member in error."""
    health: HealthCheck | None = None
    """How a member is checked, if it is."""
    tls: TlsSettings | None = None
    """Of ``scgis://``; None is TCP, or a UNIX socket, as it is."""
