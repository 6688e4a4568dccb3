"""A backend that speaks TLS, on loopback: what it is told, and what it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet import reactor, ssl
from twisted.internet.address import IPv4Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from scgiproxy.rules.tls import PemFile, TlsSettings
from tests.certificates import Authority, Identity, authority


class Spoken(Protocol):
    """One connection; `backend` has all of them."""

    data = b""
    closed = False

    def __init__(self, backend: TlsBackend) -> None:
        self.backend = backend

    def connectionMade(self) -> None:
        self.backend.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self.backend.received(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.closed = True

    @property
    def openssl(self) -> SSL.Connection:
        return self.transport.getHandle()

    def answer(self, data: bytes) -> None:
        """With an end as TLS has it."""
        self.transport.write(data)
        self.transport.loseConnection()

    def answer_and_drop(self, data: bytes) -> None:
        """With the end of the TCP connection alone."""
        self.transport.write(data)
        beneath = self.transport.transport if hasattr(self.transport, "transport") else None
        assert beneath is not None
        beneath.loseConnection()


class TlsBackend(Factory):
    """`received` is called with a connection on which something has come."""

    noisy = False

    def __init__(self, answer: bytes = b"") -> None:
        self.connections: list[Spoken] = []
        self.server_names: list[bytes | None] = []
        self.received: Callable[[Spoken], object] = lambda _: None
        if answer:
            self.received = lambda spoken: (
                None if spoken.closed or not spoken.data.endswith(b",") else spoken.answer(answer)
            )
        self.address = IPv4Address("TCP", "127.0.0.1", 0)

    def buildProtocol(self, addr: Any) -> Spoken:
        return Spoken(self)


@asynccontextmanager
async def tls_backend(
    identity: Identity,
    answer: bytes = b"",
    *,
    clients: Authority | None = None,
    most: ssl.TLSVersion | None = None,
) -> AsyncIterator[TlsBackend]:
    """One with that certificate; `clients` is who must have signed those of clients, and `most` the
    newest TLS that it speaks."""
    backend = TlsBackend(answer)
    options = ssl.CertificateOptions(
        privateKey=identity.private_key,
        certificate=identity.x509,
        lowerMaximumSecurityTo=most,
    )

    def named(connection: SSL.Connection) -> None:
        backend.server_names.append(connection.get_servername())

    context = options.getContext()
    context.set_tlsext_servername_callback(named)
    if clients is not None:
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(crypto.X509.from_cryptography(clients.x509))
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    port = reactor.listenSSL(0, backend, options, interface="127.0.0.1")  # type: ignore[attr-defined]
    backend.address = IPv4Address("TCP", "127.0.0.1", port.getHost().port)
    try:
        yield backend
    finally:
        await maybeDeferred(port.stopListening)
        for _ in range(200):
            if all(each.closed for each in backend.connections):
                break
            for each in backend.connections:
                if not each.closed:
                    each.transport.abortConnection()
            await deferLater(reactor, 0.01)


def trusting(who: Authority | None = None, **more: Any) -> TlsSettings:
    """Settings that trust the tests' authority, or that one."""
    pem = PemFile("ca.pem", (who or authority()).certificate, "f:1")
    return TlsSettings(authorities=(pem,), **more)
