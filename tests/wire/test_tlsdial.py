"""Dialling a TLS listener on loopback: who is trusted, what is told of it, and what is released."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor, ssl
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ITransport
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from scgiproxy.errors import ConnectFailed, TlsFailed
from scgiproxy.interfaces import IDeadline
from scgiproxy.rules.tls import PemFile, TlsSettings, TlsVerify, TlsVersion
from scgiproxy.wire.dial import Dialer
from scgiproxy.wire.tls import PemProblem
from scgiproxy.wire.tlsdial import TlsAttempt
from tests.certificates import Identity, authority, stranger
from tests.wire.dialling import Caller, tcp_listener
from tests.wire.tlsbackend import TlsBackend, tls_backend, trusting

HOST = "app.example"


@pytest.fixture
def dialer() -> Dialer:
    return Dialer(reactor)


@pytest.fixture
def identity() -> Identity:
    return authority().issue(HOST, "127.0.0.1")


async def turns(until: Callable[[], bool]) -> None:
    """Let the reactor run until then."""
    for _ in range(500):
        if until():
            return
        await deferLater(reactor, 0.01)
    pytest.fail("it has not happened in 5 s")


async def failure(
    dialer: Dialer, backend: TlsBackend, settings: TlsSettings, name: str = HOST
) -> str:
    caller = Caller(b"request")
    before = len(backend.connections)
    dialer.through_tls(settings, name).dial(backend.address, caller, 5.0)
    error = await caller.failed
    assert isinstance(error, TlsFailed)
    assert (error.status, error.log_key, error.unreachable, error.counts) == (
        503,
        "backend.tls",
        True,
        True,
    )
    assert not caller.client.events
    # Nothing of a request has been sent to it.
    await turns(lambda: all(each.closed for each in backend.connections))
    assert all(not each.data for each in backend.connections[before:])
    return str(error)


async def success(
    dialer: Dialer, backend: TlsBackend, settings: TlsSettings, name: str = HOST
) -> Caller:
    caller = Caller(b"request")
    backend.received = lambda spoken: (
        spoken.answer(b"answer") if spoken.data == b"request" else None
    )
    dialer.through_tls(settings, name).dial(backend.address, caller, 5.0)
    client = await caller.up
    assert verifyObject(ITransport, client.transport)
    reason = await client.lost
    assert isinstance(reason, ConnectionDone)
    assert client.data == b"answer"
    assert caller.addresses == [backend.address]
    return caller


# -- who is trusted ----------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_certificate_of_a_trusted_authority(dialer: Dialer, identity: Identity) -> None:
    async with tls_backend(identity) as backend:
        caller = await success(dialer, backend, trusting())
        assert backend.server_names == [HOST.encode()]
        assert caller.client.transport.getPeer() == backend.address


@pytest_twisted.ensureDeferred
async def test_dot_at_the_end_of_a_name(dialer: Dialer, identity: Identity) -> None:
    async with tls_backend(identity) as backend:
        await success(dialer, backend, trusting(), HOST + ".")
        assert backend.server_names == [HOST.encode()]


@pytest_twisted.ensureDeferred
async def test_address_instead_of_a_name(dialer: Dialer, identity: Identity) -> None:
    """It is in the certificate, and not told to the backend (RFC 6066)."""
    async with tls_backend(identity) as backend:
        await success(dialer, backend, trusting(), "127.0.0.1")
        assert backend.server_names == [None]
        told = await failure(dialer, backend, trusting(), "::1")
        assert told == (
            f"TLS with 127.0.0.1:{backend.address.port} (::1) failed: certificate verify failed:"
            " hostname mismatch: it is for app.example, 127.0.0.1, and not for ::1"
        )


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("names", "days", "signer", "told"),
    [
        ((), 1, authority, "hostname mismatch: it is for no name at all, and not for app.example"),
        (("other.example",), 1, authority, "hostname mismatch: it is for other.example, and not"),
        (("example",), 1, authority, "hostname mismatch: it is for example, and not"),
        (("127.0.0.1",), 1, authority, "hostname mismatch: it is for 127.0.0.1, and not"),
        ((HOST,), -1, authority, "it has expired"),
        ((HOST,), 1, stranger, "that authority is not trusted"),
    ],
)
async def test_certificate_that_is_not_to_be_trusted(
    dialer: Dialer,
    names: tuple[str, ...],
    days: int,
    signer: Callable[[], Any],
    told: str,
) -> None:
    async with tls_backend(signer().issue(*names, days=days)) as backend:
        error = await failure(dialer, backend, trusting())
    assert (
        f"127.0.0.1:{backend.address.port} (app.example) failed: certificate verify failed" in error
    )
    assert told in error


@pytest_twisted.ensureDeferred
async def test_certificate_for_clients_only(dialer: Dialer) -> None:
    async with tls_backend(authority().issue(HOST, is_client=True)) as backend:
        assert "it is not for servers" in await failure(dialer, backend, trusting())


@pytest_twisted.ensureDeferred
async def test_self_signed_certificate(dialer: Dialer) -> None:
    """Not trusted, until it is named as an authority."""
    async with tls_backend(stranger()) as backend:
        assert "it is self-signed" in await failure(dialer, backend, trusting())
        await success(dialer, backend, trusting(stranger(), verify=TlsVerify.CHAIN))


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("verify", "other_name", "other_authority"),
    [
        (TlsVerify.NAME, False, False),
        (TlsVerify.CHAIN, True, False),
        (TlsVerify.NOTHING, True, True),
    ],
)
async def test_how_far_it_is_verified(
    dialer: Dialer, identity: Identity, verify: TlsVerify, other_name: bool, other_authority: bool
) -> None:
    settings = trusting(verify=verify)
    async with tls_backend(identity) as backend:
        await success(dialer, backend, settings)
    for made, is_fine in (
        (authority().issue("other.example"), other_name),
        (stranger().issue(HOST), other_authority),
    ):
        async with tls_backend(made) as backend:
            if is_fine:
                await success(dialer, backend, settings)
            else:
                await failure(dialer, backend, settings)


@pytest_twisted.ensureDeferred
async def test_authorities_of_the_system(dialer: Dialer, identity: Identity) -> None:
    """That of the tests is none of them."""
    async with tls_backend(identity) as backend:
        assert "is not trusted" in await failure(dialer, backend, TlsSettings())


@pytest_twisted.ensureDeferred
async def test_several_authorities(dialer: Dialer, identity: Identity) -> None:
    both = PemFile("ca.pem", b"text\n" + stranger().certificate + authority().certificate)
    async with tls_backend(identity) as backend:
        await success(dialer, backend, TlsSettings(authorities=(both,)))


# -- the gateway's own certificate, and versions -----------------------------------------------


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_backend_that_wants_a_certificate(
    dialer: Dialer, identity: Identity, most: ssl.TLSVersion
) -> None:
    own = authority().issue("gateway", is_client=True)
    settings = trusting(certificate=PemFile("own.pem", own.pem))
    async with tls_backend(identity, clients=authority(), most=most) as backend:
        await success(dialer, backend, settings)
        await turns(lambda: backend.connections[0].closed)


@pytest_twisted.ensureDeferred
async def test_backend_that_gets_no_certificate(dialer: Dialer, identity: Identity) -> None:
    """With TLS 1.2 that is a failed handshake; with 1.3 it is told of when the request is sent."""
    async with tls_backend(identity, clients=authority(), most=ssl.TLSVersion.TLSv1_2) as backend:
        assert "handshake failure" in await failure(dialer, backend, trusting())
    async with tls_backend(identity, clients=authority()) as backend:
        caller = Caller(b"request")
        dialer.through_tls(trusting(), HOST).dial(backend.address, caller, 5.0)
        client = await caller.up
        transport = client.transport
        lost: list[Any] = []
        client.connectionLost = lost.append  # type: ignore[method-assign]
        await turns(lambda: bool(lost))
        assert "certificate required" in transport.explain_end(lost[0])


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("version", list(TlsVersion))
async def test_version(dialer: Dialer, identity: Identity, version: TlsVersion) -> None:
    async with tls_backend(identity) as backend:
        spoken: list[str] = []
        settings = trusting(versions=(version,))
        original = backend.buildProtocol

        def noting(addr: Any) -> Any:
            made = original(addr)
            data_received = made.dataReceived

            def received(data: bytes) -> None:
                spoken.append(made.openssl.get_protocol_version_name())
                data_received(data)

            made.dataReceived = received
            return made

        backend.buildProtocol = noting  # type: ignore[method-assign]
        await success(dialer, backend, settings)
        assert set(spoken) == {version.value}


@pytest_twisted.ensureDeferred
async def test_no_version_in_common(dialer: Dialer, identity: Identity) -> None:
    settings = trusting(versions=(TlsVersion.TLS_1_3,))
    async with tls_backend(identity, most=ssl.TLSVersion.TLSv1_2) as backend:
        assert "protocol version" in await failure(dialer, backend, settings)


@pytest.mark.parametrize(
    ("settings", "source", "told"),
    [
        (TlsSettings(authorities=(PemFile("x", b"", "f:3"),)), "f:3", "'x' has no certificate"),
        (
            trusting(certificate=PemFile("own", authority().certificate + stranger().key, "f:4")),
            "f:4",
            "the private key in 'own' is not that of the first certificate there",
        ),
        (
            trusting(certificate=PemFile("own", authority().certificate, "f:4")),
            "f:4",
            "the private key in 'own' cannot be read",
        ),
        (
            TlsSettings(
                authorities=(
                    PemFile(
                        "x",
                        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
                        "f:3",
                    ),
                )
            ),
            "f:3",
            "certificate 1 in 'x' cannot be read",
        ),
    ],
)
def test_files_that_cannot_be_used(
    dialer: Dialer, settings: TlsSettings, source: str, told: str
) -> None:
    with pytest.raises(PemProblem) as failed:
        dialer.through_tls(settings, HOST)
    assert failed.value.source == source
    assert told in str(failed.value)


def test_keys_are_not_shown() -> None:
    own = authority().issue("gateway", is_client=True)
    assert "KEY" not in repr(trusting(certificate=PemFile("own", own.pem)))


# -- the other end -----------------------------------------------------------------------------


@pytest.fixture
def plain() -> Iterator[tuple[socket.socket, Any]]:
    with tcp_listener() as pair:
        yield pair


async def _accepted(listener: socket.socket) -> socket.socket:
    while True:
        try:
            return listener.accept()[0]
        except BlockingIOError:
            await deferLater(reactor, 0.01)


@pytest_twisted.ensureDeferred
async def test_backend_without_tls(dialer: Dialer, plain: tuple[socket.socket, Any]) -> None:
    listener, address = plain
    caller = Caller(b"request")
    dialer.through_tls(trusting(), HOST).dial(address, caller, 5.0)
    with await _accepted(listener) as theirs:
        theirs.send(b"Status: 400 Bad Request\r\n\r\n")
        error = await caller.failed
    assert "does it speak TLS?" in str(error)


@pytest_twisted.ensureDeferred
async def test_backend_that_closes_in_the_handshake(
    dialer: Dialer, plain: tuple[socket.socket, Any]
) -> None:
    listener, address = plain
    caller = Caller(b"request")
    dialer.through_tls(trusting(), HOST).dial(address, caller, 5.0)
    (await _accepted(listener)).close()
    assert "closed the connection in the handshake" in str(await caller.failed)


@pytest_twisted.ensureDeferred
async def test_backend_that_says_nothing(dialer: Dialer, plain: tuple[socket.socket, Any]) -> None:
    """The handshake is part of the time for a connection."""
    listener, address = plain
    caller = Caller(b"request")
    calls = set(reactor.getDelayedCalls())  # type: ignore[attr-defined]
    attempt: Any = dialer.through_tls(trusting(), HOST).dial(address, caller, 0.3)
    assert isinstance(attempt, TlsAttempt)
    assert verifyObject(IDeadline, attempt)
    error = await caller.failed
    assert isinstance(error, TlsFailed)
    where = f"127.0.0.1:{address.port} (app.example)"
    assert str(error) == f"no TLS handshake with {where} within 0.3 s"
    with await _accepted(listener) as theirs:
        theirs.setblocking(False)
        await turns(lambda: _is_closed(theirs))
    # The wheel looks once more whether there is anything to watch.
    await turns(lambda: {*reactor.getDelayedCalls()} - {*calls} == set())  # type: ignore[attr-defined]


@pytest_twisted.ensureDeferred
async def test_nobody_listens(dialer: Dialer) -> None:
    """As without TLS."""
    with tcp_listener() as (_, address):
        pass
    caller = Caller()
    dialer.through_tls(trusting(), HOST).dial(address, caller, 5.0)
    error = await caller.failed
    assert type(error) is ConnectFailed
    assert "nobody listens" in str(error)


def _is_closed(theirs: socket.socket) -> bool:
    try:
        while theirs.recv(100_000):
            pass
    except ConnectionResetError:
        return True
    except BlockingIOError:
        return False
    return True


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("when", ["at once", "in the handshake"])
async def test_given_up(dialer: Dialer, plain: tuple[socket.socket, Any], when: str) -> None:
    """The factory hears nothing more, and the connection is closed."""
    listener, address = plain
    caller = Caller(b"request")
    attempt = dialer.through_tls(trusting(), HOST).dial(address, caller, 5.0)
    if when == "at once":
        attempt.stopConnecting()
    theirs = await _accepted(listener)
    await deferLater(reactor, 0.02)
    attempt.stopConnecting()
    attempt.disconnect()
    with theirs:
        await deferLater(reactor, 0.05)
        theirs.setblocking(False)
        assert _is_closed(theirs)
    assert not caller.client.events
    assert not caller.failed.called


@pytest_twisted.ensureDeferred
async def test_connection_that_nobody_wants_any_more(dialer: Dialer, identity: Identity) -> None:
    """As that of a probe that looks at the connection alone: it is closed."""

    class Unwilling(Caller):
        asked = 0

        def buildProtocol(self, addr: Any) -> Any:
            self.asked += 1

    async with tls_backend(identity) as backend:
        caller = Unwilling()
        dialer.through_tls(trusting(), HOST).dial(backend.address, caller, 5.0)
        await turns(lambda: bool(backend.connections) and backend.connections[0].closed)
        assert caller.asked == 1
        assert not caller.failed.called


@pytest_twisted.ensureDeferred
async def test_end_without_a_word_of_tls(dialer: Dialer, identity: Identity) -> None:
    """Anybody on the way can make that."""
    async with tls_backend(identity) as backend:
        backend.received = lambda spoken: spoken.answer_and_drop(b"answer")
        caller = Caller(b"request")
        dialer.through_tls(trusting(), HOST).dial(backend.address, caller, 5.0)
        client = await caller.up
        reason = await client.lost
        assert isinstance(reason, ConnectionLost)
        assert client.data == b"answer"


@pytest_twisted.ensureDeferred
async def test_contexts_are_made_once(dialer: Dialer) -> None:
    first = dialer.through_tls(trusting(), "a.example")
    second = dialer.through_tls(trusting(), "b.example")
    other = dialer.through_tls(trusting(verify=TlsVerify.CHAIN), "a.example")
    contexts = [each.peer._context for each in (first, second, other)]
    assert contexts[0] is contexts[1]
    assert contexts[0] is not contexts[2]
