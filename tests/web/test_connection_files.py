"""Files on a client's connection: what goes from a file to the socket, and when."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from scgiproxy.web import connection
from scgiproxy.web.connection import PIECE_OF_A_FILE
from tests.web.prompt import Served
from tests.wire.dialling import read_until

SIZE = 10_000_000
DATA = os.urandom(SIZE)


@pytest.fixture(scope="module")
def fd() -> Iterator[int]:
    number = os.memfd_create("data")
    os.write(number, DATA)
    yield number
    os.close(number)


class Sending:
    """The producer of an answer of `stop` bytes: sends on whenever it is resumed."""

    def __init__(self, served: Served, fd: int, stop: int = SIZE) -> None:
        self.transport = served.transport
        self.fd = fd
        self.sent = 0
        self.stop = stop
        self.events: list[str] = []
        self.close = False
        self.transport.registerProducer(self, True)

    def send(self, before: bytes = b"") -> int | None:
        sent: int | None
        sent = self.transport.send_from(self.fd, self.sent, self.stop - self.sent, before)
        self.events.append(f"sent {sent}")
        self.sent += sent or 0
        if self.sent == self.stop:
            self.transport.unregisterProducer()
            if self.close:
                self.transport.loseConnection()
        return sent

    def pauseProducing(self) -> None:
        self.events.append("pause")

    def resumeProducing(self) -> None:
        self.events.append("resume")
        self.send()

    def stopProducing(self) -> None:
        self.events.append("stop")


class System:
    """Stands for sendfile(2): what it sends, or raises, each time; then it sends all."""

    def __init__(self, *plan: int | OSError) -> None:
        self.plan = list(plan)
        self.asked: list[tuple[int, int]] = []

    def __call__(self, to: int, fd: int, start: int, count: int) -> int:
        self.asked.append((start, count))
        outcome = self.plan.pop(0) if self.plan else count
        if isinstance(outcome, OSError):
            raise outcome
        return os.sendfile(to, fd, start, min(count, outcome)) if outcome else 0


def watched(served: Served) -> bool:
    """Whether the connection is told when its socket takes more."""
    return served.transport in served.turn.getWriters()


def test_it_goes_at_once_behind_the_head(served: Served, fd: int) -> None:
    sending = Sending(served, fd, 1000)
    assert sending.send(b"head ") == 1000
    assert served.received() == b"head " + DATA[:1000]
    assert sending.events == ["sent 1000"]
    assert not watched(served)


def test_it_goes_behind_what_was_held(served: Served, fd: int) -> None:
    """What was put off to the end of the turn is sent before it, and not again."""
    served.turn.in_turn = True
    served.transport.write(b"one ")
    Sending(served, fd, 1000).send(b"two ")
    served.turn.end_turn()
    assert served.received() == b"one two " + DATA[:1000]


def test_a_part_of_a_file(served: Served, fd: int) -> None:
    sending = Sending(served, fd, 2000)
    sending.sent = 1500
    sending.send()
    assert served.received() == DATA[1500:2000]


@pytest_twisted.ensureDeferred
async def test_it_waits_for_what_the_socket_did_not_take(served: Served, fd: int) -> None:
    """Head and file are not mixed with an earlier answer, nor with each other."""
    served.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    served.transport.write(b"x" * 4_000_000)
    sending = Sending(served, fd)
    sending.close = True
    assert sending.send(b"head ") == 0
    assert sending.events[-2:] == ["pause", "sent 0"]
    assert watched(served)
    data = await read_until(reactor, served.client, None)
    assert data == b"x" * 4_000_000 + b"head " + DATA
    await served.server.lost


@pytest_twisted.ensureDeferred
async def test_it_waits_for_a_head_that_the_socket_took_in_part(served: Served, fd: int) -> None:
    served.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    head = b"h" * 6_000_000
    sending = Sending(served, fd, 1000)
    assert sending.send(head) == 0
    assert await read_until(reactor, served.client, len(head) + 1000) == head + DATA[:1000]
    assert sending.events[-2:] == ["resume", "sent 1000"]
    # Nothing of it is left that would wake up the next answer's producer.
    next_one = Sending(served, fd, 2000)
    served.transport.write(b"x" * 6_000_000)
    next_one.events.clear()
    await read_until(reactor, served.client, 6_000_000)
    assert next_one.events[:1] == ["resume"]
    assert next_one.events.count("resume") == 1


@pytest_twisted.ensureDeferred
async def test_a_client_that_reads_slowly_gets_all_of_it(served: Served, fd: int) -> None:
    """More than the socket takes: with pauses, and closed behind it."""
    served.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    sending = Sending(served, fd)
    sending.close = True
    sending.send(b"head ")
    assert await read_until(reactor, served.client, None) == b"head " + DATA
    assert sending.events.count("pause") == sending.events.count("resume") > 1
    await served.server.lost


@pytest_twisted.ensureDeferred
async def test_a_full_socket_is_watched_until_it_takes_more(
    served: Served, fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent in part shows as well that there is no room: it is not tried again at once."""
    system = System(100, BlockingIOError(), 0x7FFFFFFF)
    monkeypatch.setattr(connection, "sendfile", system)
    sending = Sending(served, fd, 1000)
    assert sending.send() == 100
    assert sending.events == ["pause", "sent 100"]
    assert watched(served)
    assert await read_until(reactor, served.client, 1000) == DATA[:1000]
    assert system.asked == [(0, 1000), (100, 900), (100, 900)]
    assert sending.events[2:] == ["resume", "pause", "sent 0", "resume", "sent 900"]
    assert not watched(served)
    served.transport.write(b"next")
    assert served.received() == b"next"


