"""Where a directive stands while a configuration is loaded, and what has been said there so far.

Drafts: they are turned into the frozen `config.model` when every line has been read, because a
ProxySet or a BalancerMember may come after the mount it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scgiproxy.config.model import HostAddress, Listener, Position, Section
from scgiproxy.config.problems import Problems
from scgiproxy.config.table import Context
from scgiproxy.message.backend_url import BackendUrl
from scgiproxy.rules.health import HealthCondition
from scgiproxy.rules.mapping import Alias
from scgiproxy.rules.sections import Pattern

if TYPE_CHECKING:
    from scgiproxy.config.tree import Node


@dataclass(slots=True, eq=False)
class Parameters:
    """``key=value`` pairs as far as they were understood, and where they were written.

    `serial` grows with each line of the configuration: of two that set the same key for the same
    backend, the later line counts.
    """

    position: Position
    serial: int
    values: Mapping[str, Any]
    used: bool = False


@dataclass(slots=True, eq=False)
class MountDraft:
    """A ProxyPass of any kind, before ProxySet lines are applied to it."""

    pattern: Pattern
    target: BackendUrl | None
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class ReverseDraft:
    """A ProxyPassReverse of a balancer: it becomes a rule for each member's URL."""

    local: bytes
    balancer: str
    path: bytes
    position: Position


@dataclass(slots=True, eq=False)
class MemberDraft:
    """A BalancerMember."""

    url: BackendUrl
    parameters: Parameters


@dataclass(slots=True, eq=False)
class BalancerDraft:
    """What one server (main or virtual host) says of a balancer."""

    name: str
    position: Position
    members: list[MemberDraft] = field(default_factory=list)
    parameters: list[Parameters] = field(default_factory=list)
    used: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class TlsDraft:
    """A line of SSLProxy...: the parts of `config.tls` that it sets.

    `pattern` is that of the `<Proxy>` around it, None outside of one; `backend` is its URL, if it
    has no wildcards.
    """

    pattern: Pattern | None
    backend: BackendUrl | None
    values: Mapping[str, Any]


@dataclass(slots=True, eq=False)
class HostDraft:
    """The main server or a virtual host. Keys of the mappings are field names."""

    position: Position
    addresses: tuple[HostAddress, ...] = ()
    server: dict[str, Any] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
    mounts: list[MountDraft] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    balancers: dict[str, BalancerDraft] = field(default_factory=dict)
    proxy_sets: list[tuple[BackendUrl, Parameters]] = field(default_factory=list)
    handlers: dict[str, tuple[Position, ...]] = field(default_factory=dict)
    health_conditions: dict[str, HealthCondition] = field(default_factory=dict)
    """By name in lower case."""
    health_templates: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By name in lower case."""
    tls: list[TlsDraft] = field(default_factory=list)
    persist_position: Position | None = None
    """Of the last BalancerPersist."""

    def balancer(self, name: str, position: Position) -> BalancerDraft:
        """The draft of that name, made when this is the first time it is named."""
        return self.balancers.setdefault(name, BalancerDraft(name, position))


@dataclass(slots=True, eq=False)
class ConfigurationDraft:
    """What is said once for everything, and the hosts."""

    main: HostDraft
    problems: Problems
    environment: Mapping[str, str]
    resolve: Callable[[str], Path]
    """A path as written to a path below ServerRoot."""
    values: dict[str, Any] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)
    virtual_hosts: list[HostDraft] = field(default_factory=list)
    log_formats: dict[str, str] = field(default_factory=dict)
    balancing_methods: dict[str, tuple[Position, ...]] = field(default_factory=dict)
    """The names of ``lbmethod``, and where they stand."""
    failed: set[str] = field(default_factory=set)
    """Directives of which a line could not be used: what is missing then is no news."""
    serial: int = 0

    def next_serial(self) -> int:
        self.serial += 1
        return self.serial


@dataclass(slots=True, eq=False)
class Place:
    """What the functions of a row see: the place it stands in, with its `position`.

    `values` has what this place says by field name of Settings (or of `config.merge`); `pattern`
    is the section's; `backend` is the URL of a `<Proxy>` without wildcards. With `is_lost` the line
    of the section could not be used: the two mean nothing then, and only errors are told.
    """

    context: Context
    configuration: ConfigurationDraft
    host: HostDraft
    values: dict[str, Any]
    position: Position
    load: Callable[[Sequence[Node], Place], None]
    """Apply the directives in a section."""
    pattern: Pattern = b"/"
    backend: BackendUrl | None = None
    is_lost: bool = False

    def warn(self, message: str) -> None:
        """Tell of something that is no error."""
        if not self.is_lost:
            self.configuration.problems.warn(self.position, message)

    def error(self, message: str) -> None:
        """Tell of an error and go on; raise ValueError instead to give the line up."""
        self.configuration.problems.error(self.position, message)

    def note_once(self, key: str, message: str) -> None:
        """Tell of something that need not be repeated at every line."""
        if not self.is_lost:
            self.configuration.problems.note_once(key, self.position, message)

    def resolve(self, path: str) -> Path:
        """A path as written: a relative one is below ServerRoot."""
        return self.configuration.resolve(path)

    def parameters(self, values: Mapping[str, Any]) -> Parameters:
        """`values` as written here."""
        return Parameters(self.position, self.configuration.next_serial(), values)
