"""The agent and an application behind TLS."""

from __future__ import annotations

import pytest
import pytest_twisted
from treq.client import HTTPClient
from twisted.internet import reactor

from scgiproxy.errors import BadRequest, TlsFailed
from scgiproxy.wire.agent import PemFile, ScgiAgent, TlsSettings
from tests.certificates import authority, stranger
from tests.wire.tlsbackend import tls_backend, trusting

ANSWER = b"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_request(host: str) -> None:
    """To an address, and to a name."""
    async with tls_backend(authority().issue(host), ANSWER) as backend:
        client = HTTPClient(ScgiAgent(reactor, tls=trusting()))
        response = await client.get(f"scgis://{host}:{backend.address.port}/x")
        assert (response.code, await response.content()) == (200, b"hello")
        assert b"REQUEST_URI\0/x\0" in backend.connections[0].data


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_application_that_is_not_trusted(host: str) -> None:
    async with tls_backend(stranger().issue(host), ANSWER) as backend:
        client = HTTPClient(ScgiAgent(reactor, tls=trusting()))
        with pytest.raises(TlsFailed, match="certificate verify failed"):
            await client.get(f"scgis://{host}:{backend.address.port}/")
        assert not any(each.data for each in backend.connections)


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_used() -> None:
    broken = ScgiAgent(reactor, tls=TlsSettings(authorities=(PemFile("x", b""),)))
    with pytest.raises(TlsFailed, match="'x' has no certificate"):
        await broken.request(b"GET", b"scgis://127.0.0.1:1/")
    with pytest.raises(BadRequest, match="TLS is for TCP"):
        await ScgiAgent(reactor, "/run/app.sock").request(b"GET", b"scgis://app/")


def test_file_of_certificates(tmp_path: object) -> None:
    path = authority().write(tmp_path / "ca.pem")  # type: ignore[operator]
    assert PemFile.read(path) == PemFile(str(path), authority().pem)
