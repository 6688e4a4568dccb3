"""One epoll inside the reactor: what is watched, what is put off, and the end of it all."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IReactorFDSet,
    IReadDescriptor,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from scgiproxy.wire.descriptors import (
    EpollDescriptors,
    ReactorDescriptors,
    descriptors_of,
)
from tests.conftest import LoggedErrors

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")


class Descriptor:
    """One end of a socket pair; `log` is shared, and shows who was called in which order."""

    def __init__(self, log: list[str], name: str = "a") -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.log = log
        self.name = name
        self.on_read: Callable[[], Any] = lambda: None
        self.on_write: Callable[[], Any] = lambda: None

    def fileno(self) -> int:
        return self.ours.fileno()

    def doRead(self) -> Any:
        data = self.ours.recv(100)
        self.log.append(f"{self.name} read {data.decode()}")
        return self.on_read() if data else CONNECTION_DONE

    def doWrite(self) -> Any:
        self.log.append(f"{self.name} write")
        return self.on_write()

    def connectionLost(self, reason: Failure) -> None:
        self.log.append(f"{self.name} lost {reason.type.__name__}")
        self.close()

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@implementer(IHalfCloseableDescriptor)
class HalfCloseable(Descriptor):
    def readConnectionLost(self, reason: Failure) -> None:
        self.log.append(f"{self.name} half {reason.type.__name__}")

    def writeConnectionLost(self, reason: Failure) -> None:
        raise AssertionError(reason)


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def watched() -> Iterator[EpollDescriptors]:
    descriptors = descriptors_of(reactor)
    assert isinstance(descriptors, EpollDescriptors)
    yield descriptors
    for each in descriptors.removeAll():
        each.close()  # type: ignore[attr-defined]


def make(watched: EpollDescriptors, log: list[str], count: int) -> list[Descriptor]:
    """Descriptors that are watched for reading, named a, b, c and so on."""
    made = [Descriptor(log, chr(ord("a") + index)) for index in range(count)]
    for each in made:
        watched.addReader(each)  # type: ignore[arg-type]
    return made


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await deferLater(reactor, 0)


def test_interfaces(watched: EpollDescriptors) -> None:
    assert verifyObject(IReactorFDSet, watched)
    assert verifyObject(IReadDescriptor, watched)


@pytest_twisted.ensureDeferred
async def test_who_is_ready_is_served(watched: EpollDescriptors, log: list[str]) -> None:
    first, second = make(watched, log, 2)
    second.theirs.send(b"x")
    await turns()
    assert log == ["b read x"]
    first.theirs.send(b"y")
    await turns()
    assert log == ["b read x", "a read y"]


@pytest_twisted.ensureDeferred
async def test_reading_and_writing_are_asked_for_apart(
    watched: EpollDescriptors, log: list[str]
) -> None:
    (one,) = make(watched, log, 1)
    watched.addReader(one)  # type: ignore[arg-type]
    one.on_write = lambda: watched.removeWriter(one)
    watched.addWriter(one)
    assert (watched.getReaders(), watched.getWriters()) == ([one], [one])
    await turns()
    assert log == ["a write"]
    watched.addWriter(one)
    watched.removeReader(one)  # type: ignore[arg-type]
    one.theirs.send(b"x")
    await turns()
    assert log == ["a write", "a write"]
    watched.addReader(one)  # type: ignore[arg-type]
    await turns()
    assert log[2:] == ["a read x"]


@pytest_twisted.ensureDeferred
async def test_it_is_in_the_reactor_while_it_watches_anything(
    watched: EpollDescriptors, log: list[str]
) -> None:
    assert watched not in reactor.getReaders()  # type: ignore[attr-defined]
    first, second = make(watched, log, 2)
    assert watched in reactor.getReaders()  # type: ignore[attr-defined]
    watched.removeReader(first)  # type: ignore[arg-type]
    watched.removeReader(first)  # type: ignore[arg-type]
    assert watched in reactor.getReaders()  # type: ignore[attr-defined]
    watched.removeReader(second)  # type: ignore[arg-type]
    assert watched not in reactor.getReaders()  # type: ignore[attr-defined]
    first.close()
    second.close()


@pytest_twisted.ensureDeferred
async def test_a_turn_of_one_puts_nothing_off(watched: EpollDescriptors, log: list[str]) -> None:
    (one,) = make(watched, log, 1)
    one.on_read = lambda: log.append(f"in turn: {watched.in_turn}")
    one.theirs.send(b"x")
    await turns()
    assert log == ["a read x", "in turn: False"]


@pytest_twisted.ensureDeferred
async def test_work_is_put_off_until_all_were_served(
    watched: EpollDescriptors, log: list[str], logged_errors: LoggedErrors
) -> None:
    """In the order in which it was put off, and whatever one of them raises."""

    def put_off(name: str) -> None:
        assert watched.in_turn
        watched.put_off(lambda: done(name))

    def done(name: str) -> None:
        log.append(f"{name} done, in turn: {watched.in_turn}")
        if name == "a":
            raise RuntimeError("cannot")

    for each in make(watched, log, 3):
        each.on_read = lambda name=each.name: put_off(name)  # type: ignore[misc]
        each.theirs.send(b"x")
    await turns()
    assert sorted(log[:3]) == ["a read x", "b read x", "c read x"]
    assert sorted(log[3:]) == [f"{name} done, in turn: False" for name in "abc"]
    assert [line[0] for line in log[3:]] == [line[0] for line in log[:3]]
    assert len(logged_errors.flush()) == 1


@pytest_twisted.ensureDeferred
async def test_one_that_another_has_ended_is_not_served(
    watched: EpollDescriptors, log: list[str]
) -> None:
    pair = make(watched, log, 2)

    def end(other: Descriptor) -> None:
        watched.removeReader(other)  # type: ignore[arg-type]
        other.close()

    for each, other in (pair, pair[::-1]):
        each.on_read = lambda other=other: end(other)  # type: ignore[misc]
        each.theirs.send(b"x")
    await turns()
    assert len(log) == 1


@pytest_twisted.ensureDeferred
async def test_a_number_that_is_used_again(watched: EpollDescriptors, log: list[str]) -> None:
    """One that was closed without being removed is not in the way of the next of its number."""
    (one,) = make(watched, log, 1)
    number = one.fileno()
    one.close()
    (two,) = make(watched, log, 1)
    assert two.fileno() == number
    two.theirs.send(b"x")
    await turns()
    assert log == ["a read x"]


@pytest_twisted.ensureDeferred
async def test_the_end(watched: EpollDescriptors, log: list[str]) -> None:
    (one,) = make(watched, log, 1)
    one.theirs.close()
    await turns()
    assert log == ["a read ", "a lost ConnectionDone"]
    assert watched.getReaders() == []


@pytest_twisted.ensureDeferred
async def test_the_end_of_one_direction(watched: EpollDescriptors, log: list[str]) -> None:
    one = HalfCloseable(log)
    watched.addReader(one)  # type: ignore[arg-type]
    one.theirs.shutdown(socket.SHUT_WR)
    await turns()
    assert log == ["a read ", "a half ConnectionDone"]
    assert watched.getReaders() == []
    one.close()


@pytest_twisted.ensureDeferred
async def test_the_end_of_one_that_only_writes(watched: EpollDescriptors, log: list[str]) -> None:
    """The way of the reactor: there is no more to read, and writing will tell."""
    one = HalfCloseable(log)
    one.on_write = lambda: CONNECTION_LOST
    watched.addWriter(one)
    one.theirs.close()
    await turns()
    assert log == ["a write", "a lost ConnectionLost"]
    assert watched.getWriters() == []


@pytest_twisted.ensureDeferred
async def test_one_that_raises_is_logged_and_loses_its_connection(
    watched: EpollDescriptors, log: list[str], logged_errors: LoggedErrors
) -> None:
    """The others keep theirs."""

    def fail() -> None:
        raise RuntimeError("cannot")

    first, second = make(watched, log, 2)
    first.on_read = fail
    first.theirs.send(b"x")
    second.theirs.send(b"y")
    await turns()
    assert sorted(log) == ["a lost RuntimeError", "a read x", "b read y"]
    assert watched.getReaders() == [second]
    assert len(logged_errors.flush()) == 1


@pytest_twisted.ensureDeferred
async def test_one_that_raises_at_its_end_is_alone_with_that(
    watched: EpollDescriptors, log: list[str], logged_errors: LoggedErrors
) -> None:
    """The others are served, in this turn and later, and what was put off is done."""

    def fail(_: Failure) -> None:
        raise RuntimeError("cannot")

    pair = make(watched, log, 2)
    for one, other in (pair, pair[::-1]):
        one.on_read = lambda: watched.put_off(lambda: log.append("done"))
        other.connectionLost = fail  # type: ignore[method-assign]
    pair[0].theirs.close()
    pair[1].theirs.send(b"x")
    await turns()
    assert sorted(log) == ["a read ", "b read x", "done"]
    assert not watched.in_turn
    assert watched.getReaders() == [pair[1]]
    assert len(logged_errors.flush()) == 1
    pair[1].theirs.send(b"y")
    await turns()
    assert "b read y" in log
    pair[0].close()


@pytest_twisted.ensureDeferred
async def test_the_reactor_stops(
    watched: EpollDescriptors, log: list[str], logged_errors: LoggedErrors
) -> None:
    """All lose their connection, also if one of them raises."""
    pair = make(watched, log, 2)
    pair[0].connectionLost = lambda reason: 1 // 0  # type: ignore[method-assign, assignment]
    watched.connectionLost(Failure(ConnectionLost()))
    assert log == ["b lost ConnectionLost"]
    assert watched.getReaders() == []
    assert len(logged_errors.flush()) == 1
    pair[0].close()


class TestWithoutEpoll:
    """The reactor itself, and nothing is put off."""

    def test_everything_goes_to_the_reactor(self, log: list[str]) -> None:
        memory = MemoryReactorClock()
        descriptors = descriptors_of(memory)
        assert isinstance(descriptors, ReactorDescriptors)
        one: Any = Descriptor(log)
        descriptors.addReader(one)
        descriptors.addWriter(one)
        assert (memory.getReaders(), memory.getWriters()) == ([one], [one])
        descriptors.removeReader(one)
        descriptors.removeWriter(one)
        assert (memory.getReaders(), memory.getWriters()) == ([], [])
        one.close()

    def test_nothing_is_put_off(self) -> None:
        descriptors = descriptors_of(MemoryReactorClock())
        done: list[str] = []
        assert not descriptors.in_turn
        descriptors.put_off(lambda: done.append("done"))
        assert done == ["done"]

    def test_delayed_calls_are_the_reactor_s(self) -> None:
        memory = MemoryReactorClock()
        assert isinstance(memory, Clock)
        descriptors_of(memory).callLater(1, lambda: None)
        assert len(memory.getDelayedCalls()) == 1
