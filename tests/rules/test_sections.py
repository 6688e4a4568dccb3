"""Tests for `scgiproxy.rules.sections`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.rules import sections as sections_module
from scgiproxy.rules.prefixes import normal_prefix
from scgiproxy.rules.sections import SectionKind, SectionTable
from scgiproxy.rules.settings import Settings
from scgiproxy.rules.wildcards import translate_wildcard
from tests.rules.counting import CountingPath


@dataclass(frozen=True)
class PlainSection:
    kind: SectionKind
    pattern: bytes | re.Pattern[bytes]
    values: Mapping[str, Any]
    within: bytes | re.Pattern[bytes] | None = None


class Merging:
    """A merge that lists, as the handler's name, which sections it was given, and counts calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, parts: Sequence[Mapping[str, Any]]) -> Settings:
        self.calls += 1
        return Settings(handler=" ".join(part["handler"] for part in parts))


def section(kind: SectionKind, pattern: bytes | re.Pattern[bytes], name: str) -> PlainSection:
    return PlainSection(kind, pattern, {"handler": name})


def location(pattern: str, name: str) -> PlainSection:
    """`<Location>`, with wildcards if the pattern has some."""
    if set(pattern) & set("*?["):
        return section(SectionKind.LOCATION, translate_wildcard(pattern.encode()), name)
    return section(SectionKind.LOCATION, pattern.encode(), name)


def location_match(pattern: str, name: str) -> PlainSection:
    return section(SectionKind.LOCATION_MATCH, re.compile(pattern.encode()), name)


def directory(pattern: str, name: str) -> PlainSection:
    if "*" in pattern:
        return section(SectionKind.DIRECTORY, translate_wildcard(pattern.encode()), name)
    return section(SectionKind.DIRECTORY, pattern.encode(), name)


def files(pattern: str, name: str, within: str | None = None) -> PlainSection:
    """`<Files>`, maybe in a `<Directory>`; either may have wildcards."""
    texts = [None if each is None else each.encode() for each in (pattern, within)]
    own, outer = (translate_wildcard(each) if each and b"*" in each else each for each in texts)
    assert own is not None
    return PlainSection(SectionKind.FILES, own, {"handler": name}, outer)


def proxy(pattern: str, name: str) -> PlainSection:
    if "*" in pattern:
        wildcard = translate_wildcard(pattern.encode(), slash_is_special=False)
        return section(SectionKind.PROXY, wildcard, name)
    return section(SectionKind.PROXY, pattern.encode(), name)


def table(*sections: PlainSection, merge: Merging | None = None) -> SectionTable:
    return SectionTable({"handler": "base"}, sections, merge or Merging())


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/a", b"/a", True),
        ("/a", b"/a/b", True),
        ("/a", b"/ab", False),
        ("/a", b"/A", False),
        ("/a/", b"/a", False),
        ("/a/", b"/a/", True),
        ("/", b"/anything", True),
        ("/lg*", b"/lgg", True),
        ("/lg*", b"/lg/x", False),
        ("/*/x", b"/a/x", True),
        ("/?", b"/ab", False),
    ],
)
def test_location(pattern: str, path: bytes, matches: bool) -> None:
    """Literal prefixes on component boundaries; wildcards for the whole path."""
    found = table(location(pattern, "L")).location_only(path)
    assert found.handler == ("base L" if matches else "base")


def test_location_match_is_searched_anywhere() -> None:
    """An expression need not begin at the start."""
    sections = table(location_match(r"\.gif$", "M"))
    assert sections.location_only(b"/a/b.gif").handler == "base M"
    assert sections.location_only(b"/a/b.gif/c").handler == "base"


def test_locations_apply_in_order_of_appearance() -> None:
    """Not by length, and expressions among the literal ones."""
    sections = table(
        location("/a/b", "1"),
        location_match("b", "2"),
        location("/", "3"),
        location("/a/*", "4"),
        location("/a", "5"),
        location("/other", "6"),
    )
    assert sections.location_only(b"/a/b").handler == "base 1 2 3 4 5"
    assert sections.location_only(b"/a").handler == "base 3 5"


def test_proxy_sections_come_before_locations() -> None:
    """They take the place of Directory; they compare the start of the mapped URL, or all of it."""
    sections = table(
        location("/app", "L"),
        proxy("scgi://h:4000/x", "prefix"),
        proxy("*", "star"),
        proxy("scgi://*/y", "wildcard"),
        directory("/", "D"),
    )
    assert sections.for_mount(b"/app", b"scgi://h:4000/x/z").handler == "base prefix star L"
    assert sections.for_mount(b"/app", b"scgi://h:4000/xz").handler == "base prefix star L"
    assert sections.for_mount(b"/b", b"scgi://h:4000/a/y").handler == "base star wildcard"
    assert sections.for_mount(b"/b", b"SCGI://h:4000/x").handler == "base star"


