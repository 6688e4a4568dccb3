"""Writes of a client's connection: at once, at the end of a turn, or when the socket takes them."""

from __future__ import annotations

import socket
import sys

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from scgiproxy.web.connection import MOST_HELD, MOST_JOINED
from tests.web.prompt import Served
from tests.wire.dialling import read_until

BIG = 4_000_000


def test_out_of_a_turn_it_goes_at_once(served: Served) -> None:
    served.transport.write(b"one")
    assert served.received() == b"one"
    served.transport.writeSequence([b"two", b"three"])
    assert served.received() == b"twothree"
    assert served.transport not in served.turn.getWriters()


def test_in_a_turn_it_waits_for_the_end(served: Served) -> None:
    """Several writes are sent as one, and the reactor has nothing to watch for."""
    served.turn.in_turn = True
    served.transport.write(b"one ")
    served.transport.writeSequence([b"two ", b"three"])
    assert served.received() == b""
    served.turn.end_turn()
    assert served.received() == b"one two three"
    assert served.transport not in served.turn.getWriters()
    served.transport.write(b"at once")
    assert served.received() == b"at once"


def test_what_comes_after_the_turn_takes_the_rest_along(served: Served) -> None:
    """Work that was put off before may write before what was held is sent."""
    served.turn.in_turn = True
    served.transport.write(b"one ")
    served.turn.in_turn = False
    served.transport.write(b"two")
    assert served.received() == b"one two"
    served.turn.end_turn()
    assert served.received() == b""


def test_much_is_not_held(served: Served) -> None:
    served.turn.in_turn = True
    served.transport.write(b"head")
    served.transport.write(b"x" * MOST_HELD)
    assert served.received() == b"head" + b"x" * MOST_HELD
    served.transport.write(b"tail")
    served.turn.end_turn()
    assert served.received() == b"tail"


@pytest_twisted.ensureDeferred
async def test_closing_behind_what_is_held(served: Served) -> None:
    served.turn.in_turn = True
    served.transport.write(b"answer")
    served.transport.loseConnection()
    served.turn.end_turn()
    assert await read_until(reactor, served.client, None) == b"answer"
    await served.server.lost


@pytest_twisted.ensureDeferred
async def test_half_closing_behind_what_is_held(served: Served) -> None:
    served.turn.in_turn = True
    served.transport.write(b"answer")
    served.transport.loseWriteConnection()
    served.turn.end_turn()
    assert await read_until(reactor, served.client, None) == b"answer"
    assert served.server.events == ["write lost"]
    assert not served.server.lost.called


@pytest_twisted.ensureDeferred
async def test_closing_the_other_half(served: Served) -> None:
    """In a later turn: TLS above it goes on for a moment."""
    served.transport.loseWriteConnection()
    assert await read_until(reactor, served.client, None) == b""
    served.transport.loseConnection()
    served.transport.loseConnection()
    assert not served.server.lost.called
    await served.server.lost
    assert served.transport not in served.turn.getReaders()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("close", ["loseConnection", "loseWriteConnection"])
@pytest.mark.parametrize("last", [b"", b"x" * MOST_HELD])
async def test_a_close_is_not_forgotten(served: Served, close: str, last: bytes) -> None:
    """Neither behind nothing at all, nor when more is written than can be held."""
    served.turn.in_turn = True
    served.transport.write(last)
    getattr(served.transport, close)()
    served.transport.write(last)
    served.turn.end_turn()
    data = await read_until(reactor, served.client, None)
    assert data in (last, last * 2)


@pytest_twisted.ensureDeferred
async def test_aborting_drops_what_is_held(served: Served) -> None:
    served.turn.in_turn = True
    served.transport.write(b"answer")
    served.transport.abortConnection()
    await served.server.lost
    served.turn.end_turn()


