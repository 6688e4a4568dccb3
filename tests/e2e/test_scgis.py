"""SCGI over TLS, with stunnel in front of the backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import authority, stranger
from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection, ask
from tests.e2e.processes import wait_until
from tests.e2e.scripted import HELLO, ReadBody, ReadHead, ScriptedBackend, Send
from tests.e2e.stunnel import Stunnel

pytestmark = pytest.mark.e2e

GET = b"GET /app/ HTTP/1.1\r\nHost: a\r\n\r\n"
MIB = 1 << 20


@pytest.fixture
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as running:
        yield running


@pytest.fixture
def stunnel(tmp_path: Path, backend: ScriptedBackend) -> Iterator[Stunnel]:
    with Stunnel(tmp_path, backend.port, authority().issue("localhost")) as running:
        yield running


@pytest.fixture
def trust(tmp_path: Path) -> str:
    """The line by which the tests' authority is trusted."""
    (tmp_path / "ca.pem").write_bytes(authority().certificate)
    return f"SSLProxyCACertificateFile {tmp_path}/ca.pem\n"


def test_small_and_large_in_both_directions(
    tmp_path: Path, backend: ScriptedBackend, stunnel: Stunnel, trust: str
) -> None:
    large = bytes(range(256)) * (20 * MIB // 256)
    with Gateway(tmp_path, f"{trust}ProxyPass /app/ {stunnel.url}/") as gateway:
        assert ask(gateway.http, GET).status == 200
        backend.play(
            (ReadHead(), ReadBody(), Send(b"Content-Length: %d\r\n\r\n" % len(large) + large))
        )
        with Connection(gateway.http, 60) as connection:
            connection.send(
                b"POST /app/ HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(large) + large
            )
            answer = connection.read()
        assert (answer.status, answer.body == large) == (200, True)
        told = backend.wait_for()
        assert told.received == len(large)
        # Delimited by its end, which stunnel passes on as TLS has it.
        backend.play((ReadHead(), ReadBody(), Send(b"Status: 200 OK\r\n\r\n" + large[:MIB])))
        assert ask(gateway.http, GET).body == large[:MIB]


def test_many_at_once_and_with_two_workers(
    tmp_path: Path, backend: ScriptedBackend, stunnel: Stunnel, trust: str
) -> None:
    """A worker gets the certificates from its parent, which has read them."""
    text = f"{trust}ProxyPass /app/ {stunnel.url}/ preconnect=4"
    with Gateway(tmp_path, text, workers=2) as gateway:
        (tmp_path / "ca.pem").unlink()
        backend.play(HELLO)
        connections = [Connection(gateway.http, 60) for _ in range(40)]
        for connection in connections:
            connection.send(GET)
        assert {connection.read().status for connection in connections} == {200}
        for connection in connections:
            connection.close()


def test_certificate_of_the_gateway(tmp_path: Path, backend: ScriptedBackend, trust: str) -> None:
    own = authority().issue("gateway", is_client=True).write(tmp_path / "own.pem")
    identity = authority().issue("localhost")
    with Stunnel(tmp_path, backend.port, identity, clients=authority()) as stunnel:
        mount = f"{trust}ProxyPass /app/ {stunnel.url}/\n"
        with Gateway(tmp_path, f"{mount}SSLProxyMachineCertificateFile {own}") as gateway:
            assert ask(gateway.http, GET).status == 200
        with Gateway(tmp_path, mount, name="without") as gateway:
            assert ask(gateway.http, GET).status == 502
            wait_until(lambda: "certificate required" in gateway.logged(), "it is told why")
    assert len(backend.requests()) == 1


def test_the_next_member_when_one_is_not_who_it_should_be(
    tmp_path: Path, backend: ScriptedBackend, stunnel: Stunnel, trust: str
) -> None:
    text = "{trust}ProxyPass /app/ balancer://b/\n<Proxy balancer://b>\n{members}\n</Proxy>"
    with (
        Stunnel(
            tmp_path, backend.port, authority().issue("other.example"), name="misnamed"
        ) as misnamed,
        Stunnel(tmp_path, backend.port, stranger().issue("localhost"), name="strange") as strange,
    ):
        members = "\n".join(f"BalancerMember {each.url}" for each in (misnamed, strange, stunnel))
        with Gateway(tmp_path, text.format(trust=trust, members=members)) as gateway:
            for _ in range(6):
                assert ask(gateway.http, GET).status == 200
            for why in (
                "hostname mismatch: it is for other.example, and not for localhost",
                "certificate verify failed: unable to get the certificate of its issuer",
            ):
                wait_until(lambda why=why: why in gateway.logged(), why)  # type: ignore[misc]
        assert len(backend.requests()) == 6
