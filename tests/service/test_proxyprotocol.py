"""The header that a proxy sends first: whole, in pieces, with what follows, and what is none."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from scgiproxy.service.proxyprotocol import (
    LONGEST,
    LONGEST_LINE,
    TOLD_EVERY,
    ProxiedFactory,
    read_header,
)
from tests.web.answers import Log
from tests.web.harness import GET, OK, Client, Gateway

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LINE = b"PROXY TCP4 203.0.113.9 192.0.2.2 4001 80\r\n"
ENDS = (IPv4Address("TCP", "203.0.113.9", 4001), IPv4Address("TCP", "192.0.2.2", 80))
SIX = (IPv6Address("TCP", "2001:db8::9", 4001), IPv6Address("TCP", "2001:db8::2", 80))


def binary(addresses: bytes, kind: int = 0x11, what: int = 0x21) -> bytes:
    return SIGNATURE + struct.pack("!BBH", what, kind, len(addresses)) + addresses


FOUR_OF_TWO = binary(bytes([203, 0, 113, 9, 192, 0, 2, 2]) + struct.pack("!HH", 4001, 80))
SIX_OF_TWO = binary(
    bytes.fromhex("20010db8" + "00" * 11 + "09" + "20010db8" + "00" * 11 + "02")
    + struct.pack("!HH", 4001, 80),
    0x21,
)
MAPPED = bytes.fromhex("00" * 10 + "ffff")
EXTRA = b"\x04\0\x03abc"
"""A field of a header's end (PP2_TYPE_NOOP)."""

HEADERS = [
    (LINE, ENDS),
    (b"PROXY TCP6 2001:db8::9 2001:DB8:0::2 4001 80\r\n", SIX),
    (b"PROXY TCP6 ::ffff:203.0.113.9 ::ffff:192.0.2.2 4001 80\r\n", ENDS),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 whatever\n it \xff is\r\n", None),
    (FOUR_OF_TWO, ENDS),
    (binary(FOUR_OF_TWO[16:] + EXTRA), ENDS),
    (binary(FOUR_OF_TWO[16:], kind=0x12), ENDS),
    (SIX_OF_TWO, SIX),
    (
        binary(MAPPED + FOUR_OF_TWO[16:20] + MAPPED + FOUR_OF_TWO[20:28], 0x21),
        ENDS,
    ),
    (
        binary(b"/a".ljust(108, b"\0") + b"/b".ljust(108, b"\0"), 0x31),
        (UNIXAddress(b"/a"), UNIXAddress(b"/b")),
    ),
    # Of the proxy itself, or of nobody it knows.
    (binary(b"", 0, 0x20), None),
    (binary(FOUR_OF_TWO[16:], what=0x20), None),
    (binary(b"", 0), None),
    (binary(EXTRA, 0x10), None),
]


