"""What the configuration says, as values: for one request and for one server.

The directive table (`config.directives`) fills these; the names of the fields of `Settings` are
the keys under which it stores what a section says. Nothing here changes after loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from scgiproxy.rules.access import Requirement
from scgiproxy.rules.connections import READ_TIMEOUTS, SEND_TIMEOUT, ReadTimeout, SendTimeout
from scgiproxy.rules.environment import EnvironmentRule, effective_rules
from scgiproxy.rules.headers import HeaderEdit
from scgiproxy.rules.mapping import Mount
from scgiproxy.rules.rewriting import LOCATION_FIELDS, CookieRule, ReverseRule

GIB = 1 << 30


class ErrorDocumentKind(Enum):
    TEXT = "text"
    LOCAL = "local"
    """A path of this server: an internal GET redirect that keeps the status."""
    REDIRECT = "redirect"
    """A full URL: 302 to there."""
    DEFAULT = "default"
    """The gateway's own page, over one that an outer section set."""


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    kind: ErrorDocumentKind
    value: bytes = b""


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """AuthType Basic, AuthName, AuthUserFile."""

    realm: bytes
    user_file: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What the merged sections say for one request ("per-directory" in Apache's words)."""

    access: Requirement | None = None
    """Require and its containers, Order/Allow/Deny; None lets everyone in."""
    auth: BasicAuth | None = None
    cgi_pass_auth: bool = False
    limit_request_body: int = GIB
    """Bytes; 0 is no limit."""
    error_documents: Mapping[int, ErrorDocument] = field(default_factory=dict)
    set_env_if: tuple[EnvironmentRule, ...] = ()
    """SetEnvIf and kin inside a section; those at server level are in `ServerSettings`."""
    set_env: tuple[EnvironmentRule, ...] = ()
    """SetEnv, PassEnv, UnsetEnv in order; what an UnsetEnv takes back is left out."""
    request_headers: tuple[HeaderEdit, ...] = ()
    response_headers: tuple[HeaderEdit, ...] = ()
    handler: str | Mount | None = None
    """SetHandler: a plugin's name, or the mount of ``proxy:URL``; for what no ProxyPass takes."""
    proxy: Mount | None = None
    """ProxyPass inside a Location."""
    reverse: tuple[ReverseRule, ...] = ()
    reverse_cookie_domains: tuple[CookieRule, ...] = ()
    reverse_cookie_paths: tuple[CookieRule, ...] = ()
    error_override: frozenset[int] = frozenset()
    """Statuses of a backend that are replaced by the gateway's page; empty is Off."""
    proxy_max_duration: float = 0.0
    """Seconds from a request's start to the end of its answer; 0 is no limit."""
    add_forwarded_headers: bool = False
    """ProxyAddHeaders On, written out (unset adds nothing, as Apache does for SCGI)."""
    internal_redirect: bytes | None = b"location"
    """Lower-case name of the header that redirects; None is Off."""
    sendfile: bytes | None = None
    """Lower-case name of the header that names a file; None is Off."""
    sendfile_roots: tuple[str, ...] = ()
    """XSendFilePath; empty means DocumentRoot."""

    watched: frozenset[bytes] = field(init=False, repr=False)
    """Lower-case names of the fields of a backend's answer that these settings act upon."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "set_env", effective_rules(self.set_env))
        names = {name for name in (self.internal_redirect, self.sendfile) if name}
        if self.reverse:
            names |= LOCATION_FIELDS
        if self.reverse_cookie_domains or self.reverse_cookie_paths:
            names.add(b"set-cookie")
        object.__setattr__(self, "watched", frozenset(names))


class CanonicalName(Enum):
    OFF = "off"
    ON = "on"


@dataclass(frozen=True, slots=True)
class AccessLog:
    """CustomLog: a file and a format, `common` or `combined`."""

    path: str
    format: Literal["common", "combined"] = "combined"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What one virtual host (or the main server) says outside sections. Times in seconds."""

    name: bytes = b""
    port: int | None = None
    """Of ServerName, when it is written there."""
    scheme: bytes = b"http"
    aliases: tuple[bytes, ...] = ()
    admin: bytes = b"[no address given]"
    canonical_name: CanonicalName = CanonicalName.OFF
    document_root: str | None = None
    timeout: float = 60.0
    proxy_timeout: float | None = None
    """None: `timeout`."""
    read_timeouts: Mapping[str, ReadTimeout] = field(default_factory=dict)
    """RequestReadTimeout, by stage, where it is said; see `read_timeout`."""
    send_timeout: SendTimeout = SEND_TIMEOUT
    keep_alive: bool = True
    keep_alive_timeout: float = 5.0
    max_keep_alive_requests: int = 100
    """0 is no limit."""
    limit_request_line: int = 8190
    limit_request_fields: int = 100
    """0 is no limit."""
    limit_request_field_size: int = 8190
    limit_internal_recursion: int = 10
    encoded_slashes: str = "off"
    """AllowEncodedSlashes: off, on or nodecode."""
    environment: tuple[EnvironmentRule, ...] = ()
    """SetEnvIf, BrowserMatch at server level; they run before the target is mapped."""
    log_level: str = "warn"
    error_log: str | None = None
    access_logs: tuple[AccessLog, ...] = ()
    balancer_inherit: bool = True
    """BalancerInherit: whether the balancer-manager has the main server's balancers too."""
    balancer_persist: bool = False
    """BalancerPersist: whether what the balancer-manager changes, and counters, survive a restart."""

    def read_timeout(self, stage: str) -> ReadTimeout:
        """RequestReadTimeout for ``handshake``, ``header`` or ``body``."""
        return self.read_timeouts.get(stage) or READ_TIMEOUTS[stage]