def test_locations_alone_for_a_mount() -> None:
    """Without a Proxy section only the path counts."""
    sections = table(location("/app", "L"))
    assert sections.for_mount(b"/app/x", b"scgi://h/x").handler == "base L"


def test_directories_from_the_root_down() -> None:
    """The shortest first, whatever their order; then locations."""
    sections = table(
        location("/f", "L"),
        directory("/srv/www/", "www"),
        directory("/srv/*/private", "wild-private"),
        directory("/srv/www/private", "private"),
        directory("/srv/*", "wild"),
        directory("/", "root"),
        directory("/srv/ww", "ww"),
        proxy("*", "P"),
    )
    assert sections.for_file(b"/f", "/srv/www/f").handler == "base root www wild L"
    assert sections.for_file(b"/g", "/srv/www").handler == "base root www wild"
    assert sections.for_file(b"/g", "/srv/www/").handler == "base root www wild"
    assert (
        sections.for_file(b"/g", "/srv/www/private/x/y").handler
        == "base root www wild wild-private private"
    )
    assert sections.for_file(b"/g", "/").handler == "base root"


def test_files_after_directories() -> None:
    """The folder decides first, then the name: anywhere, then in each folder from the root down."""
    sections = table(
        files("a.txt", "in deep", "/srv/deep/"),
        files("a.txt", "in srv", "/s*v"),
        files("a.txt", "in other", "/other"),
        location("/a", "L"),
        files("*.txt", "wild"),
        directory("/srv/deep", "deep"),
        directory("/srv", "srv"),
        files("a.txt", "name"),
        files("a.t", "other"),
        proxy("*", "P"),
    )
    path = "/srv/deep/a.txt"
    assert sections.for_file(b"/a", path).handler == "base srv deep wild name in srv in deep L"
    assert sections.for_file(b"/b", "/srv/b.txt").handler == "base srv wild"
    assert sections.for_file(b"/b", "/a.txt/b").handler == "base"
    # Where no folder serves the path, its own last part counts.
    assert sections.for_file(b"/b/a.txt", "").handler == "base wild name"
    assert sections.for_mount(b"/x/a.txt", b"scgi://h/a.txt").handler == "base P"
    assert sections.location_only(b"/a").handler == "base L"


def test_a_folder_has_the_name_of_its_index() -> None:
    """Unless something else than a file answers there."""

    def merge(parts: Sequence[Mapping[str, Any]]) -> Settings:
        merged: dict[str, Any] = {}
        for part in parts:
            merged |= part
        return Settings(**merged)

    sections = SectionTable(
        {},
        [
            PlainSection(SectionKind.FILES, b"index.html", {"sendfile": b"index"}),
            PlainSection(SectionKind.FILES, b"d", {"sendfile": b"folder"}),
            PlainSection(SectionKind.LOCATION, b"/app", {"handler": "app"}),
        ],
        merge,
    )
    for path, file_path, found in (
        (b"/", "/srv/", b"index"),
        (b"/d/", "/srv/d/", b"index"),
        (b"/d", "/srv/d", b"folder"),
        (b"/alias", "/srv/index.html/", b"index"),
        (b"/app/", "/srv/app/", None),
        (b"/app/d", "/srv/app/d", b"folder"),
    ):
        assert sections.for_file(path, file_path).sendfile == found, path


def test_location_only_asks_nothing_else() -> None:
    """Before mapping there is no file and no backend yet."""
    sections = table(directory("/", "D"), proxy("*", "P"), location("/", "L"))
    assert sections.location_only(b"/x").handler == "base L"


def test_each_combination_is_merged_once() -> None:
    """Afterwards the very same object comes back, whichever way it was asked for."""
    merge = Merging()
    sections = table(location("/a", "1"), location("/b", "2"), merge=merge)
    first = sections.location_only(b"/a/x")
    assert sections.location_only(b"/a/y") is first
    assert sections.for_mount(b"/a/z", b"scgi://h/") is first
    assert sections.for_file(b"/a/f", "/srv/f") is first
    assert merge.calls == 1
    assert sections.location_only(b"/b") is not first
    assert sections.location_only(b"/c").handler == "base"
    assert merge.calls == 3


