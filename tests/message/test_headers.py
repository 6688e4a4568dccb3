"""`message.headers`: hop-by-hop fields, CGI names, combining, Host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import BadRequest
from scgiproxy.message.headers import (
    _MOST_NAMES,
    CGI_NAMES,
    HeaderList,
    cgi_name,
    combine,
    connection_tokens,
    end_to_end,
    is_field_value,
    is_token,
    list_tokens,
    parse_host,
    take_field,
)


@pytest.mark.parametrize("name", [b"a", b"X-A", b"!#$%&'*+-.^_`|~09azAZ"])
def test_token(name: bytes) -> None:
    assert is_token(name)


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\n", b"a\x00", b"(a)", b"\xe9", b'"a"'])
def test_no_token(name: bytes) -> None:
    assert not is_token(name)


@pytest.mark.parametrize("value", [b"", b"a", b"a b", b"a\tb  c", b"\x80\xff", b'a:;,"()'])
def test_field_value(value: bytes) -> None:
    assert is_field_value(value)


@pytest.mark.parametrize(
    "value", [b" ", b" a", b"a ", b"\ta", b"a\n", b"a\rb", b"a\x00b", b"a\x7f", b"\x1b"]
)
def test_no_field_value(value: bytes) -> None:
    assert not is_field_value(value)


class TestEndToEnd:
    PLAIN: HeaderList = [(b"Content-Type", b"a/b"), (b"Set-Cookie", b"a"), (b"Set-Cookie", b"b")]

    def test_nothing_to_drop(self) -> None:
        """The usual case costs no new list."""
        assert end_to_end(self.PLAIN) is self.PLAIN

    @pytest.mark.parametrize(
        "name",
        [
            b"Connection",
            b"Keep-Alive",
            b"PROXY-AUTHENTICATE",
            b"Proxy-Authorization",
            b"Proxy-Connection",
            b"te",
            b"Trailer",
            b"Transfer-Encoding",
            b"Upgrade",
            b"HTTP2-Settings",
        ],
    )
    def test_dropped(self, name: bytes) -> None:
        assert end_to_end([(name, b"x"), *self.PLAIN, (name, b"y")]) == self.PLAIN

    def test_what_connection_names(self) -> None:
        headers = [
            (b"Connection", b"close, x-Hop"),
            (b"X-hop", b"1"),
            (b"X-End", b"2"),
            (b"connection", b",X-Other"),
            (b"x-other", b"3"),
        ]
        assert end_to_end(headers) == [(b"X-End", b"2")]


def test_connection_tokens() -> None:
    assert connection_tokens([(b"A", b"b")]) == frozenset()
    assert connection_tokens(
        [(b"Connection", b"Close,TE"), (b"CONNECTION", b"\tKeep-Alive ,, "), (b"A", b"b")]
    ) == {b"close", b"te", b"keep-alive"}


def test_list_tokens() -> None:
    assert list_tokens(b"") == []
    assert list_tokens(b" , A ,\tb,,a") == [b"a", b"b", b"a"]


class TestCgiName:
    @pytest.mark.parametrize(
        ("name", "variable"),
        [
            (b"Host", b"HTTP_HOST"),
            (b"x-forwarded-for", b"HTTP_X_FORWARDED_FOR"),
            (b"X-1", b"HTTP_X_1"),
            (b"Content-Type", b"CONTENT_TYPE"),
            (b"CONTENT-TYPE", b"CONTENT_TYPE"),
            (b"Authorization", b"HTTP_AUTHORIZATION"),
        ],
    )
    def test_exported(self, name: bytes, variable: bytes) -> None:
        assert cgi_name(name) == variable
        assert cgi_name(name) == variable

    @pytest.mark.parametrize(
        "name",
        [
            b"Proxy",
            b"PROXY",
            b"Content-Length",
            b"Transfer-Encoding",
            b"Connection",
            b"Keep-Alive",
            b"TE",
            b"Trailer",
            b"Upgrade",
            b"Expect",
            b"Proxy-Connection",
            b"HTTP2-Settings",
            b"X_Foo",
            b"X.Foo",
            b"Remote_User",
            b"",
            b"X\x00",
            b"X Y",
            b"\xe9",
        ],
    )
    def test_dropped(self, name: bytes) -> None:
        assert cgi_name(name) is None
        assert cgi_name(name) is None

    def test_memory_is_bounded(self) -> None:
        """Clients choose names; what is remembered of them stays small."""
        for number in range(3000):
            assert cgi_name(b"X-%d" % number) == b"HTTP_X_%d" % number
        long = b"x" * 1000
        assert cgi_name(long) == b"HTTP_" + b"X" * 1000
        assert len(CGI_NAMES) <= _MOST_NAMES
        assert long not in CGI_NAMES

    @given(st.binary(max_size=20))
    def test_two_names_never_meet(self, name: bytes) -> None:
        """A variable stands for one header name, in whatever case."""
        variable = cgi_name(name)
        if variable is not None and variable.startswith(b"HTTP_"):
            assert variable[5:].replace(b"_", b"-").lower() == name.lower()


def test_combine() -> None:
    assert combine(b"Accept", [b"a", b"b"]) == b"a, b"
    assert combine(b"Cookie", [b"a=1", b"b=2", b"c"]) == b"a=1; b=2; c"
    assert combine(b"X", [b""]) == b""


class TestHost:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (b"example.com", (b"example.com", None)),
            (b"EXAMPLE.com:8080", (b"example.com", 8080)),
            (b"example.com:", (b"example.com", None)),
            (b"example.com.", (b"example.com", None)),
            (b"example.com.:80", (b"example.com", 80)),
            (b"a_b", (b"a_b", None)),
            (b"127.0.0.1:65535", (b"127.0.0.1", 65535)),
            (b"[::1]", (b"[::1]", None)),
            (b"[A::1]:123", (b"[a::1]", 123)),
            (b"[::1]:", (b"[::1]", None)),
            (b"[::ffff:1.2.3.4]", (b"[::ffff:1.2.3.4]", None)),
        ],
    )
    def test_reads(self, value: bytes, expected: tuple[bytes, int | None]) -> None:
        assert parse_host(value) == expected

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b":80",
            b".",
            b".example.com",
            b"a..b",
            b"example.com..",
            b"a b",
            b"a/b",
            b"a\\b",
            b"a\x00",
            b"a\x02b",
            b"a\n",
            b"user@host",
            b"<script>",
            b"a,b",
            b"a?b",
            b"a#b",
            b"a%62",
            b"\xe9",
            b"a:65536",
            b"a:0",
            b"a:1.2",
            b"a:9000:80",
            b"a:-1",
            b"a: 1",
            b"a:000001",
            b"::1",
            b"[::1",
            b"::1]",
            b"x[::1]",
            b"[::1]x",
            b"[::1]80",
            b"[]",
            b"[1]",
            b"[fe80::1%eth0]",
            b"[::1]:x",
            b"a" * 271,
        ],
    )
    def test_refuses(self, value: bytes) -> None:
        with pytest.raises(BadRequest):
            parse_host(value)

    @given(st.binary(max_size=30))
    def test_any_bytes(self, value: bytes) -> None:
        """What passes is safe to show: letters, digits and a few signs."""
        try:
            host, port = parse_host(value)
        except BadRequest:
            return
        assert set(host) <= set(b"abcdefghijklmnopqrstuvwxyz0123456789._-[]:")
        assert port is None or 0 < port < 65536


def test_take_field() -> None:
    """In any case, all of them; what is not there changes nothing."""
    headers: HeaderList = [(b"X-A", b"1"), (b"b", b"2"), (b"x-a", b"3")]
    assert take_field(headers, b"x-a") == (b"1, 3", [(b"b", b"2")])
    assert take_field(headers, b"c") == (None, headers)
