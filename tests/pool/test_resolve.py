"""Names become addresses without requests waiting, but for the first."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IHostResolution, IResolutionReceiver
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from scgiproxy.message.backend_url import TcpAddress, UnixAddress
from scgiproxy.pool.resolve import HostAddresses, Resolver
from tests.conftest import LoggedErrors


@implementer(IHostResolution)
class Question:
    def __init__(self, receiver: Any, name: str, port: int) -> None:
        self.receiver = receiver
        self.name = name
        self.port = port
        self.cancelled = False
        receiver.resolutionBegan(self)

    def answer(self, *hosts: str) -> None:
        for host in hosts:
            kind = IPv6Address if ":" in host else IPv4Address
            self.receiver.addressResolved(kind("TCP", host, self.port))
        self.receiver.resolutionComplete()

    def cancel(self) -> None:
        self.cancelled = True
        self.receiver.resolutionComplete()


class Names(Clock):
    """A reactor whose name server is the test."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[Question] = []
        self.nameResolver = self

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0) -> Question:
        if len(hostName) > 63:
            raise UnicodeError("label too long")
        question = Question(receiver, hostName, portNumber)
        self.questions.append(question)
        return question


class Waiting:
    def __init__(self) -> None:
        self.answers: list[list[str]] = []

    def resolved(self, addresses: Any) -> None:
        self.answers.append(hosts(addresses))


def hosts(addresses: Any) -> list[str]:
    return [address.host for address in addresses]


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def known(names: Names) -> Any:
    return Resolver(names, ttl=60.0).lookup(TcpAddress("app", 4000))


def test_interface(known: HostAddresses) -> None:
    assert verifyObject(IResolutionReceiver, known)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (TcpAddress("127.0.0.1", 4000), IPv4Address("TCP", "127.0.0.1", 4000)),
        (TcpAddress("::1", 4000), IPv6Address("TCP", "::1", 4000)),
        (TcpAddress("fe80::1%1", 4000), IPv6Address("TCP", "fe80::1", 4000, 0, 1)),
        (TcpAddress("fe80::1%lo", 4000), IPv6Address("TCP", "fe80::1", 4000, 0, 1)),
        (UnixAddress("/run/s"), UNIXAddress(b"/run/s")),
        (UnixAddress("@app"), UNIXAddress(b"@app")),
    ],
)
def test_literals_ask_nobody(names: Names, written: Any, expected: Any) -> None:
    resolver = Resolver(names)
    known = resolver.lookup(written)
    resolver.start()
    assert known.current() == (expected,)
    assert names.questions == []


def test_a_literal_on_no_interface(names: Names) -> None:
    with pytest.raises(ValueError, match="no network interface 'nonesuch'"):
        Resolver(names).lookup(TcpAddress("fe80::1%nonesuch", 1))


def test_names_are_asked_for_at_the_start(names: Names) -> None:
    resolver = Resolver(names)
    known = resolver.lookup(TcpAddress("app", 4000))
    assert resolver.lookup(TcpAddress("app", 4000)) is known
    assert resolver.lookup(TcpAddress("app", 4001)) is not known
    assert names.questions == []
    resolver.start()
    assert [(question.name, question.port) for question in names.questions] == [
        ("app", 4000),
        ("app", 4001),
    ]


def test_the_first_request_waits_for_the_first_answer(names: Names, known: HostAddresses) -> None:
    waiting, left = Waiting(), Waiting()
    assert known.current() == ()
    known.wait(waiting)
    known.wait(left)
    known.forget(left)
    names.questions[0].answer("192.0.2.1", "192.0.2.2", "192.0.2.1")
    assert waiting.answers == [["192.0.2.1", "192.0.2.2"]]
    assert left.answers == []
    assert hosts(known.current()) == ["192.0.2.1", "192.0.2.2"]


