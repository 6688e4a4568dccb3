"""Which mount serves a path: ProxyPass, ProxyPassMatch and Alias, first match in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from scgiproxy.message.backend_url import BackendUrl
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.prefixes import PrefixIndex, normal_prefix
from scgiproxy.rules.substitution import Template

_NO_SETTINGS = BackendSettings()


@dataclass(frozen=True, slots=True, eq=False)
class Mount:
    """One ProxyPass or ProxyPassMatch line.

    - `pattern`: a path prefix (see `MappingTable`), or an expression searched in the path.
    - `target`: None for ``!``, which ends the search without a backend. With an expression,
      ``$0`` to ``$9`` in `target.path` are replaced; without any, the whole path is appended.
    - `source`: ``FILE:LINE`` (or an option's text), for messages.
    - `url_base`: the target as written, up to its path; made from `target`.
    """

    pattern: bytes | re.Pattern[bytes]
    target: BackendUrl | None
    settings: BackendSettings = _NO_SETTINGS
    source: str = ""
    url_base: bytes = field(init=False, repr=False)
    _prefix: bytes = field(init=False, repr=False)
    _keeps_path: bool = field(init=False, repr=False)
    _stem: bytes = field(init=False, repr=False)
    _target_path: bytes = field(init=False, repr=False)
    _template: Template = field(init=False, repr=False)

    def __post_init__(self) -> None:
        target_path = b"" if self.target is None else self.target.path
        prefix = normal_prefix(self.pattern) if isinstance(self.pattern, bytes) else b""
        object.__setattr__(self, "url_base", _url_base(self.target))
        object.__setattr__(self, "_prefix", prefix)
        keeps_path = self.target is not None and prefix == target_path
        object.__setattr__(self, "_keeps_path", keeps_path)
        object.__setattr__(self, "_stem", prefix.removesuffix(b"/"))
        object.__setattr__(self, "_target_path", target_path)
        object.__setattr__(self, "_template", Template(target_path))

    def __reduce__(self) -> tuple[Any, ...]:
        # What the compiler makes of the class cannot be pickled by itself.
        return Mount, (self.pattern, self.target, self.settings, self.source)

    @property
    def path_text(self) -> str:
        """`pattern` as text; what is no UTF-8 is told as escapes."""
        pattern = self.pattern if isinstance(self.pattern, bytes) else self.pattern.pattern
        return pattern.decode("utf-8", "backslashreplace")

    def match(self, path: bytes) -> Mapped | None:
        """Map the decoded, normalised `path`, or None if this mount does not match it."""
        pattern = self.pattern
        if isinstance(pattern, bytes):
            return self.map_below(path) if _has_prefix(path, self._prefix) else None
        found = pattern.search(path)
        return None if found is None else self.map_match(path, found)

    def map_below(self, path: bytes) -> Mapped:
        """Map a path that the prefix is known to match: the target's path and the rest."""
        if self._keeps_path:
            # ProxyPass /app/ scgi://host/app/
            return Mapped(self, path, self._stem)
        if self.target is None:
            return Mapped(self, b"", b"")
        backend_path = self._target_path + path[len(self._prefix) :]
        return Mapped(self, _rooted(backend_path), self._stem)

    def map_match(self, path: bytes, found: re.Match[bytes]) -> Mapped:
        """Map a path that the expression was found in."""
        if self.target is None:
            return Mapped(self, b"", b"")
        template = self._template
        backend_path = template.expand(found)
        if not template.has_references:
            backend_path += path
        backend_path = _rooted(backend_path)
        script_name = b""
        if path.endswith(backend_path):
            script_name = path[: len(path) - len(backend_path)]
        return Mapped(self, backend_path, script_name)


@dataclass(slots=True)
class Mapped:
    """A path found: its mount, the decoded path on the backend, and the mount point.

    `script_name` is the front of the request's path that the mount stands for, without its last
    slash; it is SCRIPT_NAME when PATH_INFO is sent. For an expression it is the path less
    `backend_path`, if that is its end, and else empty. Both are empty for ``!``.
    """

    mount: Mount
    backend_path: bytes
    script_name: bytes

    # Written out, like those of all that is made for each request: compiled, it is much quicker
    # than what a dataclass makes.
    def __init__(self, mount: Mount, backend_path: bytes, script_name: bytes) -> None:
        self.mount = mount
        self.backend_path = backend_path
        self.script_name = script_name


def mapped_url(mapped: Mapped) -> bytes:
    """The URL that a path was mapped to, to be compared with `<Proxy>` sections.

    As written in the configuration and not encoded: ``scgi://host:port/path``,
    ``unix:/socket|scgi://name/path``, ``balancer://name/path``.
    """
    return mapped.mount.url_base + mapped.backend_path


class MappingTable:
    """An ordered list of mounts as one compiled look-up; 1 000 mounts cost what 10 do.

    A prefix matches on component boundaries, case-sensitively (see `PrefixIndex`); an expression
    is searched anywhere in the path. The rest of the path is appended to the target as it is: no
    slash is added between them and none is removed. Prefixes are found by hash; of the
    expressions only those before the first matching prefix are tried.
    """

    __slots__ = ("_expressions", "_mounts", "_prefixes")

    def __init__(self, mounts: Sequence[Mount]) -> None:
        self._mounts = tuple(mounts)
        prefixes: list[tuple[int, bytes]] = []
        expressions: list[tuple[int, re.Pattern[bytes]]] = []
        for number, mount in enumerate(self._mounts):
            if isinstance(mount.pattern, bytes):
                prefixes.append((number, mount.pattern))
            else:
                expressions.append((number, mount.pattern))
        self._prefixes = PrefixIndex(prefixes)
        self._expressions = tuple(expressions)

    def find(self, path: bytes) -> Mapped | None:
        """The first mount that matches the decoded, normalised `path`, or None.

        For ``!`` the answer is a `Mapped` whose ``mount.target`` is None.
        """
        first = self._prefixes.first(path)
        for number, pattern in self._expressions:
            if first is not None and number > first:
                break
            found = pattern.search(path)
            if found is not None:
                return self._mounts[number].map_match(path, found)
        return None if first is None else self._mounts[first].map_below(path)


@dataclass(frozen=True, slots=True)
class Alias:
    """``Alias URL-PATH FILE-PATH``. The file is `path` and the rest of the URL's path."""

    prefix: bytes
    path: str
    _normal: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_normal", normal_prefix(self.prefix))

    def __reduce__(self) -> tuple[Any, ...]:
        # See `Mount`.
        return Alias, (self.prefix, self.path)

    def rest(self, path: bytes) -> bytes | None:
        """What follows the prefix in `path`; None if the prefix does not match."""
        return path[len(self._normal) :] if _has_prefix(path, self._normal) else None


def find_alias(aliases: Iterable[Alias], path: bytes) -> tuple[Alias, bytes] | None:
    """The first alias whose prefix matches the decoded, normalised `path`, and the rest of it.

    On component boundaries, so that ``/static`` has no part in ``/static../x``. (mod_alias.)
    """
    for alias in aliases:
        rest = alias.rest(path)
        if rest is not None:
            return alias, rest
    return None


def _has_prefix(path: bytes, prefix: bytes) -> bool:
    if not path.startswith(prefix) or not prefix.startswith(b"/"):
        return False
    return prefix.endswith(b"/") or path[len(prefix) : len(prefix) + 1] in (b"", b"/")


def _rooted(path: bytes) -> bytes:
    """A path on a backend begins with a slash or is empty. (``/app/ scgi://host`` would glue the
    rest to the host in Apache, which ends in 500.)"""
    return path if not path or path.startswith(b"/") else b"/" + path


def _url_base(target: BackendUrl | None) -> bytes:
    if target is None:
        return b""
    label = target.label.encode("utf-8", "surrogateescape")
    if label.endswith(target.path) and b":" in label:
        return label[: len(label) - len(target.path)]
    if target.address is None:
        return b"balancer://" + target.balancer.encode("utf-8", "surrogateescape")
    scheme = "scgis" if target.secure else "scgi"
    return f"{scheme}://{target.address}".encode("utf-8", "surrogateescape")
