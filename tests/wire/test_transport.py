"""The transport on a backend connection, over real socket pairs."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import interfaces, reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from scgiproxy.wire.descriptors import ReactorDescriptors
from scgiproxy.wire.streamsocket import READ_SIZE
from scgiproxy.wire.transport import BackendConnection
from tests.wire.dialling import Client, read_until

BIG = 4_000_000


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs = listener.accept()[0]
    return ours, theirs


@pytest.fixture(params=[tcp_pair, socket.socketpair], ids=["tcp", "unix"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends, with buffers that BIG does not fit into."""
    ours, theirs = request.param()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    ours.setblocking(False)
    theirs.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


class Connected:
    """A `Client` on our end of the pair; the test plays the backend on `theirs`."""

    def __init__(self, pair: tuple[socket.socket, socket.socket], request: bytes = b"") -> None:
        ours, self.theirs = pair
        peer: Any = UNIXAddress(None)
        if ours.family == socket.AF_INET:
            peer = IPv4Address("TCP", *ours.getpeername())
        self.client = Client(request)
        self.transport = BackendConnection(ours, self.client, ReactorDescriptors(reactor), peer)
        reactor.addReader(self.transport)
        self.client.makeConnection(self.transport)


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await deferLater(reactor, 0)


@pytest_twisted.ensureDeferred
async def test_interfaces(pair: tuple[socket.socket, socket.socket]) -> None:
    """It is the transport that Twisted's documentation describes."""
    transport = Connected(pair).transport
    for interface in (
        interfaces.ITCPTransport,
        interfaces.IConsumer,
        interfaces.IPushProducer,
        interfaces.IHalfCloseableDescriptor,
        interfaces.IReadWriteDescriptor,
        interfaces.ISystemHandle,
    ):
        assert verifyObject(interface, transport)
    assert not interfaces.ITLSTransport.providedBy(transport)
    transport.abortConnection()
    await turns()


@pytest_twisted.ensureDeferred
async def test_a_first_write_goes_out_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    """No turn of the reactor lies between a write and the socket, nor is it watched for writing."""
    connected = Connected(pair, b"request")
    assert connected.theirs.recv(100) == b"request"
    assert connected.transport not in reactor.getWriters()
    connected.theirs.send(b"answer")
    connected.theirs.close()
    error = await connected.client.lost
    assert connected.client.data == b"answer"
    assert isinstance(error, ConnectionDone)
    assert connected.client.events == ["made", "lost"]