def test_old_addresses_are_asked_for_again_while_they_are_used(
    names: Names, known: HostAddresses
) -> None:
    known.current()
    names.questions[0].answer("192.0.2.1")
    names.advance(59)
    known.current()
    assert len(names.questions) == 1
    names.advance(1)
    assert hosts(known.current()) == ["192.0.2.1"]
    assert hosts(known.current()) == ["192.0.2.1"]
    assert len(names.questions) == 2
    names.questions[1].answer("192.0.2.9")
    assert hosts(known.current()) == ["192.0.2.9"]


def test_a_failure_keeps_the_last_good_addresses(names: Names, known: HostAddresses) -> None:
    known.current()
    names.questions[0].answer("192.0.2.1")
    names.advance(60)
    known.current()
    names.questions[1].answer()
    assert hosts(known.current()) == ["192.0.2.1"]
    names.advance(5)
    known.current()
    assert len(names.questions) == 3


def test_a_failure_is_told_later_and_not_asked_for_each_request(
    names: Names, known: HostAddresses
) -> None:
    known.current()
    names.questions[0].answer()
    waiting = Waiting()
    assert known.current() == ()
    known.wait(waiting)
    assert waiting.answers == []
    names.advance(0)
    assert waiting.answers == [[]]
    assert len(names.questions) == 1
    names.advance(5)
    known.current()
    assert len(names.questions) == 2


def test_a_change_is_logged_once(names: Names, known: HostAddresses, told: list[str]) -> None:
    """Whether there was an address before, or never."""
    for answer, line in [
        ([], "warn: backend.name: app could not be resolved; no request can go there"),
        ([], ""),
        (["192.0.2.1"], "info: backend.name: app is resolved now"),
        (["192.0.2.1"], ""),
        ([], "warn: backend.name: app could not be resolved; its last addresses stay in use"),
        ([], ""),
        (["192.0.2.2"], "info: backend.name: app is resolved now"),
    ]:
        known.current()
        names.questions[-1].answer(*answer)
        assert told == [line] * bool(line)
        told.clear()
        names.advance(60)


def test_stopping_is_no_failure(names: Names, told: list[str]) -> None:
    resolver = Resolver(names)
    resolver.lookup(TcpAddress("app", 1))
    resolver.start()
    resolver.stop()
    assert names.questions[0].cancelled
    names.advance(60)
    resolver.start()
    assert told == []
    names.questions[1].answer()
    assert len(told) == 1


def test_a_name_that_cannot_be_asked_for(names: Names, logged_errors: LoggedErrors) -> None:
    known = Resolver(names).lookup(TcpAddress("x" * 64, 1))
    assert known.current() == ()
    assert len(logged_errors.flush()) == 1


def test_the_address_that_works_is_dialled_first(names: Names, known: HostAddresses) -> None:
    """And stays so when the name is asked for again, as long as it is among the answers."""
    known.current()
    names.questions[0].answer("2001:db8::1", "192.0.2.1")
    known.prefer(known.current()[1])
    assert hosts(known.current()) == ["192.0.2.1", "2001:db8::1"]
    for answer, expected in [
        (["2001:db8::1", "192.0.2.1"], ["192.0.2.1", "2001:db8::1"]),
        (["192.0.2.7", "192.0.2.8"], ["192.0.2.7", "192.0.2.8"]),
    ]:
        names.advance(60)
        known.current()
        names.questions[-1].answer(*answer)
        assert hosts(known.current()) == expected


def test_stopping_cancels(names: Names) -> None:
    resolver = Resolver(names)
    known = resolver.lookup(TcpAddress("app", 1))
    waiting = Waiting()
    resolver.start()
    known.wait(waiting)
    resolver.stop()
    assert names.questions[0].cancelled
    assert waiting.answers == []


def test_stopping_with_a_resolver_that_cannot_cancel(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Twisted's own: the answer comes after all, and is kept for the next start."""

    def cancel(question: Question) -> None:
        raise NotImplementedError

    monkeypatch.setattr(Question, "cancel", cancel)
    resolver = Resolver(names)
    known = resolver.lookup(TcpAddress("backend.example", 4000))
    resolver.start()
    resolver.stop()
    names.questions[0].answer("192.0.2.1")
    resolver.start()
    assert hosts(known.current()) == ["192.0.2.1"]
    assert len(names.questions) == 1