@pytest.mark.parametrize(("header", "ends"), HEADERS)
def test_a_header(header: bytes, ends: object) -> None:
    assert read_header(header) == (len(header), ends)
    assert read_header(header + b"GET / PROXY\r\n") == (len(header), ends)
    assert [read_header(header[:size]) for size in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GET / HTTP/1.1\r\n", "expected a header of the PROXY protocol, got 'GET / HTTP/1.1"),
        (b"PROXY\tTCP4", "expected a header of the PROXY protocol"),
        (b"\r\n\r\n\0\r\nQUIT\r", "expected a header of the PROXY protocol"),
        (b"proxy tcp4", "expected a header of the PROXY protocol"),
        (b"PROXY \r\n", "malformed: 'PROXY '"),
        (b"PROXY UNKNOWNS\r\n", "malformed: 'PROXY UNKNOWNS'"),
        (LINE.replace(b"4001", b"x"), "malformed: 'PROXY TCP4 203.0.113.9 192.0.2.2 x 80'"),
        (LINE.replace(b"4001", b"65536"), "malformed.*: 65536 is no port"),
        (LINE.replace(b"4001", b"-1"), "malformed"),
        (LINE.replace(b"4001", b"+1"), "malformed"),
        (LINE.replace(b"4001", b"1_0"), "malformed"),
        (LINE.replace(b" 80", b""), "malformed"),
        (LINE.replace(b" 80", b" 80 "), "malformed"),
        (LINE.replace(b" 4001", b"  4001"), "malformed"),
        (LINE.replace(b"203.0.113.9", b"localhost"), "malformed"),
        (LINE.replace(b"203.0.113.9", b"\xff"), r"malformed: 'PROXY TCP4 \\xff "),
        (LINE.replace(b"203.0.113.9", b"203.0.113.256"), "malformed.*256"),
        (LINE.replace(b"203.0.113.9", b"::1"), "malformed.*::1"),
        (LINE.replace(b"TCP4", b"TCP6"), "malformed.*203.0.113.9"),
        (LINE.replace(b"TCP4", b"UDP4"), "malformed"),
        (b"PROXY TCP6 fe80::1%eth0 ::1 4001 80\r\n", "malformed"),
        (b"PROXY UNKNOWN " + b"x" * 200, f"a PROXY line is longer than {LONGEST_LINE} bytes"),
        (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", "a PROXY line is longer"),
        (binary(b"", what=0x11), "of version 1 with command 1 is not known"),
        (binary(b"", what=0x22), "of version 2 with command 2 is not known"),
        (binary(b"x" * LONGEST)[:16], f"of 4112 bytes is longer than {LONGEST}"),
        (binary(FOUR_OF_TWO[16:27]), "has 11 bytes of addresses; expected 12"),
        (binary(FOUR_OF_TWO[16:], 0x21), "has 12 bytes of addresses; expected 36"),
        (binary(FOUR_OF_TWO[16:], 0x41), "family and protocol 0x41 of a PROXY header"),
        (binary(FOUR_OF_TWO[16:], 0x13), "family and protocol 0x13 of a PROXY header"),
    ],
)
def test_what_is_no_header(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_header(data)


def test_the_longest() -> None:
    line = b"PROXY UNKNOWN ".ljust(LONGEST_LINE - 2, b"x") + b"\r\n"
    assert read_header(line) == (LONGEST_LINE, None)
    header = binary(bytes(LONGEST - 16), 0)
    assert read_header(header) == (LONGEST, None)


@given(
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP6 ", SIGNATURE, SIGNATURE + b"\x21"]), st.binary()
)
def test_any_bytes(start: bytes, rest: bytes) -> None:
    """They are a header, the beginning of one, or none: and that they stay with what follows."""
    try:
        found = read_header(start + rest)
    except ValueError:
        with pytest.raises(ValueError):
            read_header(start + rest + b"x")
        return
    if found is None:
        assert len(start + rest) < LONGEST
    else:
        size, _ = found
        assert read_header((start + rest)[:size]) == read_header(start + rest + b"x") == found


class Proxied(Gateway):
    """A gateway behind a proxy, which says who its clients are."""

    def __init__(self) -> None:
        super().__init__()
        # What a port has for a factory.
        self.factory: Any = ProxiedFactory(self.site, self.clock.seconds)
        self.factory.clock = self.clock


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("header", [LINE, FOUR_OF_TWO])
def test_the_client_is_whom_the_proxy_names(header: bytes, size: int) -> None:
    gateway = Proxied()
    client = Client(gateway.factory)
    data = header + GET
    for start in range(0, len(data), size):
        client.send(data[start : start + size])
    seen = gateway.backend.variables
    assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"]) == ("203.0.113.9", "4001")
    assert seen["SERVER_PORT"] == "8080"
    gateway.backend.answer(OK)
    assert client.answer.status == 200
    gateway.finish(client)


def test_a_check_of_the_proxy() -> None:
    """It is the client itself then."""
    gateway = Proxied()
    client = Client(gateway.factory).send(b"PROXY UNKNOWN\r\n" + GET)
    assert gateway.backend.variables["REMOTE_ADDR"] == "192.0.2.7"
    gateway.backend.answer(OK)
    gateway.finish(client)


def test_who_says_no_header_is_closed_and_told() -> None:
    """Once in a while: whoever gets there can make it as often as he likes."""
    gateway = Proxied()
    with Log() as log:
        for _ in range(5):
            client = Client(gateway.factory).send(GET)
            assert client.closed == "aborted"
            assert client.received == b""
            gateway.clock.advance(0)
        gateway.clock.advance(TOLD_EVERY)
        Client(gateway.factory).send(LINE.replace(b"80", b"http"))
    assert [event["log_level"].name for event in log.events] == ["warn", *["debug"] * 4, "warn"]
    first, *_, last = [event["log_format"].format(**event) for event in log.events]
    assert first == (
        "client.proxy_header: expected a header of the PROXY protocol, got"
        r" 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' (from 192.0.2.7:50000, which is closed)"
    )
    assert last.endswith(
        "4001 http' (from 192.0.2.7:50000, which is closed; 4 more since the last line)"
    )
