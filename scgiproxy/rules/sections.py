"""Which `<Directory>`, `<Files>`, `<Proxy>`, `<Location>` sections apply, and what they say
together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol

from scgiproxy.rules.prefixes import PrefixIndex, normal_prefix
from scgiproxy.rules.settings import Settings

Merge = Callable[[Sequence[Mapping[str, Any]]], Settings]
"""Makes one `Settings` of what several sections say, outermost first."""

Pattern = bytes | re.Pattern[bytes]
"""A literal text, or an expression to search for (see `translate_wildcard`)."""

INDEX = b"index.html"
"""The file that a folder is answered with."""

_REMEMBERED = 4096
"""Combinations of sections that are kept. Few ever occur; expressions could make more."""


class SectionKind(Enum):
    DIRECTORY = "Directory"
    FILES = "Files"
    PROXY = "Proxy"
    LOCATION = "Location"
    LOCATION_MATCH = "LocationMatch"


class SectionLike(Protocol):
    """What is asked of a section; `config.model.Section` is one."""

    @property
    def kind(self) -> SectionKind: ...

    @property
    def pattern(self) -> Pattern:
        """A prefix, or for `<Files>` a whole name, if it is literal."""

    @property
    def within(self) -> Pattern | None:
        """The pattern of the `<Directory>` that a `<Files>` stands in."""

    @property
    def values(self) -> Mapping[str, Any]:
        """What the section says; an empty one applies to nothing."""


class SectionTable:
    """The sections of one virtual host as compiled look-ups, and their merged settings.

    Each combination of sections that occurs is merged once and remembered. `merge` gets `base` and
    then the `values` of the sections that apply, in Apache's order:

    - `<Directory>` by depth, the shortest first, for a file, and then the `<Files>` with its name:
      those outside of a `<Directory>` in order of appearance, then those inside by its depth;
    - or `<Proxy>` in order of appearance, for a mount: a URL that begins with the literal pattern,
      or in which the expression is found;
    - then `<Location>` and `<LocationMatch>` in order of appearance: literal ones match on
      component boundaries, case-sensitively (see `PrefixIndex`).

    All paths are decoded and normalised.
    """

    __slots__ = (
        "_base",
        "_directories",
        "_directory_expressions",
        "_files",
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
        self._files = tuple(
            (number, section.pattern, _within(section))
            for number, section in enumerate(kept)
            if section.kind is SectionKind.FILES
        )
        self._directories: dict[bytes, list[int]] = {}
        for number, directory in literal[SectionKind.DIRECTORY]:
            self._directories.setdefault(_directory_key(directory), []).append(number)
        self._directory_expressions = tuple(expressions[SectionKind.DIRECTORY])
        self._remembered: dict[tuple[int, ...], Settings] = {}
        self._plain = None if kept else merge([base])
        self._naming: dict[SectionKind, list[tuple[re.Pattern[bytes], Pattern | None]]] = {}
        for section in sections:
            if isinstance(section.pattern, re.Pattern) and section.pattern.groupindex:
                kind = section.kind
                if kind is SectionKind.LOCATION_MATCH:
                    kind = SectionKind.LOCATION
                self._naming.setdefault(kind, []).append((section.pattern, _within(section)))

    @property
    def names_groups(self) -> bool:
        """Whether an expression of a section names groups: see `named_groups`."""
        return bool(self._naming)

    def named_groups(
        self, path: bytes, *, mapped_url: bytes | None = None, file_path: str = ""
    ) -> dict[bytes, bytes]:
        """``MATCH_NAME`` and its text for each named group ``(?<name>...)`` of the sections that
        apply, later ones over earlier ones. (LocationMatch and kin.)"""
        texts: dict[SectionKind, Sequence[bytes]] = {}
        folders: Sequence[bytes] = ()
        if mapped_url is not None:
            texts[SectionKind.PROXY] = (mapped_url,)
        else:
            encoded = _encoded(file_path)
            if encoded:
                folders = list(_folders(encoded))
            texts[SectionKind.DIRECTORY] = folders
            texts[SectionKind.FILES] = (_file_name(path, encoded) or INDEX,)
        texts[SectionKind.LOCATION] = (path,)
        variables: dict[bytes, bytes] = {}
        for kind, candidates in texts.items():
            for pattern, within in self._naming.get(kind, ()):
                if within is not None and not _depth(within, folders):
                    continue
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
            directories = self._matching_directories(_encoded(file_path))
        locations = self._matching_locations(path)
        if not self._files:
            return self._merged(directories + locations)
        encoded = _encoded(file_path)
        name = _file_name(path, encoded)
        files = self._matching_files(name, encoded)
        settings = self._merged(directories + files + locations)
        if not name and settings.handler is None:
            # A folder is answered with its index, unless something else answers.
            files = self._matching_files(INDEX, encoded)
            settings = self._merged(directories + files + locations)
        return settings

    def for_named_file(self, file_path: str) -> Settings | None:
        """For a file that a backend names: what the `<Directory>` and `<Files>` sections alone say;
        None if there are none."""
        if not (self._directories or self._directory_expressions or self._files):
            return None
        encoded = normal_prefix(_encoded(file_path))
        name = encoded.rpartition(b"/")[2]
        return self._merged(
            self._matching_directories(encoded) + self._matching_files(name, encoded)
        )

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

    def _matching_files(self, name: bytes, file_path: bytes) -> list[int]:
        """Those for the file `name`: the ones of no folder, then those of each on the way to it."""
        matching: list[tuple[int, int]] = []
        for number, pattern, within in self._files:
            if not (name == pattern if isinstance(pattern, bytes) else pattern.search(name)):
                continue
            depth = 0 if within is None else _depth(within, _folders(file_path))
            if depth or within is None:
                matching.append((depth, number))
        return [number for _, number in sorted(matching)]

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


def _within(section: SectionLike) -> Pattern | None:
    within = section.within
    return _directory_key(within) if isinstance(within, bytes) else within


def _depth(within: Pattern, folders: Iterable[bytes]) -> int:
    """Which of `folders` a `<Directory>` is about, from 1; 0 if it is none of them."""
    for depth, folder in enumerate(folders, 1):
        if folder == within if isinstance(within, bytes) else within.search(folder):
            return depth
    return 0


def _file_name(path: bytes, file_path: bytes) -> bytes:
    """What `<Files>` is compared with: the last part, which is empty for a folder."""
    if path.endswith(b"/"):
        return b""
    return (file_path or path).rstrip(b"/").rpartition(b"/")[2]


def _encoded(file_path: str) -> bytes:
    return file_path.encode("utf-8", "surrogateescape")
