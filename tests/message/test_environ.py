"""`message.environ`: which variables a backend gets, and who may set them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import BadRequest
from scgiproxy.message.environ import (
    WITHHELD_NAMES,
    StaticEnviron,
    block_variables,
    redirect_variables,
    request_block,
    server_identity,
)
from scgiproxy.message.headers import HeaderList
from scgiproxy.scgi.request import RESERVED_NAMES, frame, parse_block

STATIC = StaticEnviron(
    {b"SERVER_SOFTWARE": b"scgiproxy", b"DOCUMENT_ROOT": b"/srv", b"CONTEXT_PREFIX": b""}
)

COMPUTED = {
    b"SERVER_SOFTWARE": b"scgiproxy",
    b"DOCUMENT_ROOT": b"/srv",
    b"CONTEXT_PREFIX": b"",
    b"SERVER_NAME": b"h.example",
    b"SERVER_ADDR": b"127.0.0.1",
    b"SERVER_PORT": b"8080",
    b"REMOTE_ADDR": b"192.0.2.1",
    b"REMOTE_PORT": b"50000",
    b"SERVER_PROTOCOL": b"HTTP/1.1",
    b"REQUEST_METHOD": b"GET",
    b"QUERY_STRING": b"a=%20",
    b"REQUEST_URI": b"/app/x%20y?a=%20",
    b"SCRIPT_NAME": b"/app/x y",
}


def block(
    headers: HeaderList | None = None,
    environment: Mapping[bytes, bytes] | None = None,
    **changes: Any,
) -> bytes:
    arguments: dict[str, Any] = {
        "headers": headers or [],
        "environment": environment or {},
        "method": b"GET",
        "protocol": b"HTTP/1.1",
        "request_uri": b"/app/x%20y?a=%20",
        "query": b"a=%20",
        "script_name": b"/app/x y",
        "path_info": None,
        "server_name": b"h.example",
        "server_port": b"8080",
        "server_addr": b"127.0.0.1",
        "remote_addr": b"192.0.2.1",
        "remote_port": b"50000",
        **changes,
    }
    return request_block(STATIC, **arguments)


def variables(
    headers: HeaderList | None = None,
    environment: Mapping[bytes, bytes] | None = None,
    **changes: Any,
) -> dict[bytes, bytes]:
    """The block as a backend reads it: in a frame, strictly."""
    wire = frame(0, block(headers, environment, **changes))
    head = parse_block(wire.partition(b":")[2][:-1])
    assert list(head.variables)[:2] == [b"CONTENT_LENGTH", b"SCGI"]
    return {name: head.variables[name] for name in list(head.variables)[2:]}


def test_a_plain_request() -> None:
    """Exactly these: no PATH, SCRIPT_FILENAME, GATEWAY_INTERFACE, PATH_INFO, CONTENT_TYPE."""
    assert variables() == COMPUTED


def test_headers() -> None:
    headers = [
        (b"Host", b"h.example:8080"),
        (b"content-type", b"text/xml"),
        (b"Content-Length", b"5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"close"),
        (b"Accept", b"a"),
        (b"Cookie", b"a=1"),
        (b"accept", b"b"),
        (b"COOKIE", b"b=2"),
        (b"Accept", b"c"),
        (b"X-Empty", b""),
        (b"X_Remote", b"no"),
        (b"Proxy", b"http://evil/"),
    ]
    assert variables(headers) == COMPUTED | {
        b"HTTP_HOST": b"h.example:8080",
        b"CONTENT_TYPE": b"text/xml",
        b"HTTP_ACCEPT": b"a, b, c",
        b"HTTP_COOKIE": b"a=1; b=2",
        b"HTTP_X_EMPTY": b"",
    }


def test_authorization_needs_cgipassauth() -> None:
    headers = [(b"Authorization", b"Basic x"), (b"Proxy-Authorization", b"Basic y")]
    assert variables(headers) == COMPUTED
    assert variables(headers, pass_authorization=True) == COMPUTED | {
        b"HTTP_AUTHORIZATION": b"Basic x",
        b"HTTP_PROXY_AUTHORIZATION": b"Basic y",
    }


def test_operator_may_pass_authorization_under_its_name() -> None:
    """``SetEnvIf Authorization "(.*)" HTTP_AUTHORIZATION=$1`` is a common way."""
    headers = [(b"Authorization", b"Basic x")]
    passed = {b"HTTP_AUTHORIZATION": b"Basic x"}
    assert variables(headers, passed) == COMPUTED | passed


def test_user() -> None:
    assert variables(user=b"me", auth_type=b"Basic") == COMPUTED | {
        b"REMOTE_USER": b"me",
        b"AUTH_TYPE": b"Basic",
    }


def test_unix_socket_client_has_no_port() -> None:
    expected = COMPUTED | {b"REMOTE_ADDR": b""}
    del expected[b"REMOTE_PORT"]
    assert variables(remote_addr=b"", remote_port=b"") == expected


class TestPathInfo:
    def test_with_document_root(self) -> None:
        found = variables(script_name=b"/app", path_info=b"/x y", document_root=b"/srv/")
        assert found == COMPUTED | {
            b"SCRIPT_NAME": b"/app",
            b"PATH_INFO": b"/x y",
            b"PATH_TRANSLATED": b"/srv/x y",
        }

    def test_without_document_root(self) -> None:
        found = variables(path_info=b"/x")
        assert found == COMPUTED | {b"PATH_INFO": b"/x"}

    def test_empty(self) -> None:
        found = variables(path_info=b"", document_root=b"/srv")
        assert found == COMPUTED | {b"PATH_INFO": b""}

    def test_set_by_the_operator(self) -> None:
        """A common workaround in Apache, which makes no PATH_TRANSLATED."""
        found = variables(environment={b"PATH_INFO": b"/e"}, document_root=b"/srv")
        assert found == COMPUTED | {b"PATH_INFO": b"/e"}
        assert variables(environment={b"PATH_INFO": b"/e"}, path_info=b"/x")[b"PATH_INFO"] == b"/x"


class TestPrecedence:
    @pytest.mark.parametrize("name", sorted(COMPUTED))
    def test_computed_ones_cannot_be_set(self, name: bytes) -> None:
        assert variables(environment={name: b"set"}) == COMPUTED

    @pytest.mark.parametrize(
        "name",
        [
            b"REMOTE_USER",
            b"AUTH_TYPE",
            b"PATH_INFO",
            b"PATH_TRANSLATED",
            b"HTTPS",
            b"REMOTE_HOST",
            b"CONTENT_TYPE",
            b"PATH",
            b"HTTP_PROXY",
            b"HTTP_X_FOO",
            b"SCRIPT_FILENAME",
            b"lower-case.name",
        ],
    )
    def test_what_is_not_computed_can_be_set(self, name: bytes) -> None:
        assert variables(environment={name: b"set"}) == COMPUTED | {name: b"set"}

    def test_headers_win_over_the_environment(self) -> None:
        """And are not joined with it."""
        headers = [(b"Content-Type", b"a/b"), (b"X-Foo", b"1"), (b"X-Foo", b"2")]
        environment = {b"CONTENT_TYPE": b"set", b"HTTP_X_FOO": b"set"}
        assert variables(headers, environment) == COMPUTED | {
            b"CONTENT_TYPE": b"a/b",
            b"HTTP_X_FOO": b"1, 2",
        }

    def test_user_wins_over_the_environment(self) -> None:
        assert variables(environment={b"REMOTE_USER": b"x"}, user=b"me")[b"REMOTE_USER"] == b"me"

    @pytest.mark.parametrize(
        "name", [*sorted(WITHHELD_NAMES), b"proxy-scgi-pathinfo", b"proxy-nokeepalive", b""]
    )
    def test_control_variables_stay_here(self, name: bytes) -> None:
        assert variables(environment={name: b"1"}) == COMPUTED

    def test_a_client_reaches_only_http_names(self) -> None:
        """Whatever a header is called, it cannot become a variable without ``HTTP_``."""
        names = [b"REMOTE_USER", b"HTTPS", b"SCGI", b"Content_Length", b"Remote-User", b"Path-Info"]
        found = variables([(name, b"evil") for name in names])
        assert {name for name, value in found.items() if value == b"evil"} == {
            b"HTTP_HTTPS",
            b"HTTP_SCGI",
            b"HTTP_REMOTE_USER",
            b"HTTP_PATH_INFO",
        }


def test_framing_names_are_withheld() -> None:
    assert RESERVED_NAMES <= WITHHELD_NAMES


class TestNul:
    @pytest.mark.parametrize(
        "changes",
        [
            {"headers": [(b"X", b"a\x00B\x00c")]},
            {"environment": {b"A": b"a\x00"}},
            {"environment": {b"A\x00B": b"a"}},
            {"script_name": b"/\x00"},
            {"query": b"\x00"},
            {"user": b"a\x00"},
            {"path_info": b"/a\x00b"},
        ],
    )
    def test_never_gets_in(self, changes: dict[str, Any]) -> None:
        with pytest.raises(BadRequest, match="a NUL in variable"):
            block(**changes)

    @pytest.mark.parametrize("item", [(b"A", b"\x00"), (b"A\x00", b"b"), (b"", b"b")])
    def test_nor_at_load_time(self, item: tuple[bytes, bytes]) -> None:
        with pytest.raises(ValueError, match="no name, or a NUL"):
            StaticEnviron(dict([item]))


@pytest.mark.parametrize("name", [b"SERVER_NAME", b"HTTP_HOST", b"SCGI", b"CONTENT_TYPE"])
def test_what_changes_by_request_is_not_static(name: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be the same for every request"):
        StaticEnviron({name: b"x"})


def test_static_repr_names_the_variables() -> None:
    assert repr(STATIC) == (
        "<StaticEnviron [b'CONTEXT_PREFIX', b'DOCUMENT_ROOT', b'SERVER_SOFTWARE']>"
    )


def test_nothing_static() -> None:
    assert StaticEnviron({}).encoded == b""


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"Host", b"host", b"Cookie", b"X-A", b"X_A", b"x-a", b"Content-Type", b"TE"]
        )
        | st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}", fullmatch=True),
        st.binary(max_size=8),
    ),
    max_size=12,
)
ENVIRONMENT = st.dictionaries(
    st.sampled_from([b"SCGI", b"HTTP_HOST", b"SERVER_NAME", b"PATH_INFO", b"A", b"CONTENT_LENGTH"])
    | st.binary(max_size=6),
    st.binary(max_size=8),
    max_size=6,
)


@given(HEADERS, ENVIRONMENT)
def test_any_input_gives_a_well_formed_block_or_bad_request(
    headers: HeaderList, environment: dict[bytes, bytes]
) -> None:
    """Every name once, nothing shifted, nothing computed replaced. (The reader is strict.)"""
    has_nul = any(b"\x00" in part for pair in [*headers, *environment.items()] for part in pair)
    try:
        found = variables(headers, environment)
    except BadRequest:
        assert has_nul
        return
    assert COMPUTED.items() <= found.items()
    assert not RESERVED_NAMES & found.keys()


def test_block_variables_reads_a_block_back() -> None:
    assert block_variables(block([(b"X", b"")], path_info=b"/x")) == COMPUTED | {
        b"HTTP_X": b"",
        b"PATH_INFO": b"/x",
    }


class TestRedirect:
    def test_previous_variables_and_the_three_new_ones(self) -> None:
        previous = {b"HTTP_HOST": b"h", b"PATH_INFO": b"/x"}
        assert redirect_variables(previous, status=200, url=b"/a b", query=b"q") == {
            b"REDIRECT_HTTP_HOST": b"h",
            b"REDIRECT_PATH_INFO": b"/x",
            b"REDIRECT_STATUS": b"200",
            b"REDIRECT_URL": b"/a b",
            b"REDIRECT_QUERY_STRING": b"q",
        }

    def test_a_chain_stays_bounded(self) -> None:
        """Names nest twice, not once for each hop."""
        found: dict[bytes, bytes] = {}
        sizes = []
        for hop in range(6):
            previous = {**found, b"A": b"%d" % hop}
            found = redirect_variables(previous, status=200, url=b"/%d" % hop, query=b"")
            sizes.append(len(found))
        assert sizes[2:] == [sizes[2]] * 4
        assert found[b"REDIRECT_A"] == b"5"
        assert found[b"REDIRECT_REDIRECT_A"] == b"4"
        assert found[b"REDIRECT_REDIRECT_URL"] == b"/4"
        assert not any(name.startswith(b"REDIRECT_" * 3) for name in found)

    def test_they_reach_the_backend(self) -> None:
        added = redirect_variables(COMPUTED, status=404, url=b"/", query=b"")
        assert variables(environment=added) == COMPUTED | added


@pytest.mark.parametrize(
    ("canonical", "name", "name_port", "host", "listening", "expected"),
    [
        # UseCanonicalName Off: what the client says; the port of ServerName, then the listening one
        (False, b"s", None, (b"h", None), 8080, (b"h", b"8080")),
        (False, b"s", 80, (b"h", None), 8080, (b"h", b"80")),
        (False, b"s", 80, (b"h", 123), 8080, (b"h", b"123")),
        (False, b"s", None, (b"[::1]", 123), 8080, (b"[::1]", b"123")),
        (False, b"s", None, None, 8080, (b"s", b"8080")),
        (False, b"s", 81, None, 8080, (b"s", b"81")),
        (False, b"", None, None, 8080, (b"127.0.0.1", b"8080")),
        (False, b"s", None, (b"h", None), None, (b"h", b"80")),
        # On: ServerName
        (True, b"s", None, (b"h", 123), 8080, (b"s", b"8080")),
        (True, b"s", 81, (b"h", 123), 8080, (b"s", b"81")),
        (True, b"", None, (b"h", 123), 8080, (b"h", b"8080")),
    ],
)
def test_server_identity(
    canonical: bool,
    name: bytes,
    name_port: int | None,
    host: tuple[bytes, int | None] | None,
    listening: int | None,
    expected: tuple[bytes, bytes],
) -> None:
    assert (
        server_identity(
            canonical=canonical,
            server_name=name,
            server_name_port=name_port,
            host=host,
            listening_port=listening,
            server_addr=b"127.0.0.1",
        )
        == expected
    )


def test_server_identity_without_anything() -> None:
    identity = server_identity(
        canonical=False,
        server_name=b"",
        server_name_port=None,
        host=None,
        listening_port=None,
        scheme=b"https",
    )
    assert identity == (b"localhost", b"443")