@pytest.mark.parametrize("outcome", [OSError(errno.EIO, "broken"), OSError(errno.EINVAL, "no"), 0])
def test_what_cannot_be_sent_like_this_is_none(
    served: Served, fd: int, monkeypatch: pytest.MonkeyPatch, outcome: int | OSError
) -> None:
    """0 is the end of the file. Nobody waits for anything; the head is before what is written."""
    monkeypatch.setattr(connection, "sendfile", System(outcome))
    sending = Sending(served, fd, 1000)
    assert sending.send(b"head ") is None
    assert sending.events == ["sent None"]
    assert not watched(served)
    served.transport.write(b"what was read")
    assert served.received() == b"head what was read"


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("outcome", [OSError(errno.EIO, "broken"), 0])
async def test_what_was_sent_before_counts(
    served: Served, fd: int, outcome: int | OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the next call tells that it leads no further."""
    monkeypatch.setattr(connection, "PIECE_OF_A_FILE", 1000)
    monkeypatch.setattr(connection, "sendfile", System(1000, outcome, outcome))
    sending = Sending(served, fd)
    assert sending.send() == 1000
    assert sending.events == ["pause", "sent 1000"]
    while watched(served):
        await deferLater(reactor, 0.001)
    assert sending.events[2:] == ["resume", "sent None"]
    assert served.received() == DATA[:1000]


def test_a_system_without_sendfile(
    served: Served, fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "sendfile", connection.no_sendfile)
    assert Sending(served, fd, 1000).send() is None


def test_one_piece_when_others_have_their_turn_too(
    served: Served, fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = System()
    monkeypatch.setattr(connection, "sendfile", system)
    served.turn.in_turn = True
    sending = Sending(served, fd)
    first = sending.send()
    assert first is not None
    assert first <= PIECE_OF_A_FILE
    assert system.asked == [(0, PIECE_OF_A_FILE)]
    assert watched(served)


def test_a_turn_of_ones_own_ends_too(
    served: Served, fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that takes as fast as the gateway sends does not keep others waiting."""
    now = 0.0

    def take_all(_to: int, _fd: int, _start: int, count: int) -> int:
        nonlocal now
        now += connection.TURN_OF_A_FILE / 2.5
        return count

    monkeypatch.setattr(connection, "monotonic", lambda: now)
    monkeypatch.setattr(connection, "sendfile", take_all)
    sending = Sending(served, fd)
    assert sending.send() == 4 * PIECE_OF_A_FILE
    assert watched(served)


@pytest_twisted.ensureDeferred
async def test_a_client_that_has_gone(served: Served, fd: int) -> None:
    """Sending fails, and writing has the connection lost in the ordinary way."""
    sending = Sending(served, fd)
    served.client.close()
    while sending.send() is not None:
        assert sending.sent < SIZE
    served.transport.write(b"what was read instead")
    await served.server.lost
    assert "stop" in sending.events
    assert sending.send() is None


@pytest_twisted.ensureDeferred
async def test_aborting_while_it_waits_for_room(served: Served, fd: int) -> None:
    served.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    sending = Sending(served, fd)
    sending.send()
    served.transport.unregisterProducer()
    served.transport.abortConnection()
    await served.server.lost
    assert "resume" not in sending.events