@pytest_twisted.ensureDeferred
async def test_many_writes_keep_their_order(pair: tuple[socket.socket, socket.socket]) -> None:
    """Also when the socket takes only part of one."""
    connected = Connected(pair)
    pieces = [bytes([number]) * 300_000 for number in range(12)]
    for piece in pieces:
        connected.transport.write(piece)
    connected.transport.writeSequence([b"e", b"nd"])
    connected.transport.loseConnection()
    assert await read_until(reactor, connected.theirs, None) == b"".join(pieces) + b"end"
    assert isinstance(await connected.client.lost, ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_half_close(pair: tuple[socket.socket, socket.socket]) -> None:
    """loseWriteConnection ends the request after its last byte; the answer is still read."""
    connected = Connected(pair, b"x" * BIG)
    connected.transport.loseWriteConnection()
    assert len(await read_until(reactor, connected.theirs, None)) == BIG
    connected.theirs.send(b"answer")
    connected.theirs.close()
    await connected.client.lost
    assert connected.client.data == b"answer"


@pytest_twisted.ensureDeferred
async def test_abort(pair: tuple[socket.socket, socket.socket]) -> None:
    connected = Connected(pair, b"x" * BIG)
    connected.transport.abortConnection()
    assert connected.client.events == ["made"]
    assert isinstance(await connected.client.lost, ConnectionAborted)
    connected.transport.write(b"too late")


def reset(theirs: socket.socket) -> None:
    """Close so that the other side sees a reset, whatever was left unread."""
    if theirs.family == socket.AF_INET:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()


@pytest_twisted.ensureDeferred
async def test_an_early_answer_wins_over_a_write_error(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """A backend that answers and closes without reading has answered, however the write fails."""
    connected = Connected(pair)
    connected.theirs.send(b"413 too large")
    connected.theirs.close()
    for _ in range(5):
        connected.transport.write(b"x" * BIG)
        assert connected.client.events == ["made"]
    await connected.client.lost
    assert connected.client.data == b"413 too large"
    assert connected.client.events[-1] == "lost"


@pytest_twisted.ensureDeferred
async def test_an_answer_in_the_middle_of_an_upload(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """The socket is full when the backend answers and resets: the error comes from the reactor."""
    connected = Connected(pair, b"x" * BIG)
    await turns()
    connected.theirs.send(b"500 " + b"y" * 5000)
    connected.theirs.close()
    await connected.client.lost
    assert len(connected.client.data) == 5004


@pytest_twisted.ensureDeferred
async def test_write_failed_is_told_once_and_later(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """While reading is paused the end is not seen, but the failed write is told; then the rest."""
    connected = Connected(pair)
    connected.transport.pauseProducing()
    connected.theirs.send(b"answer")
    connected.theirs.close()
    for _ in range(4):
        connected.transport.write(b"x" * 100)
        await turns(1)
    await turns()
    assert connected.client.events == ["made", "write failed"]
    connected.transport.write(b"dropped")
    connected.transport.resumeProducing()
    await connected.client.lost
    assert connected.client.data == b"answer"
    assert connected.client.events == ["made", "write failed", "lost"]


@pytest_twisted.ensureDeferred
async def test_a_reset_while_paused_keeps_what_was_received(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """Reading paused, writing under way, the backend goes: its bytes are read on resumption."""
    connected = Connected(pair, b"x" * BIG)
    connected.transport.pauseProducing()
    connected.theirs.send(b"answer")
    await turns()
    connected.theirs.close()
    await deferLater(reactor, 0.02)
    assert "lost" not in connected.client.events
    connected.transport.resumeProducing()
    await connected.client.lost
    assert connected.client.data == b"answer"


@pytest_twisted.ensureDeferred
async def test_a_reset_without_an_answer_is_an_ordinary_loss(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    connected = Connected(pair)
    reset(connected.theirs)
    connected.transport.write(b"x")
    connected.transport.write(b"x")
    assert connected.client.events == ["made"]
    await connected.client.lost
    assert connected.client.data == b""
    await turns()
    assert connected.client.events[-1] == "lost"


@pytest_twisted.ensureDeferred
async def test_closing_after_a_failed_write() -> None:
    """loseConnection from write_failed closes in the ordinary way, though nothing can be sent."""
    pair = socket.socketpair()
    pair[0].setblocking(False)
    connected = Connected(pair)
    connected.client.write_failed = connected.transport.loseConnection  # type: ignore[method-assign]
    with connected.theirs as theirs:
        theirs.shutdown(socket.SHUT_RD)
        connected.transport.write(b"x")
        assert connected.client.events == ["made"]
        assert isinstance(await connected.client.lost, ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_a_second_write_waits_for_no_acknowledgement(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """On TCP. The only piece of a request without a body has nothing to wait for."""
    connected = Connected(pair, b"block")
    on_tcp = pair[0].family == socket.AF_INET
    if on_tcp:
        assert not connected.transport.getTcpNoDelay()
    connected.transport.write(b"body")
    if on_tcp:
        assert connected.transport.getTcpNoDelay()
    connected.transport.loseConnection()
    assert await read_until(reactor, connected.theirs, None) == b"blockbody"
    await connected.client.lost


class Puller:
    """A pull producer of `count` pieces."""

    def __init__(self, transport: BackendConnection, count: int) -> None:
        self.transport = transport
        self.left = count

    def resumeProducing(self) -> None:
        self.left -= 1
        self.transport.write(b"p" * 1000)
        if not self.left:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def stopProducing(self) -> None:
        raise AssertionError("stopped")


@pytest_twisted.ensureDeferred
async def test_a_pull_producer_is_asked_until_it_is_done(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    connected = Connected(pair)
    connected.transport.registerProducer(Puller(connected.transport, 50), False)
    assert len(await read_until(reactor, connected.theirs, None)) == 50_000
    await connected.client.lost


class Pusher:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.resumed: Deferred[None] = Deferred()

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        self.resumed.callback(None)

    def stopProducing(self) -> None:
        self.calls.append("stop")


@pytest_twisted.ensureDeferred
async def test_a_push_producer_is_paused_while_the_backend_does_not_read(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    connected = Connected(pair)
    pusher = Pusher()
    connected.transport.registerProducer(pusher, True)
    connected.transport.write(b"small")
    assert pusher.calls == []
    connected.transport.write(b"x" * BIG)
    assert pusher.calls == ["pause"]
    await read_until(reactor, connected.theirs, BIG + 5)
    await pusher.resumed
    connected.theirs.close()
    await connected.client.lost
    assert pusher.calls == ["pause", "resume", "stop"]


@pytest_twisted.ensureDeferred
async def test_addresses(pair: tuple[socket.socket, socket.socket]) -> None:
    connected = Connected(pair)
    host, peer = connected.transport.getHost(), connected.transport.getPeer()
    if isinstance(peer, IPv4Address):
        assert host == IPv4Address("TCP", *connected.theirs.getpeername())
    else:
        assert host == UNIXAddress(None)
    connected.transport.loseConnection()
    await connected.client.lost


@pytest_twisted.ensureDeferred
async def test_our_address_on_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with listener, socket.create_connection(listener.getsockname()[:2]) as ours:
        client = Client()
        peer = IPv6Address("TCP", *ours.getpeername())
        transport = BackendConnection(ours, client, ReactorDescriptors(reactor), peer)
        host = transport.getHost()
        assert isinstance(host, IPv6Address)
        assert (host.host, host.port) == ("::1", ours.getsockname()[1])


@pytest_twisted.ensureDeferred
async def test_a_first_write_that_fails_was_read_by_nobody() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connected = Connected((ours, theirs))
    theirs.close()
    assert not connected.transport.unread
    connected.transport.write(b"request")
    assert connected.transport.unread
    connected.transport.write(b"body")
    assert connected.transport.unread
    await connected.client.lost
    await turns()


@pytest.mark.parametrize("how", ["write", "pulled"])
@pytest_twisted.ensureDeferred
async def test_after_any_other_write_nobody_knows(how: str) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connected = Connected((ours, theirs))
    transport = connected.transport
    if how == "write":
        transport.write(b"request")
    else:

        class Pulled:
            def resumeProducing(self) -> None:
                transport.unregisterProducer()

            def stopProducing(self) -> None:
                """It has stopped."""

        transport.registerProducer(Pulled(), False)
        transport.write(b"request")
        await turns()
    assert theirs.recv(100) == b"request"
    theirs.close()
    transport.write(b"body")
    assert not transport.unread
    await connected.client.lost
    await turns()


@pytest_twisted.ensureDeferred
async def test_who_pauses_is_given_less(pair: tuple[socket.socket, socket.socket]) -> None:
    """Reads that have grown begin anew after a pause: that much is held meanwhile."""
    connected = Connected(pair)
    transport = connected.transport

    def read() -> int:
        """The size of one read when more has arrived than that."""
        with suppress(BlockingIOError):
            while True:
                connected.theirs.send(b"x" * READ_SIZE)
        before = len(connected.client.data)
        transport.doRead()
        return len(connected.client.data) - before

    assert read() == READ_SIZE
    assert READ_SIZE < read() <= 2 * READ_SIZE
    transport.pauseProducing()
    transport.resumeProducing()
    assert read() <= READ_SIZE
    transport.abortConnection()
    await connected.client.lost
