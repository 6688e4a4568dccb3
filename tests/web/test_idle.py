"""What a connection holds between two requests: next to nothing, and nothing of anybody's."""

from __future__ import annotations

import gc
import sys
import weakref
from types import FunctionType
from typing import Any

import pytest
from httptools import HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.web.channel import MOST_SPARE
from scgiproxy.web.reader import RequestReader
from scgiproxy.web.request import GatewayRequest
from tests.web.harness import CHUNKED, GET, OK, POST, Client, Gateway
from tests.web.test_reader import MALFORMED

SMALL = 800
"""Bytes, as `sys.getsizeof` counts them. There are about 530, and a reader would be 700 more."""

LARGE_HEAD = b"GET /%b HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"t" * 3000, b"v" * 3000)
TRAILER = CHUNKED + b"3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"


def held(channel: Any) -> list[Any]:
    """All that `channel` has for itself: not the site's, the listener's, or Twisted's."""
    of_the_site = (channel.limits, channel._terms, channel._stage)
    shared = {id(each) for each in (channel.factory, channel.local, *of_the_site)}
    shared.add(id(channel.transport))
    found, left = {}, [channel]
    while left:
        each = left.pop()
        shareable = (
            isinstance(each, (type, FunctionType))
            or id(each) in shared
            or sys.getrefcount(each) > 1000
        )
        if id(each) not in found and not shareable:
            found[id(each)] = each
            left += gc.get_referents(each)
    return list(found.values())


def bytes_held(channel: Any) -> int:
    return sum(map(sys.getsizeof, held(channel)))


@pytest.mark.parametrize(
    "request_",
    [
        GET,
        LARGE_HEAD,
        TRAILER,
        POST + b"Content-Length: 9000\r\n\r\n" + b"x" * 9000,
        GET * 20,
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ],
    ids=["small", "large head", "chunked", "body", "pipelined", "1.0"],
)
def test_an_idle_connection_holds_nothing_of_its_requests(request_: bytes) -> None:
    gateway = Gateway()
    client = gateway.client().send(request_)
    assert any(isinstance(each, GatewayRequest) for each in held(client.channel))
    gateway.answer_all(OK)
    assert not client.closed
    types = {type(each) for each in held(client.channel)}
    assert not types & {GatewayRequest, RequestReader, HttpRequestParser}
    assert bytes_held(client.channel) < SMALL


def test_what_is_held_is_seen() -> None:
    """Within a head there is more: the bound above can be passed."""
    client = Gateway().client().send(LARGE_HEAD[:-2])
    assert bytes_held(client.channel) > SMALL


def test_a_new_connection_holds_as_little() -> None:
    assert bytes_held(Gateway().client().channel) < SMALL
    assert bytes_held(Gateway().client().send(b"\r\n").channel) < SMALL


@pytest.mark.parametrize("request_", [b"", GET, GET.replace(b"1.1", b"1.0")])
def test_a_connection_that_ends_is_freed_at_once(request_: bytes) -> None:
    """It is in no cycle: nothing is left to the garbage collector."""
    gateway = Gateway()
    client = gateway.client()
    gc.disable()
    try:
        client.send(request_)
        gateway.answer_all()
        client.leave()
        gateway.settle()
        for end in (client, *gateway.pool.ends):
            # A real one lets go of its protocol.
            end.transport.protocol = None
        del end
        gateway.pool.ends.clear()
        gateway.pool.dispatches.clear()
        # What only the channel still has; of a compiled channel there are no weak references.
        ended = weakref.ref(client.transport)
        del client
        assert ended() is None
    finally:
        gc.enable()


def test_one_reader_is_enough_for_connections_that_take_turns() -> None:
    gateway = Gateway()
    clients = [gateway.client() for _ in range(20)]
    for number, client in enumerate(clients):
        client.get(f"/{number}", f"X-Own: {number}")
    assert len(gateway.site.spare_readers) == 1
    (reader,) = gateway.site.spare_readers
    assert (reader.method, reader.target, reader.headers) == (b"-", b"", [])
    for number, end in enumerate(gateway.pool.ends):
        assert end.variables["REQUEST_URI"] == f"/{number}"
        assert end.variables["HTTP_X_OWN"] == str(number)


