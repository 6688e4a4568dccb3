"""What the configuration says of one balancer: Apache's balancer parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

from scgiproxy.rules.tls import TlsSettings


@dataclass(frozen=True, slots=True)
class Sticky:
    """Where a session's route is found: stickysession, stickysessionsep, scolonpathdelim."""

    cookie: bytes
    """The cookie's name, case-sensitive; empty if no cookie is looked at."""
    parameter: bytes
    """The name of the URL's parameter, case-sensitive; empty if the URL is not looked at."""
    separator: bytes = b"."
    """What stands before the route in the value; empty (``Off``) if the whole value is the route."""
    semicolon: bool = False
    """Whether ``;`` separates parameters in a query, beside ``&``. In a path it always does."""


@dataclass(frozen=True, slots=True)
class BalancerSettings:
    """Balancer parameters (the ``key=value`` of ``ProxyPass``, ``ProxySet``, `<Proxy>`)."""

    method: str = "byrequests"
    """`lbmethod`, the name of a balancing method."""
    sticky: Sticky | None = None
    """None: requests have no session."""
    no_failover: bool = False
    """`nofailover`: 503 for a session whose own member cannot be used."""
    wait: float = 0.0
    """`timeout`: seconds to wait for a member that can be used."""
    max_attempts: int | None = None
    """`maxattempts`: additional members to try; None tries each once."""
    fail_on_status: frozenset[int] = frozenset()
    """`failonstatus`: the statuses that put the member in error that answered with one."""
    fail_on_timeout: bool = False
    """`failontimeout`: a member that does not answer in time is put in error."""
    force_recovery: bool = True
    """`forcerecovery`: when every enabled member is in error, all are tried again."""
    growth: int = 0
    """How many members may be added while the gateway runs."""
    nonce: str | None = None
    """What a change by the balancer-manager must carry; None makes one up at start. Empty:
    nothing (``nonce=None`` in the file)."""
    tls: TlsSettings = field(default_factory=TlsSettings)
    """For a member that is added with ``scgis://``."""
