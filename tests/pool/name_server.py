"""A name server on a free port of this machine that answers as the test says."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.internet.task import deferLater
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver

from scgiproxy.message.backend_url import TcpAddress

Script = Callable[[dns.Message, bool], Iterable[bytes]]
"""Takes the question and whether it came over TCP; gives the messages to send."""


def reply(question: dns.Message, *answers: dns.RRHeader, **header: Any) -> bytes:
    """A message that answers `question`, but for the fields in `header`."""
    message = dns.Message(header.pop("id", question.id), answer=header.pop("answer", True))
    message.queries = header.pop("queries", question.queries)
    message.answers = list(answers)
    for name, value in header.items():
        setattr(message, name, value)
    return message.toStr()


def silent(question: dns.Message, over_tcp: bool) -> Iterable[bytes]:
    """The script of a server that never answers."""
    return ()


class NameServer(DatagramProtocol):
    """Runs `script` for each question; `asked` has them all, with whether they came over TCP."""

    noisy = False
    transport: Any

    def __init__(self, script: Script, interface: str = "127.0.0.1", tcp: bool = True) -> None:
        self.script = script
        self.asked: list[tuple[dns.Message, bool]] = []
        self.streams: list[_Stream] = []
        listen: Any = reactor
        self._ports: list[Any] = []
        port = 0
        if tcp:
            factory = Factory.forProtocol(lambda: _Stream(self))
            factory.noisy = False
            # TCP first: the kernel may have given any port to an outgoing connection.
            self._ports.append(listen.listenTCP(0, factory, interface=interface))
            port = self._ports[0].getHost().port
        self._ports.append(listen.listenUDP(port, self, interface=interface))
        self.address = TcpAddress(interface, self._ports[-1].getHost().port)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        for octets in self._answers(datagram, False):
            self.transport.write(octets, addr)

    def _answers(self, octets: bytes, over_tcp: bool) -> Iterable[bytes]:
        question = dns.Message()
        question.fromStr(octets)
        self.asked.append((question, over_tcp))
        return self.script(question, over_tcp)

    def stop(self) -> Deferred[Any]:
        for stream in self.streams:
            stream.transport.abortConnection()
        return DeferredList([maybeDeferred(port.stopListening) for port in self._ports])


class _Stream(Int16StringReceiver):
    transport: Any

    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connectionMade(self) -> None:
        self._server.streams.append(self)

    def stringReceived(self, string: bytes) -> None:
        for octets in self._server._answers(string, True):
            if octets:
                self.sendString(octets)  # type: ignore[no-untyped-call]
            else:
                self.transport.loseConnection()


class Servers:
    """The name servers of a test."""

    def __init__(self, *servers: NameServer | TcpAddress) -> None:
        self.all = [one.address if isinstance(one, NameServer) else one for one in servers]

    async def addresses(self) -> list[TcpAddress]:
        return self.all


def turn(seconds: float = 0) -> Deferred[None]:
    return deferLater(reactor, seconds)


def nobody() -> TcpAddress:
    """An address that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return TcpAddress("127.0.0.1", probe.getsockname()[1])


async def until(condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        await turn(0.01)
    pytest.fail("not within five seconds")


def many(count: int) -> list[dns.RRHeader]:
    return [
        dns.RRHeader("app", dns.A, dns.IN, 60, dns.Record_A(f"10.0.{n // 256}.{n % 256}"))
        for n in range(count)
    ]


def truncating(over_tcp_script: Script) -> Script:
    def script(question: dns.Message, over_tcp: bool) -> Iterable[bytes]:
        return over_tcp_script(question, True) if over_tcp else [reply(question, trunc=1)]

    return script