def test_spare_readers_are_bounded() -> None:
    gateway = Gateway(mounts=[("/x", "scgi://h/")])
    clients = [gateway.client().send(GET[:10]) for _ in range(MOST_SPARE + 10)]
    assert not gateway.site.spare_readers
    for client in clients:
        client.send(GET[10:])
    assert len(gateway.site.spare_readers) == MOST_SPARE
    assert [client.answer.status for client in clients] == [404] * len(clients)


@pytest.mark.parametrize(
    "request_",
    [
        *(data for _, data in MALFORMED.values()),
        GET[:-2],
        LARGE_HEAD[:50],
        CHUNKED + b"5\r\nab",
        POST + b"Content-Length: 5\r\n\r\nab",
        GET.replace(b"1.1", b"1.0"),
        GET[:-2] + b"Connection: close\r\n\r\n" + GET,
        GET[:-2] + b"Proxy-Connection: close\r\n\r\n",
        GET[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\na",
        TRAILER[:-4],
        GET + b"\r\n",
    ],
)
@pytest.mark.parametrize("leaves", [False, True])
def test_nothing_of_a_connection_gets_into_another(request_: bytes, leaves: bool) -> None:
    """Whatever state llhttp is in behind a request, who comes next finds it at the beginning."""
    gateway = Gateway()
    first = gateway.client().send(request_)
    if leaves:
        first.leave()
    before = len(gateway.pool.ends)
    others = [gateway.client().get(f"/{number}") for number in range(3)]
    for number, end in enumerate(gateway.pool.ends[before:]):
        variables = end.variables
        assert variables["REQUEST_URI"] == f"/{number}"
        assert {name for name in variables if name.startswith("HTTP_")} == {"HTTP_HOST"}
    assert len(gateway.pool.ends) == before + len(others)
    gateway.answer_all()
    assert [other.answer.status for other in others] == [200] * 3
    assert not any(other.closed for other in others)
    gateway.finish(first, *others)


@given(st.data())
def test_connections_at_once_are_never_mixed(data: st.DataObject) -> None:
    """However their requests are cut, and whichever piece comes next."""
    gateway = Gateway(server={"max_keep_alive_requests": 0})
    clients: list[tuple[Client, list[bytes]]] = []
    expected = set()
    for client in range(3):
        stream = b""
        for number in range(data.draw(st.integers(1, 3))):
            own = b"%d.%d" % (client, number)
            stream += data.draw(
                st.sampled_from(
                    [
                        b"GET /%b HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (own, own),
                        b"PUT /%b HTTP/1.1\r\nHost: a\r\nX: %b\r\nContent-Length: 3\r\n\r\n%b"
                        % (own, own, own),
                        b"PUT /%b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: %b\r\n"
                        b"\r\n3\r\n%b\r\n0\r\nX-T: 1\r\n\r\n" % (own, own, own),
                    ]
                )
            )
            expected.add(own.decode())
        cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=4)))
        ends = [*cuts, len(stream)]
        pieces = [stream[a:b] for a, b in zip([0, *cuts], ends, strict=True)]
        clients.append((gateway.client(), pieces))
    turns = [client for client, (_, pieces) in enumerate(clients) for _ in pieces]
    for turn in data.draw(st.permutations(turns)):
        client_, pieces = clients[turn]
        client_.send(pieces.pop(0))
        gateway.answer_all()
    seen = set()
    for end in gateway.pool.ends:
        own_ = end.variables["REQUEST_URI"][1:]
        assert end.variables["HTTP_X"] == own_
        assert end.body.decode() in ("", own_)
        assert "HTTP_X_T" not in end.variables
        seen.add(own_)
    assert seen == expected
    assert sum(len(client_.answers) for client_, _ in clients) == len(expected)
    gateway.finish(*(client_ for client_, _ in clients))
