"""Which `<Directory>`, `<Proxy>`, `<Location>` sections apply, and what they say together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol

from scgiproxy.rules.prefixes import PrefixIndex, normal_prefix
from scgiproxy.rules.settings import Settings

Merge = Callable[[Sequence[Mapping[str, Any]]], Settings]
"""Makes one `Settings` of what several sections say, outermost first."""

_REMEMBERED = 4096
"""Combinations of sections that are kept. Few ever occur; expressions could make more."""


class SectionKind(Enum):
    DIRECTORY = "Directory"
    PROXY = "Proxy"
    LOCATION = "Location"
    LOCATION_MATCH = "LocationMatch"


class SectionLike(Protocol):
    """What is asked of a section; `config.model.Section` is one."""

    @property
    def kind(self) -> SectionKind: ...

    @property
    def pattern(self) -> bytes | re.Pattern[bytes]:
        """A literal prefix, or an expression to search for (see `translate_wildcard`)."""

    @property
    def values(self) -> Mapping[str, Any]:
        """What the section says; an empty one applies to nothing."""


class SectionTable:
    """The sections of one virtual host as compiled look-ups, and their merged settings.

    Each combination of sections that occurs is merged once and remembered. `merge` gets `base` and
    then the `values` of the sections that apply, in Apache's order:

    - `<Directory>` by depth, the shortest first, for a file; or `<Proxy>` in order of appearance,
      for a mount: a URL that begins with the literal pattern, or in which the expression is found;
    - then `<Location>` and `<LocationMatch>` in order of appearance: literal ones match on
      component boundaries, case-sensitively (see `PrefixIndex`).

    All paths are decoded and normalised.
    """

    __slots__ = (
        "_base",
        "_directories",
        "_directory_expressions",
        "_location_expressions",
        "_locations",
        "_merge",
        "_naming",
        "_plain",
        "_proxies",
        "_remembered",
        "_values",
    )

    def __init__(
        self, base: Mapping[str, Any], sections: Sequence[SectionLike], merge: Merge
    ) -> None:
        self._base = base
        self._merge = merge
        kept = [section for section in sections if section.values]
        self._values = tuple(section.values for section in kept)
        literal: dict[SectionKind, list[tuple[int, bytes]]] = {kind: [] for kind in SectionKind}
        expressions: dict[SectionKind, list[tuple[int, re.Pattern[bytes]]]] = {
            kind: [] for kind in SectionKind
        }
        for number, section in enumerate(kept):
            kind = section.kind
            if kind is SectionKind.LOCATION_MATCH:
                kind = SectionKind.LOCATION
            if isinstance(section.pattern, bytes):
                literal[kind].append((number, section.pattern))
            else:
                expressions[kind].append((number, section.pattern))
        self._locations = PrefixIndex(literal[SectionKind.LOCATION])
        self._location_expressions = tuple(expressions[SectionKind.LOCATION])
        self._proxies = tuple(
            (number, section.pattern)
            for number, section in enumerate(kept)
            if section.kind is SectionKind.PROXY
        )
        self._directories: dict[bytes, list[int]] = {}
        for number, directory in literal[SectionKind.DIRECTORY]:
            self._directories.setdefault(_directory_key(directory), []).append(number)
        self._directory_expressions = tuple(expressions[SectionKind.DIRECTORY])
        self._remembered: dict[tuple[int, ...], Settings] = {}
        self._plain = None if kept else merge([base])
        self._naming: dict[SectionKind, list[re.Pattern[bytes]]] = {}
        for section in sections:
            if isinstance(section.pattern, re.Pattern) and section.pattern.groupindex:
                kind = section.kind
                if kind is SectionKind.LOCATION_MATCH:
                    kind = SectionKind.LOCATION
                self._naming.setdefault(kind, []).append(section.pattern)

    @property
    def names_groups(self) -> bool:
        """Whether an expression of a section names groups: see `named_groups`."""
        return bool(self._naming)

    def named_groups(
        self, path: bytes, *, mapped_url: bytes | None = None, file_path: str = ""
    ) -> dict[bytes, bytes]:
        """``MATCH_NAME`` and its text for each named group ``(?<name>...)`` of the sections that
        apply, later ones over earlier ones. (LocationMatch, ProxyMatch, DirectoryMatch.)"""
        texts: list[tuple[SectionKind, Iterable[bytes]]] = [(SectionKind.LOCATION, (path,))]
        if mapped_url is not None:
            texts.insert(0, (SectionKind.PROXY, (mapped_url,)))
        elif file_path:
            folders = _folders(file_path.encode("utf-8", "surrogateescape"))
            texts.insert(0, (SectionKind.DIRECTORY, list(folders)))
        variables: dict[bytes, bytes] = {}
        for kind, candidates in texts:
            for pattern in self._naming.get(kind, ()):
                found = next(filter(None, map(pattern.search, candidates)), None)
                if found is not None:
                    variables |= {
                        b"MATCH_" + name.upper().encode(): text
                        for name, text in found.groupdict().items()
                        if text is not None
                    }
        return variables

    def for_mount(self, path: bytes, mapped_url: bytes) -> Settings:
        """For a request to a backend: `path` is the request's, `mapped_url` as
        `rules.mapping.mapped_url` gives it."""
        if self._plain is not None:
            return self._plain
        if not self._proxies:
            return self._merged(self._matching_locations(path))
        proxies = [
            number
            for number, pattern in self._proxies
            if (
                mapped_url.startswith(pattern)
                if isinstance(pattern, bytes)
                else pattern.search(mapped_url)
            )
        ]
        return self._merged(proxies + self._matching_locations(path))

    def for_file(self, path: bytes, file_path: str) -> Settings:
        """For a file of this server: `file_path` is absolute, without dot segments."""
        if self._plain is not None:
            return self._plain
        directories: list[int] = []
        if self._directories or self._directory_expressions:
            directories = self._matching_directories(file_path.encode("utf-8", "surrogateescape"))
        return self._merged(directories + self._matching_locations(path))

    def directories_only(self, file_path: str) -> Settings | None:
        """What the `<Directory>` sections alone say of a file that a backend names; None if there
        are none."""
        if not (self._directories or self._directory_expressions):
            return None
        encoded = normal_prefix(file_path.encode("utf-8", "surrogateescape"))
        return self._merged(self._matching_directories(encoded))

    def location_only(self, path: bytes) -> Settings:
        """What the `<Location>` sections alone say: for a ProxyPass in one, before mapping."""
        if self._plain is not None:
            return self._plain
        return self._merged(self._matching_locations(path))

    def _matching_locations(self, path: bytes) -> list[int]:
        numbers = self._locations.matching(path)
        for number, pattern in self._location_expressions:
            if pattern.search(path):
                numbers.append(number)
        if len(numbers) > 1:
            numbers.sort()
        return numbers

    def _matching_directories(self, file_path: bytes) -> list[int]:
        """Those of each folder on the way, from the root down.

        A wildcard's stars match no slash, so it matches at the depth that it is written with.
        """
        matching: list[int] = []
        waiting = list(self._directory_expressions)
        for folder in _folders(file_path):
            here = list(self._directories.get(folder, ()))
            here += (number for number, pattern in waiting if pattern.search(folder))
            if here:
                here.sort()
                waiting = [each for each in waiting if each[0] not in here]
                matching += here
        return matching

    def _merged(self, numbers: list[int]) -> Settings:
        key = tuple(numbers)
        settings = self._remembered.get(key)
        if settings is None:
            settings = self._merge([self._base, *(self._values[number] for number in numbers)])
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = settings
        return settings


def _directory_key(directory: bytes) -> bytes:
    return normal_prefix(directory).rstrip(b"/") or b"/"


def _folders(file_path: bytes) -> Iterator[bytes]:
    """``/``, ``/srv``, ``/srv/www`` and so on, the path itself last."""
    yield b"/"
    path = file_path.rstrip(b"/")
    end = path.find(b"/", 1)
    while end > 0:
        yield path[:end]
        end = path.find(b"/", end + 1)
    if path:
        yield path
