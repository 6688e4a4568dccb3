"""Which mount serves a path: ProxyPass, ProxyPassMatch and Alias, first match in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from scgiproxy.message.backend_url import BackendUrl
from scgiproxy.rules.backend import BackendSettings


@dataclass(frozen=True, slots=True, eq=False)
class Mount:
    """One ProxyPass or ProxyPassMatch line.

    - `pattern`: a path prefix (see `MappingTable`), or an expression searched in the path.
    - `target`: None for ``!``, which ends the search without a backend. With an expression,
      ``$0`` to ``$9`` in `target.path` are replaced; without any, the whole path is appended.
    - `source`: ``FILE:LINE`` (or an option's text), for messages.
    """

    pattern: bytes | re.Pattern[bytes]
    target: BackendUrl | None
    settings: BackendSettings = BackendSettings()
    source: str = ""
    no_query: bool = False
    no_canon: bool = False


@dataclass(frozen=True, slots=True)
class Mapped:
    """A path found: its mount, the decoded path on the backend, and the mount point.

    `script_name` is the front of the request's path that the mount stands for, without its last
    slash; it is SCRIPT_NAME when PATH_INFO is sent.
    """

    mount: Mount
    backend_path: bytes
    script_name: bytes


@dataclass(frozen=True, slots=True)
class Alias:
    """``Alias URL-PATH FILE-PATH``."""

    prefix: bytes
    path: str


class MappingTable:
    """An ordered list of mounts as one compiled look-up; 1 000 mounts cost what 10 do."""

    def __init__(self, mounts: Sequence[Mount]) -> None: ...

    def find(self, path: bytes) -> Mapped | None:
        """The first mount that matches the decoded, normalised `path`, or None."""
        raise NotImplementedError
