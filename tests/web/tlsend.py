"""The backend's side of a TLS connection whose transport is in memory."""

from __future__ import annotations

from OpenSSL import SSL, crypto

from tests.certificates import Authority, Identity
from tests.web.harness import BackendEnd


class TlsEnd:
    """Speaks TLS as `identity` on `end`; `clients` is who has to have signed the gateway's.

    `data` is what came through it; `server_name` and `gateway` are what the gateway said of the
    backend and of itself. `pump` is to be called when the gateway may have sent something.
    """

    def __init__(
        self, end: BackendEnd, identity: Identity, clients: Authority | None = None
    ) -> None:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_privatekey(identity.private_key)
        context.use_certificate(identity.x509)
        if clients is not None:
            store = context.get_cert_store()
            assert store is not None
            store.add_cert(crypto.X509.from_cryptography(clients.x509))
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        self.end = end
        self.data = b""
        self.ended = False
        self.is_up = False
        self._taken = 0
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        self.pump()

    @property
    def server_name(self) -> bytes | None:
        return self._connection.get_servername()

    @property
    def gateway(self) -> str:
        """Whom the gateway's certificate is of."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        return certificate.subject.rfc4514_string() if certificate else ""

    def pump(self) -> None:
        """Take what has come, and send what TLS has to say to that."""
        for _ in range(10):
            came = self.end.transport.value()[self._taken :]
            self._taken += len(came)
            if came:
                self._connection.bio_write(came)
            self._work()
            self._send()
            if not came:
                return

    def _work(self) -> None:
        try:
            if not self.is_up:
                self._connection.do_handshake()
                self.is_up = True
            while True:
                self.data += self._connection.recv(1 << 16)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.ended = True
        except SSL.Error:
            self.is_up = False

    def _send(self) -> None:
        try:
            out = self._connection.bio_read(1 << 20)
        except SSL.WantReadError:
            return
        if self.end.closed is None:
            self.end.answer(out)

    def answer(self, data: bytes) -> TlsEnd:
        self._connection.sendall(data)
        self._send()
        return self

    def close(self) -> None:
        """As TLS wants it: its own word for the end, and then the end."""
        self._connection.shutdown()
        self._send()
        self.end.close()
