"""`message.target`: one normal form, and everything that is refused on the way to it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scgiproxy.errors import BadRequest, NotFound
from scgiproxy.message import target as module
from scgiproxy.message.target import (
    LONGEST_TARGET,
    MOST_TARGETS,
    Target,
    encode_path,
    parse_local_reference,
    parse_target,
)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", b"/"),
        (b"/a", b"/a"),
        (b"/a/", b"/a/"),
        (b"/a/b.c/d..e", b"/a/b.c/d..e"),
        (b"/.well-known/x", b"/.well-known/x"),
        (b"/...", b"/..."),
        (b"/a/;/admin", b"/a/;/admin"),
        (b"/a;x=1,d@e!", b"/a;x=1,d@e!"),
        (b"/\xc3\xa9", b"/\xc3\xa9"),
        # dot segments
        (b"/.", b"/"),
        (b"/./", b"/"),
        (b"/a/.", b"/a/"),
        (b"/a/..", b"/"),
        (b"/foo/bar/..", b"/foo/"),
        (b"/foo/bar/.", b"/foo/bar/"),
        (b"/a/./b/../c", b"/a/c"),
        (b"/a/%2e%2e/admin", b"/admin"),
        (b"/a/%2E./b", b"/b"),
        (b"/a/.%2e", b"/"),
        (b"/a//../b", b"/b"),
        # slashes
        (b"//", b"/"),
        (b"//a", b"/a"),
        (b"///a//b///", b"/a/b/"),
        # escapes: decoded once
        (b"/%61dmin", b"/admin"),
        (b"/a%20b", b"/a b"),
        (b"/%C3%A9/x", b"/\xc3\xa9/x"),
        (b"/a%23b%3Fc", b"/a#b?c"),
        (b"/100%25x", b"/100%x"),
        (b"/%252e%252e/x", b"/%2e%2e/x"),
        (b"/%252Fx", b"/%2Fx"),
        (b"/a%5c..%5cb", b"/a\\..\\b"),
        (b"/%c0%ae%c0%ae/x", b"/\xc0\xae\xc0\xae/x"),
    ],
)
def test_path(raw: bytes, path: bytes) -> None:
    """Each path alone, with a query and in absolute form."""
    assert parse_target(raw, b"GET") == Target(raw, path, b"", None, False)
    with_query = raw + b"?a=%2F&b=//../?"
    assert parse_target(with_query, b"GET") == Target(
        with_query, path, b"a=%2F&b=//../?", None, True
    )
    absolute = b"http://h:1" + raw
    assert parse_target(absolute, b"GET") == Target(absolute, path, b"", b"h:1", False)


@pytest.mark.parametrize(
    ("raw", "path", "query", "authority"),
    [
        (b"/?", b"/", b"", None),
        (b"/a/../?", b"/", b"", None),
        (b"/?unix:AAAA|http://127.0.0.1/", b"/", b"unix:AAAA|http://127.0.0.1/", None),
        (b"http://localhost?args", b"/", b"args", b"localhost"),
        (b"HTTPS://Right.Host:123/x?", b"/x", b"", b"Right.Host:123"),
    ],
)
def test_query(raw: bytes, path: bytes, query: bytes, authority: bytes | None) -> None:
    assert parse_target(raw, b"GET") == Target(raw, path, query, authority, True)


def test_options() -> None:
    assert parse_target(b"*", b"OPTIONS") == Target(b"*", b"*", b"", None, False)
    absolute = b"http://h"
    assert parse_target(absolute, b"OPTIONS") == Target(absolute, b"*", b"", b"h", False)
    assert parse_target(absolute, b"GET").path == b"/"
    assert parse_target(b"/x", b"OPTIONS").path == b"/x"


@pytest.mark.parametrize(
    ("raw", "method", "sentence"),
    [
        (b"", b"GET", "expected a path"),
        (b"a", b"GET", "expected a path"),
        (b"?a", b"GET", "expected a path"),
        (b"@localhost/foobar.html", b"GET", "expected a path"),
        (b"unix:/x|scgi://h/", b"GET", "expected a path"),
        (b"ftp://h/", b"GET", "expected a path"),
        (b"http:/h/", b"GET", "expected a path"),
        (b"http:///x", b"GET", "host name"),
        (b"http://user@h/", b"GET", "host name"),
        (b"http://h:x/", b"GET", "host name"),
        (b"*", b"GET", "OPTIONS only"),
        (b"h:443", b"CONNECT", "CONNECT"),
        (b"/", b"CONNECT", "CONNECT"),
        (b"/a#b", b"GET", "cannot hold"),
        (b"/a?b#c", b"GET", "cannot hold"),
        (b"/a b", b"GET", "cannot hold"),
        (b"/a?b c", b"GET", "cannot hold"),
        (b"/a\x02", b"GET", "cannot hold"),
        (b"/a?\x00", b"GET", "cannot hold"),
        (b"/a\x7f", b"GET", "cannot hold"),
        (b"/a\n", b"GET", "cannot hold"),
        (b"/%", b"GET", "hexadecimal"),
        (b"/%1", b"GET", "hexadecimal"),
        (b"/%1g", b"GET", "hexadecimal"),
        (b"/%zz/x?y", b"GET", "hexadecimal"),
        (b"/%+1", b"GET", "hexadecimal"),
        (b"/%00", b"GET", "control byte"),
        (b"/index%0a.php/x", b"GET", "control byte"),
        (b"/%0d%0aX:%20y", b"GET", "control byte"),
        (b"/%7f", b"GET", "control byte"),
        (b"/..", b"GET", "above the root"),
        (b"/../x", b"GET", "above the root"),
        (b"/a/../../x", b"GET", "above the root"),
        (b"//../x", b"GET", "above the root"),
        (b"/%2e%2e/x", b"GET", "above the root"),
    ],
)
def test_refused(raw: bytes, method: bytes, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        parse_target(raw, method)


class TestEncodedSlashes:
    @pytest.mark.parametrize("raw", [b"/a%2Fb", b"/a%2fb", b"/a/..%2fadmin"])
    def test_off(self, raw: bytes) -> None:
        with pytest.raises(NotFound, match="AllowEncodedSlashes"):
            parse_target(raw, b"GET")

    def test_on(self) -> None:
        """A slash like any other: what it makes a dot segment is resolved."""
        assert parse_target(b"/a%2Fb", b"GET", "on").path == b"/a/b"
        assert parse_target(b"/a/..%2fadmin", b"GET", "on").path == b"/admin"
        # What was sent as one segment goes as one.
        assert parse_target(b"/a%2Fb/../c", b"GET", "on").path == b"/c"
        assert parse_target(b"/a%2Fb/%2e%2E/c%2f", b"GET", "on").path == b"/c/"
        with pytest.raises(BadRequest, match="above the root"):
            parse_target(b"/..%2fx", b"GET", "on")

    def test_nodecode(self) -> None:
        assert parse_target(b"/a%2Fb%20c%2fd", b"GET", "nodecode").path == b"/a%2Fb c%2fd"
        assert parse_target(b"/a/..%2fb", b"GET", "nodecode").path == b"/a/..%2fb"

    def test_in_the_query_it_means_nothing(self) -> None:
        assert parse_target(b"/a?%2F", b"GET").query == b"%2F"


PIECES = st.sampled_from(
    [b"/", b"//", b".", b"..", b"%2e", b"%2f", b"%00", b"%41", b"%25", b"a", b"?", b"#", b"\xff"]
)


@given(st.lists(PIECES, max_size=12).map(b"".join).map(lambda tail: b"/" + tail))
@example(b"/a/b/./../%2e")
def test_normal_form(raw: bytes) -> None:
    """What comes out is normal: no empty or dot segment, no control byte, and encoding it leads
    back to it."""
    try:
        path = parse_target(raw, b"GET", "on").path
    except BadRequest:
        return
    assert path.startswith(b"/")
    assert b"//" not in path
    assert not {b".", b".."} & set(path.split(b"/"))
    assert parse_target(encode_path(path), b"GET", "on").path == path


@given(st.binary(max_size=40))
def test_any_bytes(raw: bytes) -> None:
    try:
        target = parse_target(raw, b"GET")
    except (BadRequest, NotFound):
        return
    assert target.raw == raw
    assert target.path.startswith(b"/")
    assert not any(byte < 0x20 or byte == 0x7F for byte in target.path + target.query)


def test_encode_path() -> None:
    """Apache's canonical form."""
    literal = b"/abcXYZ019~$-_.+!*'(),;:@&="
    assert encode_path(literal) == literal
    assert encode_path(b'/a b%\xe9?#[]"<>\\^`{|}\x00') == (
        b"/a%20b%25%E9%3F%23%5B%5D%22%3C%3E%5C%5E%60%7B%7C%7D%00"
    )
    assert encode_path(b"") == b""


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (b"/x", b"/x"),
        (b"/x?a=b?c", b"/x?a=b?c"),
        (b"/x#frag", b"/x"),
        (b"/x?a#frag?b", b"/x?a"),
        (b"//evil.example/x", b"/evil.example/x"),
        (b"///x//y", b"/x//y"),
        (b"/foo%20bar", b"/foo%20bar"),
        (b"/foo bar\t", b"/foo%20bar%09"),
        (b"/\xe9", b"/\xe9"),
    ],
)
def test_local_reference(value: bytes, raw: bytes) -> None:
    assert parse_local_reference(value) == raw


@pytest.mark.parametrize("value", [b"", b"x", b"http://h/", b"?a", b" /x"])
def test_no_local_reference(value: bytes) -> None:
    with pytest.raises(ValueError, match="begins with a slash"):
        parse_local_reference(value)


def test_targets_are_remembered_within_bounds() -> None:
    """Clients choose them."""
    for number in range(3 * MOST_TARGETS):
        parse_target(b"/%d?" % number, b"GET")
    parse_target(b"/" + b"x" * LONGEST_TARGET, b"GET")
    assert 0 < len(module._plain_targets) <= MOST_TARGETS
    assert max(map(len, module._plain_targets)) <= LONGEST_TARGET


def test_what_is_remembered_is_not_served_to_connect() -> None:
    assert parse_target(b"/x", b"GET").path == b"/x"
    with pytest.raises(BadRequest, match="CONNECT"):
        parse_target(b"/x", b"CONNECT")
