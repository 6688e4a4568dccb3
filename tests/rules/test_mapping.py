"""Tests for `scgiproxy.rules.mapping`."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.message.backend_url import BackendUrl, TcpAddress, parse_backend_url
from scgiproxy.rules.mapping import (
    Alias,
    Mapped,
    MappingTable,
    Mount,
    find_alias,
    mapped_url,
)
from scgiproxy.rules.prefixes import normal_prefix
from tests.rules.counting import CountingExpression, CountingPath


def url(path: str) -> BackendUrl:
    """The backend 127.0.0.1:4000 with that path."""
    return BackendUrl(TcpAddress("127.0.0.1", 4000), path.encode(), f"scgi://127.0.0.1:4000{path}")


def mount(pattern: Any, target: str | None = "/") -> Mount:
    """A mount of a prefix (text) or an expression (compiled), by its target's path."""
    if isinstance(pattern, str):
        pattern = pattern.encode()
    return Mount(pattern, None if target is None else url(target))


def expression(text: str, target: str | None = "/") -> Mount:
    return mount(re.compile(text.encode()), target)


def find(path: bytes, *mounts: Mount) -> Mapped:
    """What a table of `mounts` says for a path that one of them matches."""
    mapped = MappingTable(mounts).find(path)
    assert mapped is not None
    return mapped


@pytest.mark.parametrize(
    ("prefix", "target", "path", "backend_path", "script_name"),
    [
        ("/app", "", b"/app", b"", b"/app"),
        ("/app", "", b"/app/x", b"/x", b"/app"),
        ("/app/", "/", b"/app/x", b"/x", b"/app"),
        ("/app/", "/", b"/app/", b"/", b"/app"),
        ("/app", "/", b"/app/x", b"//x", b"/app"),
        ("/app", "/", b"/app", b"/", b"/app"),
        ("/p/", "/one/two/", b"/p/z", b"/one/two/z", b"/p"),
        ("/", "/", b"/", b"/", b""),
        ("/", "/", b"/a/b", b"/a/b", b""),
        ("/a//b///", "/", b"/a/b/c", b"/c", b"/a/b"),
        ("/pi/", "/", b"/pi/foo bar/\xc3\xa9", b"/foo bar/\xc3\xa9", b"/pi"),
        ("/e", "/100%25", b"/e", b"/100%25", b"/e"),
        # Apache glues the rest to the host here, and answers 500.
        ("/bad/", "", b"/bad/foo", b"/foo", b"/bad"),
        ("/bad/", "", b"/bad/", b"", b"/bad"),
    ],
)
def test_prefix_mount(prefix, target, path, backend_path, script_name) -> None:
    """The target's path and the rest of the request's; the mount point without its slash."""
    this = mount(prefix, target)
    expected = Mapped(this, backend_path, script_name)
    assert find(path, this) == expected
    assert this.match(path) == expected


@pytest.mark.parametrize(
    ("prefix", "path"),
    [("/app", b"/appx"), ("/app/", b"/app"), ("app", b"/app"), ("/App", b"/app"), ("/app", b"*")],
)
def test_prefix_does_not_match(prefix: str, path: bytes) -> None:
    """Component boundaries, case, and a pattern without a slash."""
    assert MappingTable([mount(prefix)]).find(path) is None
    assert mount(prefix).match(path) is None


