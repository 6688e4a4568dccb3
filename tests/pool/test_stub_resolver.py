"""Lookups at name servers that answer, refuse, lie, or say nothing."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import defer, reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IResolver
from twisted.logger import LogEvent, globalLogPublisher
from twisted.names import dns
from twisted.names.error import (
    DNSFormatError,
    DNSNameError,
    DNSQueryRefusedError,
    DNSServerError,
    DNSUnknownError,
)
from zope.interface.verify import verifyObject

from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool import stub_resolver
from scgiproxy.pool.records import Answer, read_addresses, read_services
from scgiproxy.pool.stub_resolver import StubResolver
from tests.pool.name_server import (
    NameServer,
    Script,
    Servers,
    many,
    nobody,
    reply,
    silent,
    truncating,
    turn,
    until,
)

RECORD = dns.RRHeader("app", dns.A, dns.IN, 60, dns.Record_A("192.0.2.1"))


@pytest_twisted.async_yield_fixture()
async def serve() -> AsyncIterator[Callable[..., NameServer]]:
    """Starts name servers, each with a script."""
    servers: list[NameServer] = []

    def start(script: Script, **options: Any) -> NameServer:
        servers.append(NameServer(script, **options))
        return servers[-1]

    yield start
    for server in servers:
        await server.stop()
    # A connection that was aborted is closed in the turn after that.
    await turn()


def resolver(*servers: NameServer | TcpAddress, **options: Any) -> StubResolver:
    return StubResolver(reactor, Servers(*servers), **options)


def good(question: dns.Message, over_tcp: bool) -> Iterable[bytes]:
    return [reply(question, RECORD)]


def code(number: int) -> Script:
    return lambda question, over_tcp: [reply(question, rCode=number)]


def texts(answer: Answer) -> tuple[str, ...]:
    return read_addresses(answer[0], "app", dns.A).addresses


def test_interface() -> None:
    assert verifyObject(IResolver, resolver(nobody()))


@pytest_twisted.ensureDeferred
async def test_lookups(serve: Callable[..., NameServer]) -> None:
    """The three kinds that are needed, each with a question of its own."""

    def script(question: dns.Message, over_tcp: bool) -> Iterable[bytes]:
        name, record = str(question.queries[0].name), question.queries[0].type
        payload: Any = {
            dns.A: dns.Record_A("192.0.2.1"),
            dns.AAAA: dns.Record_AAAA("2001:db8::1"),
            dns.SRV: dns.Record_SRV(1, 2, 4000, "app"),
        }[record]
        return [reply(question, dns.RRHeader(name, record, dns.IN, 9, payload))]

    server = serve(script)
    names = resolver(server)
    a, aaaa, srv = await defer.gatherResults(
        [names.lookupAddress("app"), names.lookupIPV6Address("app"), names.lookupService("_app")]
    )
    assert read_addresses(a[0], "app", dns.A).addresses == ("192.0.2.1",)
    assert read_addresses(aaaa[0], "app", dns.AAAA).addresses == ("2001:db8::1",)
    assert read_services(srv[0], "_app").services[0].port == 4000
    assert len({question.id for question, _ in server.asked}) > 1
    assert all(question.recDes and not over_tcp for question, over_tcp in server.asked)


@pytest_twisted.ensureDeferred
async def test_a_name_without_such_records(serve: Callable[..., NameServer]) -> None:
    answer = await resolver(serve(code(dns.OK))).lookupAddress("app")
    assert answer[0] == []


@pytest.mark.parametrize("script", [good, truncating(good)], ids=["datagram", "TCP"])
@pytest_twisted.ensureDeferred
async def test_nothing_is_logged(serve: Callable[..., NameServer], script: Script) -> None:
    """A lookup a second would fill the log."""
    server = serve(script)
    events: list[LogEvent] = []
    note: Any = events.append
    globalLogPublisher.addObserver(note)
    try:
        await resolver(server).lookupAddress("app")
    finally:
        globalLogPublisher.removeObserver(note)
    assert events == []


@pytest_twisted.ensureDeferred
async def test_no_such_name(serve: Callable[..., NameServer]) -> None:
    """That is an answer: no other server is asked."""
    first, second = serve(code(dns.ENAME)), serve(good)
    with pytest.raises(DNSNameError, match=f"{first.address} answers NXDOMAIN"):
        await resolver(first, second).lookupAddress("app")
    assert second.asked == []


@pytest.mark.parametrize(
    ("number", "error", "word"),
    [
        (dns.ESERVER, DNSServerError, "SERVFAIL"),
        (dns.EREFUSED, DNSQueryRefusedError, "REFUSED"),
        (dns.EFORMAT, DNSFormatError, "FORMERR"),
        (9, DNSUnknownError, "RCODE 9"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_server_that_cannot_say(
    serve: Callable[..., NameServer], number: int, error: type[Exception], word: str
) -> None:
    """The next one is asked; the same one is not asked again."""
    first, second = serve(code(number)), serve(good)
    assert texts(await resolver(first, second).lookupAddress("app")) == ("192.0.2.1",)
    with pytest.raises(error, match=f"{first.address} answers {word}"):
        await resolver(first).lookupAddress("app")
    assert len(first.asked) == 2


@pytest_twisted.ensureDeferred
async def test_a_server_that_cannot_read_the_question(serve: Callable[..., NameServer]) -> None:
    """It need not repeat it."""
    server = serve(lambda question, _: [reply(question, rCode=dns.EFORMAT, queries=[])])
    with pytest.raises(DNSFormatError):
        await resolver(server).lookupAddress("app")


@pytest_twisted.ensureDeferred
async def test_a_silent_server(serve: Callable[..., NameServer]) -> None:
    """The next one is asked."""
    first, second = serve(silent), serve(good)
    names = resolver(first, second)
    assert texts(await names.lookupAddress("app", (0.02,))) == ("192.0.2.1",)
    assert len(first.asked) == 1


@pytest_twisted.ensureDeferred
async def test_a_lost_datagram(serve: Callable[..., NameServer]) -> None:
    """The question is asked again, with a new number."""
    server = serve(lambda question, _: [] if len(server.asked) < 3 else good(question, False))
    answer = await resolver(server).lookupAddress("app", (0.02, 0.02, 5))
    assert texts(answer) == ("192.0.2.1",)
    assert len(server.asked) == 3


@pytest_twisted.ensureDeferred
async def test_nobody_answers(serve: Callable[..., NameServer]) -> None:
    first, second = serve(silent), serve(silent)
    with pytest.raises(defer.TimeoutError, match=f"the name server {first.address} is silent"):
        await resolver(first, second).lookupAddress("app", (0.02, 0.02))
    assert (len(first.asked), len(second.asked)) == (2, 2)


@pytest_twisted.ensureDeferred
async def test_nobody_listens(serve: Callable[..., NameServer]) -> None:
    """Known at once, on this machine."""
    closed = nobody()
    assert texts(await resolver(closed, serve(good)).lookupAddress("app")) == ("192.0.2.1",)
    with pytest.raises(OSError, match=f"{closed} cannot be reached: Connection refused"):
        await resolver(closed).lookupAddress("app")


@pytest_twisted.ensureDeferred
async def test_what_is_no_answer_is_dropped(serve: Callable[..., NameServer]) -> None:
    """Another number, another question, a question, a fragment, nothing: then the answer."""
    forged = dns.RRHeader("app", dns.A, dns.IN, 60, dns.Record_A("192.0.2.66"))

    def script(question: dns.Message, over_tcp: bool) -> Iterable[bytes]:
        yield reply(question, forged, id=question.id ^ 1)
        yield reply(question, forged, queries=[dns.Query("other", dns.A)])
        yield reply(question, forged, queries=[dns.Query("app", dns.AAAA)])
        yield reply(question, forged, queries=[])
        yield reply(question, forged, answer=False)
        yield reply(question, forged)[:7]
        yield b""
        yield b"\xc0" * 600
        yield reply(question, RECORD)

    assert texts(await resolver(serve(script)).lookupAddress("app")) == ("192.0.2.1",)


@pytest_twisted.ensureDeferred
async def test_an_answer_from_elsewhere_is_dropped(serve: Callable[..., NameServer]) -> None:
    """It has the right number, and comes from another port."""
    forged = dns.RRHeader("app", dns.A, dns.IN, 60, dns.Record_A("192.0.2.66"))
    server = serve(silent)
    lookup = resolver(server).lookupAddress("app")
    ports: list[int] = []
    receive = server.datagramReceived

    def note(datagram: bytes, addr: Any) -> None:
        ports.append(addr[1])
        receive(datagram, addr)

    server.datagramReceived = note  # type: ignore[method-assign]
    await until(lambda: server.asked)
    question, _ = server.asked[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(reply(question, forged), ("127.0.0.1", ports[0]))
    await turn(0.02)
    server.transport.write(reply(question, RECORD), ("127.0.0.1", ports[0]))
    assert texts(await lookup) == ("192.0.2.1",)


@pytest_twisted.ensureDeferred
async def test_a_truncated_answer_is_asked_for_over_tcp(serve: Callable[..., NameServer]) -> None:
    """Of the same server, which closes nothing; the records of the datagram are not used."""
    server = serve(truncating(lambda question, _: [reply(question, *many(900), maxSize=0)]))
    assert len(texts(await resolver(server).lookupAddress("app"))) == 900
    assert [over_tcp for _, over_tcp in server.asked] == [False, True]


@pytest_twisted.ensureDeferred
async def test_truncated_over_tcp_too(serve: Callable[..., NameServer]) -> None:
    server = serve(truncating(lambda question, _: [reply(question, trunc=1)]))
    with pytest.raises(DNSFormatError, match=f"{server.address} cuts its answers short"):
        await resolver(server).lookupAddress("app")


@pytest_twisted.ensureDeferred
async def test_no_tcp(serve: Callable[..., NameServer]) -> None:
    server = serve(truncating(silent), tcp=False)
    with pytest.raises(ConnectionError, match=f"{server.address} cannot be asked over TCP: .*ref"):
        await resolver(server).lookupAddress("app")


@pytest_twisted.ensureDeferred
async def test_tcp_that_closes(serve: Callable[..., NameServer]) -> None:
    server = serve(truncating(lambda question, _: [b""]))
    with pytest.raises(ConnectionError, match=f"{server.address} cannot be asked over TCP: .*clos"):
        await resolver(server).lookupAddress("app")


@pytest.mark.parametrize(
    "script",
    [
        lambda question, _: [b"junk"],
        lambda question, _: [reply(question, id=question.id ^ 1)],
        lambda question, _: [reply(question, *many(2000), maxSize=0)],
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_answer_over_tcp(serve: Callable[..., NameServer], script: Script) -> None:
    """Nobody else can have sent it, so it ends the lookup; the next server is asked."""
    server = serve(truncating(script))
    with pytest.raises(DNSFormatError, match=f"the name server {server.address}: .*cannot be read"):
        await resolver(server).lookupAddress("app")
    assert texts(await resolver(server, serve(good)).lookupAddress("app")) == ("192.0.2.1",)


@pytest_twisted.ensureDeferred
async def test_what_follows_the_answer_over_tcp(serve: Callable[..., NameServer]) -> None:
    server = serve(truncating(lambda question, _: [*good(question, True), b"junk"]))
    assert texts(await resolver(server).lookupAddress("app")) == ("192.0.2.1",)


@pytest_twisted.ensureDeferred
async def test_silence_over_tcp(
    serve: Callable[..., NameServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stub_resolver, "STREAM_PATIENCE", 0.05)
    server = serve(truncating(silent))
    with pytest.raises(defer.TimeoutError):
        await resolver(server).lookupAddress("app", (5,))
    assert texts(await resolver(server, serve(good)).lookupAddress("app", (5,))) == ("192.0.2.1",)


@pytest.mark.parametrize("over_tcp", [False, True])
@pytest_twisted.ensureDeferred
async def test_cancelling(serve: Callable[..., NameServer], over_tcp: bool) -> None:
    """Nothing is left: see the fixture `clean_reactor`."""
    server = serve(truncating(silent) if over_tcp else silent)
    lookup = resolver(server, serve(good)).lookupAddress("app")
    await until(lambda: len(server.asked) == 1 + over_tcp)
    lookup.cancel()
    with pytest.raises(CancelledError):
        await lookup


class Deaf:
    """The reactor, but for connections, which never come up."""

    def __init__(self) -> None:
        self.connecting = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def connectTCP(self, host: str, port: int, factory: Any, **options: Any) -> Any:
        self.connecting += 1
        factory.startedConnecting(self)
        return self

    def getDestination(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 53)

    def stopConnecting(self) -> None:
        self.connecting -= 1


@pytest_twisted.ensureDeferred
async def test_cancelling_while_it_connects(serve: Callable[..., NameServer]) -> None:
    deaf = Deaf()
    lookup = StubResolver(deaf, Servers(serve(truncating(silent)))).lookupAddress("app")
    await until(lambda: deaf.connecting)
    lookup.cancel()
    with pytest.raises(CancelledError):
        await lookup
    assert deaf.connecting == 0


@pytest_twisted.ensureDeferred
async def test_a_connection_that_never_comes_up(
    serve: Callable[..., NameServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stub_resolver, "STREAM_PATIENCE", 0.05)
    servers = Servers(serve(truncating(silent)))
    with pytest.raises(defer.TimeoutError):
        await StubResolver(Deaf(), servers).lookupAddress("app", (5,))


@pytest_twisted.ensureDeferred
async def test_no_socket_left(
    serve: Callable[..., NameServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lookup fails, and the next one of that name works."""
    names = resolver(serve(good))

    def none_left(*args: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", none_left)
        with pytest.raises(OSError, match="Too many open files"):
            await names.lookupAddress("app")
    assert texts(await names.lookupAddress("app")) == ("192.0.2.1",)


@pytest.mark.parametrize("written", ["::1", "0:0::0001"])
@pytest_twisted.ensureDeferred
async def test_a_server_on_ipv6(serve: Callable[..., NameServer], written: str) -> None:
    """However its address is written; over TCP too."""
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    server = serve(truncating(good), interface="::1")
    at = TcpAddress(written, server.address.port)
    assert texts(await resolver(at).lookupAddress("app")) == ("192.0.2.1",)
    assert [over_tcp for _, over_tcp in server.asked] == [False, True]


@pytest_twisted.ensureDeferred
async def test_an_address_on_no_interface() -> None:
    with pytest.raises(OSError, match="nonesuch"):
        await resolver(TcpAddress("fe80::1%nonesuch", 53)).lookupAddress("app")


@pytest_twisted.ensureDeferred
async def test_the_hosts_file_comes_first(serve: Callable[..., NameServer], tmp_path: Path) -> None:
    """A name that is in there is not asked for, in either family."""
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.7 app App.example\n192.0.2.8 app\nfe80::1%lo app\n")
    server = serve(good)
    names = resolver(server, hosts=hosts)
    assert texts(await names.lookupAddress("app")) == ("192.0.2.7", "192.0.2.8")
    answer, _, _ = await names.lookupAddress("app.EXAMPLE.")
    assert read_addresses(answer, "app.example", dns.A).addresses == ("192.0.2.7",)
    assert (await names.lookupIPV6Address("app"))[0] == []
    assert server.asked == []
    hosts.write_text("2001:db8::7 other\n")
    assert texts(await names.lookupAddress("app")) == ("192.0.2.1",)
    answer, _, _ = await names.lookupIPV6Address("other")
    assert read_addresses(answer, "other", dns.AAAA).addresses == ("2001:db8::7",)
    await names.lookupService("other")
    assert len(server.asked) == 2


@pytest_twisted.ensureDeferred
async def test_a_hosts_file_that_is_not_there(
    serve: Callable[..., NameServer], tmp_path: Path
) -> None:
    names = resolver(serve(good), hosts=tmp_path / "hosts")
    assert texts(await names.lookupAddress("app")) == ("192.0.2.1",)