@pytest_twisted.ensureDeferred
async def test_what_the_socket_does_not_take_waits(served: Served) -> None:
    """Then a streaming producer is paused, and nothing overtakes."""
    served.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    served.transport.registerProducer(served.server, True)
    served.transport.write(b"x" * BIG)
    assert served.server.events == ["pause"]
    assert served.transport in served.turn.getWriters()
    served.turn.in_turn = True
    served.transport.write(b"behind")
    served.turn.end_turn()
    data = await read_until(reactor, served.client, BIG + 6)
    assert data == b"x" * BIG + b"behind"
    assert set(served.server.events[:-1]) == {"pause"}
    assert served.server.events[-1] == "resume"
    served.transport.unregisterProducer()


@pytest_twisted.ensureDeferred
async def test_large_pieces_are_sent_as_one(served: Served) -> None:
    """As far as the socket takes them; the rest follows, and nothing overtakes it."""
    served.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    served.transport.registerProducer(served.server, True)
    expected = b""
    for letter in (b"a", b"b", b"c"):
        pieces = [b"head", letter * MOST_JOINED, letter * 3 * BIG, b"tail"]
        served.transport.writeSequence(iter(pieces))
        expected += b"".join(pieces)
    assert served.server.events[0] == "pause"
    assert await read_until(reactor, served.client, len(expected)) == expected
    assert served.server.events[-1] == "resume"
    served.transport.unregisterProducer()


def test_large_pieces_go_behind_what_is_held(served: Served) -> None:
    served.turn.in_turn = True
    served.transport.write(b"head")
    served.transport.writeSequence([b"x" * MOST_JOINED, b"tail"])
    assert served.received() == b"head" + b"x" * MOST_JOINED + b"tail"
    served.turn.end_turn()
    assert served.received() == b""


@pytest_twisted.ensureDeferred
async def test_large_pieces_to_a_client_that_has_gone(served: Served) -> None:
    """Sending fails, and the connection is lost in the ordinary way."""
    served.client.close()
    for _ in range(3):
        served.transport.writeSequence([b"x" * MOST_JOINED, b"tail"])
    await served.server.lost
    served.transport.writeSequence([b"x" * MOST_JOINED, b"tail"])


@pytest_twisted.ensureDeferred
async def test_a_pull_producer_is_asked_for_more(served: Served) -> None:
    """Also when it is registered behind what is held."""

    class Pulled:
        left = 3

        def resumeProducing(self) -> None:
            if not self.left:
                served.transport.unregisterProducer()
                return
            self.left -= 1
            served.transport.write(b"piece ")

        def stopProducing(self) -> None:
            raise AssertionError

    served.turn.in_turn = True
    served.transport.write(b"head ")
    served.transport.registerProducer(Pulled(), False)
    served.turn.end_turn()
    assert await read_until(reactor, served.client, 23) == b"head piece piece piece "


@pytest_twisted.ensureDeferred
async def test_a_client_that_has_gone(served: Served) -> None:
    """Sending fails, and the connection is lost in the ordinary way."""
    served.client.close()
    for _ in range(3):
        served.turn.in_turn = True
        served.transport.write(b"answer")
        served.turn.end_turn()
    await served.server.lost
    served.transport.write(b"more")
    served.turn.end_turn()


@pytest_twisted.ensureDeferred
async def test_what_the_client_has_acknowledged(served: Served) -> None:
    """Not what waits in the kernel; a UNIX socket cannot tell."""
    connection = served.transport
    if served.client.family == socket.AF_UNIX or sys.platform != "linux":
        assert (connection.bytes_taken(), connection.bytes_come()) == (None, None)
        return
    before, come = connection.bytes_taken(), connection.bytes_come()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    connection.registerProducer(served.server, True)
    connection.write(b"x" * BIG)
    served.client.send(b"hello")
    assert connection.bytes_taken() - before < BIG
    assert connection.bytes_come() - come == 5
    await read_until(reactor, served.client, BIG)
    for _ in range(500):  # the last of it may be acknowledged a little later
        if connection.bytes_taken() - before >= BIG:
            break
        await deferLater(reactor, 0.01)
    assert connection.bytes_taken() - before == BIG
    connection.unregisterProducer()
    connection.abortConnection()
    await served.server.lost
    assert connection.bytes_taken() is None
