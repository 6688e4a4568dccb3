"""Virtual hosts: which one serves a request, by what names, and its constant variables."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from scgiproxy.message.environ import StaticEnviron
from scgiproxy.rules.settings import ServerSettings, Settings
from scgiproxy.web.address import ConnectionEnd
from scgiproxy.web.statistics import MountStatistics

if TYPE_CHECKING:
    from scgiproxy.web.accesslog import AccessLogFile
    from scgiproxy.web.request import GatewayRequest
    from scgiproxy.web.vhost import VirtualHostResource


class Host:
    """What a request asks of the host that serves it.

    - `base_settings`: the settings where no section applies.
    - `statistics`: of the requests that no mount has answered.
    - `document_root`: as a variable; `file_roots`: where files may be that a backend names.
    """

    def __init__(
        self,
        server: ServerSettings,
        base_settings: Settings,
        server_software: bytes,
        access_logs: Sequence[AccessLogFile] = (),
    ) -> None:
        self.server = server
        self.base_settings = base_settings
        self.access_logs = tuple(access_logs)
        self.statistics = MountStatistics(server.name.decode("utf-8", "backslashreplace"))
        root = server.document_root
        self.document_root = None if root is None else os.fsencode(root)
        self.file_roots: tuple[str, ...] = () if root is None else (root,)
        self._server_software = server_software
        self._static_environs: dict[bool, StaticEnviron] = {}

    def static_environ(self, local: ConnectionEnd) -> StaticEnviron:
        """The variables that are the same for every request on such a connection."""
        found = self._static_environs.get(local.secure)
        if found is None:
            found = self._static_environs[local.secure] = host_environ(
                self.server, self._server_software, local.secure
            )
        return found

    def may_have(self, request: GatewayRequest, file_path: str) -> bool:  # noqa: ARG002
        """Whether sections let `request` have a file that a backend names. Here are none."""
        return True


class HostTable:
    """The virtual hosts of a configuration, in file order, and the main server.

    Candidates are the hosts whose address and port are the connection's own; if there are none,
    those with a wildcard address and that port (or any); if there are none, the main server. Among
    them the first one that has the request's name, else the first. (Apache: name-based hosts.)
    """

    def __init__(
        self, main: VirtualHostResource, hosts: Sequence[VirtualHostResource] = ()
    ) -> None:
        self.main = main
        self.hosts = tuple(hosts)
        self._candidates: dict[tuple[bytes, int | None], tuple[VirtualHostResource, ...]] = {}

    def candidates(self, local: ConnectionEnd) -> tuple[VirtualHostResource, ...]:
        """At least one host, in file order. Remembered for each local address."""
        key = (local.host, local.port_number)
        found = self._candidates.get(key)
        if found is None:
            found = self._candidates[key] = self._find(local)
        return found

    def _find(self, local: ConnectionEnd) -> tuple[VirtualHostResource, ...]:
        exact, wild = [], []
        for host in self.hosts:
            for wanted in host.addresses:
                if wanted.port is not None and wanted.port != local.port_number:
                    continue
                if wanted.address is None:
                    wild.append(host)
                    break
                if local.ip is not None and _ip(wanted.address) == local.ip:
                    exact.append(host)
                    break
        return tuple(exact or wild or (self.main,))

    def select(self, local: ConnectionEnd, name: bytes | None) -> VirtualHostResource:
        """The host for a request to `name` (lower case, no port) on the local end `local`."""
        candidates = self.candidates(local)
        if name is not None and len(candidates) > 1:
            for host in candidates:
                if host.has_name(name):
                    return host
        return candidates[0]


class HostNames:
    """ServerName and ServerAlias of one host; aliases may have ``*`` and ``?``."""

    def __init__(self, name: bytes, aliases: Sequence[bytes] = ()) -> None:
        plain = {alias.lower() for alias in aliases if not _is_wild(alias)}
        self._plain = frozenset(plain | ({name.lower()} if name else set()))
        self._wild = tuple(
            re.compile(re.escape(alias.lower()).replace(rb"\*", b".*").replace(rb"\?", b"."))
            for alias in aliases
            if _is_wild(alias)
        )

    def __contains__(self, name: bytes) -> bool:
        if name in self._plain:
            return True
        return any(pattern.fullmatch(name) for pattern in self._wild)


def _ip(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address.strip("[]"))
    except ValueError:
        return None


def _is_wild(alias: bytes) -> bool:
    return b"*" in alias or b"?" in alias


def host_environ(server: ServerSettings, server_software: bytes, secure: bool) -> StaticEnviron:
    """The variables that are the same for every request to a host by one kind of connection."""
    root = os.fsencode(server.document_root or "")
    variables = {
        b"SERVER_SIGNATURE": b"",
        b"SERVER_SOFTWARE": server_software,
        b"DOCUMENT_ROOT": root,
        b"REQUEST_SCHEME": b"https" if secure else server.scheme,
        b"CONTEXT_PREFIX": b"",
        b"CONTEXT_DOCUMENT_ROOT": root,
        b"SERVER_ADMIN": server.admin,
    }
    if secure or server.scheme == b"https":
        variables[b"HTTPS"] = b"on"
    return StaticEnviron(variables)
