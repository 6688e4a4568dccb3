"""What Listen and <VirtualHost> take for an address."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.config.addresses import parse_host_address, parse_listen
from scgiproxy.config.model import HostAddress, Listener, Position

HERE = Position("f", 1)


@pytest.mark.parametrize(
    ("word", "address", "port"),
    [
        ("80", "", 80),
        ("*:80", "", 80),
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("[::1]:80", "::1", 80),
        ("[2001:DB8:0::1]:80", "2001:db8::1", 80),
        ("localhost:80", "localhost", 80),
        ("www.example.com:80", "www.example.com", 80),
    ],
)
def test_listen(word: str, address: str, port: int) -> None:
    assert parse_listen(word, HERE) == Listener(HERE, address, port)


def test_listen_misspelled_endpoint() -> None:
    with pytest.raises(ValueError, match="'tcpp' is no kind of endpoint; did you mean tcp"):
        parse_listen("tcpp:80", HERE)


@pytest.mark.parametrize(
    "word",
    [
        "unix:/run/gw.sock:mode=660",
        "systemd:domain=INET:index=0",
        "tcp:8080",
        "tcp6:8080",
        "TCP6:8080",
        "ssl:443:privateKey=k:certKey=c",
        "haproxy:tcp:8080",
        "tcp:8080:interface=127.0.0.1",
        "tcp6:8080:interface=\\:\\:",
        "someplugin:8080:x=y",
    ],
)
def test_listen_endpoint(word: str) -> None:
    assert parse_listen(word, HERE) == Listener(HERE, endpoint=word)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("0", "'0' is no port"),
        ("65536", "'65536' is no port"),
        ("127.0.0.1", "no port in '127.0.0.1'"),
        ("localhost", "no port in 'localhost'"),
        ("[::1]", r"no port in '\[::1\]'"),
        ("300.0.0.1:80", "'300.0.0.1' is no address"),
        ("::1:80", "'::1' is no address; .* in brackets"),
        ("[::g]:80", "is no address"),
        ("127.0.0.1:http", "'http' is no port"),
        ("unix:", "nothing follows the colon"),
        ("tcp:many", r"'tcp:many': port: expected a number from 0 to 65535, got 'many'"),
        ("", "no port"),
    ],
)
def test_wrong_listen(word: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_listen(word, HERE)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("*", (None, None)),
        ("*:80", (None, 80)),
        ("_DEFAULT_:80", (None, 80)),
        ("*:*", (None, None)),
        ("127.0.0.1", ("127.0.0.1", None)),
        ("127.0.0.1:*", ("127.0.0.1", None)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", None)),
    ],
)
def test_host_address(word: str, expected: tuple[str | None, int | None]) -> None:
    assert parse_host_address(word) == (HostAddress(*expected), "")


def test_host_name() -> None:
    """A name is taken as any address, and given back so that a warning can name it."""
    assert parse_host_address("www.example:81") == (HostAddress(None, 81), "www.example")


@pytest.mark.parametrize("word", ["", ":80", "::1", "1.2.3:80", "*:http", "a b", "[::1]x:80"])
def test_wrong_host_address(word: str) -> None:
    with pytest.raises(ValueError, match=r"is no (address|port)"):
        parse_host_address(word)


@given(st.text())
def test_any_text(word: str) -> None:
    """ValueError is all that wrong text can cause."""
    for parse in (lambda: parse_listen(word, HERE), lambda: parse_host_address(word)):
        with suppress(ValueError):
            parse()
