"""What a configuration means, as frozen data. The running objects are built from it elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scgiproxy.errors import Problem
from scgiproxy.message.backend_url import BackendUrl, TcpAddress
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.rules.connections import ANY_NUMBER, AddressLimit
from scgiproxy.rules.discovery import DiscoverySettings
from scgiproxy.rules.health import HealthCondition
from scgiproxy.rules.mapping import Alias, Mount
from scgiproxy.rules.sections import Pattern
from scgiproxy.rules.sections import SectionKind as SectionKind
from scgiproxy.rules.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Position:
    """Where something was written: the file, and its line from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Section:
    """One `<Location>`, `<LocationMatch>`, `<Proxy>`, `<Directory>` or `<Files>` section.

    `pattern` is a literal prefix (of `<Files>`, a name), or a compiled expression (LocationMatch,
    ``~``, and wildcards, which are translated when loaded). `within` is that of the `<Directory>`
    around a `<Files>`. `values` has only what the section says, by the field names
    of `rules.settings.Settings`, and those of the parts of a field that `config.merge` puts
    together.
    """

    kind: SectionKind
    pattern: Pattern
    values: Mapping[str, Any]
    position: Position
    within: Pattern | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """A `Listen` line: address and port (address empty: all), or a Twisted endpoint string."""

    position: Position
    address: str = ""
    port: int = 0
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class HostAddress:
    """One address of a `<VirtualHost>` line; None is ``*`` (any)."""

    address: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """One `<VirtualHost>`, with the main server's values merged in; or the main server itself.

    `base` is what is said per directory outside any section (by field names of `Settings`);
    `sections` and `mounts` have the main server's first, then this host's, in file order.
    `handlers` are the names of its SetHandler lines, and where they stand.
    """

    position: Position
    addresses: tuple[HostAddress, ...]
    server: ServerSettings
    base: Mapping[str, Any]
    sections: tuple[Section, ...] = ()
    mounts: tuple[Mount, ...] = ()
    aliases: tuple[Alias, ...] = ()
    handlers: Mapping[str, tuple[Position, ...]] = field(default_factory=dict)
    balancers: tuple[str, ...] = ()
    """The keys of its own balancers, those of the main server not among them."""


@dataclass(frozen=True, slots=True)
class Member:
    """One BalancerMember.

    With `discovery` it stands for as many members as its host name does; each has these `settings`,
    and those of SRV records their own set and load factor.
    """

    url: BackendUrl
    settings: BackendSettings
    position: Position
    discovery: DiscoverySettings | None = None


@dataclass(frozen=True, slots=True)
class Balancer:
    """One ``balancer://name``. There may be no member where some may be added (`growth`)."""

    name: str
    members: tuple[Member, ...]
    settings: BalancerSettings
    conditions: Mapping[str, HealthCondition] = field(default_factory=dict)
    """Each ProxyHCExpr that may be named for its members, by name in lower case."""


@dataclass(frozen=True, slots=True)
class NameServer:
    """The ProxyResolver line."""

    address: TcpAddress
    position: Position


@dataclass(frozen=True, slots=True)
class WrittenDirectory:
    """A directory in which files are made, and the line that names it."""

    path: str
    position: Position


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration that loaded without an error. `notes` are warnings and remarks.

    The key of a balancer is what `BackendUrl.balancer` of a mount says: its name, or, where virtual
    hosts have balancers of one name, ``NAME@FILE:LINE``.
    """

    listeners: tuple[Listener, ...]
    main: VirtualHost
    virtual_hosts: tuple[VirtualHost, ...]
    balancers: Mapping[str, Balancer]
    server_tokens: str = "Full"
    log_level: str = "warn"
    error_log: str | None = None
    log_positions: Mapping[str, Position] = field(default_factory=dict)
    """Where each log file is named first, by its path."""
    balancing_methods: Mapping[str, tuple[Position, ...]] = field(default_factory=dict)
    """The names of ``lbmethod``, and where they stand; whether there is such a method is not known
    here."""
    name_server: NameServer | None = None
    """Who is asked for names with `discover`; None asks the system's."""
    heartbeat_storage: str | None = None
    """HeartbeatStorage: the file that ``lbmethod=heartbeat`` goes by."""
    runtime_directory: WrittenDirectory | None = None
    """DefaultRuntimeDir, where state is kept; None: where the service manager, or the working
    directory, says."""
    spool_directory: WrittenDirectory | None = None
    """SpoolDirectory; None: the system's temporary one."""
    spool_max_total: int = 4 << 30
    """Bytes in files of spooled bodies, of each process; 0 is no limit."""
    persistent: Mapping[str, Position] = field(default_factory=dict)
    """The keys of the balancers whose changes survive a restart, and the BalancerPersist line."""
    notes: tuple[Problem, ...] = ()
    probes_at_once: int = 16
    """Of all members together; 0 is one."""
    listen_backlog: int = 511
    max_connections: int | None = None
    """MaxConnections, of all workers together; None: what the limit of open files allows."""
    max_connections_per_ip: AddressLimit = ANY_NUMBER
    graceful_shutdown_timeout: int = 30
    """Seconds; 0 is as long as it takes."""
    workers: int | None = 1
    """How many processes serve; None: one for each core. See `worker_count`."""

    @property
    def worker_count(self) -> int:
        """How many processes serve here and now."""
        if self.workers is not None:
            return self.workers
        try:
            return len(os.sched_getaffinity(0))
        except AttributeError:  # not every system can tell which cores a process may use
            return os.cpu_count() or 1
