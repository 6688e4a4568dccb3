"""`message.backend_url`: the forms Apache documents and those found in the wild."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.message.backend_url import (
    Address,
    BackendUrl,
    TcpAddress,
    UnixAddress,
    parse_backend_url,
    split_authority,
)


@pytest.mark.parametrize(
    ("text", "address", "path"),
    [
        ("scgi://localhost:4001/app/", TcpAddress("localhost", 4001), b"/app/"),
        ("scgi://localhost/", TcpAddress("localhost", 4000), b"/"),
        ("scgi://localhost", TcpAddress("localhost", 4000), b""),
        ("scgi://localhost:/", TcpAddress("localhost", 4000), b"/"),
        ("SCGI://LocalHost:80/A", TcpAddress("localhost", 80), b"/A"),
        ("scgi://127.0.0.1:65535", TcpAddress("127.0.0.1", 65535), b""),
        ("scgi://[::1]:4001/x", TcpAddress("::1", 4001), b"/x"),
        ("scgi://[A::1]/", TcpAddress("a::1", 4000), b"/"),
        ("scgi://back_end.example./", TcpAddress("back_end.example.", 4000), b"/"),
        ("scgi://h/caf\u00e9", TcpAddress("h", 4000), b"/caf\xc3\xa9"),
        ("unix:/run/a.sock|scgi://localhost/app", UnixAddress("/run/a.sock"), b"/app"),
        ("unix:/run/a.sock|scgi://localhost", UnixAddress("/run/a.sock"), b""),
        ("unix:/run/a.sock|scgi://", UnixAddress("/run/a.sock"), b""),
        ("unix:/run/a.sock|scgi:", UnixAddress("/run/a.sock"), b""),
        ("Unix:/run/a.sock|SCGI://x/", UnixAddress("/run/a.sock"), b"/"),
        ("unix:/run/a.sock", UnixAddress("/run/a.sock"), b""),
        ("unix:@name|scgi://x/", UnixAddress("@name"), b"/"),
    ],
)
def test_reads(text: str, address: Address, path: bytes) -> None:
    assert parse_backend_url(text) == BackendUrl(address, path, text)


def test_balancer() -> None:
    url = parse_backend_url("balancer://SomeCluster/app")
    assert url == BackendUrl(None, b"/app", "balancer://SomeCluster/app", balancer="somecluster")


def test_tls() -> None:
    url = parse_backend_url("SCGIS://App.example:4001/x")
    assert (url.address, url.path, url.secure) == (TcpAddress("app.example", 4001), b"/x", True)
    assert parse_backend_url("scgis://[::1]").label == "scgis://[::1]"
    assert not parse_backend_url("scgi://app.example").secure


def test_socket_written_as_a_path_of_scgi() -> None:
    """Many write it so; it works, with a note that says how Apache writes it."""
    url = parse_backend_url("scgi:///run/rt.sock")
    assert url.address == UnixAddress("/run/rt.sock")
    assert url.path == b""
    assert "unix:/run/rt.sock|scgi://localhost" in url.note


def test_user_part_is_dropped_everywhere() -> None:
    """A password must not come out in a log."""
    url = parse_backend_url("scgi://me:se@cret@host:1/x")
    assert url == BackendUrl(TcpAddress("host", 1), b"/x", "scgi://host:1/x")


@pytest.mark.parametrize("host", ["h" * 63, "h" * 63 + ".x.", "h." * 126 + "x"])
def test_the_longest_host_names(host: str) -> None:
    """63 bytes in a label, 253 in all."""
    assert parse_backend_url(f"scgi://{host}/").address == TcpAddress(host, 4000)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("localhost:4000", "is no URL"),
        ("", "is no URL"),
        ("http://localhost/", "scheme 'http' is not served here"),
        ("scgis:///run/app.sock", "no host in 'scgis://'; expected scgis://host:port/path"),
        ("unix:/run/app.sock|scgis://app/", "TLS is for TCP and not for a UNIX socket"),
        ("scgi://", "no host"),
        ("scgi://:4000/", "no host"),
        ("scgi://::1/", "IPv6"),
        ("scgi://[::1/", "malformed IPv6"),
        ("scgi://[::1]4000/", "malformed IPv6"),
        ("scgi://[host]/", "malformed IPv6"),
        ("scgi://h st/", "no host name"),
        ("scgi://$1/", "no host name"),
        ("scgi://h..x/", "no host name"),
        ("scgi://" + "h" * 64 + ".x/", "no host name"),
        ("scgi://" + "h." * 127 + "x/", "no host name"),
        ("scgi://127.0.0.1:4000foo", "do both paths of the mount end in a slash"),
        ("scgi://h:0/", "no number from 1 to 65535"),
        ("scgi://h:65536/", "no number from 1 to 65535"),
        ("scgi://h:+1/", "no number from 1 to 65535"),
        ("scgi://h:\u0661/", "no number from 1 to 65535"),
        ("scgi://h:1:2/", "no number from 1 to 65535"),
        ("balancer:///x", "a balancer needs a name"),
        ("unix:", "no socket path"),
        ("unix:|scgi://x/", "no socket path"),
        ("unix:/run/s|http://x/", "after the bar"),
        ("unix:/run/s|", "after the bar"),
        ("unix:/" + "s" * 107 + "|scgi://x/", "over 107 bytes"),
        ("scgi:///" + "\u00e9" * 54, "over 107 bytes"),
        ("unix:/a\x00b|scgi://x/", "NUL"),
    ],
)
def test_refuses(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_backend_url(text)


def test_addresses_as_text() -> None:
    assert str(TcpAddress("h", 1)) == "h:1"
    assert str(TcpAddress("::1", 1)) == "[::1]:1"
    assert str(UnixAddress("/s")) == "unix:/s"


@given(st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,10})?", fullmatch=True), st.integers(1, 65535))
def test_an_address_s_text_is_read_back(host: str, port: int) -> None:
    assert split_authority(str(TcpAddress(host, port))) == (host, port)


@given(st.text(max_size=30) | st.text(max_size=20).map(lambda text: "scgi://" + text))
def test_any_text(text: str) -> None:
    """Any text gives a URL or ValueError, nothing else."""
    try:
        url = parse_backend_url(text)
    except ValueError:
        return
    assert (url.address is None) == bool(url.balancer)
