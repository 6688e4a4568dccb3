"""Dialling real listeners on loopback and UNIX sockets, and a reactor that is none."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from scgiproxy.errors import BackendBusy, ConnectFailed, OutOfSockets
from scgiproxy.interfaces import IDeadline
from scgiproxy.wire.dial import Dialer
from scgiproxy.wire.dialattempt import DialAttempt
from tests.conftest import LoggedErrors
from tests.wire.dialling import Caller, Client, accept, read_until, tcp_listener, unix_listener


@pytest.fixture
def dialer() -> Dialer:
    return Dialer(reactor)


def nobody_there() -> IPv4Address:
    with tcp_listener() as (_, address):
        return address


def fill(listener: socket.socket) -> list[socket.socket]:
    """Fill the listen queue."""
    waiting = []
    for _ in range(20):
        skt = socket.socket(listener.family)
        skt.setblocking(False)
        waiting.append(skt)
        if skt.connect_ex(listener.getsockname()) == errno.EAGAIN:
            break
    return waiting


async def exchange(dialer: Dialer, listener: socket.socket, address: Any) -> Caller:
    caller = Caller(b"request")
    calls = set(reactor.getDelayedCalls())
    dialer.dial(address, caller, 5.0)
    client = await caller.up
    assert set(reactor.getDelayedCalls()) <= calls
    with await accept(reactor, listener) as theirs:
        assert await read_until(reactor, theirs, 7) == b"request"
        theirs.send(b"answer")
    await client.lost
    assert client.data == b"answer"
    assert caller.addresses == [address]
    assert client.transport.getPeer() == address
    return caller


@pytest_twisted.ensureDeferred
async def test_tcp(dialer: Dialer) -> None:
    with tcp_listener() as (listener, address):
        await exchange(dialer, listener, address)


@pytest_twisted.ensureDeferred
async def test_unix(dialer: Dialer, tmp_path: Path) -> None:
    with unix_listener(tmp_path / "s") as (listener, address):
        await exchange(dialer, listener, address)


@pytest_twisted.ensureDeferred
async def test_ipv6(dialer: Dialer) -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with listener:
        listener.setblocking(False)
        await exchange(dialer, listener, IPv6Address("TCP", "::1", listener.getsockname()[1]))


@pytest.mark.skipif(not os.path.exists("/proc"), reason="abstract sockets are Linux's")  # noqa: PTH110
@pytest_twisted.ensureDeferred
async def test_abstract_unix_socket(dialer: Dialer, tmp_path: Path) -> None:
    name = f"scgiproxy-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen()
        listener.setblocking(False)
        await exchange(dialer, listener, UNIXAddress("@" + name))


@pytest_twisted.ensureDeferred
async def test_unix_is_up_before_dial_returns(dialer: Dialer, tmp_path: Path) -> None:
    with unix_listener(tmp_path / "s") as (_, address):
        caller = Caller()
        dialling = dialer.dial(address, caller, 5.0)
        assert caller.up.called
        dialling.stopConnecting()
        assert caller.client.events == ["made"]
        dialling.disconnect()
        await caller.client.lost


@pytest_twisted.ensureDeferred
async def test_options_of_the_socket(dialer: Dialer) -> None:
    with tcp_listener() as (_, address):
        for keepalive in (False, True):
            caller = Caller()
            dialling = dialer.dial(address, caller, 5.0, keepalive=keepalive)
            client = await caller.up
            assert client.transport.getTcpKeepAlive() is keepalive
            assert not client.transport.getHandle().getblocking()
            dialling.disconnect()
            await client.lost


def missing(folder: Path) -> Any:
    return UNIXAddress(str(folder / "missing"))


def regular_file(folder: Path) -> Any:
    (folder / "file").write_text("")
    return UNIXAddress(str(folder / "file"))


def left_over(folder: Path) -> Any:
    with unix_listener(folder / "old") as (_, address):
        return address


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, "there is no socket unix:"),
        (regular_file, "is a plain file, and no socket"),
        (left_over, "nobody listens on unix:"),
        (lambda _: UNIXAddress("/" + "x" * 200), "its path is 201 bytes long"),
        (lambda _: nobody_there(), "nobody listens on 127.0.0.1:"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_failures(
    dialer: Dialer, tmp_path: Path, make: Callable[[Path], Any], words: str
) -> None:
    """Told with a sentence, after dial has returned."""
    caller = Caller()
    dialer.dial(make(tmp_path), caller, 5.0)
    assert not caller.failed.called
    error = await caller.failed
    assert type(error) is ConnectFailed
    assert words in str(error)
    assert caller.addresses == []


@pytest_twisted.ensureDeferred
async def test_no_descriptor_left(
    dialer: Dialer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    caller = Caller()
    with monkeypatch.context() as patch:
        patch.setattr(socket, "SocketType", refuse)
        dialling = dialer.dial(missing(tmp_path), caller, 5.0)
    assert isinstance(await caller.failed, OutOfSockets)
    dialling.disconnect()


@pytest_twisted.ensureDeferred
async def test_a_failure_that_was_found_at_once_can_be_stopped(
    dialer: Dialer, tmp_path: Path
) -> None:
    caller = Caller()
    dialer.dial(missing(tmp_path), caller, 5.0).stopConnecting()
    await deferLater(reactor, 0.01)
    assert not caller.failed.called


@pytest_twisted.ensureDeferred
async def test_an_address_that_is_none(dialer: Dialer) -> None:
    caller = Caller()
    dialer.dial(IPv4Address("TCP", "127.0.0.1", 70000), caller, 5.0)
    assert "port" in str(await caller.failed)


@pytest_twisted.ensureDeferred
async def test_a_full_listen_queue_is_waited_for_in_order(dialer: Dialer, tmp_path: Path) -> None:
    with unix_listener(tmp_path / "s", 0) as (listener, address):
        waiting = fill(listener)
        callers = [Caller(b"first"), Caller(b"second")]
        for caller in callers:
            dialer.dial(address, caller, 5.0)
        assert not callers[0].up.called
        for expected in (None, b"first", b"second"):
            with await accept(reactor, listener) as theirs:
                if expected is None:
                    continue
                assert await read_until(reactor, theirs, len(expected)) == expected
        for caller in callers:
            await caller.client.lost
        for skt in waiting:
            skt.close()


@pytest_twisted.ensureDeferred
async def test_a_full_listen_queue_is_busy_not_down(dialer: Dialer, tmp_path: Path) -> None:
    """At once for who does not want to wait, after the timeout for who does."""
    with unix_listener(tmp_path / "s", 0) as (listener, address):
        waiting = fill(listener)
        hasty, patient = Caller(), Caller()
        dialer.dial(address, patient, 0.05)
        dialer.dial(address, hasty, 5.0, wait_for_backlog=False)
        error = await hasty.failed
        assert isinstance(error, BackendBusy)
        assert not patient.failed.called
        error = await patient.failed
        assert isinstance(error, BackendBusy)
        assert str(error) == f"the listen queue of unix:{tmp_path}/s is full, for 0.05 s"
        for skt in waiting:
            skt.close()


@pytest_twisted.ensureDeferred
async def test_waiting_for_the_listen_queue_can_be_stopped(dialer: Dialer, tmp_path: Path) -> None:
    with unix_listener(tmp_path / "s", 0) as (listener, address):
        waiting = fill(listener)
        caller = Caller()
        dialling = dialer.dial(address, caller, 5.0)
        await deferLater(reactor, 0.03)
        dialling.stopConnecting()
        assert reactor.getDelayedCalls() == []
        assert len(dialer.wheel) == 0
        for skt in waiting:
            skt.close()


@pytest_twisted.ensureDeferred
async def test_the_backend_dies_while_its_queue_is_waited_for(
    dialer: Dialer, tmp_path: Path
) -> None:
    caller = Caller()
    with unix_listener(tmp_path / "s", 0) as (listener, address):
        waiting = fill(listener)
        dialer.dial(address, caller, 5.0)
    error = await caller.failed
    assert "nobody listens" in str(error)
    for skt in waiting:
        skt.close()


@pytest_twisted.ensureDeferred
async def test_timeout(dialer: Dialer) -> None:
    """A host that does not answer: Linux drops the SYN when the accept queue is full."""
    with tcp_listener(0) as (listener, address):
        waiting = fill(listener)
        await deferLater(reactor, 0.01)
        caller, stopped = Caller(), Caller()
        dialling = dialer.dial(address, stopped, inf)
        dialer.dial(address, caller, 0.05)
        assert len(dialer.wheel) == 1
        error = await caller.failed
        assert type(error) is ConnectFailed
        assert str(error) == f"no connection to 127.0.0.1:{address.port} within 0.05 s"
        dialling.stopConnecting()
        dialling.disconnect()
        assert not stopped.failed.called
        for skt in waiting:
            skt.close()


@pytest_twisted.ensureDeferred
async def test_an_answer_that_comes_later(dialer: Dialer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Across a network the kernel is still at it when dial returns."""
    asked = []

    class Slow(socket.SocketType):
        def connect_ex(self, target: Any) -> int:
            if target not in asked:
                super().connect_ex(target)
            asked.append(target)
            return errno.EINPROGRESS

    monkeypatch.setattr(socket, "SocketType", Slow)
    with tcp_listener() as (listener, address):
        caller = Caller(b"request")
        dialling = dialer.dial(address, caller, 5.0)
        assert isinstance(dialling, DialAttempt)
        assert verifyObject(IReadWriteDescriptor, dialling)
        assert verifyObject(IDeadline, dialling)
        assert not caller.up.called
        client = await caller.up
        assert len(dialer.wheel) == 0
        with await accept(reactor, listener) as theirs:
            assert await read_until(reactor, theirs, 7) == b"request"
            dialling.stopConnecting()
            assert client.events == ["made"]
            dialling.disconnect()
            assert await read_until(reactor, theirs, None) == b""
        await client.lost
    refused = Caller()
    dialer.dial(nobody_there(), refused, 5.0)
    assert "nobody listens" in str(await refused.failed)
    assert reactor.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_a_factory_may_decline(dialer: Dialer, tmp_path: Path) -> None:
    class Declining(Caller):
        def buildProtocol(self, addr: Any) -> Any:
            return None

    with unix_listener(tmp_path / "s") as (listener, address):
        dialer.dial(address, Declining(), 5.0).disconnect()
        with await accept(reactor, listener) as theirs:
            assert await read_until(reactor, theirs, None) == b""