def test_without_sections_the_answer_is_one_constant() -> None:
    """Also if the only sections say nothing, as a `<Proxy>` with members does."""
    merge = Merging()
    silent = PlainSection(SectionKind.PROXY, b"balancer://x", {})
    sections = table(silent, merge=merge)
    constant = sections.location_only(b"/a")
    assert constant.handler == "base"
    assert sections.for_mount(b"/b", b"balancer://x/") is constant
    assert sections.for_file(b"/c", "/srv/c") is constant
    assert merge.calls == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that finds many combinations makes merges, not memory."""
    monkeypatch.setattr(sections_module, "_REMEMBERED", 4)
    merge = Merging()
    sections = table(*(location_match(letter, letter) for letter in "abcdef"), merge=merge)
    for number in range(64):
        letters = "".join(letter for bit, letter in enumerate("abcdef") if number >> bit & 1)
        found = sections.location_only(b"/" + letters.encode())
        assert found.handler == " ".join(["base", *letters])
        assert len(sections._remembered) <= 4
    assert merge.calls == 64


@pytest.mark.parametrize("count", [10, 1000])
def test_cost_does_not_grow_with_literal_locations(count: int) -> None:
    """One look-up for each slash and one for the path."""
    sections = table(*(location(f"/site{number}/app", str(number)) for number in range(count)))
    path = CountingPath(b"/site9/app/page")
    assert sections.location_only(path).handler == "base 9"
    assert path.cuts <= path.count(b"/") + 1


LOCATIONS = st.tuples(st.just("L"), st.text("ab/", max_size=4).map(lambda text: "/" + text))
MATCHES = st.tuples(st.just("M"), st.sampled_from(["^/a", "b$", "/b/"]))


@given(
    st.lists(LOCATIONS | MATCHES, max_size=8),
    st.text("ab/", max_size=8).map(lambda text: normal_prefix(b"/" + text.encode())),
)
def test_locations_agree_with_a_walk(specifications, path: bytes) -> None:
    """What the compiled look-up merges is what Apache's walk over all sections merges."""
    sections, walked = [], ["base"]
    for number, (kind, pattern) in enumerate(specifications):
        if kind == "M":
            sections.append(location_match(pattern, str(number)))
            matches = re.search(pattern.encode(), path) is not None
        else:
            sections.append(location(pattern, str(number)))
            prefix = normal_prefix(pattern.encode())
            after = path[len(prefix) : len(prefix) + 1]
            matches = path.startswith(prefix) and (prefix.endswith(b"/") or after in (b"", b"/"))
        if matches:
            walked.append(str(number))
    assert table(*sections).location_only(path).handler == " ".join(walked)


def test_named_groups() -> None:
    """Each kind of section has its text; a later one counts; what took no part is left out."""
    sections = SectionTable(
        {"handler": ""},
        [
            PlainSection(
                SectionKind.LOCATION_MATCH, re.compile(b"^/(?P<site>[^/]+)/(?P<page>x)?"), {}
            ),
            PlainSection(SectionKind.LOCATION, re.compile(b"(?P<Site>last)"), {}),
            PlainSection(SectionKind.PROXY, re.compile(b"^scgi://(?P<host>[^:]+)"), {}),
            PlainSection(SectionKind.DIRECTORY, re.compile(b"^/srv/(?P<owner>[^/]+)$"), {}),
            PlainSection(SectionKind.FILES, re.compile(rb"\.(?P<ending>\w+)$"), {}),
            PlainSection(SectionKind.FILES, re.compile(rb"^(?P<stem>\w+)"), {}, b"/srv/you/"),
        ],
        Merging(),
    )
    assert sections.names_groups
    assert sections.named_groups(b"/a/", mapped_url=b"scgi://h:1/") == {
        b"MATCH_SITE": b"a",
        b"MATCH_HOST": b"h",
    }
    assert sections.named_groups(b"/a/last", file_path="/srv/me/deep/file") == {
        b"MATCH_SITE": b"last",
        b"MATCH_OWNER": b"me",
    }
    assert sections.named_groups(b"/x", file_path="/srv/you/a.txt") == {
        b"MATCH_OWNER": b"you",
        b"MATCH_ENDING": b"txt",
        b"MATCH_STEM": b"a",
    }
    assert sections.named_groups(b"/") == {b"MATCH_ENDING": b"html"}
    assert not table(location_match("^/(a)", "x")).names_groups


def test_a_file_that_a_backend_names() -> None:
    """Its folders and its name, and nothing else."""
    sections = table(
        location("/", "location"),
        files("file", "name"),
        directory("/srv/deep", "deep"),
        directory("/srv", "srv"),
    )
    found = sections.for_named_file("/srv//deep/file")
    assert found is not None
    assert found.handler == "base srv deep name"
    assert table(location("/", "location")).for_named_file("/srv/file") is None
    (only,) = [table(files("*.key", "key")).for_named_file(f"/srv/{each}") for each in ("a.key",)]
    assert only is not None
    assert only.handler == "base key"