@pytest.mark.parametrize(
    ("pattern", "target", "path", "backend_path", "script_name"),
    [
        (
            "^/reverse-match/(.*)$",
            "/$1",
            b"/reverse-match/index.html",
            b"/index.html",
            b"/reverse-match",
        ),
        ("^/reverse-match/(.*)$", "/$1", b"/reverse-match/", b"/", b"/reverse-match"),
        ("^/reverse-slash(/.*)?$", "$1", b"/reverse-slash", b"", b"/reverse-slash"),
        ("^/reverse-slash(/.*)?$", "$1", b"/reverse-slash/", b"/", b"/reverse-slash"),
        ("^/reverse-slash(/.*)?$", "$1", b"/reverse-slash/a", b"/a", b"/reverse-slash"),
        # Without a reference the whole path is appended.
        ("^/(.*)$", "", b"/q/z", b"/q/z", b""),
        (r"\.gif$", "", b"/q/z.gif", b"/q/z.gif", b""),
        (r"\.gif$", "/img", b"/q/z.gif", b"/img/q/z.gif", b""),
        (r"\.gif$", "/", b"/q/z.gif", b"//q/z.gif", b""),
        ("css|js", "", b"/my/css/x", b"/my/css/x", b""),
        ("^/(a)(b)?", "/$2-$1-$0", b"/ab", b"/b-a-/ab", b""),
        ("^/(a)(x)?", "/[$2$9]", b"/a", b"/[]", b""),
        ("^/a", r"/\$1/$0", b"/a", b"/$1//a", b""),
        # A capture never reaches the authority: the host is fixed, and the path begins anew.
        ("^/(.*)$", "$1", b"/x@evil.example/y", b"/x@evil.example/y", b""),
        ("^/go/(.*)$", "$1", b"/go/x", b"/x", b"/go"),
    ],
)
def test_expression_mount(pattern, target, path, backend_path, script_name) -> None:
    """ProxyPassMatch: references, their absence, and the mount point as far as there is one."""
    this = expression(pattern, target)
    expected = Mapped(this, backend_path, script_name)
    assert find(path, this) == expected
    assert this.match(path) == expected


def test_expression_does_not_match() -> None:
    """Then the mount has no part in the path."""
    assert MappingTable([expression("^/a$")]).find(b"/b") is None
    assert expression("^/a$").match(b"/b") is None


def test_first_match_wins() -> None:
    """By order, not by length; prefixes and expressions together."""
    general, special, images = mount("/"), mount("/app/"), expression(r"\.png$")
    assert find(b"/app/x", special, general).mount is special
    assert find(b"/app/x", general, special).mount is general
    assert find(b"/app/x.png", special, images).mount is special
    assert find(b"/app/x.png", images, special).mount is images
    assert find(b"/other.png", special, images, general).mount is images
    twin = mount("/app/")
    assert find(b"/app/x", twin, special).mount is twin


@pytest.mark.parametrize(
    "exception", [mount("/app/static", None), expression("/static(/|$)", None)]
)
def test_exclamation_mark_ends_the_search(exception: Mount) -> None:
    """``!`` is found like any mount, and says that there is no backend."""
    app = mount("/app")
    assert find(b"/app/static/x", exception, app) == Mapped(exception, b"", b"")
    assert find(b"/app/x", exception, app).mount is app
    assert exception.match(b"/app/static/x") == Mapped(exception, b"", b"")
    # After the mount it comes too late.
    assert find(b"/app/static/x", app, exception).mount is app


def test_empty_table() -> None:
    """No mount matches nothing."""
    assert MappingTable([]).find(b"/") is None


PREFIXES = st.text("ab/", max_size=5).map(lambda text: mount("/" + text, "/t/"))
EXPRESSIONS = st.sampled_from(["^/a", "b$", "/b/", "^/(a+)", "x"]).map(
    lambda text: expression(text, "/$1")
)
NOTHING = st.sampled_from(["/a", "/b/"]).map(lambda text: mount(text, None))
PATHS = st.text("ab/", max_size=8).map(lambda text: normal_prefix(b"/" + text.encode()))


@given(st.lists(PREFIXES | EXPRESSIONS | NOTHING), PATHS)
def test_table_agrees_with_a_linear_search(mounts: list[Mount], path: bytes) -> None:
    """The compiled look-up gives what asking each mount in order gives."""
    in_order = (mapped for each in mounts if (mapped := each.match(path)) is not None)
    assert MappingTable(mounts).find(path) == next(in_order, None)


@given(PREFIXES, PATHS)
def test_script_name_and_backend_path_make_the_path(this: Mount, path: bytes) -> None:
    """Where both paths of the mount end in a slash, nothing is lost and nothing added."""
    plain = Mount(this.pattern, url("/" if normal_prefix(this.pattern).endswith(b"/") else ""))
    mapped = plain.match(path)
    if mapped is not None:
        assert mapped.script_name + mapped.backend_path == path


