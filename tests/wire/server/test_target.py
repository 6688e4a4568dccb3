"""Which resource the variables name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import BadRequest, NotFound
from scgiproxy.wire.server.target import read_target


def target(mount: bytes = b"", **variables: bytes) -> tuple[list[bytes], list[bytes], bytes]:
    read = read_target({name.encode(): value for name, value in variables.items()}, mount)
    return read.prepath, read.postpath, read.uri


def test_path_info_is_what_the_tree_is_asked_for() -> None:
    """SCRIPT_NAME is the mount, PATH_INFO the rest, and REQUEST_URI gives the encoding."""
    assert target(
        SCRIPT_NAME=b"/app",
        PATH_INFO=b"/a b/c",
        REQUEST_URI=b"/app/a%20b/c?x=1",
        QUERY_STRING=b"x=1",
    ) == ([b"app"], [b"a b", b"c"], b"/app/a%20b/c?x=1")


def test_an_encoded_slash_stays_in_its_segment() -> None:
    assert target(SCRIPT_NAME=b"/app", PATH_INFO=b"/a/b", REQUEST_URI=b"/app/a%2Fb") == (
        [b"app"],
        [b"a/b"],
        b"/app/a%2Fb",
    )


def test_after_an_internal_redirect_the_older_request_uri_does_not_count() -> None:
    assert target(
        SCRIPT_NAME=b"",
        PATH_INFO=b"/new one",
        REQUEST_URI=b"/old?was=1",
        QUERY_STRING=b"is=2",
    ) == ([], [b"new one"], b"/new%20one?is=2")


@pytest.mark.parametrize(
    ("mount", "prepath", "postpath"),
    [
        (b"", [], [b"app", b"x"]),
        (b"/", [], [b"app", b"x"]),
        (b"/app", [b"app"], [b"x"]),
        (b"/app/", [b"app"], [b"x"]),
        (b"/app/x", [b"app", b"x"], []),
    ],
)
def test_without_path_info_the_mount_is_the_servers_word(
    mount: bytes, prepath: list[bytes], postpath: list[bytes]
) -> None:
    """As Apache sends it: SCRIPT_NAME is the whole decoded path."""
    read = read_target({b"SCRIPT_NAME": b"/app/x", b"REQUEST_URI": b"/app/x"}, mount)
    assert (read.prepath, read.postpath) == (prepath, postpath)


@pytest.mark.parametrize("path", [b"/application/x", b"/ap", b"/", b"/other/app"])
def test_a_path_outside_the_mount_is_not_found(path: bytes) -> None:
    with pytest.raises(NotFound, match="not under '/app'"):
        read_target({b"SCRIPT_NAME": path}, b"/app")


def test_only_a_request_uri_is_enough() -> None:
    assert target(REQUEST_URI=b"/a%20b/?q=%41") == ([], [b"a b", b""], b"/a%20b/?q=%41")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        (b"http://example.com/x/y?q", b"/x/y?q"),
        (b"http://example.com", b"/"),
        (b"http://example.com?q=1", b"/?q=1"),
        (b"/to?next=http://example.com/", b"/to?next=http://example.com/"),
    ],
)
def test_the_absolute_form_loses_its_authority(uri: bytes, path: bytes) -> None:
    """An absolute-form request line is passed on as it is (RFC 9112 section 3.2.2)."""
    assert read_target({b"REQUEST_URI": uri}).uri == path


def test_an_empty_request_is_for_the_root() -> None:
    assert target() == ([], [b""], b"/")


def test_the_mount_itself_with_an_empty_path_info() -> None:
    """PATH_INFO is there and empty: the mount point, without a slash behind it."""
    assert target(SCRIPT_NAME=b"/app", PATH_INFO=b"", REQUEST_URI=b"/app")[:2] == ([b"app"], [])


def test_bytes_beyond_ascii_are_encoded() -> None:
    assert target(SCRIPT_NAME=b"/\xe9", REQUEST_URI=b"/\xe9?\xff=1")[2] == b"/%E9?%FF=1"


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PATH_INFO"])
def test_a_path_begins_with_a_slash(name: str) -> None:
    with pytest.raises(BadRequest, match=f"{name} 'x' does not begin"):
        target(**{name: b"x"})


paths = st.lists(st.binary(min_size=1).map(lambda s: s.replace(b"/", b"%"))).map(
    lambda segments: b"".join(b"/" + segment for segment in segments)
)


@given(script_name=paths, path_info=paths.filter(bool))
def test_the_segments_put_together_are_the_path(script_name: bytes, path_info: bytes) -> None:
    """Whatever the bytes: nothing is lost between SCRIPT_NAME and PATH_INFO and the segments."""
    read = read_target({b"SCRIPT_NAME": script_name, b"PATH_INFO": path_info})
    assert b"".join(b"/" + segment for segment in read.prepath) == script_name
    assert b"".join(b"/" + segment for segment in read.postpath) == path_info
    assert read.uri.isascii()