@pytest_twisted.ensureDeferred
async def test_a_factory_that_raises_leaves_no_socket(dialer: Dialer, tmp_path: Path) -> None:
    class Raising(Caller):
        def buildProtocol(self, addr: Any) -> Any:
            raise RuntimeError("cannot")

    with unix_listener(tmp_path / "s") as (listener, address):
        with pytest.raises(RuntimeError, match="cannot"):
            dialer.dial(address, Raising(), 5.0)
        with await accept(reactor, listener) as theirs:
            assert await read_until(reactor, theirs, None) == b""


@pytest_twisted.ensureDeferred
async def test_a_protocol_that_raises_is_logged_and_loses_its_connection(
    dialer: Dialer, tmp_path: Path, logged_errors: LoggedErrors
) -> None:
    class Raising(Client):
        def connectionMade(self) -> None:
            raise RuntimeError("cannot")

    with unix_listener(tmp_path / "s") as (_, address):
        caller = Caller()
        caller.client = Raising()
        dialer.dial(address, caller, 5.0)
        assert isinstance(await caller.client.lost, RuntimeError)
    assert len(logged_errors.flush()) == 1


class TestOtherReactors:
    """Where there are no descriptors to watch the reactor is asked."""

    def test_tcp(self) -> None:
        memory = MemoryReactorClock()
        caller = Caller()
        address = IPv4Address("TCP", "192.0.2.1", 4000)
        Dialer(memory).dial(address, caller, 7.0)
        host, port, factory, timeout, _ = memory.tcpClients[0]
        assert (host, port, timeout) == ("192.0.2.1", 4000, 7.0)
        assert factory.buildProtocol(None) is caller.client
        assert caller.addresses == [address]

    def test_unix(self) -> None:
        memory = MemoryReactorClock()
        Dialer(memory).dial(UNIXAddress("@app"), Caller(), inf)
        assert memory.unixClients[0][0] == "\0app"
        assert memory.unixClients[0][2] is None

    def test_failure(self) -> None:
        memory = MemoryReactorClock()
        caller = Caller()
        Dialer(memory).dial(UNIXAddress("/run/s"), caller, 7.0)
        factory = memory.unixClients[0][1]
        factory.clientConnectionFailed(memory.connectors[0], Failure(Refused()))
        assert "nobody listens on unix:/run/s" in str(caller.failed.result)

    def test_stopping(self) -> None:
        memory = MemoryReactorClock()
        caller = Caller()
        dialling = Dialer(memory).dial(UNIXAddress("/run/s"), caller, 7.0)
        dialling.stopConnecting()
        assert memory.connectors[0].stoppedConnecting
        factory = memory.unixClients[0][1]
        factory.clientConnectionFailed(memory.connectors[0], Failure(Refused()))
        assert factory.buildProtocol(None) is None
        assert not caller.failed.called
        assert not caller.up.called

    def test_disconnecting(self) -> None:
        memory = MemoryReactorClock()
        dialling = Dialer(memory).dial(UNIXAddress("/run/s"), Caller(), 7.0)
        memory.unixClients[0][1].buildProtocol(None)
        dialling.disconnect()
        assert memory.connectors[0]._disconnected

    @pytest_twisted.ensureDeferred
    async def test_a_real_one(self, tmp_path: Path) -> None:
        """The same exchange through connectTCP and connectUNIX."""
        dialer = Dialer(reactor)
        dialer.descriptors = None
        for listening in (tcp_listener(), unix_listener(tmp_path / "s")):
            with listening as (listener, address):
                caller = Caller(b"request")
                dialer.dial(address, caller, 5.0, keepalive=True)
                client = await caller.up
                if isinstance(address, IPv4Address):
                    assert client.transport.getTcpNoDelay()
                    assert client.transport.getTcpKeepAlive()
                with await accept(reactor, listener) as theirs:
                    assert await read_until(reactor, theirs, 7) == b"request"
                await client.lost