@pytest.mark.parametrize("count", [10, 1000])
def test_cost_does_not_grow_with_the_mounts(count: int) -> None:
    """One look-up for each slash, one more for the path, one for the rest; no other mount."""
    table = MappingTable([*(mount(f"/site{number}/app/") for number in range(count)), mount("/x")])
    path = CountingPath(b"/site9/app/page")
    assert table.find(path) is not None
    assert path.cuts <= path.count(b"/") + 2
    missing = CountingPath(b"/none/of/them")
    assert table.find(missing) is None
    assert missing.cuts <= missing.count(b"/") + 1


def test_long_paths_cost_what_the_longest_mount_does() -> None:
    """Nothing is cut behind the length of the longest prefix."""
    path = CountingPath(b"/app" + b"/a" * 4000)
    assert MappingTable([mount("/application"), mount("/app")]).find(path) is not None
    assert path.cuts <= 8


def test_only_expressions_before_the_prefix_are_searched() -> None:
    """Those behind the first matching prefix could not win."""
    first, second, third = (CountingExpression(text) for text in (b"^/x", b"^/b", b"."))
    table = MappingTable(
        [mount(first), mount("/a/"), mount(second), mount("/b/"), mount(third), mount("/")]
    )
    assert table.find(b"/a/page") is not None
    assert (first.searches, second.searches, third.searches) == (1, 0, 0)
    assert table.find(b"/b/page") is not None
    assert (first.searches, second.searches, third.searches) == (2, 1, 0)


@pytest.mark.parametrize(
    ("target", "pattern", "path", "expected"),
    [
        ("scgi://h:4000/", "/app/", b"/app/x y", b"scgi://h:4000/x y"),
        ("scgi://H/", "/app/", b"/app/x", b"scgi://H/x"),
        ("scgi://h:4000", "/app", b"/app", b"scgi://h:4000"),
        ("scgi://[::1]:4000/t", "/app", b"/app/x", b"scgi://[::1]:4000/t/x"),
        ("balancer://Cluster/base/", "/app/", b"/app/x", b"balancer://Cluster/base/x"),
        ("unix:/run/a.sock|scgi://app/", "/app/", b"/app/x", b"unix:/run/a.sock|scgi://app/x"),
        ("unix:/run/a.sock|scgi://app", "/app", b"/app/x", b"unix:/run/a.sock|scgi://app/x"),
    ],
)
def test_mapped_url(target: str, pattern: str, path: bytes, expected: bytes) -> None:
    """The URL as written with the rest of the path, not encoded: what `<Proxy>` compares."""
    this = Mount(pattern.encode(), parse_backend_url(target))
    assert mapped_url(find(path, this)) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (BackendUrl(TcpAddress("::1", 4001), b"/b/", "the app"), b"scgi://[::1]:4001/b/x"),
        (BackendUrl(None, b"/b/", "", balancer="pool"), b"balancer://pool/b/x"),
    ],
)
def test_mapped_url_without_a_url_as_label(target: BackendUrl, expected: bytes) -> None:
    """A target made by a program may be called anything."""
    assert mapped_url(find(b"/x", Mount(b"/", target))) == expected


ALIASES = (
    Alias(b"/static", "/srv/static"),
    Alias(b"/icons/", "/usr/share/icons/"),
    Alias(b"/static/deep", "/never"),
    Alias(b"//a//b", "/srv/ab"),
    Alias(b"bare", "/srv/bare"),
)


@pytest.mark.parametrize(
    ("path", "path_of_alias", "rest"),
    [
        (b"/static", "/srv/static", b""),
        (b"/static/x/y", "/srv/static", b"/x/y"),
        (b"/static/deep/x", "/srv/static", b"/deep/x"),
        (b"/icons/a.png", "/usr/share/icons/", b"a.png"),
        (b"/a/b/c", "/srv/ab", b"/c"),
    ],
)
def test_alias(path: bytes, path_of_alias: str, rest: bytes) -> None:
    """The first in order, with what follows its prefix."""
    found = find_alias(ALIASES, path)
    assert found is not None
    assert (found[0].path, found[1]) == (path_of_alias, rest)


@pytest.mark.parametrize(
    "path", [b"/static../x", b"/staticx", b"/icons", b"/Static", b"/", b"bare", b"/bare"]
)
def test_no_alias(path: bytes) -> None:
    """Component boundaries: a prefix never opens the folder beside its own."""
    assert find_alias(ALIASES, path) is None
